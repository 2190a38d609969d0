"""Perceptual fingerprints: is this file a copy of that one, after re-encoding, scaling or a light crop?

A fingerprint confirms a candidate (a record found by a watermark payload, an entry of a block list); it is not an
identifier and proves nothing alone. Newer entries also keep detail (``odd_parts``: small tiles, the sound of a film,
every frame's extremes); older ones without it are still read. What each can and cannot tell apart is measured in
docs/safety-media.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gensafe.core.errors import UnsupportedMedia
from gensafe.core.types import Audio, Image, Media, Modality, Text
from gensafe.media.fingerprint.parts import Part

_KEYS: Final = {
    Modality.IMAGE: ("pdq-256", "layout-16"),
    Modality.AUDIO: ("spectrum-64x4",),
    Modality.VIDEO: ("vpdq", "vlayout-8"),
    Modality.TEXT: ("minhash-128",),
}

MATCH_THRESHOLD: Final[Mapping[Modality, float]] = MappingProxyType(
    {Modality.IMAGE: 0.70, Modality.AUDIO: 0.80, Modality.VIDEO: 0.70, Modality.TEXT: 0.50}
)
"""``similarity`` at or above which two media count as copies of one another; measured by benchmarks.media_safety."""


def fingerprint(media: Media) -> dict[str, str]:
    """Compute every fingerprint of the medium's kind: algorithm -> hex.

    Cost: about 10 ms for a 256 x 256 picture, a few ms a second of sound, 5 ms a sampled video frame (4 a second).
    """
    if isinstance(media, Text):
        from gensafe.media.fingerprint.text import fingerprint_text

        return fingerprint_text(media.text)
    if isinstance(media, Image):
        from gensafe.media.fingerprint.image import fingerprint_image

        return fingerprint_image(media.pixels)
    if isinstance(media, Audio):
        from gensafe.media.fingerprint.audio import fingerprint_audio

        return fingerprint_audio(media.samples, media.rate)
    from gensafe.media.fingerprint.video import fingerprint_video

    return fingerprint_video(media.frames, media.fps, media.audio)


def modality_of_fingerprint(found: Mapping[str, str]) -> Modality:
    """The modality a fingerprint was made of.

    Raises:
        UnsupportedMedia: it lacks an algorithm this version compares.
    """
    for modality, keys in _KEYS.items():
        if all(key in found for key in keys):
            return modality
    raise UnsupportedMedia(f"no known fingerprint among {', '.join(sorted(found)) or 'nothing'}")


def similarity(a: Mapping[str, str], b: Mapping[str, str]) -> float:
    """Compare two fingerprints: 0 (unrelated) .. 1 (same); symmetric; 0 for different modalities.

    Raises:
        UnsupportedMedia: an entry is missing, malformed, or of an unknown algorithm.
    """
    modality = modality_of_fingerprint(a)
    if modality is not modality_of_fingerprint(b):
        return 0.0
    try:
        if modality is Modality.TEXT:
            from gensafe.media.fingerprint.text import similarity_text as compare
        elif modality is Modality.IMAGE:
            from gensafe.media.fingerprint.image import similarity_image as compare
        elif modality is Modality.AUDIO:
            from gensafe.media.fingerprint.audio import similarity_audio as compare
        else:
            from gensafe.media.fingerprint.video import similarity_video as compare
        return compare(a, b)
    except (ValueError, IndexError) as error:
        raise UnsupportedMedia(f"the fingerprint is malformed: {error}") from None


def matches(a: Mapping[str, str], b: Mapping[str, str]) -> bool:
    """Whether two fingerprints are of copies of one medium, by ``MATCH_THRESHOLD``.

    Raises:
        UnsupportedMedia: as for ``similarity``.
    """
    return similarity(a, b) >= MATCH_THRESHOLD[modality_of_fingerprint(a)]


def odd_parts(known: Mapping[str, str], other: Mapping[str, str]) -> tuple[Part, ...]:
    """The parts of ``other`` that are not those of ``known``, although the two may be alike as a whole.

    Returns:
        Areas of a picture, seconds of a sound or film; () where nothing is odd, for texts, for a cropped or moved copy,
        and where one entry was made before there was detail in fingerprints.

    Raises:
        UnsupportedMedia: as for ``similarity``.
    """
    modality = modality_of_fingerprint(known)
    if modality is not modality_of_fingerprint(other) or modality is Modality.TEXT:
        return ()
    try:
        if modality is Modality.IMAGE:
            from gensafe.media.fingerprint.image import odd_areas as find
        elif modality is Modality.AUDIO:
            from gensafe.media.fingerprint.audio import odd_seconds as find
        else:
            from gensafe.media.fingerprint.video import odd_moments as find
        return tuple(find(known, other))
    except (ValueError, IndexError, KeyError) as error:
        raise UnsupportedMedia(f"the fingerprint is malformed: {error}") from None
