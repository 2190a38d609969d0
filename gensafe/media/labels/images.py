"""XMP in PNG (iTXt), JPEG (APP1) and WebP (XMP chunk). An existing packet is replaced: one label per file."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from gensafe.core.errors import MediaLimitExceeded, UnreadableMedia, UnsupportedMedia
from gensafe.media.labels.riff import read_chunks, write_chunks
from gensafe.media.labels.xmp import MAX_PACKET

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_KEY: Final = b"XML:com.adobe.xmp\x00"
_JPEG_KEY: Final = b"http://ns.adobe.com/xap/1.0/\x00"
_XMP_FLAG: Final = 0x04  # WebP container specification, VP8X chunk
_ALPHA_FLAG: Final = 0x10  # as the line above


def write_png(data: bytes, packet: bytes) -> bytes:
    """Put the packet into an uncompressed iTXt chunk after IHDR (XMP part 3, PNG)."""
    body = _PNG_KEY + b"\x00\x00\x00\x00" + packet
    kept = [c for c in _png_chunks(data) if not (c[0] == b"iTXt" and c[1].startswith(_PNG_KEY))]
    if not kept or kept[0][0] != b"IHDR":
        raise UnreadableMedia("the PNG does not begin with IHDR")
    kept.insert(1, (b"iTXt", body))
    return _PNG + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in kept
    )


def read_png(data: bytes) -> list[bytes]:
    """All XMP packets of a PNG."""
    packets = []
    for kind, body in _png_chunks(data):
        if kind == b"iTXt" and body.startswith(_PNG_KEY):
            compressed, rest = body[len(_PNG_KEY)], body[len(_PNG_KEY) + 2 :]
            _, _, rest = rest.partition(b"\x00")
            _, _, text = rest.partition(b"\x00")
            packets.append(_inflate(text) if compressed else text)
    return packets


def _png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    if not data.startswith(_PNG):
        raise UnreadableMedia("not a PNG")
    at, chunks = len(_PNG), []
    while at < len(data):
        if at + 12 > len(data):
            raise UnreadableMedia("the PNG is cut short")
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            raise UnreadableMedia("the PNG is cut short")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
        if chunks[-1][0] == b"IEND":
            break
    return chunks


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        out = inflater.decompress(data, MAX_PACKET + 1)
    except zlib.error:
        raise UnreadableMedia("a compressed text chunk is damaged") from None
    if len(out) > MAX_PACKET:
        raise MediaLimitExceeded("the XMP packet is too large")
    return out


def write_jpeg(data: bytes, packet: bytes) -> bytes:
    """Put the packet into an APP1 segment behind the JFIF header (XMP part 3, JPEG)."""
    body = _JPEG_KEY + packet
    if len(body) > 65_533:
        raise MediaLimitExceeded("the label does not fit into one JPEG segment")
    segments, rest = _jpeg_segments(data)
    kept = [s for s in segments if not (s[0] == 0xE1 and s[1].startswith(_JPEG_KEY))]
    place = 1 if kept and kept[0][0] == 0xE0 else 0
    kept.insert(place, (0xE1, body))
    head = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in kept)
    return b"\xff\xd8" + head + rest


def read_jpeg(data: bytes) -> list[bytes]:
    """All XMP packets of a JPEG (extended XMP is not read)."""
    segments, _ = _jpeg_segments(data)
    return [body[len(_JPEG_KEY) :] for marker, body in segments if marker == 0xE1 and body.startswith(_JPEG_KEY)]


def _jpeg_segments(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Segments before the first scan, and everything from the scan on."""
    if not data.startswith(b"\xff\xd8"):
        raise UnreadableMedia("not a JPEG")
    at = 2
    segments: list[tuple[int, bytes]] = []
    while True:
        if at + 4 > len(data) or data[at] != 0xFF:
            raise UnreadableMedia("the JPEG has no scan")
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == 0xDA:
            return segments, data[at:]
        (length,) = struct.unpack_from(">H", data, at + 2)
        if length < 2 or at + 2 + length > len(data):
            raise UnreadableMedia("a JPEG segment is cut short")
        segments.append((marker, data[at + 4 : at + 2 + length]))
        at += 2 + length


def write_webp(data: bytes, packet: bytes) -> bytes:
    """Put the packet into an ``XMP `` chunk, making the extended header that announces it (RFC 9649)."""
    chunks = [c for c in read_chunks(data, b"WEBP") if c[0] != b"XMP "]
    kinds = [kind for kind, _ in chunks]
    if b"VP8X" in kinds:
        place = kinds.index(b"VP8X")
        if len(chunks[place][1]) != 10:
            raise UnreadableMedia("the WebP header has the wrong length")
        header = bytearray(chunks.pop(place)[1])
    else:
        header = _webp_header(chunks)
    header[0] |= _XMP_FLAG
    return write_chunks(b"WEBP", [(b"VP8X", bytes(header)), *chunks, (b"XMP ", packet)])


def read_webp(data: bytes) -> list[bytes]:
    """All XMP packets of a WebP."""
    return [body for kind, body in read_chunks(data, b"WEBP") if kind == b"XMP "]


def _webp_header(chunks: list[tuple[bytes, bytes]]) -> bytearray:
    if not chunks:
        raise UnreadableMedia("the WebP is empty")
    kind, body = chunks[0]
    flags = 0
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a" and len(body) >= 10:
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", body, 6))
    elif kind == b"VP8L" and body[:1] == b"\x2f" and len(body) >= 5:
        (bits,) = struct.unpack_from("<I", body, 1)
        width, height = (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
        flags = _ALPHA_FLAG if bits >> 28 & 1 else 0
    else:
        raise UnsupportedMedia("a WebP without an image header")
    if not width or not height:
        raise UnreadableMedia("the WebP has no size")
    return bytearray(struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))
