"""Which parts of a copy are not those of the original: brightness and detail of small tiles, beside the fingerprint.

``layout-16`` and PDQ are made to survive re-encoding, and pass over thin strokes, captions and small boxes. Here each
tile keeps its mean (a painted box changes it) and its spread (writing adds to it; coding and scaling only take away). A
change of brightness or contrast of the whole picture is fitted first and is nothing odd.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.media.fingerprint.parts import Part
from gensafe.media.fingerprint.resize import area_resize

TILE: Final = 8  # pixels; the tests of fingerprint_detail see a box of 24 px and captions at this size
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_SPREAD_SCALE: Final = 2.0  # spreads are 0..127 levels, kept in a byte
# chosen on 7 photographs of BSDS500 and 3 drawings, 256 to 481 px: JPEG 50 to 90, half to double size, brighter,
# blurred and sharpened copies have 0 or 1 odd tiles of 1,024; a black box of 24 px 2 to 15, captions 0 to 97
_MEAN_MIN: Final = 14.0
_MEAN_SLOPE: Final = 0.35  # of the range among the neighbours: an edge moves by parts of a pixel in scaling
_SPREAD_MIN: Final = 9.0  # as _MEAN_MIN, on as the line above pictures
_SPREAD_SLOPE: Final = 0.6  # of the largest spread among the neighbours
TILES_MIN: Final = 2  # one odd tile alone is what clipping of a brightened picture can do
_MOVED_SHARE: Final = 0.35  # more odd tiles than this, with no detail added: the picture was moved, not edited


def detail(pixels: NDArray[np.uint8], grid: int) -> bytes:
    """Mean and spread of luminance of ``grid`` x ``grid`` tiles: grid * grid * 2 bytes, row by row.

    Args:
        pixels: uint8 (H, W, 3).
        grid: Tiles on a side.
    """
    side = grid * TILE
    luma = area_resize(pixels, side, side) @ _LUMA
    tiles = luma.reshape(grid, TILE, grid, TILE).swapaxes(1, 2).reshape(grid, grid, -1)
    spread = np.minimum(tiles.std(axis=-1) * _SPREAD_SCALE, 255)
    values: NDArray[np.uint8] = np.rint(np.stack([tiles.mean(axis=-1), spread], -1)).astype(np.uint8)
    return values.tobytes()


def odd_tiles(known: bytes, other: bytes, grid: int) -> NDArray[np.bool_]:
    """Where ``other`` is not as ``known``: bool (grid, grid). All False where the picture was moved as a whole."""
    (mean, spread), (mean_b, spread_b) = (_read(raw, grid) for raw in (known, other))
    fitted, gain = _fit(mean, mean_b)
    spread = spread * max(gain, 1.0)
    changed = np.abs(mean_b - fitted) - (_MEAN_MIN + _MEAN_SLOPE * (_around(fitted, np.max) - _around(fitted, np.min)))
    added = spread_b - spread
    odd: NDArray[np.bool_] = (changed > 0) | (added > _SPREAD_MIN + _SPREAD_SLOPE * _around(spread, np.max))
    moved = odd.mean() > _MOVED_SHARE and np.median(added) < _SPREAD_MIN
    return np.zeros_like(odd) if moved or odd.sum() < TILES_MIN else odd


def areas(odd: NDArray[np.bool_], start_s: float = 0.0, end_s: float = 0.0) -> list[Part]:
    """The connected areas of odd tiles as boxes, largest first."""
    grid = len(odd)
    left = {(int(y), int(x)) for y, x in np.argwhere(odd)}
    found: list[tuple[int, Part]] = []
    while left:
        todo, seen = [left.pop()], []
        while todo:
            y, x = todo.pop()
            seen.append((y, x))
            near = {(y + j, x + i) for j in (-1, 0, 1) for i in (-1, 0, 1)} & left
            left -= near
            todo += near
        ys, xs = zip(*seen, strict=True)
        box = (min(xs) / grid, min(ys) / grid, (max(xs) + 1) / grid, (max(ys) + 1) / grid)
        found.append((len(seen), Part("area", *box, start_s=start_s, end_s=end_s)))
    return [part for _, part in sorted(found, key=lambda item: -item[0])]


def _read(raw: bytes, grid: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = np.frombuffer(raw, np.uint8).reshape(grid, grid, 2).astype(np.float64)
    return values[..., 0], values[..., 1] / _SPREAD_SCALE


def _fit(known: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """``known`` with the gain and offset of the whole picture that bring it nearest to ``other``; outliers left out."""
    x, y = known.ravel(), other.ravel()
    kept = np.ones(x.size, bool)
    gain, offset = 1.0, float(np.median(y - x))
    for _ in range(3):
        gap = np.abs(y - (gain * x + offset))
        kept = gap <= np.quantile(gap, 0.8)
        if np.ptp(x[kept]) < 8:
            gain, offset = 1.0, float(np.median(y[kept] - x[kept]))
        else:
            slope, intercept = np.polyfit(x[kept], y[kept], 1)
            gain = float(np.clip(slope, 0.6, 1.6))
            offset = float(np.median(y[kept] - gain * x[kept])) if gain != slope else float(intercept)
    return np.clip(gain * known + offset, 0, 255), gain


def _around(values: NDArray[np.float64], pick: Callable[..., Any]) -> NDArray[np.float64]:
    """The largest or smallest value of each tile and its eight neighbours."""
    wide = np.pad(values, 1, mode="edge")
    shifts = [wide[j : j + len(values), i : i + len(values)] for j in range(3) for i in range(3)]
    found: NDArray[np.float64] = pick(np.stack(shifts), axis=0)
    return found
