"""Photosensitive-seizure flash test on every frame.

Sources: WCAG 2.2 SC 2.3.1 "general flash and red flash thresholds"; ITU-R BT.1702-3 annex 1; Ofcom guidance note
section 2 annex 1. The frame-by-frame bookkeeping (a window of one second of frames, the count of frames towards the
extended failure) follows the logs of the open IRIS analyser, with which it agrees on its eight test videos.

1. Each frame is area-averaged to 96 x 54 cells, which drops detail finer than about 0.1 degree (WCAG's exemption of
   fine checks).
2. Per cell, a transition is a change of relative luminance by at least 0.10 from the last extremum, the darker state
   being below 0.80. A red transition is a change of (R - G - B) * 320 by more than 20 with a saturated red
   (R / (R + G + B) >= 0.8) in either state.
3. A flash is a pair of opposing transitions. More than six transitions within a second, in at least a quarter of some
   field of a third of the width and height (10 degrees at the usual distance), fail.
4. Four to six transitions a second, for four seconds out of five, fail as an extended flash.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.types import GRID
from gensafe.safety.signals.light import LINEAR, luminance

HEIGHT, WIDTH = GRID  # cells; step 1
AREA_SHARE: Final = 0.25  # of a 10 degree field: WCAG 2.2 SC 2.3.1 and BT.1702-3; step 3
LUMINANCE_STEP: Final = 0.10  # relative luminance, 0..1: WCAG 2.2, "general flash"; step 2
DARK_BELOW: Final = 0.80  # relative luminance of the darker state: WCAG 2.2, "general flash"; step 2
RED_STEP: Final = 20.0  # of (R - G - B) * 320: WCAG 2.2, "red flash"; step 2
RED_SATURATION: Final = 0.8  # R / (R + G + B): WCAG 2.2, "red flash"; step 2
FAIL_ABOVE: Final = 6  # transitions a second, two for a flash: WCAG 2.2 allows three flashes; step 3
EXTENDED_FROM: Final = 4  # transitions a second: the extended failure as the IRIS analyser logs it; step 4
EXTENDED_S: Final = 4  # seconds: likewise; step 4
EXTENDED_WINDOW_S: Final = 5  # seconds: likewise; step 4


class FlashResult(IntEnum):
    """What one frame adds up to, in IRIS's numbering."""

    PASS = 0
    WARNING = 1  # four to six transitions within a second
    EXTENDED_FAIL = 2
    FAIL = 3


@dataclass(frozen=True, slots=True)
class FlashFrame:
    """One kind of flash (luminance or red) at one frame."""

    transitions: int  # within the last second, in the worst field
    extended: int  # frames with four to six transitions within the last five seconds
    result: FlashResult


@dataclass(frozen=True, slots=True)
class FlashReport:
    """Both kinds for every frame of a clip."""

    luminance: tuple[FlashFrame, ...]
    red: tuple[FlashFrame, ...]

    def worst(self) -> FlashResult:
        """The worst result of any frame."""
        return max((f.result for f in (*self.luminance, *self.red)), default=FlashResult.PASS)

    def frames_at_least(self, level: FlashResult) -> list[int]:
        """Indices of frames whose luminance or red result is ``level`` or worse."""
        pairs = zip(self.luminance, self.red, strict=True)
        return [i for i, (a, b) in enumerate(pairs) if max(a.result, b.result) >= level]


def flash_report(small: Iterable[NDArray[np.uint8]], fps: float) -> FlashReport:
    """Run the test over a clip of a constant rate.

    Args:
        small: Frames area-averaged to (HEIGHT, WIDTH, 3) uint8 sRGB.
        fps: Frames per second, above 0.
    """
    test = FlashTest()
    pairs = [test.take(frame, index / fps, (index + 1) / fps) for index, frame in enumerate(small)]
    return FlashReport(tuple(a for a, _ in pairs), tuple(b for _, b in pairs))


