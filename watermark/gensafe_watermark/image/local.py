"""Where a marked picture carries its mark less than elsewhere: places painted over, pasted in or moved, perhaps.

Once the payload is known, so is the pattern, pixel by pixel. In windows from small to large, the agreement of the
picture with the pattern is compared with the agreement that places of like texture in the same picture have. Noise is
measured with the same pattern at other phases; a window too noisy to tell "marked" from "not" is left to a larger one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

from gensafe.core.types import Located
from gensafe_watermark import prf
from gensafe_watermark.image import carrier as tiles
from gensafe_watermark.image import embedder, forms, perception
from gensafe_watermark.image.layout import reduction
from gensafe_watermark.image.residual import residual

if TYPE_CHECKING:
    from numpy.typing import NDArray

# By trial on 28 of the BSDS500 test photographs; benchmarks.localise names them and measures on others.
_WINDOWS: Final = (1 / 16, 1 / 11, 1 / 8, 1 / 5.5, 1 / 4)  # of the short side, smallest first
_APART: Final = 5.0  # deviations of noise between "marked" and "not" before a window is judged
_SEED: Final = 0.1  # share of the expected agreement that an area has at its weakest pixel, at most
_EDGE: Final = 0.45  # share under which a pixel belongs to an area; near half, where half of a window is foreign
# Share that an area has on average, at most. On those 28 photographs 0.15 reported 0.9 % of the pixels of the worst
# kind of honest copy, 0.2 reported 1.1 % and 0.25 reported 2.9 %; 0.1 found half as many pasted quarters.
_MEAN: Final = 0.15
_SMALLEST: Final = 0.01  # of the picture; smaller areas are chance as often as not
_CLASSES: Final = 6  # of texture; each has its own expectation
_FLOOR: Final = 0.3  # of the overall expectation: a class that was painted over as a whole is still judged
_DECOYS: Final = 4  # other phases that noise is measured at
_ENOUGH: Final = 0.3  # of the picture: a word about less would be taken for one about all of it; chosen by eye
_WHOLE: Final = 0.02  # correlation with the whole picture under which the grid has moved; unmarked ones reach 0.01
_GREY: Final = 1.5  # grey levels added to the deviation, so that even places do not count without end
_CLIPPED: Final = (3, 252)  # grey levels: beyond them there was no room for the mark
_CLIPPED_WEIGHT: Final = 0.05  # what such pixels count


def locate(pixels: NDArray[Any], payload: bytes, key: bytes, medium: str = "image") -> Located | None:
    """Find the areas of a marked picture where its mark is weaker than elsewhere.

    Args:
        pixels: As ``image.detect`` takes them.
        payload: What was read from it.
        key: The key that it was read with.
        medium: As at ``embedder.plan``.

    Returns:
        None where the pattern lies elsewhere, because the picture was cropped, turned, bent or scaled so far that
        another number of tiles fits it; and where under 30 % can be judged, because the mark is too faint.
    """
    plane = perception.luma(forms.seen(pixels))
    layout = embedder.plan((plane.shape[0], plane.shape[1]), payload, key, medium)
    factor = reduction(min(plane.shape), max(1, round(min(plane.shape) / layout.tile)))
    seen = _Seen.of(perception.reduce_by(plane, factor), layout, layout.tile / factor)
    if seen.correlation < _WHOLE:
        return None
    share, judged = _shares(seen)
    if judged.mean() < _ENOUGH:
        return None
    return Located(_boxes(_weak(share, judged)), float(judged.mean()))


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Pixel by pixel: agreement with the pattern, what a full mark would give, agreement with decoys, texture."""

    agreement: NDArray[np.float32]
    full: NDArray[np.float32]
    decoys: tuple[NDArray[np.float32], ...]
    texture: NDArray[np.float32]
    correlation: float

    @classmethod
    def of(cls, plane: NDArray[np.float32], layout: embedder.Plan, tile: float) -> _Seen:
        left = residual(plane, tile)
        spectrum = tiles.carrier(layout.key, layout.medium, layout.place.variant).coefficients(layout.coded)

        def pattern(px: float, py: float) -> NDArray[np.float32]:
            grid = tiles.to_grid(tiles.shift(spectrum, px, py))
            shape = (plane.shape[0], plane.shape[1])
            return tiles.render(tiles.orient(grid, layout.place.orientation), shape, tile)

        texture = perception.spread(perception.deviation(plane, tile), plane.shape)
        weight = perception.STILL.amplitude(texture) / (texture + np.float32(_GREY))
        clipped = (plane < _CLIPPED[0]) | (plane > _CLIPPED[1])
        weight = np.where(clipped, np.float32(_CLIPPED_WEIGHT) * weight, weight)
        weight /= np.sqrt(np.mean(weight * weight))
        mark = weight * pattern(layout.place.px, layout.place.py)
        phases = prf.integers(layout.key, 2 * _DECOYS, "decoys").astype(np.float64).reshape(_DECOYS, 2) / 2.0**64
        decoys = tuple(left * weight * pattern(*phase) for phase in phases.tolist())
        scale = float(np.sqrt(np.mean(left * left) * np.mean(mark * mark))) + 1e-9
        return cls(left * mark, mark * mark, decoys, texture, float(np.mean(left * mark)) / scale)


