"""Server-sent events, as the WHATWG HTML standard defines them (section 9.2.6): bytes in, events out.

Line ends are LF, CR or CRLF; ``data`` lines of one event are joined by LF; comments and unknown fields are skipped;
one byte order mark at the start is dropped; an event without its empty line at the end of the stream is not an event.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from gensafe.core.errors import BackendError

MAX_EVENT: Final = 4 << 20  # bytes of one event: a picture of a stream as base64 fits


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its type ("message" unless named) and its data."""

    kind: str
    data: str


async def events(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[Event]:
    """Read events from the pieces of a response body.

    Raises:
        BackendError: too large, or not UTF-8.
    """
    kind = ""
    data: list[str] = []
    size = 0
    async for line in _lines(chunks, max_bytes):
        if not line:
            if data:
                yield Event(kind or "message", "\n".join(data))
            kind, size = "", 0
            data.clear()
            continue
        size += len(line)
        if size > MAX_EVENT:
            raise BackendError("the engine's answer is too large: one event of its stream")
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            kind = value
    if data and data[0].strip() == "[DONE]":  # servers that close right after it
        yield Event(kind or "message", "\n".join(data))


async def _lines(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[str]:
    buffer = bytearray()
    total = 0
    first = True
    async for chunk in chunks:
        total += len(chunk)
        if total > max_bytes:
            raise BackendError("the engine's answer is too large")
        buffer += chunk
        if first and len(buffer) >= 3:
            first = False
            if buffer.startswith(b"\xef\xbb\xbf"):
                del buffer[:3]
        while (end := _line_end(buffer)) is not None:
            stop, skip = end
            line = bytes(buffer[:stop])
            del buffer[: stop + skip]
            yield _text(line)
        if len(buffer) > MAX_EVENT:
            raise BackendError("the engine's answer is too large: one line of its stream")
    if buffer:
        yield _text(bytes(buffer.rstrip(b"\r")))


def _line_end(buffer: bytearray) -> tuple[int, int] | None:
    """Where the first line ends and how long its end is; None = not yet. A CR at the very end may still get its LF."""
    feed, carriage = buffer.find(b"\n"), buffer.find(b"\r")
    if carriage >= 0 and (feed < 0 or carriage < feed):
        if carriage + 1 == len(buffer):
            return None
        return carriage, 2 if buffer[carriage + 1] == 0x0A else 1
    return (feed, 1) if feed >= 0 else None


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BackendError("the engine's stream is not UTF-8") from error
