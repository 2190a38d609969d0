"""Labels in MP4: an XMP ``uuid`` box at the end, and the ``AIGC`` key in ``moov/meta`` (handler mdta)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from gensafe.core.errors import UnreadableMedia, UnsupportedMedia
from gensafe.media.labels.model import LatentLabel

_XMP_UUID: Final = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_KEY: Final = b"AIGC"
_TO_OFFSETS: Final = (b"trak", b"mdia", b"minf", b"stbl")

_Box = tuple[bytes, int, int, int]  # kind, start, start of body, end


def write_mp4(data: bytes, packet: bytes, label: LatentLabel) -> bytes:
    """Add the label; sample offsets are moved where ``moov`` grows in front of the samples."""
    if label.aigc:
        data = _with_key(data, label.aigc.encode())
    kept = b"".join(data[start:end] for kind, start, body, end in _boxes(data) if not _is_xmp(data, kind, body))
    if len(kept) != len(data):
        raise UnsupportedMedia("the MP4 has an XMP box already")
    return data + struct.pack(">I4s", 24 + len(packet), b"uuid") + _XMP_UUID + packet


def read_mp4(data: bytes) -> tuple[list[bytes], list[str]]:
    """All XMP packets and all ``AIGC`` values of an MP4."""
    packets, values = list[bytes](), list[str]()
    for kind, _, body, end in _boxes(data):
        if _is_xmp(data, kind, body):
            packets.append(data[body + 16 : end])
        elif kind == b"moov":
            for inner, _, inner_body, inner_end in _boxes(data, body, end):
                if inner == b"meta":
                    values += _read_meta(data, inner_body, inner_end)
    return packets, values


def _boxes(data: bytes, at: int = 0, end: int | None = None) -> Iterator[_Box]:
    """The boxes of [at, end) (ISO/IEC 14496-12, 4.2)."""
    end = len(data) if end is None else end
    while at < end:
        if at + 8 > end:
            raise UnreadableMedia("an MP4 box is cut short")
        size, kind = struct.unpack_from(">I4s", data, at)
        body = at + 8
        if size == 1:
            if at + 16 > end:
                raise UnreadableMedia("an MP4 box is cut short")
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        elif size == 0:
            size = end - at
        if size < body - at or at + size > end:
            raise UnreadableMedia("an MP4 box is cut short")
        yield kind, at, body, at + size
        at += size


def _is_xmp(data: bytes, kind: bytes, body: int) -> bool:
    return kind == b"uuid" and data[body : body + 16] == _XMP_UUID


def _with_key(data: bytes, value: str) -> bytes:
    top = list(_boxes(data))
    moov = next((box for box in top if box[0] == b"moov"), None)
    if moov is None or moov[2] - moov[1] != 8:
        raise UnsupportedMedia("an MP4 without a plain moov box")
    _, start, body, end = moov
    if any(kind == b"meta" for kind, *_ in _boxes(data, body, end)):
        raise UnsupportedMedia("the MP4 has metadata keys already")
    extra = _meta(value)
    grown = bytearray(data[start:end] + extra)
    struct.pack_into(">I", grown, 0, len(grown))
    if any(kind in (b"mdat", b"moof") and at > start for kind, at, *_ in top):
        _move_samples(grown, len(extra), end)
    return data[:start] + bytes(grown) + data[end:]


def _move_samples(moov: bytearray, by: int, behind: int) -> None:
    """Add ``by`` to every chunk offset that lies at or behind ``behind`` (stco and co64)."""
    frozen = bytes(moov)

    def walk(at: int, end: int, path: tuple[bytes, ...]) -> None:
        for kind, _, body, stop in _boxes(frozen, at, end):
            if path and kind == path[0]:
                walk(body, stop, path[1:])
            elif not path and kind in (b"stco", b"co64"):
                if stop - body < 8:
                    raise UnreadableMedia("a chunk offset table is cut short")
                (count,) = struct.unpack_from(">I", frozen, body + 4)
                code, width = (">I", 4) if kind == b"stco" else (">Q", 8)
                if body + 8 + count * width > stop:
                    raise UnreadableMedia("a chunk offset table is cut short")
                for place in range(body + 8, body + 8 + count * width, width):
                    (offset,) = struct.unpack_from(code, frozen, place)
                    if offset >= behind:
                        if offset + by >= 1 << (8 * width):
                            raise UnsupportedMedia("the MP4 is too large for its offset table")
                        struct.pack_into(code, moov, place, offset + by)

    walk(8, len(frozen), _TO_OFFSETS)


def _meta(value: str) -> bytes:
    """A ``meta`` box with handler ``mdta``, one key and its UTF-8 value (QuickTime metadata keys)."""
    handler = _full(b"hdlr", b"\x00" * 4 + b"mdta" + b"\x00" * 12 + b"\x00")
    key = struct.pack(">I4s", 8 + len(_KEY), b"mdta") + _KEY
    keys = _full(b"keys", struct.pack(">I", 1) + key)
    item = _box(b"data", struct.pack(">II", 1, 0) + value.encode())
    values = _box(b"ilst", _box(struct.pack(">I", 1), item))
    return _box(b"meta", handler + keys + values)


def _read_meta(data: bytes, at: int, end: int) -> list[str]:
    names, values = list[bytes](), dict[int, str]()
    for kind, _, body, stop in _boxes(data, at, end):
        if kind == b"keys" and stop - body >= 8:
            names = [data[inner:last] for _, _, inner, last in _boxes(data, body + 8, stop)]
        elif kind == b"ilst":
            for number, _, inner, last in _boxes(data, body, stop):
                for name, _, content, close in _boxes(data, inner, last):
                    if name == b"data" and close - content >= 8:
                        values[int.from_bytes(number, "big")] = data[content + 8 : close].decode("utf-8", "replace")
    return [values[i] for i, name in enumerate(names, 1) if name == _KEY and i in values]


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, body: bytes) -> bytes:
    return _box(kind, b"\x00" * 4 + body)