def _shares(seen: _Seen) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(share of the expected agreement in the smallest window that tells, whether one does), pixel by pixel."""
    short = min(seen.full.shape)
    gain = _expected_gain(seen, short)
    share = np.ones(seen.full.shape, np.float32)
    judged = np.zeros(seen.full.shape, bool)
    for size in _WINDOWS:
        side = _odd(short * size)
        noise = np.mean([_mean(decoy, side) ** 2 for decoy in seen.decoys], axis=0)
        deviation = np.sqrt(_mean(np.asarray(noise, np.float32), _odd(4 * side))) + np.float32(1e-6)
        expected = gain * _mean(seen.full, side)
        tells = ~judged & (expected >= _APART * deviation)
        share[tells] = _mean(seen.agreement, side)[tells] / expected[tells]
        judged |= tells
    return share, judged


def _weak(share: NDArray[np.float32], judged: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The weak areas, pixel by pixel: 0 = none, else the number of one."""
    labels, count = ndimage.label(judged & (share < _EDGE))
    numbers = np.arange(1, count + 1)
    if not count:
        return np.asarray(labels, np.int32)
    sizes = ndimage.sum_labels(judged, labels, numbers) / judged.size
    least, mean = ndimage.minimum(share, labels, numbers), ndimage.mean(share, labels, numbers)
    kept = numbers[(sizes >= _SMALLEST) & (least < _SEED) & (mean < _MEAN)]
    return np.asarray(np.where(np.isin(labels, kept), labels, 0), np.int32)


def _expected_gain(seen: _Seen, short: int) -> NDArray[np.float32]:
    """How much of a full mark places of each texture carry, as most of them in this picture do."""
    side = _odd(short / 10)
    step = slice(None, None, max(1, side // 2))
    ratio = (_mean(seen.agreement, side) / (_mean(seen.full, side) + np.float32(1e-9)))[step, step].ravel()
    texture = _mean(seen.texture, side)
    sampled = texture[step, step].ravel()
    overall = float(np.median(ratio))
    edges = np.quantile(sampled, np.linspace(0, 1, _CLASSES + 1))
    members = [(sampled >= low) & (sampled <= high) for low, high in pairwise(edges)]
    centres = [float(np.median(sampled[inside])) for inside in members]
    gains = [max(float(np.median(ratio[inside])), _FLOOR * overall) for inside in members]
    return np.asarray(np.interp(texture, centres, gains), np.float32)


def _odd(side: float) -> int:
    """The side of a window around a pixel, in pixels."""
    return int(side) | 1


def _mean(plane: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    return np.asarray(ndimage.uniform_filter(plane, side, mode="reflect"), np.float32)


def _boxes(areas: NDArray[np.int32]) -> tuple[tuple[float, float, float, float], ...]:
    """(left, top, right, bottom) of each area, largest first."""
    height, width = areas.shape
    boxes = [box for box in ndimage.find_objects(areas) if box is not None]
    boxes.sort(key=lambda box: -(box[0].stop - box[0].start) * (box[1].stop - box[1].start))
    return tuple((b[1].start / width, b[0].start / height, b[1].stop / width, b[0].stop / height) for b in boxes)
