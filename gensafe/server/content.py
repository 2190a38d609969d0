"""What there is to judge in a body that a gateway hands over: every text and file in it.

The body is JSON, a stream of events, a plain text or a medium.

A gateway's APIs are many and change, so nothing is looked for by name: every string is judged, except short names
under members that hold names (``_NAMES``). JSON within a string is read, as in the arguments of tool calls. Strings
that hold a file (``data:`` URLs, base64 under ``_FILES``) are files. Pieces of a streamed answer are joined by where
they stand in their events: no word is seen in two halves.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from gensafe.core.errors import InvalidRequest
from gensafe.core.types import InputMedia

Part = str | InputMedia

_NAMES: Final = frozenset(
    "model id object role type finish_reason system_fingerprint tool_call_id call_id service_tier format detail "
    "previous_response_id item_id response_id status size quality voice encoding_format logprobs".split()
)
_NAME: Final = re.compile(r"[\w./:+-]{1,80}")  # no white space: a word or an identifier, no sentence
_FILES: Final = frozenset({"b64_json", "data", "image", "partial_image_b64", "file_data"})
_MIN_BASE64: Final = 64  # characters; shorter ones are judged as text. A round number below any file
_BASE64: Final = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*?;base64,", re.IGNORECASE)
_DONE: Final = "[DONE]"


def parts_of_body(data: bytes, content_type: str) -> list[Part]:
    """Everything to judge in a body, in order; [] = nothing.

    Args:
        data: The body, not compressed.
        content_type: As its header says; "" = not said.

    Raises:
        InvalidRequest: it is in a form that cannot be examined.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if not data:
        return []
    if kind in ("application/json", "") or kind.endswith("+json"):
        return parts_of(_parsed(data))
    if kind == "text/event-stream":
        return parts_of_events(data)
    if kind.startswith("text/"):
        return [_text(data)]
    if kind.startswith(("image/", "audio/", "video/")):
        return [InputMedia(data, kind)]
    raise InvalidRequest(f"a body of {kind[:80]!r} cannot be examined", field="content-type", fix="send JSON")


def parts_of(value: Any, *, known: frozenset[str] = frozenset()) -> list[Part]:  # noqa: ANN401 - JSON
    """Every text and file of a JSON value, in order.

    Args:
        value: As parsed.
        known: Texts that are judged already.
    """
    found: list[Part] = []
    for name, text in _strings(value):
        if text in known or not text.strip():
            continue
        inner = _json_in(text)
        found += [_part(text, name)] if inner is None else parts_of(inner, known=known)
    return found


def parts_within(text: str) -> list[Part]:
    """The texts and files of a text that is JSON; [] = it is not."""
    inner = _json_in(text)
    return [] if inner is None else parts_of(inner)


def parts_of_events(data: bytes) -> list[Part]:
    """The texts and files of an event stream (HTML, server-sent events): pieces at one place are joined in order."""
    joined: dict[tuple[Any, ...], list[str]] = {}
    loose: list[str] = []
    for event in re.split(r"\r\n\r\n|\n\n|\r\r", _text(data)):
        lines = [line.removeprefix("data:").removeprefix(" ") for line in event.splitlines() if line[:5] == "data:"]
        said = "\n".join(lines)
        if not said or said.strip() == _DONE:
            continue
        try:
            value = json.loads(said)
        except (ValueError, RecursionError):
            loose.append(said)
            continue
        kind = value.get("type") if isinstance(value, dict) else None
        for place, name, text in _placed(value, (kind,)):
            joined.setdefault((*place, name), []).append(text)
    whole = [{place[-1]: "".join(texts)} for place, texts in joined.items()]
    return parts_of([*loose, *whole])


def from_text(text: str) -> InputMedia | None:
    """The file in a ``data:`` URL or in base64; None = neither."""
    head = _DATA_URL.match(text)
    body = text[head.end() :] if head else text
    try:
        data = base64.b64decode("".join(body.split()), validate=True)
    except ValueError:
        return None
    if not data:
        return None
    return InputMedia(data, (head[1] or "").lower() if head else "")


def _part(text: str, name: str) -> Part:
    """A string as what it is."""
    if text[:5].lower() == "data:":
        return from_text(text) or text
    if name in _FILES and len(text) >= _MIN_BASE64 and _BASE64.fullmatch(text):
        found = from_text(text)
        if found is not None:
            return found
    return text


def _json_in(text: str) -> Any:  # noqa: ANN401 - JSON
    """The value of a text that is a JSON object or list, as the arguments of a tool call are; None = it is not."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _strings(value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    for _, name, text in _placed(value, ()):
        yield name, text


def _placed(value: Any, place: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str, str]]:  # noqa: ANN401 - JSON
    """Every string with where it stands: the path of members, of list items their ``index`` where they state one."""
    waiting: list[tuple[Any, tuple[Any, ...], str]] = [(value, place, "")]
    while waiting:
        one, where, name = waiting.pop()
        if isinstance(one, str):
            if not (name in _NAMES and _NAME.fullmatch(one)):
                yield where, name, one
        elif isinstance(one, dict):
            for key in reversed(one):
                waiting.append((one[key], (*where, key), key))
                if not _NAME.fullmatch(key):  # words can be said by a member's name, too
                    yield (*where, key), "", key
        elif isinstance(one, list):
            for number in range(len(one) - 1, -1, -1):
                item = one[number]
                stated = item.get("index") if isinstance(item, dict) else None
                waiting.append((item, (*where, stated if type(stated) is int else number), name))


def _parsed(data: bytes) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise InvalidRequest("the body is not JSON, so it cannot be examined", field="body") from None


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest("the body is not UTF-8, so it cannot be examined", field="body") from None
