"""``POST /v1/chat/completions``."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from gensafe.core import ids
from gensafe.core.errors import GensafeError
from gensafe.core.types import GenerationRequest, Modality
from gensafe.pipeline import Held, Released, Stopped
from gensafe.server.http.openai.answers import error_parts, stopped_error
from gensafe.server.http.openai.fields import Fields
from gensafe.server.http.openai.front import ANY_MODEL, Call
from gensafe.server.http.openai.messages import read_conversation
from gensafe.server.http.openai.provenance import gensafe_object, headers_of, held_object, visible_text
from gensafe.server.http.openai.running import Run
from gensafe.server.http.openai.sse import DONE, EventStream, event
from gensafe.server.http.openai.wishes import (
    read_budget,
    read_format,
    read_labels,
    read_sampling,
    read_subject,
    refuse_more_than_one,
)

# Say how it is billed and kept; a request is never kept here in clear, so there is nothing to do.
IGNORED: Final = (
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "store",
    "service_tier",
)


async def create_chat(call: Call) -> Response:
    """Answer a conversation."""
    fields = await call.json()
    call.prompt_param = "messages"
    call.params |= {"prompt": "messages", "inputs": "messages", "max_tokens": "max_completion_tokens"}
    wanted, stream, usage = _read(call, fields)
    if stream:
        run = await call.started(wanted)
        return EventStream(run, Chunks(call, wanted, "chat", usage=usage).render, early_headers(run))
    released = await call.whole(wanted)
    return JSONResponse(_completion(call, released), headers=headers_of(released))


def _read(call: Call, fields: Fields) -> tuple[GenerationRequest, bool, bool]:
    model = call.model(fields)
    talk = read_conversation(fields.raw("messages"))
    stream = fields.flag("stream")
    usage = read_stream_options(fields, stream=stream)
    refuse_more_than_one(fields)
    labels = read_labels(fields)
    schema = read_format(fields.table("response_format"), nested=True)
    wanted = GenerationRequest(
        request_id=call.request_id,
        prompt=talk.prompt,
        modality=Modality.TEXT,
        inputs=tuple(talk.inputs),
        model=model,
        seed=fields.integer("seed"),
        max_tokens=read_budget(fields, "max_completion_tokens", "max_tokens"),
        tenant=call.identity.tenant,
        subject=read_subject(fields),
        visible_label=labels.visible_label,
        label_profile=labels.label_profile,
        messages=talk.messages,
        parameters=read_sampling(fields, schema),
    )
    fields.refuse("log probabilities are not given", logprobs=(False,), top_logprobs=(0,))
    fields.refuse("tools are not supported", tools=([],), functions=([],), tool_choice=("none", "auto"))
    fields.refuse("tools are not supported", function_call=("none", "auto"), parallel_tool_calls=(True, False))
    fields.refuse("only text is made here; for audio use /v1/audio/speech", modalities=(["text"],), audio=())
    fields.refuse("is not supported", logit_bias=({},), prediction=(), web_search_options=(), moderation=())
    fields.refuse("is not supported", reasoning_effort=("none",), verbosity=("medium",))
    fields.ignore(*IGNORED)
    fields.end()
    return wanted, stream, usage


def read_stream_options(fields: Fields, *, stream: bool) -> bool:
    """Whether the number of tokens is told at the end of a stream."""
    table = fields.table("stream_options")
    if table is None:
        return False
    if not stream:
        fields.wrong("stream_options", "is for streams only", fix="set stream to true")
    usage = table.flag("include_usage")
    table.ignore("include_obfuscation")
    table.end()
    return usage


def usage_of(released: Released) -> dict[str, int]:
    """Tokens, as the engine counted them; 0 of the prompt = not known."""
    record = released.draft.record
    return {
        "prompt_tokens": record.tokens_in,
        "completion_tokens": record.tokens,
        "total_tokens": record.tokens_in + record.tokens,
    }


def _completion(call: Call, released: Released) -> dict[str, Any]:
    record = released.draft.record
    record_id = ids.record_id_text(released.recorded.signed.marked.judged.admission.record_id)
    return {
        "id": f"chatcmpl-{record_id}",
        "object": "chat.completion",
        "created": call.now_s,
        "model": record.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": visible_text(released), "refusal": None},
                "logprobs": None,
                "finish_reason": record.finish,
            }
        ],
        "usage": usage_of(released),
        "gensafe": gensafe_object(released),
    }


def early_headers(run: Run) -> dict[str, str]:
    """What is known when a stream begins."""
    if run.accepted is None:
        return {}
    record_id = ids.record_id_text(run.accepted.record_id)
    return {"X-GenSafe-Record": record_id, "X-GenSafe-Request": run.accepted.request_id}


class Chunks:
    """The chunks of a streamed chat or completion.

    Args:
        call: Being answered.
        wanted: What was asked for.
        kind: "chat" or "text".
        usage: Tell the number of tokens at the end.
    """

    def __init__(self, call: Call, wanted: GenerationRequest, kind: str, *, usage: bool) -> None:
        self._call = call
        self._chat = kind == "chat"
        self._usage = usage
        self._model = wanted.model or ANY_MODEL
        self._id = ("chatcmpl-" if self._chat else "cmpl-") + wanted.request_id.replace("-", "")
        self._created = call.now_s

    async def render(self, run: Run) -> AsyncGenerator[bytes, None]:
        """The chunks; the last one says how it ended. After an error there is no ``[DONE]``."""
        try:
            if self._chat:
                yield self._chunk({"role": "assistant", "content": ""})
            async for text in run.texts():
                yield self._chunk({"content": text}, text)
        except GensafeError as error:
            yield event(error_parts(error, self._call.params)[1])
            return
        end = run.end
        if isinstance(end, Released):
            yield self._chunk({}, finish=end.draft.record.finish, gensafe=gensafe_object(end))
            if self._usage:
                yield event(self._frame([]) | {"usage": usage_of(end)})
            yield DONE
        elif isinstance(end, Held):
            yield self._chunk({}, finish="content_filter", gensafe=held_object(end, self._call.words))
            yield DONE
        elif isinstance(end, Stopped):
            status, body = stopped_error(end, self._call.stop_code, self._call.prompt_param, self._call.words)
            if status != 400:  # a check failed: an error, not a decision
                yield event(body)
                return
            facts = {"state": "blocked", "retract_from": end.retract_from, "message": body["error"]["message"]}
            yield self._chunk({}, finish="content_filter", gensafe=facts | body["error"]["gensafe"])
            yield DONE

    def _chunk(
        self, delta: dict[str, Any], text: str = "", *, finish: str | None = None, gensafe: dict[str, Any] | None = None
    ) -> bytes:
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "logprobs": None}
        choice |= {"delta": delta} if self._chat else {"text": text}
        return event(self._frame([choice]) | ({"gensafe": gensafe} if gensafe else {}))

    def _frame(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "chat.completion.chunk" if self._chat else "text_completion",
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }
