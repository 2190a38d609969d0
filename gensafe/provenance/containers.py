"""Where a C2PA manifest store lies inside a file, and how to overwrite it in place.

Used to write the time-stamp into the space the signer reserved, and to read the signer's certificates, which the C2PA
library does not expose. Returns spans (start, end): JPEG may split the store over several segments.
"""

from __future__ import annotations

import zlib
from typing import Final

from gensafe.core.errors import ManifestInvalid

Spans = tuple[tuple[int, int], ...]

_BMFF_UUID: Final = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_GEOB_TYPES: Final = (b"application/c2pa", b"application/x-c2pa-manifest-store")
_MAX_PARTS: Final = 100_000  # boxes or chunks of a file; bounds time on hostile ones. A round number, not measured
_BEFORE_FTYP: Final = (b"free", b"skip", b"wide", b"pnot", b"styp")
"""Boxes without media that writers put before ``ftyp``; players skip them (docs/formats.md)."""
_BMFF_STARTS: Final = (b"ftyp", b"moov", b"mdat", *_BEFORE_FTYP)
_STORE_WORDS: Final = (_BMFF_UUID, b"jumb", b"c2pa", b"C2PA", b"caBX", b"dcterms:provenance")
"""One of these is in every file that carries a manifest store or the address of one (C2PA 2.2, section 11 and A)."""


def locate(data: bytes) -> Spans:
    """Spans of the manifest store in PNG, JPEG, RIFF (WebP, WAV, AVI), MP3, FLAC and ISO BMFF files; () when none.

    The container is told by its own first bytes. Damaged files give () rather than an error: the C2PA library is the
    one that judges them.
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(data)
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        if data[:4] == b"RIFF":
            return _riff(data)
        if data[:3] == b"ID3":
            return _id3(data)
        if data[4:8] in _BMFF_STARTS:
            return _bmff(data)
    except (IndexError, ValueError):
        return ()
    return ()


def extract(data: bytes) -> bytes:
    """The manifest store's bytes; b"" when ``locate`` finds none."""
    return b"".join(data[start:end] for start, end in locate(data))


def may_hold_store(data: bytes) -> bool:
    """False only if nothing in ``data`` can be a manifest store or the address of one."""
    return any(word in data for word in _STORE_WORDS)


def from_ftyp(data: bytes) -> bytes:
    """``data`` for a reader that wants ``ftyp`` first: a box without media before it is called ``ftyp`` as well.

    Offsets stay. ``ftyp`` boxes are outside the hash (C2PA 2.2, 18.7: default exclusions), so the hash
    fits afterwards only if the signer left the leading box out of it too: nothing that was covered becomes uncovered.
    """
    if data[4:8] not in _BEFORE_FTYP:
        return data
    length = int.from_bytes(data[:4], "big")
    return data[:4] + b"ftyp" + data[8:] if 8 <= length < len(data) else data


def overwrite(data: bytes, store: bytes) -> bytes:
    """Replace the manifest store by one of the same length.

    Raises:
        ManifestInvalid: no store here, or of another length.
    """
    spans = locate(data)
    if sum(end - start for start, end in spans) != len(store) or not spans:
        raise ManifestInvalid("the file has no manifest store of this length")
    result = bytearray(data)
    at = 0
    for start, end in spans:
        result[start:end] = store[at : at + end - start]
        at += end - start
    if data.startswith(b"\x89PNG"):
        start, end = spans[0]
        result[end : end + 4] = zlib.crc32(result[start - 4 : end]).to_bytes(4, "big")
    return bytes(result)


def _png(data: bytes) -> Spans:
    at = 8
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"caBX":
            return ((at + 8, at + 8 + length),) if at + 12 + length <= len(data) else ()
        at += 12 + length
    return ()


def _jpeg(data: bytes) -> Spans:
    """APP11 segments: FF EB, length, "JP", instance (2), sequence (4), then the box; later parts repeat its head."""
    spans: list[tuple[int, int]] = []
    instance = b""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] not in (0xDA, 0xD9):
        if data[at + 1] == 0xFF:  # fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data):
            return ()
        if data[at + 1] == 0xEB and data[at + 4 : at + 6] == b"JP" and end - at > 20:
            first = int.from_bytes(data[at + 8 : at + 12], "big") == 1
            if first and not spans and data[at + 16 : at + 20] == b"jumb" and b"c2pa" in data[at + 20 : at + 60]:
                instance = data[at + 6 : at + 8]
                spans.append((at + 12, end))
            elif spans and data[at + 6 : at + 8] == instance:
                spans.append((at + 20, end))
        at = end
    return tuple(spans)


def _riff(data: bytes) -> Spans:
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"C2PA":
            return ((at + 8, at + 8 + length),) if at + 8 + length <= len(data) else ()
        at += 8 + length + (length & 1)
    return ()


def _id3(data: bytes) -> Spans:
    """ID3v2.3/2.4 GEOB frame (MP3 and FLAC): encoding, MIME type, file name, description, object."""
    major = data[3]
    end = min(10 + _synchsafe(data[6:10]), len(data))
    at = 10
    if data[5] & 0x40:
        at += _synchsafe(data[10:14]) if major == 4 else 4 + int.from_bytes(data[10:14], "big")
    while at + 10 <= end and data[at] != 0:
        raw = data[at + 4 : at + 8]
        length = _synchsafe(raw) if major == 4 else int.from_bytes(raw, "big")
        if data[at : at + 4] == b"GEOB":
            content = _geob(data, at + 10, min(at + 10 + length, end))
            if content:
                return ((content, at + 10 + length),)
        at += 10 + length
    return ()


def _geob(data: bytes, at: int, end: int) -> int:
    """Offset of the object in a C2PA GEOB frame, 0 for any other."""
    wide = data[at] in (1, 2)
    mime_end = data.index(b"\0", at + 1, end)
    if data[at + 1 : mime_end] not in _GEOB_TYPES:
        return 0
    at = mime_end + 1
    for _ in range(2):
        if wide:
            while data[at : at + 2] != b"\0\0":
                at += 2
                if at >= end:
                    return 0
            at += 2
        else:
            at = data.index(b"\0", at, end) + 1
    return at


def _synchsafe(raw: bytes) -> int:
    value = 0
    for byte in raw:
        value = value << 7 | byte & 0x7F
    return value


def _bmff(data: bytes) -> Spans:
    """A top-level uuid box: version and flags (4), purpose "manifest", Merkle offset (8), then the store."""
    at = 0
    for _ in range(_MAX_PARTS):
        if at + 8 > len(data):
            break
        length, kind, content = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if length == 1:
            length, content = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        elif length == 0:
            length = len(data) - at
        if length < content - at or at + length > len(data):
            break
        if kind == b"uuid" and data[content : content + 16] == _BMFF_UUID:
            purpose = content + 20
            purpose_end = data.index(b"\0", purpose, at + length)
            if data[purpose:purpose_end] == b"manifest":
                start = purpose_end + 9
                size = int.from_bytes(data[start : start + 4], "big")  # the box may be padded after the store
                return ((start, start + size),) if 8 <= size <= at + length - start else ()
        at += length
    return ()
