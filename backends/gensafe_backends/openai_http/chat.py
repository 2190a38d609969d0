"""Text: ``/chat/completions`` as a stream, read so that a broken answer is never taken for a whole one.

An answer is whole when choice 0 ended with ``stop``, or with ``length`` (then the record says "cut off"). An error
object or event, any other finish reason, none at all, a refusal, a tool call, content that is not text, or half a
character is a failed generation, whatever was streamed before.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from gensafe.core.errors import BackendError, InvalidRequest
from gensafe.core.types import Audio, GenerationJob, Image, Text
from gensafe.media.codecs import encode
from gensafe_backends.openai_http.dialects import Dialect
from gensafe_backends.openai_http.options import Options
from gensafe_backends.openai_http.sse import Event, events
from gensafe_backends.openai_http.wire import MAX_RESPONSE, Emit, Wire, error_names, json_object

DRAIN_S: Final = 0.25  # how long the end of a body is waited for after the end of its text


@dataclass(slots=True)
class Reading:
    """What is known of an answer so far."""

    text: list[str] = field(default_factory=list)
    finish: str = ""
    tokens: int = 0
    tokens_in: int = 0
    notes: set[str] = field(default_factory=set)
    half: str = ""  # a first surrogate that waits for its second


def body(options: Options, job: GenerationJob, seed: int) -> dict[str, Any]:
    """The request body of a conversation."""
    dialect = options.dialect
    messages = [{"role": m.role.value, "content": m.text} for m in job.messages]
    request: dict[str, Any] = {
        "model": options.model,
        "messages": [*messages, {"role": "user", "content": _content(job)}],
        "seed": seed,
        "stream": True,
    }
    if dialect.usage:
        request["stream_options"] = {"include_usage": True}
    if job.max_tokens:
        request[dialect.max_tokens] = job.max_tokens
    for name, value in job.parameters.given().items():
        if name == "json_schema":
            schema = json_object(str(value))
            request["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        elif name == "stop":
            request["stop"] = list(job.parameters.stop)
        elif name.startswith("extra."):
            request[name.removeprefix("extra.")] = value
        else:
            request[dialect.rename.get(name, name)] = value
    return request


async def talk(wire: Wire, request: Mapping[str, Any], reading: Reading, emit: Emit[str]) -> None:
    """Send a conversation and emit the text as it comes; ``reading`` holds the rest of what was learned."""
    async with wire.answer("POST", "/chat/completions", json=request) as response:
        kind = response.headers.get("content-type", "").partition(";")[0].strip()
        if kind == "application/json":  # a server that does not stream
            whole(reading, json_object(await wire.body(response)), emit)
        else:
            await _stream(response, reading, emit)
    if reading.half:
        raise BackendError("the engine's text ends with half a character")
    if not reading.finish:
        raise BackendError("the engine's stream ended early: it gave no reason for its end")
    if not reading.text:
        raise BackendError("the engine wrote nothing")


async def _stream(response: httpx.Response, reading: Reading, emit: Emit[str]) -> None:
    stream = events(response.aiter_bytes(), MAX_RESPONSE)
    async for event in stream:
        if event.data.strip() == "[DONE]":
            break
        take(reading, event, emit)
    with suppress(TimeoutError):  # a body that is read to its end leaves a connection that can be used again
        async with asyncio.timeout(DRAIN_S):
            async for _ in stream:
                pass


def take(reading: Reading, event: Event, emit: Emit[str]) -> None:
    """Take in one event of a stream.

    Raises:
        BackendError: it is an error, or something that is not part of a plain text answer.
    """
    if event.kind == "error":
        document = _quietly(event.data)
        raise BackendError(f"the engine reported an error{error_names(document.get('error', document))}")
    document = json_object(event.data)
    usage = document.get("usage")
    if isinstance(usage, Mapping):
        reading.tokens = _count(usage, "completion_tokens")
        reading.tokens_in = _count(usage, "prompt_tokens")
    choices = document.get("choices")
    if not isinstance(choices, list):
        return
    for choice in choices:
        if not isinstance(choice, Mapping):
            raise BackendError("the engine's answer holds a choice that is not an object")
        if choice.get("index", 0) != 0:
            reading.notes.add("the engine sent further choices, which were not asked for and not used")
            continue
        delta = choice.get("delta")
        _piece(reading, delta if isinstance(delta, Mapping) else {}, emit)
        _finish(reading, choice.get("finish_reason"))


def whole(reading: Reading, document: Mapping[str, Any], emit: Emit[str]) -> None:
    """Take in an answer that came as one object: the same rules on ``message`` instead of ``delta``."""
    choices = document.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else None
    message = first.get("message") if first else None
    if first is None or not isinstance(message, Mapping):
        raise BackendError("the engine's answer holds no message")
    _piece(reading, message, emit)
    _finish(reading, first.get("finish_reason"))
    usage = document.get("usage")
    if isinstance(usage, Mapping):
        reading.tokens = _count(usage, "completion_tokens")
        reading.tokens_in = _count(usage, "prompt_tokens")


def _piece(reading: Reading, delta: Mapping[str, Any], emit: Emit[str]) -> None:
    if delta.get("refusal"):
        raise BackendError("the engine refused to answer")
    for name in ("tool_calls", "function_call", "audio"):
        if delta.get(name):
            raise BackendError(f"the engine answered with {name}, not with text")
    if delta.get("reasoning_content") or delta.get("reasoning"):
        reading.notes.add("the engine's reasoning is not part of the output")
    text = reading.half + _text(delta.get("content"))
    reading.half = ""
    if text and 0xD800 <= ord(text[-1]) <= 0xDBFF:
        text, reading.half = text[:-1], text[-1]
    if not text:
        return
    if reading.finish:
        raise BackendError("the engine went on after the end of its answer")
    try:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise BackendError("the engine's text holds half a character") from error
    reading.text.append(text)
    emit(text)


def _text(content: Any) -> str:  # noqa: ANN401 - JSON from outside
    """Content as text: a string, nothing, or a list of text parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise BackendError("the engine's answer holds content that is not text")
    pieces: list[str] = []
    for part in content:
        text = part.get("text") if isinstance(part, Mapping) and part.get("type") in ("text", "output_text") else None
        if not isinstance(text, str):
            raise BackendError("the engine's answer holds a part that is not text")
        pieces.append(text)
    return "".join(pieces)


