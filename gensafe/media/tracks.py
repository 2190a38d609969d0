"""Which kinds of track a container holds, read from its headers: sound without pictures is a sound, not a video.

Cover pictures and chapter pictures are no picture tracks. Sources: RFC 9559 (Matroska) and RFC 8794 (EBML);
ISO/IEC 14496-12 §8.3, §8.4.3; RFC 3533 and the mappings of Theora, VP8 and Dirac (Ogg); Microsoft AVI RIFF reference;
ISO/IEC 13818-1 §2.4.4 (transport stream), §2.5.3 (program stream); Adobe FLV 10.1 §E.2; Microsoft ASF §3.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gensafe.core.errors import UnreadableMedia

# element ids: RFC 9559, section 5.1; RFC 8794, section 11.2
_SEGMENT, _TRACKS, _ENTRY, _TYPE, _DOC_TYPE = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0x4282
_CLUSTER: Final = 0x1F43B675  # as the line above
_MAX_ELEMENTS: Final = 100_000  # bounds the work on a hostile file. Chosen, not measured
_TS_PICTURES: Final = (0x01, 0x02, 0x10, 0x1B, 0x24, 0x33, 0xD1, 0xEA)  # MPEG-1/2/4, AVC, HEVC, VVC, Dirac, VC-1
_OGG_PICTURES: Final = (b"\x80theora", b"OVP80", b"BBCD\0", b"\x01video")
_ASF_PICTURES: Final = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_ASF_SOUND: Final = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
_BOXES: Final = frozenset((b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"wide", b"free", b"skip", b"pnot", b"uuid"))
_INDEX: Final = (b"ftyp", b"moov")

Kinds = frozenset[str]
"""Of "pictures" and "sound"."""


def ebml(data: bytes) -> tuple[str, Kinds]:
    """(document type, kinds) of an EBML file; the kinds are empty where no Tracks element is found."""
    doc_type, kinds = "", set()
    for name, start, end in _elements(data, 0, len(data)):
        if name == 0x1A45DFA3:
            for inner, a, b in _elements(data, start, end):
                if inner == _DOC_TYPE:
                    doc_type = data[a:b].rstrip(b"\0").decode("ascii", "replace")
        elif name == _SEGMENT:
            kinds = _ebml_tracks(data, start, end)
            break
    return doc_type, frozenset(kinds)


def _ebml_tracks(data: bytes, start: int, end: int) -> set[str]:
    kinds = set()
    for name, a, b in _elements(data, start, end):
        if name != _TRACKS:
            continue
        for entry, c, d in _elements(data, a, b):
            if entry == _ENTRY:
                types = [int.from_bytes(data[x:y], "big") for n, x, y in _elements(data, c, d) if n == _TYPE]
                kinds |= {{1: "pictures", 2: "sound"}.get(t, "") for t in types}
        break
    return kinds - {""}


def _elements(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(name, start, end) of the elements from ``at`` on; a Segment of unknown size ends with the file."""
    for _ in range(_MAX_ELEMENTS):
        if at >= min(end, len(data)):
            return
        width = 9 - data[at].bit_length()
        if width > 4 or at + width >= len(data) or not data[at + width]:
            return
        name = int.from_bytes(data[at : at + width], "big")
        at += width
        width = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
        unknown = size == (1 << 7 * width) - 1
        at += width
        stop = end if unknown else min(at + size, end)
        yield name, at, stop
        at = at if unknown and name == _CLUSTER else stop


