"""The embedder: informed by the picture it marks, checked against what pictures go through, as strong as that needs.

Informed embedding (improved spread spectrum: Malvar and Florencio, IEEE Trans. SP 51(4), 2003): what the picture
itself adds to every coded bit is measured through the detector's own front end, and power moves from bits the picture
favours to bits it opposes, at the same total power.
"""

from __future__ import annotations

import math
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

START_PSNR: Final = 43.0  # dB of the first try; the check then goes up or down from there
_FAINTEST: Final = 46.0  # dB: what JPEG leaves of an even surface is not told by a margin alone
_STRONGEST: Final = 40.4  # dB
_MOST_VISIBLE: Final = 0.0115  # of structural similarity (see perception.visibility)
_ENOUGH: Final = 4  # tiles along the short side: with fewer, parts hold hardly one
_FEW_TILES: Final = 2.5  # times as visible a mark is then granted
_PARTS: Final = 4  # the picture is read in so many parts each way
_CROPPED: Final = 3  # of them a side of the darkened, recoded part that is checked
_PIECE: Final = 2  # and of the piece that nothing else happened to
_WANTED_CROPPED: Final = 0.68  # soft-bit mean / deviation; decoding needs 0.55, and search and chance take their share
_WANTED_PIECE: Final = 0.66  # as _WANTED_CROPPED; a little less, since nothing else happened to this piece
_FALLS: Final = 1.15  # the margin's growth with the strength is a little under proportional: its inverse exponent
_NEAR: Final = 1.2  # a second look is taken where the first asks for more than this factor up or down
_LIKELY: Final = 0.9  # the factor that is looked at first, unless pieces ask for more
_TRIED: Final = np.linspace(0.3, 2.0, 18)  # factors of the strength, in steps of 0.1, over the range of _GAIN
_WANTED_WHOLE: Final = 0.7  # soft-bit mean / deviation, a little over the 0.55 that decoding needs; as _WANTED_CROPPED
LEAST: Final = 0.6  # what the whole must reach after the same at the highest strength, or the picture is refused
MOST_RAISE: Final = 1.38  # 2.8 dB; of a film
_MOST_SATURATED: Final = 0.8  # share of pixels at black or white, which can hardly change; chosen by eye, not measured
_PULL: Final = 0.8  # 0..1, how far power moves towards bits the picture opposes; by trial, not measured alone
_PULL_STILL: Final = 0.5  # what a crop keeps is not what the whole picture was measured to add
_GAIN: Final = (0.3, 2.0)  # bounds of one bit's amplitude; by trial on the tuning pictures, not measured alone


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
        return self.bits(self.parts(planes, 1, scale)[0])

    def parts(self, planes: list[NDArray[np.float32]], blocks: int, scale: float = 1.0) -> NDArray[np.complex64]:
        """What that step measures in blocks x blocks parts, (blocks * blocks, GRID, GRID); their sum is the whole."""
        factor = reduction(round(min(planes[0].shape)), max(1, round(min(planes[0].shape) / (self.tile * scale))))
        side = self.tile * scale / factor
        total = residual(perception.reduce_by(planes[0], factor), side)
        for plane in planes[1:]:
            total = total + residual(perception.reduce_by(plane, factor), side)
        return tiles.analyse_blocks(total, (side, side), blocks)

    def bits(self, grid: NDArray[np.complex64]) -> NDArray[np.float32]:
        """Soft bits of a measured grid, positive where right."""
        place = self.place
        alignment = Alignment(0.0, place.variant, place.orientation, place.px, place.py)
        soft = Reader(self.key, self.medium, "").soft(grid, alignment)
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
    deviation = perception.deviation(plane, layout.tile)
    amplitude = perception.STILL.amplitude(deviation)
    amplitude *= np.float32(start_level(amplitude))
    mark = perception.spread(amplitude, plane.shape)
    pattern = layout.pattern((plane.shape[0], plane.shape[1]))
    parts = layout.parts([added(plane, mark * pattern)], _PARTS)
    gain = gains(layout.bits(parts.sum(axis=0)), _PULL_STILL)
    mark *= pattern if gain is None else layout.pattern((plane.shape[0], plane.shape[1]), gain)
    # 3. as strong as a quarter of the picture must be to be read, and parts of an attacked copy, if not too visible
    lowest, strongest = (10 ** ((START_PSNR - quality) / 20) for quality in (_FAINTEST, _STRONGEST))
    visible = _MOST_VISIBLE * (_FEW_TILES if tile_count(min(plane.shape)) < _ENOUGH else 1)
    highest = min(strongest, (visible / perception.visibility(amplitude, deviation)) ** 0.5)
    asked = for_pieces(layout, parts, gain)
    factor = float(np.clip(asked, _LIKELY, max(highest, _LIKELY)))
    for _ in range(3):
        whole, cropped = dimmed(layout, added(plane, np.float32(factor) * mark))
        before, wanted = factor, max(asked, factor * (_WANTED_CROPPED / max(cropped, 0.05)) ** _FALLS)
        needed = factor * (_WANTED_WHOLE / max(whole, 0.05)) ** _FALLS  # less would be no mark: seen or not
        factor = float(np.clip(max(min(wanted, highest), needed), lowest, strongest))
        if 1 / _NEAR < factor / before < _NEAR or factor <= lowest:
            break
    whole *= strength * factor / before
    if whole < LEAST:
        raise CannotCarry(f"too flat or too busy: soft-bit margin {whole:.2f} of {LEAST} at full strength")
    mark *= np.float32(strength * factor)
    return mark


