"""Read a measured spectrum: align it with the comb in every orientation, then decode the best alignments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe.core.types import Detection, MarkLevel
from gensafe_watermark import payload as coding
from gensafe_watermark import statistics
from gensafe_watermark.image import carrier as tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_TRIED_PER_SPECTRUM: Final = 2
WORTH_DECODING: Final = 3.5  # comb score under which no payload was ever read; saves time, never counts as evidence


@dataclass(frozen=True, slots=True)
class Alignment:
    """One way to lay the carrier over a measured spectrum. ``z``: comb score in standard deviations."""

    z: float
    variant: int
    orientation: int
    px: float
    py: float


@dataclass(slots=True)
class Reader:
    """Everything tried on one medium under one key: counts that the reported p-value must contain."""

    key: bytes
    medium: str
    scheme: str
    attempts: int = 0  # words given to the payload decoder
    hypotheses: float = 0.0  # comb alignments examined
    best_z: float = 0.0
    best_how: str = ""
    detail: dict[str, str | float | int] = field(default_factory=dict)

    def align(
        self,
        grid: NDArray[np.complex64],
        orientations: Sequence[int] = range(tiles.ORIENTATIONS),
        variants: Sequence[int] = range(tiles.VARIANTS),
    ) -> list[Alignment]:
        """Best phase of the comb for every variant and orientation asked for, best first."""
        found = []
        for orientation in orientations:
            spectrum = tiles.whiten(tiles.from_grid(tiles.unorient(grid, orientation)))
            for variant in variants:
                z, px, py = tiles.carrier(self.key, self.medium, variant).align(spectrum)
                found.append(Alignment(z, variant, orientation, px, py))
        self.hypotheses += len(orientations) * len(variants) * tiles.PHASES
        return sorted(found, key=lambda a: -a.z)

    def soft(self, grid: NDArray[np.complex64], alignment: Alignment) -> NDArray[np.float32]:
        """Soft values (CODED_BITS,) of ``grid`` laid out as ``alignment`` says."""
        spectrum = tiles.whiten(tiles.from_grid(tiles.unorient(grid, alignment.orientation)))
        spectrum = tiles.shift(spectrum, -alignment.px, -alignment.py)
        return tiles.carrier(self.key, self.medium, alignment.variant).chips(spectrum)

    def read(self, grids: list[NDArray[np.complex64]], how: str) -> Detection | None:
        """Align and decode measured grids; a Detection as soon as one authenticates."""
        words, scores = [], []
        for grid in grids:
            for alignment in self.align(grid)[:_TRIED_PER_SPECTRUM]:
                self.note(alignment.z, how)
                if alignment.z >= WORTH_DECODING:
                    words.append(self.soft(grid, alignment))
                    scores.append(alignment.z)
        return self.decode(words, scores, how)

    def note(self, z: float, how: str) -> None:
        """Remember the best comb score seen."""
        if z > self.best_z:
            self.best_z, self.best_how = z, how

    def decode(self, words: list[NDArray[np.float32]], scores: list[float], how: str) -> Detection | None:
        """Decode soft words; every one counts as an attempt."""
        if not words:
            return None
        self.attempts += len(words)
        for found, z in zip(coding.decode_many(np.stack(words), self.key, self.medium), scores, strict=True):
            if found is not None:
                self.detail |= {"found_by": how, "comb_z": round(z, 2)}
                return self._answer(MarkLevel.RECORD, found.payload)
        return None

    def give_up(self) -> Detection:
        """The answer once every step has failed: presence, if the comb alone proves it, or no evidence."""
        self.detail |= {"best_step": self.best_how, "comb_z": round(self.best_z, 2)}
        present = statistics.presence_p(self.best_z, self.hypotheses) <= statistics.PRESENCE_P
        return self._answer(MarkLevel.PRESENT if present else MarkLevel.NONE, None)

    def _answer(self, level: MarkLevel, found: bytes | None) -> Detection:
        if level is MarkLevel.RECORD:
            p = statistics.p_value(self.attempts, coding.LIST_SIZE)
        else:
            p = statistics.presence_p(self.best_z, max(1.0, self.hypotheses))
        return Detection(level, found, p, self.scheme, max(1, self.attempts), dict(self.detail))