def _finish(reading: Reading, reason: Any) -> None:  # noqa: ANN401 - JSON from outside
    if reason is None or reason == "":
        return
    if reason not in ("stop", "length"):
        named = reason if isinstance(reason, str) and reason.isidentifier() and len(reason) <= 40 else "of its own"
        raise BackendError(f"the engine ended its answer for another reason: {named}")
    reading.finish = str(reason)


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and 0 <= value < 1 << 53 else 0


def _quietly(data: str) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def prompt_text(job: GenerationJob) -> str:
    """Texts that came as inputs, then the prompt."""
    return "\n\n".join([*(m.text for m in job.inputs if isinstance(m, Text)), job.prompt])


def _content(job: GenerationJob) -> str | list[dict[str, Any]]:
    """The last message: plain text, or parts when pictures or sounds come with it."""
    parts: list[dict[str, Any]] = [{"type": "text", "text": prompt_text(job)}]
    for medium in job.inputs:
        if isinstance(medium, Image):
            data = base64.b64encode(encode(medium, "image/png")).decode("ascii")
            parts.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}})
        elif isinstance(medium, Audio):
            data = base64.b64encode(encode(medium, "audio/wav")).decode("ascii")
            parts.append({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}})
        elif not isinstance(medium, Text):
            raise InvalidRequest("this engine does not read video", field="inputs")
    return parts if len(parts) > 1 else str(parts[0]["text"])


def honoured(dialect: Dialect) -> frozenset[str]:
    """The text parameters that a dialect honours."""
    return dialect.text | {"messages"}
