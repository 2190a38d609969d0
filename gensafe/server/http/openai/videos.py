"""``/v1/videos``: videos take long, so they are jobs: start, ask, fetch, delete."""

from __future__ import annotations

import uuid
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from gensafe.core import ids
from gensafe.core.digest import digest_json, sha256
from gensafe.core.errors import InvalidRequest, NotFound
from gensafe.core.types import GenerationRequest, InputMedia, Modality, Parameters, RequestKey
from gensafe.pipeline.replay import load_output
from gensafe.registry import Intent, IntentState
from gensafe.server.http.openai.fields import Fields
from gensafe.server.http.openai.forms import Files, must_be, no_more_files, read_form
from gensafe.server.http.openai.front import ANY_MODEL, Call
from gensafe.server.http.openai.messages import from_data_url
from gensafe.server.http.openai.provenance import RECORDS
from gensafe.server.http.openai.records import file_response
from gensafe.server.http.openai.wishes import read_labels, read_size, read_subject
from gensafe.server.jobs import Report
from gensafe.server.work import offload
from gensafe.v1 import generation_pb2 as pb

MAX_LISTED: Final = 100  # as many as one answer lists. A round number, not measured
POLL_MS: Final = 1000  # how soon a client should ask again; the SDK waits this long between questions
_PREFIX: Final = "video_"
_STATES: Final = {
    pb.JOB_STATE_RUNNING: "in_progress",
    pb.JOB_STATE_HELD: "in_progress",  # a person may still release it
    pb.JOB_STATE_COMPLETED: "completed",
}


async def create_video(call: Call) -> Response:
    """Start a video job."""
    call.params |= {"inputs": "input_reference", "media_type": "output_format"}
    fields, files = await read_form(call.request, call.max_bytes)
    wanted = _read(call, fields, files)
    body = digest_json({"fields": fields.digestable(), "inputs": [sha256(one.data) for one in wanted.inputs]})
    job = await call.front.generation.start(wanted, body)
    return JSONResponse(_of_job(job), headers={"openai-poll-after-ms": str(POLL_MS)})


def _read(call: Call, fields: Fields, files: Files) -> GenerationRequest:
    model = call.model(fields)
    pictures = [*files.pop("input_reference", []), *_reference(fields)]
    must_be(pictures, Modality.IMAGE, "input_reference")
    no_more_files(files)
    width, height = read_size(fields)
    seconds = _seconds(fields)
    labels = read_labels(fields)
    wanted = GenerationRequest(
        request_id=call.request_id,
        prompt=fields.needed("prompt"),
        modality=Modality.VIDEO,
        inputs=tuple(pictures),
        model=model,
        seed=fields.integer("seed"),
        tenant=call.identity.tenant,
        subject=read_subject(fields),
        visible_label=labels.visible_label,
        label_profile=labels.label_profile,
        parameters=Parameters(
            width=width,
            height=height,
            seconds=seconds,
            fps=fields.number("fps"),
            steps=fields.integer("num_inference_steps"),
            guidance=fields.number("guidance_scale"),
            negative_prompt=fields.text("negative_prompt"),
        ),
    )
    fields.end()
    return wanted


def _seconds(fields: Fields) -> float | None:
    """A number, or a text with one: that API writes ``"4"``."""
    value = fields.raw("seconds")
    if isinstance(value, str):
        try:
            return float(value[:20])
        except ValueError:
            fields.wrong("seconds", "must be a number")
    return fields.number("seconds")


def _reference(fields: Fields) -> list[InputMedia]:
    value = fields.raw("input_reference")
    if value is None:
        return []
    if isinstance(value, dict):  # {"image_url": "data:..."}
        table = Fields(value, "input_reference")
        value = table.needed("image_url")
        table.end()
    if not isinstance(value, str):
        fields.wrong("input_reference", "must be a file or a data: URL")
    return [from_data_url(value, "input_reference")]


async def list_videos(call: Call) -> Response:
    """The tenant's video jobs, newest first."""
    query = call.request.query_params
    limit, order, after = query.get("limit", "20"), query.get("order", "desc"), query.get("after", "")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:4]) <= MAX_LISTED):
        raise InvalidRequest(f"must be 1 to {MAX_LISTED}", field="limit")
    if order not in ("asc", "desc"):
        raise InvalidRequest("must be asc or desc", field="order")
    if after:
        try:
            after = str(uuid.UUID(after.removeprefix(_PREFIX)))
        except ValueError:
            raise NotFound(f"no video {after[:60]!r}", field="after") from None
    found, more = await call.front.generation.jobs.page(
        call.identity.tenant, int(limit), after, Modality.VIDEO, oldest_first=order == "asc"
    )
    page = [_of_job(job) for job in found]
    return JSONResponse(
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": more,
        }
    )


async def get_video(call: Call) -> Response:
    """The state of a video job."""
    return JSONResponse(await _video(call), headers={"openai-poll-after-ms": str(POLL_MS)})


