"""Guards for other gateways over HTTP: LiteLLM's Generic Guardrail API, and Kong's AI Custom Guardrail.

LiteLLM: https://docs.litellm.ai/docs/adding_provider/generic_guardrail_api (read on 2026-11-30; version 1.110.2).
Kong: https://developer.konghq.com/plugins/ai-custom-guardrail (gateway 3.14); request and answer are mapped in Kong's
configuration, docs/gateway-guards.md has it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gensafe.core.errors import InvalidRequest
from gensafe.core.types import InputMedia, Stage
from gensafe.pipeline import Moderation
from gensafe.server.content import Part, from_text, parts_of, parts_within
from gensafe.server.http.openai.fields import Fields
from gensafe.server.http.openai.front import Call
from gensafe.server.judging import judge, reason

LITELLM: Final = "/beta/litellm_basic_guardrail_api"
KONG: Final = "/gensafe/v1/guards/kong"
_STAGES: Final = {"request": Stage.PROMPT, "response": Stage.OUTPUT, "INPUT": Stage.PROMPT, "OUTPUT": Stage.OUTPUT}
_NOT_FETCHED: Final = "an image is given by its address; this service fetches nothing, so it cannot be examined"


async def litellm_guardrail(call: Call) -> Response:
    """Judge what LiteLLM takes out of a request or an answer: texts, images, tools and tool calls.

    LiteLLM adds members in new versions; those that are not content are passed over, never refused.
    """
    fields = await call.json()
    stage = _STAGES[fields.choice("input_type", ("request", "response")) or fields.wrong("input_type", "is needed")]
    texts, images = fields.texts("texts"), fields.texts("images")
    rest = [fields.raw(name) for name in ("tool_calls", "tools", "structured_messages")]
    files = [from_text(image) for image in images]
    if None in files:
        return JSONResponse({"action": "BLOCKED", "blocked_reason": _NOT_FETCHED})
    said = [text for text in texts if text.strip()]
    others = _new(parts_of(rest, known=frozenset([*texts, *images])), files)
    more = [*others, *(p for text in said for p in parts_within(text))]
    parts: list[Part] = [*said, *(p for p in files if p is not None), *more]
    if not parts:
        return JSONResponse({"action": "NONE"})
    found = await _judge(call, parts, stage, "litellm")
    if not found.passed:
        return _answer({"action": "BLOCKED", "blocked_reason": reason(found, call.words)}, found)
    if not found.masked:
        return _answer({"action": "NONE"}, found)
    masked = iter(found.texts)
    shown = [next(masked) if text.strip() else text for text in texts]
    within = [p for text in found.texts[: len(said)] for p in parts_within(text)]
    if list(masked) != [p for p in (*others, *within) if isinstance(p, str)]:
        why = "policy removes words from a tool call or a tool, where LiteLLM takes no other words"
        return _answer({"action": "BLOCKED", "blocked_reason": why}, found)
    return _answer({"action": "GUARDRAIL_INTERVENED", "texts": shown}, found)


async def kong_guardrail(call: Call) -> Response:
    """Judge the text that Kong takes out of a request or an answer."""
    fields = await call.json()
    stage = _STAGES[fields.choice("source", ("INPUT", "OUTPUT")) or fields.wrong("source", "is needed")]
    if fields.raw("content") is None:  # a template that sends nothing must not pass for a judgement
        fields.wrong("content", "is needed", fix="send an empty text where there is none")
    text, allow_masking = fields.text("content"), fields.flag("allow_masking")
    images = [_image(fields, number, one) for number, one in enumerate(fields.texts("images"))]
    fields.end()
    parts: list[Part] = [*([text, *parts_within(text)] if text.strip() else []), *images]
    if not parts:
        return JSONResponse({"block": False, "block_message": "", "masked": False})
    found = await _judge(call, parts, stage, "kong")
    answer: dict[str, Any] = {
        "block": not found.passed,
        "block_message": "" if found.passed else reason(found, call.words),
    }
    answer["masked"] = found.masked
    if found.masked and allow_masking and list(found.texts[1:]) == parts_within(found.texts[0]):
        answer["content"] = found.texts[0]
    elif found.masked:  # the words stand within JSON, whose form is not ours to rewrite
        answer |= {"block": True, "masked": False, "block_message": reason(found, call.words)}
    return _answer(answer, found)


async def _judge(call: Call, parts: list[Part], stage: Stage, gateway: str) -> Moderation:
    front = call.front
    return await judge(
        front.chain,
        front.limits,
        parts,
        stage=stage,
        tenant=call.identity.tenant,
        gateway=gateway,
        request_id=str(call.request.scope["gensafe.request_id"]),
    )


def _answer(answer: dict[str, Any], found: Moderation) -> Response:
    return JSONResponse(answer | {"receipt": found.receipt})


def _new(more: list[Part], known: list[InputMedia | None]) -> list[Part]:
    """What is not judged already: the messages repeat the images, in other words for their type."""
    seen = {one.data for one in known if one is not None}
    return [p for p in more if isinstance(p, str) or p.data not in seen]


def _image(fields: Fields, number: int, text: str) -> InputMedia:
    found = from_text(text)
    if found is None:
        raise InvalidRequest("is not base64 or a data: URL", field=f"{fields.path('images')}[{number}]")
    return found


def by_key_header(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """LiteLLM presents its key as ``x-api-key``: it is read as a bearer token, beside what else is presented."""

    async def answer(request: Request) -> Response:
        headers = request.scope["headers"]
        given = [(b"authorization", b"Bearer " + value) for name, value in headers if name == b"x-api-key"]
        request.scope["headers"] = [*headers, *given]
        return await handler(Request(request.scope, request.receive))

    return answer
