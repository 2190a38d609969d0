"""Which frames of a film deserve the expensive picture tests."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.safety.signals.subliminal import RunFinder

CUT: Final = 0.12  # mean difference of brightness, 0..1, between neighbours at a cut
NEW_CELLS: Final = 24.0  # levels by which a cell must differ to count as changed
SAME_SHARE: Final = 0.02  # of the cells: up to this two frames show the same; chosen by eye, not measured
NEW_SHARE: Final = 0.25  # of the cells: a quarter of the picture has changed; chosen by eye, not measured
EVERY_S: Final = 1.0  # seconds of a scene between frames that are read
LEAST_S: Final = 0.5  # seconds between two reads in one scene that no outlier asks for. Chosen for speed, not measured
REMEMBERED: Final = 64  # frames already read that a new one is compared with; bounds time and memory
# Reads beyond one a second, for frames of which a quarter has changed: so many at once, and so many a second after
# that. They bound the time for a film that never rests. Chosen for speed, not measured
EXTRA: Final = 4.0
EXTRA_PER_S: Final = 0.05  # as said above


def scene_starts(small: NDArray[np.uint8]) -> list[int]:
    """Index of the first frame of each scene; ``small`` is uint8 (n, h, w, 3)."""
    if len(small) < 2:
        return [0]
    steps = np.abs(np.diff(_grey(small), axis=0)).mean(axis=(1, 2))
    return [0, *(int(i) + 1 for i in np.flatnonzero(steps > CUT))]


def frames_to_read(small: NDArray[np.uint8], fps: float, outliers: Iterable[int] = ()) -> list[int]:
    """Choose the frames of a clip of a constant rate, as ``FrameChooser`` does.

    Args:
        small: Frames on a small grid, uint8 (n, h, w, 3).
        fps: Frames per second.
        outliers: Frames to keep beside those that stand out.
    """
    chooser = FrameChooser(outliers)
    return chooser.take(small, np.arange(len(small) + 1) / fps, last=True)


class FrameChooser:
    """Chooses the frames to examine as pictures, chunk by chunk.

    Every frame that stands out from both neighbours; the first of each scene and one each second after it; the last of
    each scene, where the last one read is half a second old; and, as far as ``EXTRA`` allows, a frame of which a
    quarter differs from the last one read. Of these, outliers excepted, a frame that looks like one already read (less
    than 2 % differs) is left out: it would be read twice.

    Args:
        outliers: Indices of further frames to keep.
    """

    def __init__(self, outliers: Iterable[int] = ()) -> None:
        self._runs = RunFinder()
        self._kept = set(outliers)
        self._waiting: deque[tuple[int, float, float, NDArray[np.uint8], bool]] = deque()
        self._count = 0
        self._previous: NDArray[np.float32] | None = None
        self._read: deque[NDArray[np.int16]] = deque(maxlen=REMEMBERED)
        self._due = self._last_read = 0.0
        self._extra, self._extra_at = EXTRA, 0.0

    def take(self, small: NDArray[np.uint8], times: NDArray[np.float64], *, last: bool) -> list[int]:
        """Indices of the frames to read, ascending; at most ``KEPT`` frames behind those given in.

        Args:
            small: uint8 (n, h, w, 3).
            times: (n + 1,) seconds: when each appears and when the last one ends.
            last: No more frames come.
        """
        for run in self._runs.take(small, times, last=last):
            self._kept |= set(range(run.start, run.start + run.length))
        grey = _grey(small)
        for k, frame in enumerate(small):
            cut = self._previous is None or float(np.abs(grey[k] - self._previous).mean()) > CUT
            self._previous = grey[k]
            self._waiting.append((self._count, float(times[k]), float(times[k + 1]), frame, cut))
            self._count += 1
        chosen = []
        while self._waiting and (last or (self._waiting[0][0] < self._runs.decided and len(self._waiting) > 1)):
            index, start, end, frame, cut = self._waiting.popleft()
            ends = not self._waiting or self._waiting[0][4]
            if self._wanted(index, start, end, frame, cut=cut, ends=ends):
                chosen.append(index)
        return chosen

    def _wanted(self, index: int, start: float, end: float, frame: NDArray[np.uint8], *, cut: bool, ends: bool) -> bool:
        kept = index in self._kept
        self._kept.discard(index)
        if cut:
            self._due = start
        due = start >= self._due - 1e-6
        if due:
            self._due = max(self._due + EVERY_S, start)
        closing = ends and end - self._last_read > LEAST_S
        cells = frame.astype(np.int16)
        if not (kept or due or closing):
            if not self._affordable(start) or not self._read or _difference(cells, self._read[-1]) <= NEW_SHARE:
                return False
            self._extra -= 1.0
        if not kept and any(_difference(cells, other) <= SAME_SHARE for other in reversed(self._read)):
            return False
        self._read.append(cells)
        self._last_read = start
        return True

    def _affordable(self, now: float) -> bool:
        self._extra = min(EXTRA, self._extra + EXTRA_PER_S * (now - self._extra_at))
        self._extra_at = now
        return self._extra >= 1.0 and now - self._last_read >= LEAST_S


def _grey(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(small.mean(axis=-1, dtype=np.float32) / np.float32(255), np.float32)


def _difference(one: NDArray[np.int16], two: NDArray[np.int16]) -> float:
    """Share of cells, 0..1, that differ by more than NEW_CELLS levels."""
    return float((np.abs(one - two).max(axis=-1) > NEW_CELLS).mean())