class FlashTest:
    """The test frame by frame, at any times: windows of one and five seconds are windows of time."""

    def __init__(self) -> None:
        self._meters: tuple[_Meter, _Meter] | None = None
        self._remembered: NDArray[np.bool_] | None = None

    def take(self, frame: NDArray[np.uint8], start_s: float, end_s: float) -> tuple[FlashFrame, FlashFrame]:
        """Judge the next frame, shown from ``start_s`` to ``end_s``.

        Args:
            frame: (HEIGHT, WIDTH, 3) uint8 sRGB.
            start_s: Ascending from call to call.
            end_s: When the next frame replaces it.

        Returns:
            (luminance, red).
        """
        linear = LINEAR[frame]
        total = linear.sum(axis=-1) + 1e-6
        saturated = linear[..., 0] / total >= RED_SATURATION
        light = luminance(linear)
        red = np.maximum(0.0, (linear[..., 0] - linear[..., 1] - linear[..., 2]) * 320).astype(np.float32)
        if self._meters is None or self._remembered is None:
            self._meters = (_Meter(light, LUMINANCE_STEP), _Meter(red, RED_STEP))
            self._remembered = saturated
        span = (start_s, end_s)
        bright = self._meters[0].step(light, span, dark_below=DARK_BELOW)[0]
        entry, changed = self._meters[1].step(red, span, allowed=saturated | self._remembered)
        self._remembered = saturated | (self._remembered & ~changed)
        return bright, entry


class _Meter:
    """Counts opposing transitions per cell with hysteresis, and what they come to over one and five seconds."""

    def __init__(self, first: NDArray[np.float32], step: float) -> None:
        self._low, self._high = first.copy(), first.copy()
        self._direction = np.zeros(first.shape, np.int8)
        self._step = step
        self._counts = np.zeros(first.shape, np.int16)
        self._recent: deque[tuple[float, NDArray[np.bool_]]] = deque()
        self._extended: deque[tuple[float, float]] = deque()  # (start, seconds) of frames with 4 to 6 transitions

    def step(
        self,
        value: NDArray[np.float32],
        span: tuple[float, float],
        *,
        dark_below: float | None = None,
        allowed: NDArray[np.bool_] | None = None,
    ) -> tuple[FlashFrame, NDArray[np.bool_]]:
        """Take one frame; returns its entry and the cells that changed over."""
        up = (self._direction <= 0) & (value - self._low >= self._step)
        down = (self._direction >= 0) & (self._high - value >= self._step) & ~up
        if dark_below is not None:
            up &= self._low < dark_below
            down &= value < dark_below
        if allowed is not None:
            up &= allowed
            down &= allowed
        changed = up | down
        self._low = np.where(changed, value, np.minimum(self._low, value))
        self._high = np.where(changed, value, np.maximum(self._high, value))
        self._direction = np.where(up, 1, np.where(down, -1, self._direction)).astype(np.int8)
        # half a frame of tolerance, so that at a constant rate a window is a whole number of frames, as IRIS has it
        now, shown = span[0], span[1] - span[0]
        slack = min(shown, 1.0) / 2
        self._recent.append((now, changed))
        self._counts += changed
        while now - self._recent[0][0] > 1.0 - slack:
            self._counts -= self._recent.popleft()[1]
        transitions = worst_field(self._counts)
        while self._extended and now - self._extended[0][0] > EXTENDED_WINDOW_S - slack:
            self._extended.popleft()
        inside = EXTENDED_FROM <= transitions <= FAIL_ABOVE
        if inside:
            self._extended.append((now, shown))
        extended = len(self._extended)
        if transitions > FAIL_ABOVE:
            result = FlashResult.FAIL
        elif inside:
            long = sum(seconds for _, seconds in self._extended) >= EXTENDED_S - slack
            result = FlashResult.EXTENDED_FAIL if long else FlashResult.WARNING
        else:
            result = FlashResult.PASS
        return FlashFrame(transitions, extended, result), changed


def worst_field(counts: NDArray[np.int16]) -> int:
    """The largest t for which at least AREA_SHARE of the cells of some field have t transitions or more."""
    top = int(counts.max(initial=0))
    if top == 0:
        return 0
    height, width = counts.shape
    rows, columns = max(1, round(height / 3)), max(1, round(width / 3))
    levels = counts[None] >= np.arange(1, top + 1)[:, None, None]
    table = np.zeros((top, height + 1, width + 1), np.int32)
    np.cumsum(np.cumsum(levels, axis=1, dtype=np.int32), axis=2, out=table[:, 1:, 1:])
    fields = table[:, rows:, columns:] - table[:, :-rows, columns:] - table[:, rows:, :-columns]
    fields += table[:, :-rows, :-columns]
    enough = fields.max(axis=(1, 2)) >= AREA_SHARE * rows * columns
    return int(enough.sum())
