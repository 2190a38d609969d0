"""The detector: cheapest step first, stopping at the first payload whose MAC holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe.core.types import Detection, MarkLevel
from gensafe_watermark.image import carrier as tiles
from gensafe_watermark.image import geometry, search
from gensafe_watermark.image.layout import MIN_SIDE, TILES, reduction
from gensafe_watermark.image.perception import reduce_by
from gensafe_watermark.image.reading import WORTH_DECODING, Reader
from gensafe_watermark.image.residual import residual

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_SEARCH_TILES: Final = 8  # the search works best on a tighter high-pass than reading does
_SMALLEST_TILE: Final = 31.0  # pixels: the comb's finest line then spans 2.2
_CANDIDATES: Final = 6
_BLOCKS: Final = 5


def nominal_grids(
    planes: Sequence[NDArray[np.float32]], counts: tuple[int, ...] = TILES
) -> list[NDArray[np.complex64]]:
    """Spectra of the unchanged grid (the picture may have been scaled as a whole), one for each tile count."""
    short = min(planes[0].shape)
    grids, cache = [], {}
    for count in counts:
        factor = reduction(short, count)
        filtered_as = max(2, count)  # residuals of 1 and 2 tiles differ little: share them
        if (factor, filtered_as) not in cache:
            cache[factor, filtered_as] = _mean_residual(planes, factor, short / filtered_as / factor)
        side = short / count / factor
        grids.append(tiles.analyse(cache[factor, filtered_as], (side, side)))
    return grids


def _mean_residual(planes: Sequence[NDArray[np.float32]], factor: int, tile: float) -> NDArray[np.float32]:
    total = residual(reduce_by(planes[0], factor), tile)
    for plane in planes[1:]:
        total = total + residual(reduce_by(plane, factor), tile)
    return total


def detect_planes(planes: Sequence[NDArray[np.float32]], key: bytes, medium: str, scheme: str) -> Detection:
    """Search luma planes of one geometry (one picture, or frames of one shot) for a mark."""
    short = min(planes[0].shape)
    if short < MIN_SIDE // 2:
        return Detection(MarkLevel.UNDECIDABLE, None, 1.0, scheme, 1, {"reason": "too small to tell"})
    reader = Reader(key, medium, scheme)
    # 1. the nominal grid: unchanged, re-encoded, scaled, turned by quarters, mirrored
    found = reader.read(nominal_grids(planes), "nominal")
    if found is not None:
        return found
    # 2. crops, turns, stretches: the lattice from the power spectrum, then block-wise registration
    factor = reduction(short)
    flat = _mean_residual(planes, factor, short / factor / _SEARCH_TILES)
    side = min(flat.shape)
    sides = (max(_SMALLEST_TILE, side / 9), side * 2.2)
    carriers = [tiles.carrier(key, medium, variant) for variant in range(tiles.VARIANTS)]
    power = search.Power.of(flat)
    for how, method in (("similarity", search.similarities), ("stretch", search.stretches)):
        found = _follow(reader, flat, power, method(power, carriers, sides, _CANDIDATES), how)
        if found is not None:
            return found
    return reader.give_up()


def _follow(
    reader: Reader, flat: NDArray[np.float32], power: search.Power, candidates: list[search.Candidate], how: str
) -> Detection | None:
    """Refine each lattice candidate on the picture itself and try to read along it."""
    words: list[NDArray[np.float32]] = []
    scores: list[float] = []
    for candidate in candidates:
        layout = tiles.carrier(reader.key, reader.medium, candidate.variant)
        _, matrix = search.polish(power, layout, candidate.matrix)
        warp = geometry.Warp.linear(matrix, (flat.shape[0], flat.shape[1]))
        for order in (1, 1, 2, 0):
            grids = geometry.fold(flat, warp, _BLOCKS)
            total = np.asarray(grids.sum(axis=0), np.complex64)
            best = reader.align(total, (0, 2), (candidate.variant,))[0]
            reader.note(best.z, how)
            if best.z < WORTH_DECODING:
                break
            words.append(reader.soft(total, best))
            scores.append(best.z)
            if order == 0:
                break
            turned = -1.0 if best.orientation == 2 else 1.0
            grids = np.stack([tiles.unorient(grid, best.orientation) for grid in grids])
            displacement, score = geometry.register(grids, layout, best.px, best.py)
            centres = geometry.block_centres((flat.shape[0], flat.shape[1]), _BLOCKS)
            warp = warp.plus(turned * geometry.fit_displacement(centres, displacement, score, order))
    return reader.decode(words, scores, how)
