"""``POST /v1/responses``: text and images in, text out; whole or as events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from starlette.responses import JSONResponse, Response

from gensafe.core.errors import GensafeError
from gensafe.core.types import GenerationRequest, Modality
from gensafe.pipeline import Held, Released, Stopped
from gensafe.server.http.openai.answers import error_parts, stopped_error
from gensafe.server.http.openai.chat import IGNORED, early_headers
from gensafe.server.http.openai.fields import Fields
from gensafe.server.http.openai.front import ANY_MODEL, Call
from gensafe.server.http.openai.messages import read_conversation
from gensafe.server.http.openai.provenance import gensafe_object, headers_of, held_object, visible_text
from gensafe.server.http.openai.running import Run
from gensafe.server.http.openai.sse import EventStream, event
from gensafe.server.http.openai.wishes import read_budget, read_format, read_labels, read_sampling, read_subject


async def create_response(call: Call) -> Response:
    """Answer."""
    call.prompt_param = "input"
    call.params |= {"prompt": "input", "messages": "input", "inputs": "input", "max_tokens": "max_output_tokens"}
    call.params |= {"parameters.json_schema": "text.format"}
    wanted, stream = _read(call, await call.json())
    shape = Shape(call, wanted)
    if stream:
        run = await call.started(wanted)
        return EventStream(run, shape.render, early_headers(run))
    released = await call.whole(wanted)
    return JSONResponse(shape.whole(released), headers=headers_of(released))


def _read(call: Call, fields: Fields) -> tuple[GenerationRequest, bool]:
    model = call.model(fields)
    given = fields.raw("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    talk = read_conversation(items, "input", fields.text("instructions"))
    text = fields.table("text")
    schema = ""
    if text is not None:
        schema = read_format(text.table("format"), nested=False)
        text.refuse("is not supported", verbosity=("medium",))
        text.end()
    labels = read_labels(fields)
    wanted = GenerationRequest(
        request_id=call.request_id,
        prompt=talk.prompt,
        modality=Modality.TEXT,
        inputs=tuple(talk.inputs),
        model=model,
        seed=fields.integer("seed"),
        max_tokens=read_budget(fields, "max_output_tokens"),
        tenant=call.identity.tenant,
        subject=read_subject(fields),
        visible_label=labels.visible_label,
        label_profile=labels.label_profile,
        messages=talk.messages,
        parameters=read_sampling(fields, schema),
    )
    fields.refuse("tools are not supported", tools=([],), tool_choice=("none", "auto"), max_tool_calls=())
    fields.refuse("tools are not supported", parallel_tool_calls=(True, False))
    fields.refuse(
        "answers are not kept for later turns; send the conversation", previous_response_id=(), conversation=()
    )
    fields.refuse("is not supported", background=(False,), include=([],), prompt=(), reasoning=({},), top_logprobs=(0,))
    fields.refuse("is not supported", truncation=("disabled",), context_management=(), moderation=())
    stream = fields.flag("stream")
    fields.ignore("stream_options", *IGNORED)
    fields.end()
    return wanted, stream


class Shape:
    """A response object and the events that build it up.

    Args:
        call: Being answered.
        wanted: What was asked for.
    """

    def __init__(self, call: Call, wanted: GenerationRequest) -> None:
        self._call = call
        self._wanted = wanted
        plain = wanted.request_id.replace("-", "")
        self._id, self._item_id = f"resp_{plain}", f"msg_{plain}"
        self._created = call.now_s
        self._number = 0

    def whole(self, released: Released) -> dict[str, Any]:
        """The finished response."""
        record = released.draft.record
        cut = record.finish == "length"
        text = visible_text(released)
        item = self._item([_part(text)], "incomplete" if cut else "completed")
        details = {"reason": "max_output_tokens"} if cut else None
        used = {
            "input_tokens": record.tokens_in,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": record.tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": record.tokens_in + record.tokens,
        }
        state = "incomplete" if cut else "completed"
        shown = self._response(state, [item], record.model, details)
        return shown | {"usage": used, "gensafe": gensafe_object(released)}

    async def render(self, run: Run) -> AsyncGenerator[bytes, None]:
        """The events. The last one is ``response.completed``, ``response.incomplete`` or ``error``."""
        said = ""
        place = {"item_id": self._item_id, "output_index": 0, "content_index": 0}
        try:
            yield self._event("response.created", response=self._response("in_progress", []))
            yield self._event("response.in_progress", response=self._response("in_progress", []))
            yield self._event("response.output_item.added", output_index=0, item=self._item([], "in_progress"))
            yield self._event("response.content_part.added", **place, part=_part(""))
            async for text in run.texts():
                said += text
                yield self._event("response.output_text.delta", **place, delta=text, logprobs=[])
        except GensafeError as error:
            yield self._failed(error_parts(error, self._call.params)[1])
            return
        end = run.end
        if isinstance(end, Stopped):
            status, body = stopped_error(end, self._call.stop_code, self._call.prompt_param, self._call.words)
            if status != 400:
                yield self._failed(body)
                return
            facts = {"state": "blocked", "retract_from": end.retract_from, "message": body["error"]["message"]}
            facts |= body["error"]["gensafe"]
        elif isinstance(end, Held):
            facts = held_object(end, self._call.words)
        else:
            facts = {}
        state = "incomplete" if facts or (isinstance(end, Released) and _cut(end)) else "completed"
        item = self._item([_part(said)], state)
        yield self._event("response.output_text.done", **place, text=said, logprobs=[])
        yield self._event("response.content_part.done", **place, part=_part(said))
        yield self._event("response.output_item.done", output_index=0, item=item)
        if isinstance(end, Released):
            yield self._event(f"response.{state}", response=self.whole(end))
        else:
            shown = self._response(state, [item], details={"reason": "content_filter"})
            yield self._event("response.incomplete", response=shown | {"gensafe": facts})

    def _failed(self, body: dict[str, Any]) -> bytes:
        error = body["error"]
        return self._event("error", code=error["code"], message=error["message"], param=error["param"], error=error)

    def _event(self, kind: str, **more: object) -> bytes:
        self._number += 1
        return event({"type": kind, "sequence_number": self._number - 1, **more}, kind)

    def _item(self, content: list[dict[str, Any]], state: str) -> dict[str, Any]:
        return {"id": self._item_id, "type": "message", "role": "assistant", "status": state, "content": content}

    def _response(
        self, state: str, output: list[dict[str, Any]], model: str = "", details: dict[str, str] | None = None
    ) -> dict[str, Any]:
        wishes = self._wanted.parameters
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": state,
            "error": None,
            "incomplete_details": details,
            "instructions": None,
            "max_output_tokens": self._wanted.max_tokens or None,
            "model": model or self._wanted.model or ANY_MODEL,
            "output": output,
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "store": False,
            "temperature": wishes.temperature,
            "text": {"format": {"type": "text"}},
            "tool_choice": "none",
            "tools": [],
            "top_p": wishes.top_p,
            "truncation": "disabled",
            "usage": None,
            "metadata": {},
        }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _cut(released: Released) -> bool:
    return released.draft.record.finish == "length"
