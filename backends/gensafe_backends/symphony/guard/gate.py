"""Is this something the model can read at all? It knows one small world; of anything else it would say nonsense.

A medium is brought to the model's own size, turned into ids and back. What comes back close to what went in lies in the
world; a photograph, music or real speech does not. Nothing is claimed about what lies outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe.core.types import Audio, Image, Media, Text, Video
from gensafe_backends.symphony.sequence import TokenSpan, split_video
from gensafe_backends.symphony.tokenizers import pictures, stft
from gensafe_backends.symphony.tokenizers.universal import FRAMES_PER_TOKEN
from gensafe_backends.symphony.understand import known_words, normalise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer

CELL: Final = 8  # pixels: finer differences are noise, JPEG and watermarks
# (over the whole medium, in its worst patch): root mean square errors in grey levels; of log band levels for sound.
# Measured by benchmarks.symphony.guard: the world's own media lie well below, everything else well above.
PICTURE: Final = (6.0, 22.0)
FILM: Final = (16.0, 45.0)  # as PICTURE
SOUND: Final = (0.20, 0.27)  # as PICTURE, in log band levels
SIDES: Final = (128, 512)  # a picture is read at 256 x 256: in a larger one something small could hide
SLACK: Final = 0.02  # of the length of a sound or film


@dataclass(frozen=True, slots=True)
class Look:
    """What the model would read of a medium.

    Attributes:
        spans: Its ids; a sound has one span for each channel that differs from the others.
        outside: Why it is outside the world; "" = inside.
    """

    spans: tuple[TokenSpan, ...]
    outside: str = ""


def look(media: Media, tokenizer: UniversalTokenizer) -> Look:
    """Turn a medium into spans, or say why it lies outside the world."""
    if isinstance(media, Text):
        return Look((tokenizer.span(media),), strange(media.text))
    if isinstance(media, Image):
        problem = _shape(media.pixels.shape[:2])
    elif isinstance(media, Audio):
        problem = _length(media, tokenizer.config.audio_tokens * tokenizer.config.audio_hop)
    else:
        problem = _film(media, tokenizer)
    if problem:
        return Look((), problem)
    parts = _channels(media) if isinstance(media, Audio) else (media,)
    spans = tuple(tokenizer.span(part) for part in parts)
    far = any(_far(part, span.ids, tokenizer) for part, span in zip(parts, spans, strict=True))
    return Look(spans, "it does not come back from the tokenizer as it was" if far else "")


def strange(text: str) -> str:
    """Why a text is outside the world: how many of its words are; never which. "" = inside."""
    unknown = sum(w not in known_words() and not w.isdigit() for w in normalise(text).split())
    return f"{unknown} words the world does not have" if unknown else ""


def _shape(size: tuple[int, ...]) -> str:
    height, width = size
    if not (SIDES[0] <= height <= SIDES[1] and SIDES[0] <= width <= SIDES[1] and abs(height - width) <= height // 8):
        return f"an image of {width} x {height}, not about 256 x 256"
    return ""


def _length(sound: Audio, samples: int) -> str:
    count, rate = sound.samples.shape[-1], sound.rate
    seconds, wanted = count / max(rate, 1), samples / 16000
    if not count or abs(seconds - wanted) > SLACK * wanted:
        return f"audio of {seconds:.2f} s, not {wanted:g} s"
    return "" if bool(np.isfinite(sound.samples).all()) else "samples that are no numbers"


def _film(film: Video, tokenizer: UniversalTokenizer) -> str:
    c = tokenizer.config
    count = c.video_chunks * c.video_frames
    if len(film.frames) != count or abs(film.fps - c.video_fps) > SLACK * c.video_fps:
        return f"a video of {len(film.frames)} frames at {film.fps:g} a second, not {count} at {c.video_fps}"
    if film.audio is None:
        return "a video without an audio track"
    if len(_channels(film.audio)) > 1:
        return "a video whose channels differ"
    return _shape(film.frames.shape[1:3]) or _length(film.audio, c.video_chunks * c.video_audio_tokens * c.audio_hop)


def _channels(sound: Audio) -> tuple[Audio, ...]:
    """The channels that differ from one another."""
    kept: list[NDArray[np.float32]] = []
    for channel in sound.samples:
        if not any(np.array_equal(channel, k) for k in kept):
            kept.append(channel)
    return tuple(Audio(k[None], sound.rate) for k in kept)


def _far(media: Media, ids: tuple[int, ...], tokenizer: UniversalTokenizer) -> bool:
    whole, worst = distance(media, ids, tokenizer)
    limits = {Image: (PICTURE,), Audio: (SOUND,), Video: (FILM, SOUND)}[type(media)]
    return any(w > a or x > b for w, x, (a, b) in zip(whole, worst, limits, strict=True))


def distance(
    media: Media, ids: tuple[int, ...], tokenizer: UniversalTokenizer
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """How far a medium is from what its ids stand for: over the whole, and in its worst patch.

    Returns:
        One number each for a picture (grey levels) or a sound (log band levels); two for a film, pictures then sound.
    """
    c = tokenizer.config
    if isinstance(media, Image):
        side = c.image_grid * c.image_patch
        frames = pictures.resize(media.pixels, side, side)[None]
        errors = _picture_errors("image", frames, ids, c.image_patch, tokenizer)
        return (_rms(errors),), (float(errors.max()),)
    if isinstance(media, Audio):
        errors = _sound_errors(media, ids, tokenizer)
        return (_rms(errors),), (float(errors.max()),)
    assert isinstance(media, Video)
    assert media.audio is not None
    shown, heard = split_video(ids, c)
    side, step, each = c.video_grid * c.video_patch, c.video_frames, c.video_grid**2
    frames = np.stack([pictures.resize(f, side, side) for f in media.frames])
    chunks = [
        _picture_errors("video", frames[k * step : (k + 1) * step], shown[k * each : (k + 1) * each], c.video_patch,
                        tokenizer)
        for k in range(c.video_chunks)
    ]  # fmt: skip
    sound = _sound_errors(media.audio, heard, tokenizer)
    return (
        (max(_rms(e) for e in chunks), _rms(sound)),
        (max(float(e.max()) for e in chunks), float(sound.max())),
    )


def _picture_errors(
    name: str, frames: NDArray[np.float64], ids: list[int] | tuple[int, ...], patch: int, tokenizer: UniversalTokenizer
) -> NDArray[np.float64]:
    """Root mean square error of each patch in grey levels, over means of CELL x CELL pixels."""
    coder = tokenizer.coders[name]
    local = np.asarray(ids, dtype=np.int64) - tokenizer.first_id(name)
    cut = pictures.to_patches(frames, patch)
    target = (cut.reshape(len(local), -1) - pictures.MID) / pictures.SPREAD
    rest = (coder.decode(local) - target).reshape(len(local), -1, patch // CELL, CELL, patch // CELL, CELL, 3)
    means = rest.mean(axis=(3, 5))
    return np.asarray(np.sqrt((means**2).mean(axis=(1, 2, 3, 4))) * pictures.SPREAD, dtype=np.float64)


def _sound_errors(sound: Audio, ids: list[int] | tuple[int, ...], tokenizer: UniversalTokenizer) -> NDArray[np.float64]:
    """Root mean square error of each token's log band levels."""
    heard = stft.band_features(np.abs(stft.stft(tokenizer.mono(sound, len(ids)))), FRAMES_PER_TOKEN)
    local = np.asarray(ids, dtype=np.int64) - tokenizer.first_id("audio")
    places = tokenizer.config.audio_tokens
    padded = np.concatenate([local, np.full(places - len(local), local[-1])])
    values = tokenizer.coders["audio"].decode(padded)[: len(local)]
    back = stft.band_features(stft.from_log_magnitude(values.reshape(-1, stft.BINS)), FRAMES_PER_TOKEN)
    return np.asarray(np.sqrt(((heard - back) ** 2).mean(axis=1)), dtype=np.float64)


def _rms(errors: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(errors**2)))
