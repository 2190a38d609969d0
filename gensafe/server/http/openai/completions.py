"""``POST /v1/completions``: the prompt is handed to the engine as a message of the user."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from gensafe.core import ids
from gensafe.core.types import GenerationRequest, Modality
from gensafe.pipeline import Released
from gensafe.server.http.openai.chat import IGNORED, Chunks, early_headers, read_stream_options, usage_of
from gensafe.server.http.openai.fields import Fields
from gensafe.server.http.openai.front import Call
from gensafe.server.http.openai.provenance import gensafe_object, headers_of, visible_text
from gensafe.server.http.openai.sse import EventStream
from gensafe.server.http.openai.wishes import (
    read_budget,
    read_labels,
    read_sampling,
    read_subject,
    refuse_more_than_one,
)


async def create_completion(call: Call) -> Response:
    """Continue a prompt."""
    fields = await call.json()
    wanted, stream, usage = _read(call, fields)
    if stream:
        run = await call.started(wanted)
        return EventStream(run, Chunks(call, wanted, "text", usage=usage).render, early_headers(run))
    released = await call.whole(wanted)
    return JSONResponse(_completion(call, released), headers=headers_of(released))


def _read(call: Call, fields: Fields) -> tuple[GenerationRequest, bool, bool]:
    model = call.model(fields)
    prompts = fields.texts("prompt")
    if len(prompts) != 1:
        fields.wrong("prompt", "must be one text")
    stream = fields.flag("stream")
    usage = read_stream_options(fields, stream=stream)
    refuse_more_than_one(fields)
    labels = read_labels(fields)
    wanted = GenerationRequest(
        request_id=call.request_id,
        prompt=prompts[0],
        modality=Modality.TEXT,
        model=model,
        seed=fields.integer("seed"),
        max_tokens=read_budget(fields, "max_tokens"),
        tenant=call.identity.tenant,
        subject=read_subject(fields),
        visible_label=labels.visible_label,
        label_profile=labels.label_profile,
        parameters=read_sampling(fields),
    )
    fields.refuse("log probabilities are not given", logprobs=())
    fields.refuse("is not supported", suffix=("",), echo=(False,), best_of=(1,), logit_bias=({},))
    fields.ignore(*IGNORED)
    fields.end()
    return wanted, stream, usage


def _completion(call: Call, released: Released) -> dict[str, Any]:
    record = released.draft.record
    record_id = ids.record_id_text(released.recorded.signed.marked.judged.admission.record_id)
    choice = {"index": 0, "text": visible_text(released), "logprobs": None, "finish_reason": record.finish}
    return {
        "id": f"cmpl-{record_id}",
        "object": "text_completion",
        "created": call.now_s,
        "model": record.model,
        "choices": [choice],
        "usage": usage_of(released),
        "gensafe": gensafe_object(released),
    }
