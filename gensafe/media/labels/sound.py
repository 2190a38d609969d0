"""Labels in WAV (``_PMX`` and LIST INFO chunks) and MP3 (ID3v2: PRIV XMP, TXXX AIGC)."""

from __future__ import annotations

import struct
from typing import Final

from gensafe.core.errors import UnreadableMedia, UnsupportedMedia
from gensafe.media.labels.model import LatentLabel
from gensafe.media.labels.riff import read_chunks, write_chunks

_PMX: Final = b"_PMX"
_OWNER: Final = b"XMP\x00"


def write_wav(data: bytes, packet: bytes, label: LatentLabel) -> bytes:
    """XMP in ``_PMX`` (XMP part 3, WAV), and what plain players show in LIST INFO. Samples stay where they are."""
    kept = [c for c in read_chunks(data, b"WAVE") if c[0] != _PMX and not (c[0] == b"LIST" and c[1][:4] == b"INFO")]
    info = [
        (b"ISFT", f"{label.system} {label.version}".strip()),
        (b"ICRD", label.time),
        (b"ICOP", label.provider),
        (b"ICMT", f"AI-generated; id {label.content_id}"),
    ]
    body = b"INFO"
    for kind, text in info:
        raw = text.encode() + b"\x00"
        body += struct.pack("<4sI", kind, len(raw)) + raw + b"\x00" * (len(raw) & 1)
    return write_chunks(b"WAVE", [*kept, (b"LIST", body), (_PMX, packet)])


def read_wav(data: bytes) -> list[bytes]:
    """All XMP packets of a WAV."""
    return [body for kind, body in read_chunks(data, b"WAVE") if kind == _PMX]


def write_mp3(data: bytes, packet: bytes, label: LatentLabel) -> bytes:
    """ID3v2 frames: PRIV with owner "XMP", and TXXX "AIGC" where the label has one. Other frames are kept."""
    version, frames, sound = _id3(data)
    kept = [f for f in frames if not _is_label(f, version)]
    kept.append((b"PRIV", b"\x00\x00", _OWNER + packet))
    if label.aigc:
        kept.append((b"TXXX", b"\x00\x00", _user_text("AIGC", label.aigc.encode(), version)))
    body = b"".join(kind + _size(len(frame), version) + flags + frame for kind, flags, frame in kept)
    return b"ID3" + bytes([version, 0, 0]) + _synchsafe(len(body)) + body + sound


def read_mp3(data: bytes) -> tuple[list[bytes], list[str]]:
    """All XMP packets and all TXXX ``AIGC`` texts of an MP3."""
    _, frames, _ = _id3(data)
    packets = [body[len(_OWNER) :] for kind, _, body in frames if kind == b"PRIV" and body.startswith(_OWNER)]
    texts = [value for kind, _, body in frames if kind == b"TXXX" and (value := _aigc(body)) is not None]
    return packets, texts


_Frame = tuple[bytes, bytes, bytes]


def _id3(data: bytes) -> tuple[int, list[_Frame], bytes]:
    """(major version, frames as (kind, flags, body), everything behind the tag); version 4 where there is no tag."""
    if not data.startswith(b"ID3"):
        if data[:1] != b"\xff":
            raise UnreadableMedia("not an MP3")
        return 4, [], data
    if len(data) < 10:
        raise UnreadableMedia("the ID3 tag is cut short")
    version, flags = data[3], data[5]
    if version not in (3, 4) or flags:
        raise UnsupportedMedia("an ID3 tag that is not plain version 2.3 or 2.4")
    end = 10 + _from_synchsafe(data[6:10])
    if end > len(data):
        raise UnreadableMedia("the ID3 tag is cut short")
    at, frames = 10, list[_Frame]()
    while at + 10 <= end and data[at] != 0:
        raw = data[at + 4 : at + 8]
        length = _from_synchsafe(raw) if version == 4 else int.from_bytes(raw, "big")
        if at + 10 + length > end:
            raise UnreadableMedia("an ID3 frame is cut short")
        frames.append((data[at : at + 4], data[at + 8 : at + 10], data[at + 10 : at + 10 + length]))
        at += 10 + length
    return version, frames, data[end:]


def _is_label(frame: _Frame, version: int) -> bool:
    kind, _, body = frame
    return (kind == b"PRIV" and body.startswith(_OWNER)) or (kind == b"TXXX" and _aigc(body) is not None)


def _user_text(name: str, text: str, version: int) -> bytes:
    if version == 4:
        return b"\x03" + name.encode() + b"\x00" + text.encode()
    return b"\x01" + _utf16(name) + b"\x00\x00" + _utf16(text)


def _utf16(text: str) -> bytes:
    return b"\xff\xfe" + text.encode("utf-16-le")


def _aigc(body: bytes) -> str | None:
    """The text of a TXXX frame whose description is AIGC."""
    encodings = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}
    if not body or body[0] not in encodings:
        return None
    wide = body[0] in (1, 2)
    if wide:
        gaps = [i for i in range(1, len(body) - 1, 2) if body[i : i + 2] == b"\x00\x00"]
        cut, skip = (gaps[0] if gaps else -1), 2
    else:
        cut, skip = body.find(b"\x00", 1), 1
    if cut < 0:
        return None
    try:
        name = body[1:cut].decode(encodings[body[0]])
        text = body[cut + skip :].decode(encodings[body[0]])
    except UnicodeDecodeError:
        return None
    return text.rstrip("\x00") if name == "AIGC" else None


def _size(length: int, version: int) -> bytes:
    return _synchsafe(length) if version == 4 else struct.pack(">I", length)


def _synchsafe(value: int) -> bytes:
    if value >= 1 << 28:
        raise UnsupportedMedia("an ID3 tag holds at most 256 MB")
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def _from_synchsafe(raw: bytes) -> int:
    if any(byte & 0x80 for byte in raw):
        raise UnreadableMedia("an ID3 size is malformed")
    return raw[0] << 21 | raw[1] << 14 | raw[2] << 7 | raw[3]
