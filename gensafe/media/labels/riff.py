"""RIFF chunks, for WebP and WAV."""

from __future__ import annotations

import struct

from gensafe.core.errors import UnreadableMedia, UnsupportedMedia


def read_chunks(data: bytes, form: bytes) -> list[tuple[bytes, bytes]]:
    """Top-level chunks (kind, body) of a RIFF file of ``form``.

    Raises:
        UnreadableMedia: not such a file, or cut short.
    """
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != form:
        raise UnreadableMedia(f"not a RIFF file of form {form.decode('ascii', 'replace')}")
    at, chunks = 12, []
    end = min(len(data), 8 + struct.unpack_from("<I", data, 4)[0])
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > end:
            raise UnreadableMedia("a RIFF chunk is cut short")
        chunks.append((kind, data[at + 8 : at + 8 + length]))
        at += 8 + length + (length & 1)
    return chunks


def write_chunks(form: bytes, chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A RIFF file of the given chunks.

    Raises:
        UnsupportedMedia: larger than RIFF can be.
    """
    body = b"".join(struct.pack("<4sI", kind, len(data)) + data + b"\x00" * (len(data) & 1) for kind, data in chunks)
    if len(body) + 4 >= 1 << 32:
        raise UnsupportedMedia("a RIFF file holds at most 4 GiB")
    return b"RIFF" + struct.pack("<I", len(body) + 4) + form + body
