"""Which frames of a clip deserve the expensive picture tests."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

CUT: Final = 0.12  # mean difference of brightness, 0..1, between neighbours at a cut
NEW_CELLS: Final = 24.0  # levels by which a cell must differ to count as changed
SAME_SHARE: Final = 0.02  # of the cells: up to this two frames show the same; chosen by eye, not measured
NEW_SHARE: Final = 0.25  # of the cells: a quarter of the picture has changed; chosen by eye, not measured


def scene_starts(small: NDArray[np.uint8]) -> list[int]:
    """Index of the first frame of each scene; ``small`` is uint8 (n, h, w, 3)."""
    if len(small) < 2:
        return [0]
    grey = small.mean(axis=-1, dtype=np.float32) / 255
    steps = np.abs(np.diff(grey, axis=0)).mean(axis=(1, 2))
    return [0, *(int(i) + 1 for i in np.flatnonzero(steps > CUT))]


def frames_to_read(small: NDArray[np.uint8], fps: float, outliers: Iterable[int] = ()) -> list[int]:
    """Choose the frames to examine as pictures.

    First, middle and last of each scene, one a second, all outliers, and every frame of which a quarter differs from
    the last one chosen. Of these, a frame that looks like one already chosen (less than 2 % differs) is left out: it
    would be read twice.

    Args:
        small: Frames on a small grid, uint8 (n, h, w, 3).
        fps: Frames per second.
        outliers: Frames another test has flagged; always kept.
    """
    count = len(small)
    kept = set(outliers)
    starts = [*scene_starts(small), count]
    wanted = set(kept) | {int(i) for i in np.arange(0, count, max(1.0, fps))}
    for first, after in pairwise(starts):
        wanted |= {first, (first + after) // 2, after - 1}
    chosen: list[int] = []
    for index in range(count):
        if index in kept:
            chosen.append(index)
        elif index in wanted or (chosen and _difference(small[index], small[chosen[-1]]) > NEW_SHARE):
            if all(_difference(small[index], small[other]) > SAME_SHARE for other in chosen):
                chosen.append(index)
    return chosen


def _difference(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> float:
    """Share of cells, 0..1, that differ by more than NEW_CELLS levels."""
    gap = np.abs(one.astype(np.int16) - two.astype(np.int16)).max(axis=-1)
    return float((gap > NEW_CELLS).mean())
