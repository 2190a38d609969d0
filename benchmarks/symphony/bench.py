"""The backend under test with a clock, seeds that training never used, and the interval of a rate."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from gensafe.core.types import Audio, Draft, GenerationJob, Media, Modality, Text, Video
from gensafe_backends.symphony import plugin
from gensafe_backends.symphony.world import clip

SEED: Final = 900_000_000  # training never uses seeds from here on
Scores = dict[str, float]


class Bench:
    """The backend, and a clock for what it makes."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self.backend = plugin.create(options)
        self.seconds: dict[str, list[float]] = {}

    def ask(self, prompt: str, modality: Modality, seed: int, *inputs: Media) -> Media:
        """One answer."""
        start = time.perf_counter()
        *_, draft = self.backend.generate(GenerationJob(prompt, modality, inputs, seed, 0), None, lambda: False)
        assert isinstance(draft, Draft)
        kind = modality.value if modality is not Modality.TEXT else ("text" if not inputs else "description")
        self.seconds.setdefault(kind, []).append(time.perf_counter() - start)
        return draft.media

    def tell(self, prompt: str, seed: int, *inputs: Media) -> str:
        """One answer in words."""
        media = self.ask(prompt, Modality.TEXT, seed, *inputs)
        assert isinstance(media, Text)
        return media.text


Rng = np.random.Generator
Task = Callable[[Bench, Rng, int], Scores]


def film(drawn: clip.Clip) -> Video:
    """A film with its sound as the model is handed it."""
    return Video(clip.render_frames(drawn), float(clip.FPS), Audio(clip.render_track(drawn)[None], clip.RATE))


def wilson(rate: float, n: int) -> tuple[float, float]:
    """95 % interval of a rate over ``n`` trials."""
    z = 1.96
    mid, half = rate + z * z / (2 * n), z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return round(max(0.0, (mid - half) / (1 + z * z / n)), 3), round(min(1.0, (mid + half) / (1 + z * z / n)), 3)
