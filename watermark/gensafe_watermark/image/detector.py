"""The detector: cheapest step first, stopping at the first payload whose MAC holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gensafe.core.types import Detection, MarkLevel
from gensafe_watermark.image import carrier as tiles
from gensafe_watermark.image.layout import MIN_SIDE, TILES, reduction
from gensafe_watermark.image.perception import reduce_by
from gensafe_watermark.image.reading import Reader
from gensafe_watermark.image.residual import residual

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


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
    if min(planes[0].shape) < MIN_SIDE // 2:
        return Detection(MarkLevel.UNDECIDABLE, None, 1.0, scheme, 1, {"reason": "too small to tell"})
    reader = Reader(key, medium, scheme)
    # 1. the nominal grid: unchanged, re-encoded, scaled, turned by quarters, mirrored
    found = reader.read(nominal_grids(planes), "nominal")
    return found or reader.give_up()
