"""Entry points: the picture, sound and film marks behind the ``Watermarker`` port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from gensafe.core.errors import CannotCarry, ConfigError, InvalidRequest
from gensafe.core.ports import PreparedSearch, Watermarker
from gensafe.core.types import Audio, Detection, Image, Located, MarkLevel, Media, Modality, Video

_OPTIONS = {"strength"}
_M = TypeVar("_M", Image, Audio, Video)


def create_image(options: Mapping[str, str]) -> Watermarker:
    """Picture mark. Option ``strength``: factor on the amplitude that each picture's own check asks for, default 1."""
    from gensafe_watermark import image

    return ImageWatermarker(image.SCHEME, _strength(options))


def create_audio(options: Mapping[str, str]) -> Watermarker:
    """Sound mark. Option ``strength``: factor on the amplitude, default 1."""
    from gensafe_watermark.audio.layout import SCHEME

    return AudioWatermarker(SCHEME, _strength(options))


def create_video(options: Mapping[str, str]) -> Watermarker:
    """Film mark; a sound track of sufficient length is marked with the sound mark too. Option ``strength``."""
    from gensafe_watermark import video
    from gensafe_watermark.audio.layout import SCHEME

    return VideoWatermarker(f"{video.SCHEME}+{SCHEME}", _strength(options))


@dataclass(slots=True)
class ImageWatermarker:
    """``gensafe_watermark.image`` as a plugin."""

    scheme: str
    strength: float = 1.0
    modality: Modality = Modality.IMAGE

    def embed(self, media: Media, payload: bytes, key: bytes, strength: float = 1.0) -> Media:
        """Mark an ``Image``, or the frames of an animated picture as a ``Video`` without sound."""
        from gensafe_watermark import animation, image

        if isinstance(media, Video) and media.audio is None:
            return replace(media, frames=animation.embed(media.frames, payload, key, self.strength * strength))
        item = _expect(media, Image)
        return Image(image.embed(item.pixels, payload, key, strength=self.strength * strength))

    def detect(self, media: Media, key: bytes) -> Detection:
        """Search an ``Image``, or the frames of an animated picture as a ``Video`` without sound."""
        from gensafe_watermark import animation, image

        if isinstance(media, Video) and media.audio is None:
            return animation.detect(media.frames, key)
        return image.detect(_expect(media, Image).pixels, key)

    def locate(self, media: Media, payload: bytes, key: bytes) -> Located | None:
        """Where in an ``Image`` its mark is weaker; None for animated pictures, and as ``image.local.locate``."""
        from gensafe_watermark.image import local

        if not isinstance(media, Image):
            return None
        return local.locate(media.pixels, payload, key)

    def prepare(self, media: Media) -> PreparedSearch | None:
        """What a search under several keys shares; None for the frames of an animated picture."""
        from gensafe_watermark import image

        return image.Search(media.pixels) if isinstance(media, Image) else None


@dataclass(slots=True)
class AudioWatermarker:
    """``gensafe_watermark.audio`` as a plugin."""

    scheme: str
    strength: float = 1.0
    modality: Modality = Modality.AUDIO

    def embed(self, media: Media, payload: bytes, key: bytes, strength: float = 1.0) -> Media:
        """Mark an ``Audio``; see ``gensafe_watermark.audio.embed``."""
        from gensafe_watermark import audio

        item = _expect(media, Audio)
        samples = audio.embed(item.samples, item.rate, payload, key, strength=self.strength * strength)
        return Audio(samples, item.rate)

    def detect(self, media: Media, key: bytes) -> Detection:
        """Search an ``Audio``; see ``gensafe_watermark.audio.detect``."""
        from gensafe_watermark import audio

        item = _expect(media, Audio)
        return audio.detect(item.samples, item.rate, key)


@dataclass(slots=True)
class VideoWatermarker:
    """``gensafe_watermark.video`` for the frames, ``gensafe_watermark.audio`` for the sound; one payload in both."""

    scheme: str
    strength: float = 1.0
    modality: Modality = Modality.VIDEO

    def embed(self, media: Media, payload: bytes, key: bytes, strength: float = 1.0) -> Media:
        """Mark a ``Video``. Frames must carry; a sound track that is too short or silent stays unmarked."""
        from gensafe_watermark import video

        item = _expect(media, Video)
        frames = video.embed(item.frames, payload, key, fps=item.fps, strength=self.strength * strength)
        if item.audio is None:
            return replace(item, frames=frames)
        try:
            sound = AudioWatermarker("", self.strength).embed(item.audio, payload, key, strength)
        except CannotCarry:
            sound = item.audio
        return replace(item, frames=frames, audio=_expect(sound, Audio))

    def detect(self, media: Media, key: bytes) -> Detection:
        """Search frames, then the sound track.

        The stronger answer wins. Two detectors were asked, so the winner's p-value is doubled (union bound).
        """
        from gensafe_watermark import video

        item = _expect(media, Video)
        seen = video.detect(item.frames, key)
        if item.audio is None:
            return replace(seen, detail={**seen.detail, "sound": "no track"})
        if seen.level is MarkLevel.RECORD:
            return replace(seen, detail={**seen.detail, "sound": "not examined: the frames carried the record"})
        heard = AudioWatermarker("").detect(item.audio, key)
        winner, where = (heard, "sound") if _rank(heard) > _rank(seen) else (seen, "frames")
        detail = {**winner.detail, "found_in": where, "frames": seen.level.value, "sound": heard.level.value}
        attempts = seen.attempts + heard.attempts
        return replace(winner, p_value=min(1.0, 2 * winner.p_value), attempts=attempts, detail=detail)


_LEVELS = (MarkLevel.UNDECIDABLE, MarkLevel.NONE, MarkLevel.PRESENT, MarkLevel.RECORD)


def _rank(detection: Detection) -> int:
    return _LEVELS.index(detection.level)


def _expect(media: Media, kind: type[_M]) -> _M:
    if not isinstance(media, kind):
        raise InvalidRequest(f"expected {kind.__name__}, got {type(media).__name__}", field="media")
    return media


def _strength(options: Mapping[str, str]) -> float:
    unknown = set(options) - _OPTIONS
    if unknown:
        raise ConfigError(f"unknown watermark options: {', '.join(sorted(unknown))}", fix="known: strength")
    text = options.get("strength", "1")
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 10:
        raise ConfigError(f"not a strength: {text!r}", field="strength", fix="a number from 0.1 to 10")
    return value
