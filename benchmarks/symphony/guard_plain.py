"""What one would do without the model: nearest example by plain features; and media that are not of the world."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from benchmarks.common import media_sets
from benchmarks.common.places import SHARED
from benchmarks.symphony import guard_sets as sets
from gensafe.core.types import Audio, Image, Media, Modality, Text, Video
from gensafe.media.shrink import resize
from gensafe.safety.signals.audio_print import audio_print
from gensafe.safety.signals.pdq_views import pdq
from gensafe_backends.symphony.tokenizers.stft import band_features, stft
from gensafe_backends.symphony.understand import normalise
from gensafe_backends.symphony.world import captions
from gensafe_backends.symphony.world.clip import Clip
from gensafe_backends.symphony.world.sound import Sound

Vector = NDArray[np.float64]
KINDS: Final[dict[str, tuple[Modality, ...]]] = {
    "PDQ hash": (Modality.IMAGE,),
    "colour histogram": (Modality.IMAGE, Modality.VIDEO),
    "MFCC": (Modality.AUDIO,),
    "audio fingerprint": (Modality.AUDIO,),
    "words in common": (Modality.TEXT,),
}


def applies(label: str, medium: Modality) -> bool:
    """Whether a system "nearest example by KIND" reads a medium."""
    return any(label.endswith(kind) and medium in media for kind, media in KINDS.items())


def features(media: Media) -> Mapping[str, Any]:
    """Plain features of one medium."""
    if isinstance(media, Text):
        return {"words in common": frozenset(normalise(media.text).split())}
    if isinstance(media, Image):
        bits = np.unpackbits(np.frombuffer(pdq(media.pixels)[0], np.uint8))
        return {"PDQ hash": bits.astype(np.float64), "colour histogram": _colours(media.pixels)}
    if isinstance(media, Video):
        return {"colour histogram": _colours(media.frames[::3])}
    assert isinstance(media, Audio)
    bands = band_features(np.abs(stft(media.samples[0].astype(np.float64))), 1)
    cepstra = dct(bands, axis=1, norm="ortho")[:, :20]
    codes = audio_print(media.samples[0], media.rate).astype(">u4")
    return {
        "MFCC": np.concatenate([cepstra.mean(axis=0), cepstra.std(axis=0)]),
        "audio fingerprint": np.unpackbits(codes.view(np.uint8)).astype(np.float64),
    }


def _colours(pixels: NDArray[np.uint8]) -> Vector:
    cells = (pixels.reshape(-1, 3) // 32).astype(np.int64) @ np.array([64, 8, 1])
    counts = np.bincount(cells, minlength=512).astype(np.float64)
    return np.asarray(np.sqrt(counts / counts.sum()), np.float64)


def likeness(kind: str, a: Any, b: Any) -> float:
    """Larger is more alike."""
    if kind == "words in common":
        return len(a & b) / max(1, len(a | b))
    n = min(len(a), len(b))
    return -float(np.mean((a[:n] - b[:n]) ** 2))


def prompt_for(thing: sets.Thing, rng: np.random.Generator) -> str:
    """How to ask for it."""
    if isinstance(thing, Sound):
        return captions.sound_prompt(thing, rng)
    if isinstance(thing, Clip):
        return captions.clip_prompt(thing, rng)
    assert not isinstance(thing, str)
    return captions.scene_prompt(thing, rng)


def strangers(pictures: Sequence[Any]) -> Iterator[tuple[str, list[Media]]]:
    """Named sets of media outside the world, and pictures of the world that were changed."""
    world = [k.item.media.pixels for k in pictures[:40]]
    rng = np.random.default_rng(4)
    yield "world pictures at JPEG q50", [Image(media_sets.jpeg(p, 50)) for p in world]
    noisy = [np.clip(np.rint(p + 4 * rng.standard_normal(p.shape)), 0, 255).astype(np.uint8) for p in world]
    yield "world pictures with noise of 4 grey levels", [Image(p) for p in noisy]
    yield "pages of text, 256 x 256", [Image(resize(i.pixels, 256, 256)) for i in media_sets.text_pages(20)]
    if not SHARED.is_dir():
        return
    photos = [p[:256, :256] for p in media_sets.photographs(100)]
    yield "photographs cut to 256 x 256", [Image(np.ascontiguousarray(p)) for p in photos]
    pasted = []
    for picture, photo in zip(world, photos, strict=False):
        other = picture.copy()
        y, x = rng.integers(0, 208, 2)
        other[y : y + 48, x : x + 48] = photo[:48, :48]
        pasted.append(Image(other))
    yield "world pictures with 48 x 48 of a photograph pasted in", list(pasted)
    for name, sounds in media_sets.voice_sets().items():
        if name.startswith("3 s"):
            cut = [Audio(s.samples[:1, : 2 * s.rate], s.rate) for s in sounds[:40]]
            yield name.replace("3 s", "2 s"), list(cut)
    clips: list[Media] = []
    for film in media_sets.real_clips().values():
        step = max(1, round(film.fps / 8))
        for start in range(0, len(film.frames) - 12 * step, 12 * step):
            frames = np.stack([resize(f, 128, 128) for f in film.frames[start : start + 12 * step : step]])
            clips.append(Video(frames, 8.0, Audio(np.zeros((1, 24_000), np.float32), 16_000)))
    yield "1.5 s of real films, 128 x 128", clips[:30]
