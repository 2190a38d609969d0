"""``decode`` and ``encode``: one pair of functions for all four modalities.

The libraries behind them are imported at the first call, so that importing ``gensafe.media`` stays cheap.
"""

from __future__ import annotations

from gensafe.core import roles
from gensafe.core.errors import UnreadableMedia, UnsupportedMedia
from gensafe.core.types import Audio, Image, Media, Modality, Text, Video
from gensafe.media.limits import LIMITS, Limits
from gensafe.media.sniff import ENCODABLE, canonical_type, modality_of, sniff
from gensafe.media.text import decode_text, encode_text
from gensafe.media.wav import decode_wav


def decode(data: bytes, media_type: str | None = None, limits: Limits = LIMITS) -> Media:
    """Decode a file of any readable type.

    Args:
        data: The file.
        media_type: What it is claimed to be; None = whatever the bytes say. A claim that the bytes
            contradict is refused.
        limits: Bounds on what is accepted.

    Returns:
        Text as it stands; Image uint8 (H, W, 3) sRGB; Audio float32 (channels, n); Video uint8 (n, H, W, 3).

    Raises:
        UnreadableMedia: empty, damaged, cut short, or not what it claims to be.
        UnsupportedMedia: a type that is not handled.
        MediaLimitExceeded: outside ``limits``.
    """
    limits.check("max_bytes", len(data))
    actual = sniff(data)
    if media_type is not None:
        claimed = canonical_type(media_type)
        modality_of(claimed)
        iso = {"video/mp4", "video/quicktime", "audio/mp4"}
        if claimed != actual and not {claimed, actual} <= iso:
            raise UnreadableMedia(f"the bytes are {actual}, not {claimed} as claimed")
    modality = modality_of(actual)
    if modality is Modality.TEXT:
        return decode_text(data, limits)
    if modality is Modality.IMAGE:
        from gensafe.media.images import decode_image

        return decode_image(data, actual, limits)
    try:
        return _decode_coded(data, actual, limits)
    except ModuleNotFoundError as error:
        lacking = roles.lacking(error, f"decoding {actual}")
        if lacking is None:
            raise
        raise UnsupportedMedia(lacking.message, fix=lacking.fix) from None


def _decode_coded(data: bytes, media_type: str, limits: Limits) -> Media:
    """Sound and films: plain WAVE is read here, all else by PyAV, which the verifier alone may lack."""
    if modality_of(media_type) is Modality.AUDIO:
        uncoded = decode_wav(data, limits) if media_type == "audio/wav" else None
        if uncoded is not None:
            return uncoded
        from gensafe.media.audio import decode_audio

        return decode_audio(data, media_type, limits)
    from gensafe.media.video import decode_video

    return decode_video(data, media_type, limits)


def encode(media: Media, media_type: str, *, quality: int | None = None) -> bytes:
    """Encode into a container; equal media and settings give equal bytes on one build of the codecs.

    Args:
        media: What to write.
        media_type: One of ``ENCODABLE`` for its modality, or "video/mp4; codecs=avc1" for H.264 in MP4.
        quality: None = the default of the type. JPEG, WebP: 1..100. MP3, Ogg: kbit/s. Video: constant rate factor,
            0 = best. Ignored by text, PNG, WAVE and FLAC.

    Raises:
        UnsupportedMedia: the type cannot be written, or cannot hold this medium.
    """
    kind = canonical_type(media_type)
    if kind not in ENCODABLE[media.modality]:
        choices = ", ".join(ENCODABLE[media.modality])
        raise UnsupportedMedia(f"{media.modality.value} cannot be written as {media_type!r}", fix=f"one of {choices}")
    if isinstance(media, Text):
        return encode_text(media)
    if isinstance(media, Image):
        from gensafe.media.images import encode_image

        return encode_image(media, kind, quality)
    if isinstance(media, Audio):
        from gensafe.media.audio import encode_audio

        return encode_audio(media, kind, quality)
    assert isinstance(media, Video)
    from gensafe.media.video import encode_video

    codec = "h264" if "avc1" in media_type.partition(";")[2] or "h264" in media_type.partition(";")[2] else "vp9"
    return encode_video(media, kind, codec=codec, crf=quality)
