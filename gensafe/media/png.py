"""PNG at chunk level: is the picture whole, and what of the file does a reader of pixels need?

Text, Exif, resolution and unknown chunks are left out before the library sees the file: its limits on metadata, and
faults in it, must not cost the picture. Sources: PNG 3rd ed. §5 (chunks), §13.2 (errors in ancillary chunks).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gensafe.core.errors import UnreadableMedia
from gensafe.media.words import four_letters

MAX_PROFILE: Final = 64 << 20  # bytes of an unpacked ICC profile; the largest in use have about 4 MiB
_NEEDED: Final = frozenset((b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"acTL", b"fcTL", b"fdAT"))
_NAMES: Final = {
    b"IHDR": "header (IHDR)",
    b"PLTE": "palette (PLTE)",
    b"IDAT": "pixel data (IDAT)",
    b"IEND": "end (IEND)",
    b"fdAT": "frame data (fdAT)",
    b"fcTL": "frame control (fcTL)",
    b"tRNS": "transparency (tRNS)",
}


@dataclass(frozen=True, slots=True)
class Pixels:
    """A PNG without what its pixels do not need.

    Args:
        data: The file.
        profile: Its ICC profile, unpacked; b"" = none, or not readable.
        exif: Its Exif block; b"" = none.
        notes: What is odd about the file, for people.
    """

    data: bytes
    profile: bytes
    exif: bytes
    notes: tuple[str, ...]


def pixels_only(data: bytes) -> Pixels:
    """Check every chunk that the picture needs and leave the others out.

    A missing end marker is noted, not refused: whether all pixels are there is for the decoder to say.

    Raises:
        UnreadableMedia: cut short within a chunk, or a chunk that is needed has a wrong check sum.
    """
    kept: list[bytes] = [data[:8]]
    notes: list[str] = []
    profile = exif = b""
    ended = False
    for kind, start, end in _chunks(data):
        needed = not kind[0] & 0x20 or kind in _NEEDED  # a capital first letter = critical
        intact = zlib.crc32(data[start - 4 : end]) == int.from_bytes(data[end : end + 4], "big")
        if not intact and needed:
            raise UnreadableMedia(f"the check sum of the PNG file's {name_of(kind)} chunk is wrong")
        if not intact:
            notes.append(f"the check sum of the {name_of(kind)} chunk is wrong; the chunk is not used")
        elif needed:
            kept.append(data[start - 8 : end + 4])
        elif kind == b"iCCP":
            profile = _profile(data[start:end])
            notes += [] if profile else ["the colour profile cannot be unpacked; it is not used"]
        elif kind == b"eXIf":
            exif = data[start:end]
            notes += [] if exif[:4] in (b"II*\0", b"MM\0*") else ["the Exif block is damaged; it is not used"]
        if kind == b"IEND":
            ended = True
            break
    if not ended:
        notes.append("the end marker (IEND) is missing")
        kept.append(b"\0\0\0\0IEND\xaeB`\x82")
    return Pixels(b"".join(kept), profile, exif, tuple(notes))


def name_of(kind: bytes) -> str:
    """Plain name of a chunk."""
    return _NAMES.get(kind, four_letters(kind))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, start of the content, its end); fewer than 12 bytes at the end are no chunk."""
    at, seen = 8, False
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        if at + 12 + length > len(data):
            raise UnreadableMedia(f"the PNG file is cut short in its {name_of(kind)} chunk")
        seen |= kind == b"IDAT"
        yield kind, at + 8, at + 8 + length
        at += 12 + length
    if not seen:
        raise UnreadableMedia("the PNG file is cut short before its pixel data")


def _profile(body: bytes) -> bytes:
    """An iCCP chunk: name, a zero, the method, the packed profile."""
    _, _, rest = body.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(rest[1:], MAX_PROFILE)
    except zlib.error:
        return b""
    return profile if unpacker.eof else b""
