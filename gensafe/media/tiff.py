"""TIFF at tag level: what a reader of pixels does not need is hidden from the library, so that no fault in it counts.

Sources: TIFF 6.0 §2; BigTIFF (8-byte offsets and counts).
"""

from __future__ import annotations

from typing import Final, Literal

_HIDDEN: Final = frozenset(  # description, camera, resolution, software, date, artist, XMP, IPTC, Photoshop, Exif, GPS
    (270, 271, 272, 282, 283, 285, 296, 305, 306, 315, 316, 700, 33432, 33723, 34377, 34665, 34853, 37724, 40965)
)
_UNUSED: Final = 65_000  # a private tag that nothing reads
_MAX_PAGES, _MAX_TAGS = 1000, 4096  # bound the work; scanners and cameras stay far below. Chosen, not measured


def pixels_only(data: bytes) -> bytes:
    """The same bytes with the numbers of metadata tags replaced; offsets stay as they are."""
    out: bytearray | None = None
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    big = data[2:4] in (b"+\0", b"\0+")
    at = int.from_bytes(data[8:16] if big else data[4:8], order)
    wide, size = (8, 20) if big else (2, 12)
    for _ in range(_MAX_PAGES):
        if not 0 < at < len(data):
            break
        count = int.from_bytes(data[at : at + wide], order)
        first = at + wide
        for index in range(min(count, _MAX_TAGS)):
            place = first + size * index
            if int.from_bytes(data[place : place + 2], order) in _HIDDEN and place + size <= len(data):
                out = bytearray(data) if out is None else out
                out[place : place + 2] = _UNUSED.to_bytes(2, order)
        after = first + size * count
        at = int.from_bytes(data[after : after + (8 if big else 4)], order)
    return data if out is None else bytes(out)
