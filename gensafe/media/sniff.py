"""What kind of file the bytes are, from the bytes alone. A file name or a claimed type is never trusted.

Sources: PNG 3rd ed. §5.2; JFIF/T.81; RIFF and WebP container; EBML (RFC 8794); ISO/IEC 14496-12 §4.3 (``ftyp``);
RFC 3533 (Ogg); RFC 9639 (FLAC); ISO/IEC 11172-3 frame headers (MP3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gensafe.core.errors import UnreadableMedia, UnsupportedMedia
from gensafe.core.types import Modality

DEFAULT_MEDIA_TYPE: Final[Mapping[Modality, str]] = MappingProxyType(
    {
        Modality.TEXT: "text/plain",
        Modality.IMAGE: "image/png",
        Modality.AUDIO: "audio/wav",
        Modality.VIDEO: "video/mp4",
    }
)

ENCODABLE: Final[Mapping[Modality, tuple[str, ...]]] = MappingProxyType(
    {
        Modality.TEXT: ("text/plain",),
        Modality.IMAGE: ("image/png", "image/jpeg", "image/webp"),
        Modality.AUDIO: ("audio/wav", "audio/mpeg", "audio/flac", "audio/ogg"),
        Modality.VIDEO: ("video/mp4", "video/webm"),
    }
)
"""Types ``encode`` can write, the default first. ``video/mp4; codecs=avc1`` asks for H.264 (docs/codecs.md)."""

READABLE: Final[Mapping[str, Modality]] = MappingProxyType(
    {
        "text/plain": Modality.TEXT,
        "image/png": Modality.IMAGE,
        "image/jpeg": Modality.IMAGE,
        "image/webp": Modality.IMAGE,
        "image/gif": Modality.IMAGE,
        "image/tiff": Modality.IMAGE,
        "image/avif": Modality.IMAGE,
        "image/bmp": Modality.IMAGE,
        "audio/wav": Modality.AUDIO,
        "audio/mpeg": Modality.AUDIO,
        "audio/flac": Modality.AUDIO,
        "audio/ogg": Modality.AUDIO,
        "audio/mp4": Modality.AUDIO,
        "audio/aac": Modality.AUDIO,
        "audio/aiff": Modality.AUDIO,
        "video/mp4": Modality.VIDEO,
        "video/quicktime": Modality.VIDEO,
        "video/webm": Modality.VIDEO,
        "video/x-matroska": Modality.VIDEO,
        "video/x-msvideo": Modality.VIDEO,
    }
)

ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "image/jpg": "image/jpeg",
        "image/pjpeg": "image/jpeg",
        "image/x-png": "image/png",
        "image/x-ms-bmp": "image/bmp",
        "audio/x-wav": "audio/wav",
        "audio/wave": "audio/wav",
        "audio/vnd.wave": "audio/wav",
        "audio/mp3": "audio/mpeg",
        "audio/x-flac": "audio/flac",
        "audio/opus": "audio/ogg",
        "application/ogg": "audio/ogg",
        "audio/x-m4a": "audio/mp4",
        "audio/m4a": "audio/mp4",
        "audio/x-aiff": "audio/aiff",
        "video/x-m4v": "video/mp4",
        "video/avi": "video/x-msvideo",
        "text/markdown": "text/plain",
    }
)

_FIXED: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"%PDF-", "application/pdf"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "image/jxl"),
)
_RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_HEIF_BRANDS: Final = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_NOT_TEXT: Final = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_MP3_KBPS: Final = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_RATES: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def canonical_type(media_type: str) -> str:
    """Lower-case, without parameters, with common aliases resolved (``image/jpg`` -> ``image/jpeg``)."""
    base = media_type.split(";", 1)[0].strip().lower()
    return ALIASES.get(base, base)


def modality_of(media_type: str) -> Modality:
    """The modality of a MIME type that ``decode`` reads.

    Raises:
        UnsupportedMedia: this type is not handled.
    """
    found = READABLE.get(canonical_type(media_type))
    if found is None:
        raise UnsupportedMedia(f"{media_type or 'an empty type'} is not handled", fix=f"one of {', '.join(READABLE)}")
    return found


def is_text(text: str) -> bool:
    """Whether ``text`` has no control characters except tab, line feed, form feed, carriage return and NEL."""
    return _NOT_TEXT.search(text) is None


def sniff(data: bytes) -> str:
    """Name the MIME type of ``data`` by its signature.

    A type that is recognised but not handled (``application/pdf``, ``image/heif``) is returned too; ``modality_of``
    refuses it. Text is valid, non-empty UTF-8 without control characters.

    Raises:
        UnreadableMedia: empty, or nothing known.
    """
    if not data:
        raise UnreadableMedia("the file is empty")
    for magic, name in _FIXED:
        if data.startswith(magic):
            return name
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] in _RIFF:
        return _RIFF[data[8:12]]
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        return "audio/aiff"
    if data[:4] == b"\x1a\x45\xdf\xa3":
        return "video/webm" if b"webm" in data[:64] else "video/x-matroska"
    if data[4:8] == b"ftyp" or (data[4:8] in (b"moov", b"wide", b"mdat") and b"hdlr" in data):
        return _sniff_iso(data)
    if data[:2] == b"BM" and len(data) > 26 and int.from_bytes(data[14:18], "little") in (12, 40, 52, 56, 64, 108, 124):
        return "image/bmp"
    if data[:3] == b"ID3" or _mp3_frames(data) >= 2:
        return "audio/mpeg"
    if _adts_frames(data) >= 2:
        return "audio/aac"
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise UnreadableMedia("the bytes are of no known media type") from None
    if not is_text(text):
        raise UnreadableMedia("the bytes are of no known media type")
    return "text/plain"


def _sniff_iso(data: bytes) -> str:
    """ISO base media: decide by brand, then by which track handlers there are."""
    size = min(max(int.from_bytes(data[:4], "big"), 16), 256)
    brands = [data[i : i + 4] for i in (8, *range(16, size, 4))] if data[4:8] == b"ftyp" else [b"qt  "]
    if b"avif" in brands or b"avis" in brands:
        return "image/avif"
    if brands[0] in _HEIF_BRANDS:
        return "image/heif"
    if re.search(rb"hdlr.{8}vide", data, re.DOTALL) is None and re.search(rb"hdlr.{8}soun", data, re.DOTALL):
        return "audio/mp4"
    return "video/quicktime" if brands[0] == b"qt  " else "video/mp4"


def mp3_frame_length(data: bytes, at: int) -> int:
    """Length in bytes of the MPEG audio layer III frame whose header stands at ``at``; 0 = no header there."""
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or (head[1] >> 1) & 3 != 1:
        return 0
    version, index, rate_index = (head[1] >> 3) & 3, head[2] >> 4, (head[2] >> 2) & 3
    if version == 1 or index in (0, 15) or rate_index == 3:
        return 0
    kbps = _MP3_KBPS[1 if version == 3 else 2][index]
    return (144 if version == 3 else 72) * kbps * 1000 // _MP3_RATES[version][rate_index] + ((head[2] >> 1) & 1)


def _mp3_frames(data: bytes) -> int:
    """Consecutive MP3 frame headers at the start, counted up to 3 (a frame sync alone is 1 in 2000 random strings)."""
    at, count = 0, 0
    while count < 3 and (length := mp3_frame_length(data, at)):
        at, count = at + length, count + 1
    return count


def _adts_frames(data: bytes) -> int:
    """Consecutive ADTS headers at the start, counted up to 3."""
    at, count = 0, 0
    while count < 3 and len(data) >= at + 7 and data[at] == 0xFF and data[at + 1] & 0xF6 == 0xF0:
        length = ((data[at + 3] & 3) << 11) | (data[at + 4] << 3) | (data[at + 5] >> 5)
        if length < 7:
            break
        at, count = at + length, count + 1
    return count