def boxes(data: bytes, at: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """(type, start of the content, end) of ISO boxes; one that reaches past the end is cut to it and is the last."""
    end = len(data) if end is None else end
    for _ in range(_MAX_ELEMENTS):
        if at + 8 > end:
            return
        size, name, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        elif size == 0:
            size = end - at
        if size < start - at:
            return
        yield name, start, min(at + size, end)
        at += size


def is_iso(data: bytes) -> bool:
    """Whether the file starts as ISO base media or QuickTime: known boxes up to the first ``ftyp`` or ``moov``."""
    if data[4:8] in (b"ftyp", b"styp"):
        return True
    if data[4:8] not in _BOXES:
        return False
    return any(name in _INDEX for name, _, _ in boxes(data))


def iso_end(data: bytes) -> int:
    """Offset behind the last box.

    Bytes behind a complete file (a movie box and its media) that form no box of a known kind belong to nobody: players
    ignore them.

    Raises:
        UnreadableMedia: a box has no valid size, or reaches past the end of the file.
    """
    at = 0
    names: set[bytes] = set()
    while at + 8 <= len(data):
        size, name, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1 and at + 16 <= len(data):
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        elif size == 0:
            size = len(data) - at
        if size < head or at + size > len(data):
            if b"moov" in names and names & {b"mdat", b"moof"} and name not in _BOXES:
                return at
            if size < head:
                raise UnreadableMedia("a box of the file has no size")
            raise UnreadableMedia("the file is cut short")
        names.add(name)
        at += size
    return at if at < len(data) else len(data)


def segment_end(data: bytes) -> None:
    """The EBML header and the Segment must end within the file (RFC 8794 §6.2); an unknown size is legal.

    Raises:
        UnreadableMedia: the file is cut short.
    """
    at = 0
    for name in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        if data[at : at + 4] != name or at + 5 > len(data) or not data[at + 4]:
            raise UnreadableMedia("the Matroska file is damaged")
        width = 9 - data[at + 4].bit_length()
        value = int.from_bytes(data[at + 4 : at + 4 + width], "big") & ((1 << 7 * width) - 1)
        at += 4 + width
        if value == (1 << 7 * width) - 1:
            return
        if at + value > len(data):
            raise UnreadableMedia("the file is cut short")
        at += value


def ogg_is_ended(data: bytes) -> bool:
    """Whether the last page has the end-of-stream flag."""
    at = data.rfind(b"OggS")
    return at >= 0 and at + 6 <= len(data) and bool(data[at + 5] & 4)


def iso_brands(data: bytes) -> list[bytes]:
    """Major brand first; ``qt  `` where the file has no ``ftyp``, as QuickTime files of old."""
    for name, start, end in boxes(data):
        if name == b"ftyp":
            at = (start, *range(start + 8, min(end, start + 248), 4))
            return [data[i : i + 4] for i in at]
    return [b"isom"] if data[4:8] == b"styp" else [b"qt  "]


def iso(data: bytes) -> Kinds:
    """Kinds of track in the movie box; tracks that another one uses as its chapters are left out."""
    handlers: list[tuple[int, bytes]] = []
    chapters: set[int] = set()
    for name, start, end in boxes(data):
        if name != b"moov":
            continue
        for inner, a, b in boxes(data, start, end):
            if inner == b"trak":
                number, handler, used = _iso_track(data, a, b)
                handlers.append((number, handler))
                chapters |= used
    names = {b"vide": "pictures", b"soun": "sound"}
    return frozenset(names[h] for number, h in handlers if h in names and number not in chapters)


def _iso_track(data: bytes, start: int, end: int) -> tuple[int, bytes, set[int]]:
    number, handler, chapters = 0, b"", set()
    for name, a, b in boxes(data, start, end):
        if name == b"tkhd":
            at = a + (20 if data[a : a + 1] == b"\1" else 12)
            number = int.from_bytes(data[at : at + 4], "big")
        elif name == b"mdia":
            found = [data[x + 8 : x + 12] for n, x, _ in boxes(data, a, b) if n == b"hdlr"]
            handler = found[0] if found else b""
        elif name == b"tref":
            for n, x, y in boxes(data, a, b):
                if n == b"chap":
                    chapters |= {int.from_bytes(data[i : i + 4], "big") for i in range(x, y - 3, 4)}
    return number, handler, chapters


def avi(data: bytes) -> Kinds:
    """Kinds of the streams in the ``hdrl`` list."""
    limit = data.find(b"movi", 0, 1 << 20)
    head = data[: limit if limit > 0 else 1 << 16]
    found = set()
    at = 0
    while (at := head.find(b"strh", at)) >= 0:
        found.add({b"vids": "pictures", b"auds": "sound", b"iavs": "pictures"}.get(head[at + 8 : at + 12], ""))
        at += 4
    return frozenset(found - {""})


def ogg(data: bytes) -> Kinds:
    """Kinds of the logical streams, from the pages that begin them (those come first, RFC 3533 §6)."""
    found = set()
    at = 0
    while data[at : at + 4] == b"OggS" and at + 27 <= len(data) and data[at + 5] & 2:
        start = at + 27 + data[at + 26]
        body = data[start : start + 16]
        if not body.startswith(b"fishead"):
            found.add("pictures" if body.startswith(_OGG_PICTURES) else "sound")
        at = start + sum(data[at + 27 : start])
    return frozenset(found)


def ts_packet(data: bytes) -> tuple[int, int]:
    """(offset of the first sync byte, packet length) of an MPEG transport stream; (0, 0) = it is none."""
    for start, size in ((0, 188), (4, 192), (0, 204)):
        syncs = data[start : start + 8 * size : size]
        if len(syncs) >= 3 and not syncs.strip(b"G"):
            return start, size
    return 0, 0


def transport_stream(data: bytes) -> Kinds:
    """Kinds of the streams in the first program map; both where none is found in the first 4,000 packets."""
    start, size = ts_packet(data)
    maps: set[int] = set()
    for at in range(start, min(len(data) - 188, 4000 * size), size):
        pid = int.from_bytes(data[at + 1 : at + 3], "big") & 0x1FFF
        if not data[at + 1] & 0x40 or (pid and pid not in maps):
            continue
        body = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
        table = body + 1 + data[body] if body < at + 188 else at + 188
        section = data[table : at + 188]
        if len(section) < 12:
            continue
        end = min(3 + (int.from_bytes(section[1:3], "big") & 0xFFF) - 4, len(section))
        if pid == 0:
            maps |= {int.from_bytes(section[i + 2 : i + 4], "big") & 0x1FFF for i in range(8, end - 3, 4)}
        elif section[0] == 2:
            return _program_map(section, end)
    return frozenset(("pictures", "sound"))


def _program_map(section: bytes, end: int) -> Kinds:
    at = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
    kinds = set()
    while at + 5 <= end:
        kinds.add("pictures" if section[at] in _TS_PICTURES else "sound")
        at += 5 + (int.from_bytes(section[at + 3 : at + 5], "big") & 0xFFF)
    return frozenset(kinds)


def program_stream(data: bytes) -> Kinds:
    """By the ids of the packets in the first 256 KiB: E0..EF pictures, C0..DF and private stream 1 sound."""
    found, at, head = set(), 0, data[: 256 << 10]
    while (at := head.find(b"\0\0\1", at)) >= 0 and at + 4 <= len(head):
        number = head[at + 3]
        found |= {"pictures"} if 0xE0 <= number <= 0xEF else set()
        found |= {"sound"} if 0xC0 <= number <= 0xDF or number == 0xBD else set()
        at += 4
    return frozenset(found)


def asf(data: bytes) -> Kinds:
    """By the stream types in the header object."""
    head = data[: 1 << 20]
    found = {"pictures"} if _ASF_PICTURES in head else set()
    return frozenset(found | ({"sound"} if _ASF_SOUND in head else set()))


def flv(data: bytes) -> Kinds:
    """By the flags, or where they say nothing, by the first tag."""
    flags = data[4] if len(data) > 4 else 0
    tag = data[13] if len(data) > 13 else 0
    found = {"pictures"} if flags & 1 or tag == 9 else set()
    return frozenset(found | ({"sound"} if flags & 4 or tag == 8 else set()))