async def get_content(call: Call) -> Response:
    """The signed video."""
    variant = call.request.query_params.get("variant", "video")
    if variant != "video":
        raise InvalidRequest("only the video itself is kept", field="variant", fix="leave it out")
    record_id = (await _video(call))["gensafe"].get("record_id")
    if record_id is None:
        raise NotFound("the video is not finished", field="video_id", fix="ask for it until its status is completed")
    record, data = await offload(load_output, call.front.chain, ids.parse_record_id(record_id), call.identity.tenant)
    return file_response(call, data, record.media_type, record.digest)


async def delete_video(call: Call) -> Response:
    """Stop it, and no longer list it. The record of a finished video remains: the log says that it was released."""
    shown = await _video(call)
    job = await call.front.generation.jobs.find(RequestKey(call.identity.tenant, _request_id(call)))
    if job is not None:
        await call.front.generation.jobs.forget(job.row.key)
    return JSONResponse({"id": shown["id"], "object": "video.deleted", "deleted": True})


async def remix_video(call: Call) -> Response:
    """Refused: an output is what was made in its own request."""
    raise InvalidRequest("remixing is not supported", field="video_id", fix="start a new video")


async def _video(call: Call) -> dict[str, Any]:
    key = RequestKey(call.identity.tenant, _request_id(call))
    job = await call.front.generation.jobs.find(key)
    if job is not None and job.row.modality is Modality.VIDEO:
        return _of_job(job)
    intent = await offload(call.front.chain.registry.intent, key)
    if intent is None or intent.modality != Modality.VIDEO.value:
        raise NotFound(f"no video {call.request.path_params['video_id'][:60]!r}", field="video_id")
    return _of_intent(intent)


def _request_id(call: Call) -> str:
    text = call.request.path_params["video_id"]
    try:
        return str(uuid.UUID(text.removeprefix(_PREFIX)))
    except ValueError:
        raise NotFound(f"no video {text[:60]!r}", field="video_id") from None


def _of_job(job: Report) -> dict[str, Any]:
    state, shape = job.told, job.row.shape
    error = None
    if state.state == pb.JOB_STATE_BLOCKED:
        names = "; ".join(f.category_name for f in state.blocked.verdict.findings) or "policy"
        message = f"stopped by the content policy of this service: {names}"
        error = {"code": "content_policy_violation", "message": message}
    elif state.state not in _STATES:
        error = {"code": (state.error_reason or "cancelled").lower(), "message": state.error_message or "cancelled"}
    size = f"{shape['width']}x{shape['height']}" if "width" in shape else "auto"
    seconds = shape.get("seconds")
    done = state.state == pb.JOB_STATE_COMPLETED
    facts: dict[str, Any] = {
        "request_id": state.request_id,
        "state": pb.JobState.Name(state.state).removeprefix("JOB_STATE_").lower(),
    }
    if done:
        facts |= {
            "record_id": state.completed.record_id,
            "record_url": f"{RECORDS}/{state.completed.record_id}",
            "digest": state.completed.digest,
        }
    if state.remaining_ms:
        facts |= {"remaining_ms": state.remaining_ms}
    if state.state == pb.JOB_STATE_HELD:
        facts |= {"review_id": state.held.review_id}
    return _shape(
        state.request_id,
        job.row.model or state.completed.generation.model or ANY_MODEL,
        _STATES.get(state.state, "failed"),
        progress=100 if done else _percent(state),
        created_ms=state.created_ms,
        ended_ms=state.ended_ms if done else 0,
        error=error,
        gensafe=facts,
    ) | {"size": size, "seconds": "auto" if seconds is None else f"{seconds:g}"}


def _percent(job: pb.Job) -> int:
    progress = job.progress
    if not progress.stage:
        return 0
    if progress.stage != "generate":
        return 95  # judging, marking and signing remain
    return int(90 * progress.done / progress.total) if progress.total else 0


def _of_intent(intent: Intent) -> dict[str, Any]:
    """A video of an earlier process, as far as the registry knows it."""
    waits = intent.state in (IntentState.OPEN, IntentState.HELD)
    done = intent.state is IntentState.RELEASED
    error = None if waits or done else {"code": intent.state.value, "message": f"the request was {intent.state.value}"}
    record_id = ids.record_id_text(intent.record_id)
    facts: dict[str, Any] = {"request_id": intent.request_id, "state": intent.state.value}
    if done:
        facts |= {"record_id": record_id, "record_url": f"{RECORDS}/{record_id}"}
    return _shape(
        intent.request_id,
        ANY_MODEL,
        "in_progress" if waits else "completed" if done else "failed",
        progress=100 if done else 0,
        created_ms=intent.created_ms,
        ended_ms=0,
        error=error,
        gensafe=facts,
    ) | {"size": "auto", "seconds": "auto"}


def _shape(
    request_id: str,
    model: str,
    status: str,
    *,
    progress: int,
    created_ms: int,
    ended_ms: int,
    error: dict[str, str] | None,
    gensafe: dict[str, Any],
) -> dict[str, Any]:
    return {
        "id": _PREFIX + request_id.replace("-", ""),
        "object": "video",
        "model": model,
        "status": status,
        "progress": progress,
        "created_at": created_ms // 1000,
        "completed_at": ended_ms // 1000 or None,
        "expires_at": None,
        "remixed_from_video_id": None,
        "error": error,
        "gensafe": gensafe,
    }
