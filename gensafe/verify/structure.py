"""Is the end of a file missing? Tells a cut-off file from an altered one."""

from __future__ import annotations

from typing import Final

_MAX_BOXES: Final = 1_000_000  # bounds time on hostile files. A round number, not measured
RIFF_UNKNOWN: Final = 0x7FFF0000  # from here on a placeholder of programs that stream (gensafe.media.wav)


def is_truncated(data: bytes, *, decoded: bool) -> bool:
    """Whether the end of ``data`` is missing. False when that cannot be told (MP3, FLAC, Ogg, text).

    Args:
        data: The file.
        decoded: Whether it could be decoded. RIFF apart, the decoder asks for every sample, so such a file is whole:
            what may be missing is an end marker, and what may be too much are bytes behind the end.
    """
    if data[:4] == b"RIFF":  # its length covers the chunks behind the samples too, of which a manifest may be one
        declared = int.from_bytes(data[4:8], "little")
        return 0 < declared < RIFF_UNKNOWN and len(data) + 1 < 8 + declared
    if decoded:
        return False
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(data)
    if data[4:8] == b"ftyp":
        return _bmff(data)
    if data.startswith(b"\xff\xd8\xff"):
        return b"\xff\xd9" not in data[-64:]
    return data.startswith(b"GIF") and not data.rstrip(b"\0").endswith(b";")


def _png(data: bytes) -> bool:
    at = 8
    while at + 8 <= len(data):
        if data[at + 4 : at + 8] == b"IEND":
            return at + 12 > len(data)
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return True


def _bmff(data: bytes) -> bool:
    at = 0
    for _ in range(_MAX_BOXES):
        if at == len(data):
            return False
        if at + 8 > len(data):
            return True
        length = int.from_bytes(data[at : at + 4], "big")
        if length == 0:
            return False
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        if length < 8:
            return False
        at += length
        if at > len(data):
            return True
    return False
