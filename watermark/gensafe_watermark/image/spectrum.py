"""The power spectrum of a residual, and moving a map to where the comb's lines stand in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import fft, ndimage

from gensafe_watermark.image import carrier as tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PAD: Final = 2  # zero-padding: without it lines between two bins would lose over half of their power
_CAP: Final = 8.0  # times the mean: no single line of the picture may decide
_SMOOTH: Final = 0.9  # padded bins, so that the hypothesis grid may be coarse
HIGHEST: Final = 0.47  # cycles per pixel
_CLIMB: Final = (0.013, 0.013, 0.007, 0.007, 0.0035, 0.0035, 0.002)  # step lengths, relative
MOVES: Final = 9 * len(_CLIMB)  # maps looked at on the way up


@dataclass(frozen=True, eq=False)
class Power:
    """Flattened power spectrum; ``sharp`` and ``smooth`` are (rows, columns) over fy (wrapped) and fx >= 0, mean 1."""

    sharp: NDArray[np.float32]
    smooth: NDArray[np.float32]
    rows: int
    columns: int

    @classmethod
    def of(cls, residual: NDArray[np.float32]) -> Power:
        """Power spectrum of a residual (H, W)."""
        rows = fft.next_fast_len(_PAD * residual.shape[0], real=True)
        columns = fft.next_fast_len(_PAD * residual.shape[1], real=True)
        power = np.abs(fft.rfft2(residual, (rows, columns))).astype(np.float32) ** 2
        power /= ndimage.uniform_filter(power, 41, mode=("wrap", "nearest")) + 1e-12
        np.minimum(power, _CAP, out=power)
        smooth = ndimage.gaussian_filter(power, _SMOOTH, mode=("wrap", "nearest"))
        return cls(power, smooth / float(smooth.mean()), rows, columns)

    def at(self, fx: NDArray[np.float64], fy: NDArray[np.float64], smooth: bool = True) -> NDArray[np.float32]:
        """Power at frequencies in cycles per pixel; 0 above the highest usable one."""
        flip = np.where(fx < 0, -1.0, 1.0)
        row = np.rint(fy * flip * self.rows).astype(np.int32) % self.rows
        column = np.minimum(np.rint(fx * flip * self.columns).astype(np.int32), self.sharp.shape[1] - 1)
        value = (self.smooth if smooth else self.sharp)[row, column]
        return np.where(np.maximum(np.abs(fx), np.abs(fy)) < HIGHEST, value, np.float32(0))


def climb(
    power: Power, layout: tiles.Carrier, rough: list[tuple[float, NDArray[np.float64]]]
) -> list[tuple[float, NDArray[np.float64]]]:
    """Candidates of a coarse search moved to the top of their hill, one of each hill."""
    k = tiles.FREQUENCIES[layout.comb].astype(float)
    maps = np.stack([matrix for _, matrix in rough])
    scale = np.sqrt(np.abs(np.linalg.det(maps)))[:, None, None, None]
    unit = np.zeros((9, 2, 2))
    unit[np.arange(1, 9), np.arange(8) // 2 // 2, np.arange(8) // 2 % 2] = np.where(np.arange(8) % 2, 1.0, -1.0)
    every = np.arange(len(maps))
    for step in _CLIMB:
        tried = maps[:, None] + step * scale * unit
        f = k @ tried  # (n, 9, lines, 2)
        score = power.at(f[..., 0], f[..., 1]).sum(axis=-1)
        best = np.argmax(score, axis=1)
        maps = tried[every, best]
    score = score[every, best] - len(k)
    found: list[tuple[float, NDArray[np.float64]]] = []
    for i in np.argsort(-score):
        matrix = maps[i]
        if all(np.abs(matrix - other).max() > 0.008 * float(scale[i, 0, 0, 0]) for _, other in found):
            found.append((float(score[i]), matrix))
    return found


def polish(power: Power, layout: tiles.Carrier, matrix: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Least-squares map through the comb's local spectral peaks.

    Returns:
        (score, matrix): mean excess power at the predicted lines, and the refined map.
    """
    k = tiles.FREQUENCIES[layout.comb].astype(float)
    for reach in (3, 2, 2):
        fx, fy = k @ matrix[:, 0], k @ matrix[:, 1]
        peak_x, peak_y, height = _local_peaks(power, fx, fy, reach)
        weight = np.maximum(height - 2.0, 0.0)
        if np.count_nonzero(weight) < 4:
            break
        off = np.hypot((peak_x - fx) * power.columns, (peak_y - fy) * power.rows)
        weight = weight / (1 + (off / 1.5) ** 2)
        normal = k.T @ (weight[:, None] * k) + 1e-9 * np.eye(2)
        moved = np.linalg.solve(normal, k.T @ (weight[:, None] * np.stack([peak_x, peak_y], axis=1)))
        matrix = moved  # rows: d f / d k, so f = matrix^T k
    value = power.at(k @ matrix[:, 0], k @ matrix[:, 1])
    return float(np.mean(value) - 1), matrix


def _local_peaks(
    power: Power, fx: NDArray[np.float64], fy: NDArray[np.float64], reach: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    steps = np.arange(-reach, reach + 1)
    dy, dx = (a.ravel() for a in np.meshgrid(steps, steps, indexing="ij"))
    sign = np.where(fx < 0, -1.0, 1.0)
    column, row = np.rint(fx * sign * power.columns), np.rint(fy * sign * power.rows)
    columns = np.clip(column[:, None] + dx, 0, power.sharp.shape[1] - 1)
    rows = row[:, None] + dy
    values = power.smooth[rows.astype(int) % power.rows, columns.astype(int)]
    best = np.argmax(values, axis=1)
    every = np.arange(len(best))
    near = (np.abs(dx - dx[best][:, None]) <= 1) & (np.abs(dy - dy[best][:, None]) <= 1)
    mass = np.where(near, np.maximum(values - 1, 0) ** 2, 0) + 1e-12
    centre_x = (mass * columns).sum(1) / mass.sum(1)
    centre_y = (mass * rows).sum(1) / mass.sum(1)
    return sign * centre_x / power.columns, sign * centre_y / power.rows, values[every, best]
