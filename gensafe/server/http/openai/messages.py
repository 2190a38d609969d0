"""Conversations: messages with text, images and audio into a prompt, earlier messages and inputs."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any, Final

from gensafe.core.errors import InvalidRequest
from gensafe.core.types import InputMedia, Message, Role
from gensafe.server.http.openai.fields import Fields

_ROLES: Final = {"system": Role.SYSTEM, "developer": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}
_SOUNDS: Final = {"wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac", "ogg": "audio/ogg"}
_TEXTS: Final = ("text", "input_text", "output_text")  # the last two: Responses API


@dataclass(slots=True)
class Conversation:
    """What was said before, what is asked now, and the files, in order."""

    prompt: str = ""
    messages: tuple[Message, ...] = ()
    inputs: list[InputMedia] = field(default_factory=list)


def read_conversation(items: Any, where: str = "messages", instructions: str = "") -> Conversation:  # noqa: ANN401
    """Read a list of messages; the last one must be the user's and becomes the prompt.

    Messages of the system and the developer at the beginning become one. Files of all messages are handed over with
    the prompt, in their order.

    Args:
        items: As parsed from JSON.
        where: Name of the list, for errors.
        instructions: A system message before all others; "" = none.

    Raises:
        InvalidRequest: names the message and the part.
    """
    if not isinstance(items, list) or not items:
        raise InvalidRequest("must be a list with at least one message", field=where)
    found = Conversation()
    system = [instructions] if instructions.strip() else []
    said: list[Message] = []
    for number, item in enumerate(items):
        fields = _object(item, f"{where}[{number}]")
        kind = fields.text("type", "message")
        if kind != "message":
            fields.wrong("type", f"{kind[:40]!r} is not supported", fix="send messages only")
        fields.ignore("name", "id", "status", "phase")
        fields.refuse("tools and generated audio are not supported", refusal=(), audio=(), annotations=([],))
        fields.refuse("tools are not supported", tool_calls=([],), function_call=(), tool_call_id=())
        role = _ROLES.get(fields.text("role"))
        if role is None:
            fields.wrong("role", "must be system, developer, user or assistant")
        text = _content(fields, found.inputs, files=role is Role.USER)
        fields.end()
        if role is Role.SYSTEM and not said:
            system += [text] if text.strip() else []
        else:
            said.append(Message(role, text))
    if not said or said[-1].role is not Role.USER:
        raise InvalidRequest("the last message must be the user's", field=where)
    before = [Message(Role.SYSTEM, "\n\n".join(system))] if system else []
    found.prompt, found.messages = said[-1].text, (*before, *said[:-1])
    return found


def _content(fields: Fields, inputs: list[InputMedia], *, files: bool) -> str:
    content = fields.raw("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        fields.wrong("content", "must be a text or a list of parts")
    texts = []
    for number, item in enumerate(content):
        part = _object(item, f"{fields.path('content')}[{number}]")
        kind = part.text("type")
        if kind in _TEXTS:
            texts.append(part.text("text"))
            part.ignore("annotations", "logprobs")
        elif kind in ("image_url", "input_image") and files:
            inputs.append(_picture(part, kind))
        elif kind == "input_audio" and files:
            inputs.append(_sound(part))
        else:
            allowed = "text, image_url, input_audio" if files else "text"
            part.wrong("type", f"{kind[:40]!r} is not supported here", fix=f"one of: {allowed}")
        part.end()
    return "\n".join(texts)


def _picture(part: Fields, kind: str) -> InputMedia:
    place, name = part, "image_url"
    if kind == "image_url":
        table = part.table("image_url")
        if table is None:
            part.wrong("image_url", "is needed")
        place, name = table, "url"
    url = place.needed(name)
    place.choice("detail", ("auto", "low", "high", "original"))
    place.refuse("files are not kept here; send the image itself", file_id=())
    place.end()
    return from_data_url(url, place.path(name))


def from_data_url(url: str, where: str) -> InputMedia:
    """A file out of a ``data:`` URL (RFC 2397). Nothing is ever fetched for a caller.

    Raises:
        InvalidRequest: another URL, or one that is malformed.
    """
    if not url.startswith("data:"):
        raise InvalidRequest("this service fetches nothing", field=where, fix="send a data: URL with the file in it")
    head, comma, body = url[5:].partition(",")
    media_type, _, encoding = head.rpartition(";")
    if not comma or encoding.strip().lower() != "base64" or not media_type:
        raise InvalidRequest("is not 'data:TYPE;base64,...'", field=where)
    return InputMedia(_decoded(body, where), media_type)


def _sound(part: Fields) -> InputMedia:
    table = part.table("input_audio")
    if table is None:
        part.wrong("input_audio", "is needed")
    kind = table.choice("format", tuple(_SOUNDS)) or table.wrong("format", "is needed")
    data = _decoded(table.needed("data"), table.path("data"))
    table.end()
    return InputMedia(data, _SOUNDS[kind])


def _decoded(text: str, where: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("is not base64", field=where) from None
    if not data:
        raise InvalidRequest("is empty", field=where)
    return data


def _object(item: Any, where: str) -> Fields:  # noqa: ANN401 - JSON
    if not isinstance(item, dict):
        raise InvalidRequest("must be an object", field=where)
    return Fields(item, where)
