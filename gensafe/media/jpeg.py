"""JPEG at segment level: is the picture whole, what does a reader of pixels need, and which pictures come with it?

Sources: ITU-T T.81 annex B (markers), §G.1.1.1 (progressive scans); CIPA DC-007 (multi-picture format).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gensafe.core.errors import UnreadableMedia

_MPF: Final = b"MPF\0"
_ICC: Final = b"ICC_PROFILE\0"
_MAX_ENTRIES: Final = 100  # real files have a few images; bounds the work on a hostile index. Chosen, not measured
_TAIL: Final = bytes((7 * i * i + 3 * i + 1) % 251 for i in range(1, 4097))  # no FF: entropy-coded data like any
# MP type codes of CIPA DC-007
_KINDS: Final = {
    0x010001: "preview",
    0x010002: "preview",
    0x020001: "panorama",
    0x020002: "image for another eye",
    0x020003: "image from another angle",
    0x030000: "main image",
    0x050000: "gain map",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Segments (marker, start, end) before the first scan, all scan headers, the offset behind EOI (-1 = none)."""

    segments: tuple[tuple[int, int, int], ...]
    scans: tuple[bytes, ...]
    first_scan: int
    end: int


def layout(data: bytes) -> Layout:
    """Follow the marker segments and the scans to EOI.

    Raises:
        UnreadableMedia: a segment without length, or nothing that could be a picture.
    """
    segments: list[tuple[int, int, int]] = []
    scans: list[bytes] = []
    at, first_scan = 2, -1
    while 0 <= at and at + 2 <= len(data):
        if data[at] != 0xFF:  # stray bytes between segments: readers skip them
            at = data.find(b"\xff", at)
            continue
        marker = data[at + 1]
        if marker == 0xD9:
            return Layout(tuple(segments), tuple(scans), first_scan, at + 2)
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            if length < 2:
                raise UnreadableMedia("a JPEG segment has no length")
            if marker == 0xDA:
                first_scan = at if first_scan < 0 else first_scan
                scans.append(data[at + 4 : at + 2 + length])
                at = _after_scan(data, at + 2 + length)
                continue
            if first_scan < 0:
                segments.append((marker, at, at + 2 + length))
            at += 2 + length
    if first_scan < 0:
        raise UnreadableMedia("the JPEG file is cut short before its image")
    return Layout(tuple(segments), tuple(scans), first_scan, -1)


def _after_scan(data: bytes, at: int) -> int:
    """Entropy-coded data end at the next marker that is neither stuffing nor a restart; -1 = with the file."""
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        if data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7:
            return at
        at += 2
    return -1


def pixels_only(data: bytes, shape: Layout, tail: bytes = b"") -> bytes:
    """The file without application segments and comments, those for colour (JFIF, Adobe, ICC) excepted.

    Args:
        data: The file.
        shape: Its layout.
        tail: Put in the place of a missing EOI, before one that is added.
    """
    kept = [b"\xff\xd8"]
    for marker, start, end in shape.segments:
        body = data[start + 4 : end]
        colour = marker in (0xE0, 0xEE) or (marker == 0xE2 and body.startswith(_ICC))
        if colour or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(data[start:end])
    if shape.end >= 0:
        return b"".join((*kept, data[shape.first_scan : shape.end]))
    rest = data[shape.first_scan :]
    return b"".join((*kept, rest[:-1] if rest.endswith(b"\xff") else rest, tail, b"\xff\xd9"))


def has_every_sample(data: bytes, shape: Layout, decode: Callable[[bytes], bytes]) -> bool:
    """Whether a file without EOI still holds its whole picture.

    A decoder fills up what is missing from whatever bytes come next. So: two different tails must give one picture,
    and the scans of a progressive file must have brought every coefficient to its last bit.

    Args:
        data: The file.
        shape: Its layout, with ``end`` -1.
        decode: Gives the pixels of a whole JPEG file.
    """
    return _scans_complete(data, shape) and decode(pixels_only(data, shape)) == decode(pixels_only(data, shape, _TAIL))


def _scans_complete(data: bytes, shape: Layout) -> bool:
    frames = [data[a + 4 : b] for m, a, b in shape.segments if m in (0xC0, 0xC1, 0xC2, 0xC3)]
    if not frames or len(frames[0]) < 6:
        return False
    components = {frames[0][6 + 3 * i] for i in range(frames[0][5]) if 6 + 3 * i < len(frames[0])}
    done: dict[tuple[int, int], int] = {}
    for scan in shape.scans:
        count = scan[0] if scan else 0
        if len(scan) < 4 + 2 * count:
            return False
        first, last, low = scan[1 + 2 * count], scan[2 + 2 * count], scan[3 + 2 * count] & 15
        for index in range(count):
            for k in range(first, min(last, 63) + 1):
                done[scan[1 + 2 * index], k] = low
    return all(done.get((c, k), 1) == 0 for c in components for k in range(64))


def exif_of(data: bytes, shape: Layout) -> bytes:
    """The first Exif block; b"" = none."""
    blocks = (data[a + 4 : b] for m, a, b in shape.segments if m == 0xE1)
    return next((b for b in blocks if b.startswith(b"Exif\0")), b"")


@dataclass(frozen=True, slots=True)
class Further:
    """A picture that a multi-picture index points at: its kind in words, its bytes; b"" = there is no JPEG there."""

    kind: str
    data: bytes


def further_pictures(data: bytes, shape: Layout) -> tuple[Further, ...]:
    """Pictures besides the main one: gain maps, previews, the other eye; () without an index that can be read."""
    for marker, start, end in shape.segments:
        if marker == 0xE2 and data[start + 4 : start + 8] == _MPF:
            return tuple(_indexed(data, start + 8, data[start + 8 : end]))
    return ()


def _indexed(data: bytes, base: int, index: bytes) -> list[Further]:
    """Entries of tag 0xB002: attributes (4), size (4), offset from ``base`` (4), two dependent entries (2 each)."""
    found: list[Further] = []
    if index[:4] not in (b"II*\0", b"MM\0*"):
        return found
    order = "little" if index[:2] == b"II" else "big"

    def number(raw: bytes) -> int:
        return int.from_bytes(raw, order)  # type: ignore[arg-type]

    at = number(index[4:8])
    for i in range(min(number(index[at : at + 2]), _MAX_ENTRIES)):
        field = index[at + 2 + 12 * i : at + 14 + 12 * i]
        if number(field[:2]) != 0xB002 or len(field) < 12:
            continue
        count, place = number(field[4:8]) // 16, number(field[8:12])
        for j in range(min(count, _MAX_ENTRIES)):
            entry = index[place + 16 * j : place + 16 * j + 16]
            offset = number(entry[8:12])
            if len(entry) == 16 and offset:
                part = data[base + offset : base + offset + number(entry[4:8])]
                kind = _KINDS.get(number(entry[:4]) & 0xFFFFFF, "further image")
                found.append(Further(kind, part if part.startswith(b"\xff\xd8\xff") else b""))
    return found
