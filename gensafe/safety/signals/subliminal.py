"""Runs of one to three frames that differ from both neighbours, while the neighbours agree with each other.

Such an insertion is what "subliminal" techniques use (AVMSD art. 9(1)(b), Ofcom code 2.12, EU AI Act art. 5(1)(a)). The
test sees whole-frame or large insertions; a small logo in a corner for one frame is below its threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.safety.signals.light import LINEAR

MAX_RUN: Final = 3
MAX_S: Final = 0.13  # longer than this is seen by everyone
MIN_CHANGE: Final = 0.06  # mean of sqrt-linear differences
TIMES_MEDIAN: Final = 6.0
TIMES_OUTER: Final = 2.5


@dataclass(frozen=True, slots=True)
class Insertion:
    """``length`` frames from ``start`` on stand out by ``contrast`` times the difference of their surroundings."""

    start: int
    length: int
    contrast: float


def find_insertions(small: NDArray[np.uint8], fps: float) -> list[Insertion]:
    """Find inserted runs.

    Args:
        small: Frames area-averaged to a small grid, uint8 (n, h, w, 3).
        fps: Frames per second; a run is reported only if it lasts at most 0.13 s.
    """
    count = len(small)
    longest = min(MAX_RUN, int(MAX_S * fps))
    if count < 3 or longest < 1:
        return []
    perceived = np.sqrt(LINEAR[small]).reshape(count, -1)
    steps = np.abs(np.diff(perceived, axis=0)).mean(axis=1)
    floor = TIMES_MEDIAN * (float(np.median(steps)) + 1e-3)
    found: list[Insertion] = []
    at = 1
    while at < count - 1:
        length = 1
        for run in range(1, min(longest, count - 1 - at) + 1):
            inner = float(min(steps[at - 1], steps[at + run - 1]))
            if inner <= max(MIN_CHANGE, floor):
                continue
            outer = float(np.abs(perceived[at - 1] - perceived[at + run]).mean())
            steady = all(float(steps[j]) < inner for j in range(at, at + run - 1))
            if inner > TIMES_OUTER * outer and steady:
                found.append(Insertion(at, run, inner / (outer + 1e-3)))
                length = run
                break
        at += length
    return found
