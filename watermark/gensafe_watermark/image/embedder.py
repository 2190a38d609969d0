"""The embedder: informed by the picture it marks, checked against what pictures go through, as strong as that needs.

Informed embedding (improved spread spectrum: Malvar and Florencio, IEEE Trans. SP 51(4), 2003): what the picture
itself adds to every coded bit is measured through the detector's own front end, and power moves from bits the picture
favours to bits it opposes, at the same total power.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe.core.errors import CannotCarry
from gensafe_watermark import payload as coding
from gensafe_watermark.image import carrier as tiles
from gensafe_watermark.image import perception, selfcheck
from gensafe_watermark.image.layout import MIN_SIDE, reduction, tile_count
from gensafe_watermark.image.reading import Alignment, Reader
from gensafe_watermark.image.residual import residual

if TYPE_CHECKING:
    from numpy.typing import NDArray

START_PSNR: Final = 43.0  # dB at strength 1, before the check raises it
MOST_RAISE: Final = 1.38  # 2.8 dB
MARGIN: Final = 0.9  # soft-bit mean / deviation asked for after the test attack; decoding needs 0.55
LEAST: Final = 0.6  # what the highest strength must reach, or the picture is refused
_MOST_SATURATED: Final = 0.8
_PULL: Final = 0.8
_GAIN: Final = (0.3, 2.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is constant while the strength of one asset is chosen."""

    payload: bytes
    key: bytes
    medium: str
    coded: NDArray[np.uint8]
    place: tiles.Placement
    tile: float  # pixels

    def pattern(self, shape: tuple[int, int], gain: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """The unit-variance mark (H, W)."""
        layout = tiles.carrier(self.key, self.medium, self.place.variant)
        spectrum = tiles.shift(layout.coefficients(self.coded, gain), self.place.px, self.place.py)
        return tiles.render(tiles.orient(tiles.to_grid(spectrum), self.place.orientation), shape, self.tile)

    def soft(self, planes: list[NDArray[np.float32]], scale: float = 1.0) -> NDArray[np.float32]:
        """Soft bits, positive where right, that the detector's nominal step sees in frames scaled by ``scale``."""
        factor = reduction(round(min(planes[0].shape)), max(1, round(min(planes[0].shape) / (self.tile * scale))))
        side = self.tile * scale / factor
        total = sum(residual(perception.reduce_by(plane, factor), side) for plane in planes)
        grid = tiles.analyse(np.asarray(total, np.float32), (side, side))
        reader = Reader(self.key, self.medium, "")
        place = self.place
        soft = reader.soft(grid, Alignment(0.0, place.variant, place.orientation, place.px, place.py))
        return np.asarray((1.0 - 2.0 * self.coded.astype(np.float32)) * soft, np.float32)


def margin(soft: NDArray[np.float32]) -> float:
    """Mean over standard deviation of sign-corrected soft bits; about 0.55 is the decoder's limit."""
    return float(soft.mean() / (soft.std() + 1e-9))


def plan(shape: tuple[int, int], payload: bytes, key: bytes, medium: str, segment: int = 0) -> Plan:
    """Lay out a mark for pictures of ``shape`` (H, W); ``segment`` numbers the stretches of a film.

    Raises:
        CannotCarry: too small.
    """
    short = min(shape)
    if short < MIN_SIDE:
        raise CannotCarry(f"the short side has {short} pixels; a mark needs {MIN_SIDE}")
    coded = coding.encode(payload, key, medium)
    place = tiles.placement(key, medium, payload, segment)
    return Plan(payload, key, medium, coded, place, short / tile_count(short, medium))


def change(plane: NDArray[np.float32], payload: bytes, key: bytes, medium: str, strength: float) -> NDArray[np.float32]:
    """What to add to a luma plane (H, W), in grey levels; see ``gensafe_watermark.image.embed``."""
    # 1. refuse what cannot carry a mark
    layout = plan((plane.shape[0], plane.shape[1]), payload, key, medium)
    check_range(plane)
    # 2. mask and informed pattern
    mark = perception.mask(plane, layout.tile)
    mark *= np.float32(strength * start_level(mark))
    mark *= informed(layout, [plane], [mark])
    # 3. raise the strength as far as the detector's own view of attacked copies asks for
    mark *= np.float32(sufficient(lambda factor: dimmed(layout, added(plane, np.float32(factor) * mark))))
    return mark


def sufficient(reached_at: Callable[[float], float], wanted: float = MARGIN) -> float:
    """The factor 1 .. MOST_RAISE on the strength at which ``reached_at(factor)`` comes to ``wanted``.

    The margin grows about in proportion to the strength, so one look tells how far to go.

    Raises:
        CannotCarry: less than LEAST even at MOST_RAISE.
    """
    reached = reached_at(1.0)
    if reached >= wanted:
        return 1.0
    raised = min(MOST_RAISE, wanted / max(reached, 1e-3))
    if raised == MOST_RAISE and reached < LEAST:
        reached = reached_at(MOST_RAISE)
        if reached < LEAST:
            raise CannotCarry(f"too flat or too busy: soft-bit margin {reached:.2f} of {LEAST} at full strength")
    return raised


def added(plane: NDArray[np.float32], change: NDArray[np.float32]) -> NDArray[np.float32]:
    """Luma plus a change as 8-bit pixels hold it."""
    out = plane + change
    return np.clip(np.rint(out, out=out), 0, 255, out=out)


def start_level(amplitude: NDArray[np.float32], psnr: float = START_PSNR) -> float:
    """Factor on the mask at which a unit-variance pattern costs ``psnr`` dB."""
    per_luma = float(np.mean(perception.COLOUR**2))  # squared error over R, G, B per squared luma change
    return float(255 * 10 ** (-psnr / 20) / np.sqrt(per_luma * np.mean(amplitude**2)))


def check_range(plane: NDArray[np.float32]) -> None:
    """Refuse pictures with hardly a pixel that can go both up and down.

    Raises:
        CannotCarry: more than 80 % of the pixels are black or white.
    """
    saturated = float(np.mean((plane < 2) | (plane > 253)))
    if saturated > _MOST_SATURATED:
        raise CannotCarry(f"{saturated:.0%} of the pixels are black or white")


def informed(
    layout: Plan, planes: list[NDArray[np.float32]], amplitudes: list[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """The pattern whose bits are reweighted against what the picture (or these frames together) contribute."""
    shape = (planes[0].shape[0], planes[0].shape[1])
    pattern = layout.pattern(shape)
    soft = layout.soft([added(plane, change * pattern) for plane, change in zip(planes, amplitudes, strict=True)])
    mean = float(soft.mean())
    if mean <= 0:
        return pattern
    return layout.pattern(shape, np.clip(1 + _PULL * (1 - soft / mean), *_GAIN).astype(np.float32))


def dimmed(layout: Plan, plane: NDArray[np.float32]) -> float:
    """Margin after the harshest of the changes that come every day: half as bright, then JPEG at quality 50."""
    return margin(layout.soft([selfcheck.jpeg(np.float32(0.5) * plane, 50)]))
