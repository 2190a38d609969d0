"""What kind of file the bytes are, from the bytes alone. A file name or a claimed type is never trusted.

Sources: PNG 3rd ed. §5.2; JFIF/T.81; RIFF and WebP container; EBML (RFC 8794); ISO/IEC 14496-12 §4.3 (``ftyp``);
RFC 3533 (Ogg); RFC 9639 (FLAC); BigTIFF design of 2004; EBU Tech 3306 and ITU-R BS.2088 (RF64, BW64).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gensafe.core.errors import UnreadableMedia, UnsupportedMedia
from gensafe.core.types import Modality
from gensafe.media import tracks
from gensafe.media.leading import adts_frames, after_tags, mp3_frames, mp3_start

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
        "audio/basic": Modality.AUDIO,
        "audio/x-caf": Modality.AUDIO,
        "audio/x-w64": Modality.AUDIO,
        "audio/amr": Modality.AUDIO,
        "audio/amr-wb": Modality.AUDIO,
        "audio/webm": Modality.AUDIO,
        "audio/x-matroska": Modality.AUDIO,
        "audio/x-msvideo": Modality.AUDIO,
        "audio/mp2t": Modality.AUDIO,
        "audio/x-mpeg-ps": Modality.AUDIO,
        "audio/x-ms-wma": Modality.AUDIO,
        "audio/x-flv": Modality.AUDIO,
        "video/mp4": Modality.VIDEO,
        "video/quicktime": Modality.VIDEO,
        "video/webm": Modality.VIDEO,
        "video/x-matroska": Modality.VIDEO,
        "video/x-msvideo": Modality.VIDEO,
        "video/ogg": Modality.VIDEO,
        "video/mp2t": Modality.VIDEO,
        "video/mpeg": Modality.VIDEO,
        "video/x-flv": Modality.VIDEO,
        "video/x-ms-asf": Modality.VIDEO,
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
        "audio/au": "audio/basic",
        "audio/3gpp": "audio/mp4",
        "video/3gpp": "video/mp4",
        "video/x-ms-wmv": "video/x-ms-asf",
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
    (b"II+\x00\x08\x00", "image/tiff"),  # BigTIFF
    (b"MM\x00+\x00\x08", "image/tiff"),
    (b"fLaC", "audio/flac"),
    (b".snd", "audio/basic"),
    (b"caff\x00\x01", "audio/x-caf"),
    (b"#!AMR\n", "audio/amr"),
    (b"#!AMR-WB\n", "audio/amr-wb"),
    (b"%PDF-", "application/pdf"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\xff\x0a", "image/jxl"),
)
_ASF: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_W64: Final = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_WAVE_FORMS: Final = (b"RIFF", b"RF64", b"BW64")
_HEIF_BRANDS: Final = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_NOT_TEXT: Final = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_NOT_8_BIT_TEXT: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")


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
    refuses it. Leading ID3v2 tags are passed over: what follows them is named. Containers of tracks are named by their
    tracks. Text is UTF-8, or UTF-16 and UTF-32 with a byte order mark, without control characters.

    Raises:
        UnreadableMedia: empty, nothing known, or text in an encoding that cannot be told.
    """
    if not data:
        raise UnreadableMedia("the file is empty")
    found = _signature(data)
    if found:
        return found
    at = after_tags(data)
    if at:
        return _signature(data[at : at + (1 << 16)]) or _sound(data, at) or "audio/mpeg"
    found = _sound(data, 0)
    if found:
        return found
    if is_text(as_text(data)):
        return "text/plain"
    raise UnreadableMedia("unrecognised file type")


def _sound(data: bytes, at: int) -> str:
    """Streams of frames without a header of their own."""
    if mp3_frames(data, at) >= 2:
        return "audio/mpeg"
    if adts_frames(data, at) >= 2:
        return "audio/aac"
    return "audio/mpeg" if mp3_start(data, at) >= 0 else ""


def _signature(data: bytes) -> str:
    """By the first bytes, and for containers of tracks by the tracks; "" = none of them."""
    for magic, name in _FIXED:
        if data.startswith(magic):
            return name
    if data[:4] in _WAVE_FORMS and data[8:12] == b"WAVE":
        return "audio/wav"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        return "audio/aiff"
    if data[:16] == _W64:
        return "audio/x-w64"
    if data[:2] == b"BM" and len(data) > 26 and int.from_bytes(data[14:18], "little") in (12, 40, 52, 56, 64, 108, 124):
        return "image/bmp"
    return _by_tracks(data)


def _by_tracks(data: bytes) -> str:
    if data[:4] == b"\x1a\x45\xdf\xa3":
        doc_type, kinds = tracks.ebml(data)
        return _named(kinds, "webm") if doc_type == "webm" else _named(kinds, "x-matroska")
    if tracks.is_iso(data):
        return _sniff_iso(data)
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return _named(tracks.avi(data), "x-msvideo")
    if data[:4] == b"OggS":
        return "video/ogg" if "pictures" in tracks.ogg(data) else "audio/ogg"
    if data[:16] == _ASF:
        return "audio/x-ms-wma" if tracks.asf(data) == {"sound"} else "video/x-ms-asf"
    if data[:4] == b"FLV\x01":
        return _named(tracks.flv(data), "x-flv")
    if data[:4] == b"\0\0\1\xba":
        return "audio/x-mpeg-ps" if tracks.program_stream(data) == {"sound"} else "video/mpeg"
    if tracks.ts_packet(data)[1]:
        return _named(tracks.transport_stream(data), "mp2t")
    return ""


def _named(kinds: tracks.Kinds, name: str) -> str:
    """A sound only where there is sound and nothing to see; with no track at all the reader says what is wrong."""
    return f"audio/{name}" if kinds == {"sound"} else f"video/{name}"


def _sniff_iso(data: bytes) -> str:
    """ISO base media: decide by brand, then by which tracks there are."""
    brands = tracks.iso_brands(data)
    if b"avif" in brands or b"avis" in brands:
        return "image/avif"
    if brands[0] in _HEIF_BRANDS:
        return "image/heif"
    if tracks.iso(data) == {"sound"}:
        return "audio/mp4"
    return "video/quicktime" if brands[0] == b"qt  " else "video/mp4"


def text_encoding(data: bytes) -> str:
    """The encoding that a byte order mark states ("utf-32", "utf-16"), else "utf-8" (with or without its mark)."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)) and len(data) % 4 == 0:
        return "utf-32"
    return "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"


def as_text(data: bytes) -> str:
    """The characters of ``data``. A mark of UTF-16 or UTF-32 is not part of them; that of UTF-8 is, as it always was.

    An 8-bit encoding is never guessed: a wrong guess would judge other words than a reader sees.

    Raises:
        UnreadableMedia: no text; the message names the encoding where it can be told.
    """
    encoding = text_encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise UnreadableMedia(f"the text is marked as {encoding.upper()}, damaged at byte {error.start}") from None
        if len(data) >= 4 and _NOT_8_BIT_TEXT.search(data) is None and _mostly_ascii(data):
            raise UnreadableMedia(
                f"the text is not UTF-8 (byte {error.start}); it seems to be in an 8-bit encoding such as Windows-1252",
                fix="save it as UTF-8, for example: iconv -f WINDOWS-1252 -t UTF-8",
            ) from None
        raise UnreadableMedia("unrecognised file type") from None


def _mostly_ascii(data: bytes) -> bool:
    head = data[: 1 << 16]
    return sum(b < 0x80 for b in head) >= 0.7 * len(head)
