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

_TRIED_PER_GRID: Final = 2  # the best two: a wrong turn or mirror may win by chance; chosen for speed, not measured
_BEST_FRAMES: Final = 8  # one in so many: about what a coder predicts from nothing, or little
CAUTION: Final = 0.77
"""What a comb score counts for before presence is claimed: pictures marked under another key have heavier tails than
Gaussian noise. Brings the 1e-6 of the bound to that of the tail fitted to wrong keys (docs/watermark-image.md)."""
_EVIDENT: Final = 6.0  # comb score that hardly any unmarked picture reaches
_LONG_LIST: Final = 32  # times the usual number of candidates
_LONG_TRIES: Final = 3  # words that get the longer list; chosen for speed, not measured
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
    stages: dict[str, tuple[float, float]] = field(default_factory=dict)  # step -> (hypotheses, best comb score)

    def count(self, how: str, hypotheses: float, z: float = 0.0) -> None:
        """Add to the hypotheses of a step and remember its best comb score."""
        before, best = self.stages.get(how, (0.0, 0.0))
        self.stages[how] = (before + hypotheses, max(best, z))

    def align(
        self,
        grid: NDArray[np.complex64],
        orientations: Sequence[int] = range(tiles.ORIENTATIONS),
        variants: Sequence[int] = range(tiles.VARIANTS),
    ) -> list[Alignment]:
        """Best phase of the comb for every variant and orientation asked for, best first."""
        found, white = [], tiles.whiten(grid)
        spectra = np.stack([tiles.from_grid(tiles.unorient(white, orientation)) for orientation in orientations])
        for variant in variants:
            best = tiles.carrier(self.key, self.medium, variant).align(spectra)
            for orientation, (z, px, py) in zip(orientations, best.tolist(), strict=True):
                found.append(Alignment(z, variant, orientation, px, py))
        return sorted(found, key=lambda a: -a.z)

    def soft(self, grid: NDArray[np.complex64], alignment: Alignment, blurred: bool = False) -> NDArray[np.float32]:
        """Soft values (CODED_BITS,) of ``grid`` laid out as ``alignment`` says; ``blurred`` as at Carrier.chips."""
        spectrum = tiles.from_grid(tiles.unorient(tiles.whiten(grid), alignment.orientation))
        spectrum = tiles.shift(spectrum, -alignment.px, -alignment.py)
        return tiles.carrier(self.key, self.medium, alignment.variant).chips(spectrum, blurred)

    def combined(self, grids: NDArray[np.complex64], alignment: Alignment) -> list[NDArray[np.complex64]]:
        """Ways to add the grids (n, GRID, GRID) of n frames.

        Evenly; by the square of how well the comb stands in each; and the best few alone. A coder carries the mark of
        a frame it codes afresh along with the motion of the scene, so that most other frames of a strongly coded film
        hold displaced copies, which an even mean counts as noise.
        """
        total = np.asarray(grids.sum(axis=0), np.complex64)
        if len(grids) == 1:
            return [total]
        spectra = np.stack([tiles.from_grid(tiles.unorient(g, alignment.orientation)) for g in tiles.whiten(grids)])
        layout = tiles.carrier(self.key, self.medium, alignment.variant)
        z = layout.agreement(tiles.shift(spectra, -alignment.px, -alignment.py))
        best = np.argsort(-z)[: max(1, len(grids) // _BEST_FRAMES)]
        weighted = np.tensordot(np.maximum(z - 1, 0) ** 2, grids, axes=1)
        return [total, np.asarray(weighted, np.complex64), np.asarray(grids[best].sum(axis=0), np.complex64)]

    def read(self, measured: list[NDArray[np.complex64]], how: str) -> Detection | None:
        """Align and decode what ``nominal_grids`` measured; a Detection as soon as one payload authenticates."""
        words, scores = [], []
        for grids in measured:
            looks = [grids[0]] if len(grids) == 1 else [np.asarray(grids.sum(axis=0), np.complex64), *grids]
            aligned: dict[tuple[int, int], Alignment] = {}
            for alignment in sorted((a for look in looks for a in self.align(look)), key=lambda a: -a.z):
                aligned.setdefault((alignment.variant, alignment.orientation), alignment)
            tried = list(aligned.values())[:_TRIED_PER_GRID]
            self.count(how, len(looks) * len(aligned), tried[0].z)
            for alignment in tried:
                if alignment.z >= WORTH_DECODING:
                    ways = self.combined(grids, alignment)
                    read = [self.soft(grid, alignment) for grid in ways]
                    if alignment.z >= _EVIDENT:
                        read += [self.soft(grid, alignment, blurred=True) for grid in ways]
                    words += read
                    scores += [alignment.z] * len(read)
        return self.decode(words, scores, how)

    def decode(self, words: list[NDArray[np.float32]], scores: list[float], how: str) -> Detection | None:
        """Decode soft words; every LIST_SIZE candidates count as an attempt.

        Where the comb says that a mark is there, words that fail are tried again with a longer list.
        """
        evident = [i for i, z in enumerate(scores) if z >= _EVIDENT]
        evident = sorted(evident, key=lambda i: -scores[i])[:_LONG_TRIES]
        for chosen, lists in ((range(len(words)), 1), (evident, _LONG_LIST)):
            if not chosen:
                continue
            self.attempts += lists * len(chosen)
            soft = np.stack([words[i] for i in chosen])
            for i, found in zip(
                chosen, coding.decode_many(soft, self.key, self.medium, lists * coding.LIST_SIZE), strict=True
            ):
                if found is not None:
                    p = statistics.p_value(self.attempts, coding.LIST_SIZE)
                    detail: dict[str, str | float | int] = {"found_by": how, "comb_z": round(scores[i], 2)}
                    return Detection(MarkLevel.RECORD, found.payload, p, self.scheme, self.attempts, detail)
        return None

    def give_up(self) -> Detection:
        """The answer once every step has failed: presence, if the comb alone proves it, or no evidence.

        Each step's best score is tested against all hypotheses of that step, then against the number of steps.
        """
        tested = {
            how: statistics.presence_p(CAUTION * z, max(1.0, count), tiles.ROUGHNESS)
            for how, (count, z) in self.stages.items()
        }
        how = min(tested, key=lambda step: tested[step])
        p = min(1.0, tested[how] * len(tested))
        level = MarkLevel.PRESENT if p <= statistics.PRESENCE_P else MarkLevel.NONE
        best: dict[str, str | float | int] = {"best_step": how, "comb_z": round(self.stages[how][1], 2)}
        return Detection(level, None, p, self.scheme, max(1, self.attempts), best)
