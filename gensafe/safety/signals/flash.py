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

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.safety.signals.light import LINEAR, luminance

WIDTH: Final = 96  # cells; step 1
HEIGHT: Final = 54  # cells; step 1
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
    """Run the test over a clip.

    Args:
        small: Frames area-averaged to (HEIGHT, WIDTH, 3) uint8 sRGB.
        fps: Frames per second, above 0.
    """
    meters: tuple[_Meter, _Meter] | None = None
    remembered: NDArray[np.bool_] | None = None
    bright: list[FlashFrame] = []
    reds: list[FlashFrame] = []
    for frame in small:
        linear = LINEAR[frame]
        total = linear.sum(axis=-1) + 1e-6
        saturated = linear[..., 0] / total >= RED_SATURATION
        light = luminance(linear)
        red = np.maximum(0.0, (linear[..., 0] - linear[..., 1] - linear[..., 2]) * 320).astype(np.float32)
        if meters is None or remembered is None:
            meters = (_Meter(light, LUMINANCE_STEP, fps), _Meter(red, RED_STEP, fps))
            remembered = saturated
        bright.append(meters[0].step(light, dark_below=DARK_BELOW)[0])
        entry, changed = meters[1].step(red, allowed=saturated | remembered)
        remembered = saturated | (remembered & ~changed)
        reds.append(entry)
    return FlashReport(tuple(bright), tuple(reds))


class _Meter:
    """Counts opposing transitions per cell with hysteresis, and what they come to over one and five seconds."""

    def __init__(self, first: NDArray[np.float32], step: float, fps: float) -> None:
        self._low, self._high = first.copy(), first.copy()
        self._direction = np.zeros(first.shape, np.int8)
        self._step = step
        self._second = max(1, round(fps))
        self._counts = np.zeros(first.shape, np.int16)
        self._recent: list[NDArray[np.bool_]] = []
        self._extended: list[bool] = []

    def step(
        self,
        value: NDArray[np.float32],
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
        self._recent.append(changed)
        self._counts += changed
        if len(self._recent) > self._second:
            self._counts -= self._recent.pop(0)
        transitions = worst_field(self._counts)
        self._extended.append(EXTENDED_FROM <= transitions <= FAIL_ABOVE)
        del self._extended[: -EXTENDED_WINDOW_S * self._second]
        extended = sum(self._extended)
        if transitions > FAIL_ABOVE:
            result = FlashResult.FAIL
        elif self._extended[-1]:
            long = extended >= EXTENDED_S * self._second
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
