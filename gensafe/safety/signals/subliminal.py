"""Runs of one to three frames that differ from both neighbours, while the neighbours agree with each other.

A run that is plain black, grey or white carries nothing: an edit between two shots, a flash that whites out the film. A
run that shows the same scene brighter or darker (a flash gun, a fade, a flicker of the light) carries nothing either.
Both are runs, but no insertions.

Such an insertion is what "subliminal" techniques use (AVMSD art. 9(1)(b), Ofcom code 2.12, EU AI Act art. 5(1)(a)). The
test sees whole-frame or large insertions; a small logo in a corner for one frame is below its threshold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.safety.signals.light import LINEAR

MAX_RUN: Final = 3  # frames: at 24 a second these are the 0.13 s of MAX_S
MAX_S: Final = 0.13  # longer than this is seen by everyone
MIN_CHANGE: Final = 0.06  # mean of sqrt-linear differences
# the clip's usual step; by eye, with no false find in the 9.6 minutes of docs/safety-media.md
TIMES_MEDIAN: Final = 6.0
TIMES_OUTER: Final = 2.5  # the difference of the neighbours to each other; by eye, likewise


PLAIN_RANGE: Final = 12  # levels of 255 over the whole frame; black and white come out of a coder within 4
GREY_RANGE: Final = 24  # levels between the colours of one grey
SAME_SHARE: Final = 0.9  # of the variance of a relit scene that the scene itself explains
SAME_RESIDUAL: Final = 0.12  # largest local difference (99.5 % of cells) to the relit scene, sqrt-linear
FAINT: Final = 0.03  # as much is left of the scene in a frame that a flash has whited out; no word can be read in it
MIN_VARIANCE: Final = 1e-3  # of the three colours together: below, there is no scene to recognise
MAX_DIP: Final = 0.05  # by which a tone curve may fall: coding noise in levels that few cells have
# frames whose median step is the usual one: 20 s at 30 a second, several shots. Chosen by eye, not measured
HISTORY: Final = 600
_BLOCK: Final = 64  # frames taken at once from an array: as many as a chunk of a film has (gensafe.media.film_worker)
_BINS: Final = 32  # levels of a tone curve: enough for its shape, with many cells in each. Chosen by eye, not measured


@dataclass(frozen=True, slots=True)
class Insertion:
    """``length`` frames from ``start`` on stand out by ``contrast`` times the difference of their surroundings.

    ``carries`` says whether they show anything that their surroundings do not.
    """

    start: int
    length: int
    contrast: float
    carries: bool


def find_insertions(small: NDArray[np.uint8], fps: float) -> list[Insertion]:
    """Find inserted runs: those of ``find_runs`` that carry something.

    Args:
        small: As for ``find_runs``.
        fps: Frames per second.
    """
    return [run for run in find_runs(small, fps) if run.carries]


def find_runs(small: NDArray[np.uint8], fps: float) -> list[Insertion]:
    """Find runs that stand out in a clip of a constant rate, whatever they show.

    Args:
        small: Frames area-averaged to a small grid, uint8 (n, h, w, 3).
        fps: Frames per second; a run is reported only if it lasts at most 0.13 s.
    """
    finder, count, found = RunFinder(), len(small), list[Insertion]()
    times = np.arange(count + 1) / fps
    for at in range(0, count, _BLOCK):
        stop = min(at + _BLOCK, count)
        found += finder.take(small[at:stop], times[at : stop + 1], last=stop == count)
    return found


class RunFinder:
    """The test chunk by chunk. A run is reported at most MAX_RUN frames after its first frame was given in."""

    def __init__(self) -> None:
        self._small: list[NDArray[np.uint8]] = []  # from the frame before the next one to examine
        self._perceived: list[NDArray[np.float32]] = []
        self._steps: list[float] = []  # between each of these and the next
        self._times: list[float] = []  # of these, and the end of the last
        self._first = 0  # index of the first of these
        self._at = 1  # index of the next frame to examine
        self._usual: deque[float] = deque(maxlen=HISTORY)

    @property
    def decided(self) -> int:
        """Frames before this index are decided."""
        return self._at

    def take(self, small: NDArray[np.uint8], times: NDArray[np.float64], *, last: bool) -> list[Insertion]:
        """Examine the next frames.

        Args:
            small: uint8 (n, h, w, 3), n >= 0.
            times: (n + 1,) seconds: when each appears and when the last one ends.
            last: No more frames come.
        """
        for frame in small:
            seen = np.sqrt(LINEAR[frame]).reshape(-1)
            if self._perceived:
                self._steps.append(float(np.abs(seen - self._perceived[-1]).mean()))
                self._usual.append(self._steps[-1])
            self._small.append(frame)
            self._perceived.append(seen)
        self._times[-1:] = times.tolist()
        floor = TIMES_MEDIAN * (float(np.median(self._usual)) + 1e-3) if self._usual else 0.0
        stop = self._first + len(self._small) - 1  # the last frame has no right neighbour
        found = []
        while self._at < stop and (last or self._at + MAX_RUN <= stop):
            run = self._run(self._at - self._first, min(MAX_RUN, stop - self._at), max(MIN_CHANGE, floor))
            found += [run] if run else []
            self._at += run.length if run else 1
        if last:
            self._at = stop + 1
        self._forget(self._at - 1 - self._first)
        return found

    def _run(self, at: int, longest: int, floor: float) -> Insertion | None:
        """A run from the ``at``-th of the frames that are kept."""
        steps = self._steps
        for length in range(1, longest + 1):
            inner = min(steps[at - 1], steps[at + length - 1])
            if inner <= floor or self._times[at + length] - self._times[at] > MAX_S + 1e-6:
                continue
            outer = float(np.abs(self._perceived[at - 1] - self._perceived[at + length]).mean())
            steady = all(steps[j] < inner for j in range(at, at + length - 1))
            if inner > TIMES_OUTER * outer and steady:
                around = (self._small[at - 1], self._small[at + length])
                carries = _carries(self._small[at : at + length], around)
                return Insertion(self._first + at, length, inner / (outer + 1e-3), carries)
        return None

    def _forget(self, count: int) -> None:
        count = max(0, min(count, len(self._small)))
        for kept in (self._small, self._perceived, self._steps, self._times):
            del kept[:count]
        self._first += count


def _carries(frames: Sequence[NDArray[np.uint8]], around: Sequence[NDArray[np.uint8]]) -> bool:
    """Whether any frame of a run shows something that its surroundings do not."""
    return not all(_is_plain(f) or any(_is_relit(f, scene) for scene in around) for f in frames)


def _is_plain(frame: NDArray[np.uint8]) -> bool:
    """One black, grey or white all over. A plain colour is a picture that somebody put there."""
    flat = frame.reshape(-1, 3).astype(np.int16)
    return bool(np.ptp(flat, axis=0).max() <= PLAIN_RANGE and np.ptp(flat.mean(axis=0)) <= GREY_RANGE)


def _is_relit(frame: NDArray[np.uint8], scene: NDArray[np.uint8]) -> bool:
    """Whether ``frame`` is ``scene`` in another light: its levels follow from those of the scene by one tone curve.

    The curve is free (a mean for each of 32 levels), so clipping in the lights is no matter. What it does not explain
    must be small, on the whole and in every place: a word on a relit scene is still a word.
    """
    lit, base = (np.sqrt(LINEAR[x]).reshape(-1, 3) for x in (frame, scene))
    residual = np.stack([_unexplained(lit[:, c], base[:, c]) for c in range(3)], axis=1)
    if not np.isfinite(residual).all():
        return False
    local = float(np.quantile(residual, 0.995))
    variance = float(lit.var(axis=0).sum())
    washed_out = local <= FAINT and float(np.ptp(frame.reshape(-1, 3).mean(axis=0))) <= 2 * GREY_RANGE
    share = 1.0 - float((residual**2).mean(axis=0).sum()) / max(variance, 1e-9)
    return washed_out or (variance >= MIN_VARIANCE and share >= SAME_SHARE and local <= SAME_RESIDUAL)


def _unexplained(lit: NDArray[np.float64], base: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each cell from the tone curve; infinite where the curve turns dark into bright: light does not."""
    levels = np.minimum((base * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(levels, minlength=_BINS)
    curve = np.bincount(levels, weights=lit, minlength=_BINS) / np.maximum(counts, 1)
    steps = np.diff(curve[counts > 0])
    return np.full(len(lit), np.inf) if (steps < -MAX_DIP).any() else np.abs(lit - curve[levels])