def for_pieces(layout: Plan, parts: NDArray[np.complex64], gain: NDArray[np.float32] | None) -> float:
    """Factor on the strength at which the worst quarters of the picture can be read by themselves.

    What the picture adds to each bit was measured along with the first pattern: the rest is arithmetic.
    """
    shape = np.ones(coding.CODED_BITS) if gain is None else gain / np.sqrt(np.mean(gain**2))
    spread, needed = float(shape.std()), []
    for grid in windows(parts, _PIECE):
        soft = layout.bits(grid)
        mean = max(float(soft.mean()), 1e-3)
        together = float(np.cov(shape, soft, bias=True)[0, 1])
        # deviation of tried * mean * shape + (soft - mean)
        deviation = np.sqrt((_TRIED * mean * spread) ** 2 + 2 * _TRIED * mean * together + float(soft.var()))
        reached = _TRIED * mean * float(shape.mean()) / deviation
        needed.append(float(np.interp(_WANTED_PIECE, reached, _TRIED)))
    return float(np.mean(np.sort(needed)[-(len(needed) // 3) :]))


def dimmed(layout: Plan, marked: NDArray[np.float32]) -> tuple[float, float]:
    """Margin of a plane, and of parts of it, after the harshest of everyday changes: half as bright, then JPEG 50."""
    parts = layout.parts([selfcheck.jpeg(np.rint(np.float32(0.5) * marked), 50)], _PARTS)
    cropped = [margin(layout.bits(grid)) for grid in windows(parts, _CROPPED)]
    return margin(layout.bits(parts.sum(axis=0))), float(np.mean(cropped))


def windows(parts: NDArray[np.complex64], side: int) -> list[NDArray[np.complex64]]:
    """Sums of side x side neighbouring parts of a square of them (see Plan.parts)."""
    count = math.isqrt(len(parts))
    square = parts.reshape(count, count, *parts.shape[1:])
    places = range(count - side + 1)
    return [square[i : i + side, j : j + side].sum(axis=(0, 1)) for i in places for j in places]


def sufficient(reached_at: Callable[[float], float], wanted: float) -> float:
    """The factor 1 .. MOST_RAISE on a film's strength at which ``reached_at(factor)`` comes to ``wanted``.

    The margin grows about in proportion to the strength, so one look tells how far to go.

    Raises:
        CannotCarry: too little even at MOST_RAISE.
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
    marked = [added(plane, change * pattern) for plane, change in zip(planes, amplitudes, strict=True)]
    gain = gains(layout.soft(marked), _PULL)
    return pattern if gain is None else layout.pattern(shape, gain)


def gains(soft: NDArray[np.float32], pull: float) -> NDArray[np.float32] | None:
    """Factors (CODED_BITS,) that move power to bits that came out low, None where nothing came out at all."""
    mean = float(soft.mean())
    if mean <= 0:
        return None
    return np.asarray(np.clip(1 + pull * (1 - soft / mean), *_GAIN), np.float32)
