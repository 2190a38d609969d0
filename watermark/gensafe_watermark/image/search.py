"""Find scale, turn and aspect of the tile lattice from the power spectrum of a residual.

The comb's lines stand at known frequencies times an unknown linear map; their power does not depend on any shift. In
a log-polar picture of the power spectrum a scale and a turn become a shift, in a log-log picture two separate scales
do; so the sum over all lines, for every hypothesis at once, is a sum of shifted copies of one picture (after
O'Ruanaidh and Pun, Signal Processing 66(3), 1998, and Pereira and Pun, IEEE Trans. IP 9(6), 2000).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import fft, ndimage

from gensafe_watermark.image import carrier as tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PAD: Final = 2
_CAP: Final = 8.0  # times the mean: no single line of the picture may decide
_SMOOTH: Final = 0.9  # padded bins, so that the hypothesis grid may be coarse
_LOG_STEP: Final = 0.005
_ANGLE_STEP: Final = np.pi / 720
_HIGHEST: Final = 0.47  # cycles per pixel
_ASPECT: Final = 0.36  # largest |log(sx / sy)|
_STRETCHES: Final = np.arange(-6, 7) * 0.027
_SHEARS: Final = np.arange(-3, 4) * 0.027


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
        return np.where(np.maximum(np.abs(fx), np.abs(fy)) < _HIGHEST, value, np.float32(0))


@dataclass(frozen=True, eq=False)
class Candidate:
    """A linear map (2, 2), tiles per pixel up to a half turn, for one carrier variant."""

    score: float
    variant: int
    matrix: NDArray[np.float64]


Method = Callable[[Power, list[tiles.Carrier], tuple[float, ...], int], tuple[list[Candidate], float]]
"""(power, carriers, tile sides, candidates kept) -> candidates, and how many were examined."""


def similarities(
    power: Power, carriers: list[tiles.Carrier], sides: tuple[float, ...], keep: int
) -> tuple[list[Candidate], float]:
    """Best uniform scales, turns and mirrorings, for tile sides between ``sides`` pixels."""
    lowest = np.log(tiles.COMB_BAND[0] / sides[1])
    count = int((np.log(_HIGHEST) - lowest) / _LOG_STEP)
    turns = round(np.pi / _ANGLE_STEP)
    radius = np.exp(lowest + _LOG_STEP * np.arange(count))
    angle = _ANGLE_STEP * np.arange(turns)
    polar = power.at(radius[:, None] * np.cos(angle), radius[:, None] * np.sin(angle)) - 1
    polar = np.pad(polar, ((0, round(np.log(tiles.COMB_BAND[1] / tiles.COMB_BAND[0]) / _LOG_STEP) + 2), (0, 0)))
    smallest = np.log(1 / sides[1])  # log of the lowest frequency of one cycle per tile
    scales = int(np.log(sides[1] / sides[0]) / _LOG_STEP)
    found: list[Candidate] = []
    for layout in carriers:
        k = tiles.FREQUENCIES[layout.comb].astype(float)
        for mirror in (1.0, -1.0):
            score = np.zeros((scales, turns), np.float32)
            for kx, ky in k:
                bearing = round(np.arctan2(ky, mirror * kx) / _ANGLE_STEP)
                first = round((smallest + np.log(np.hypot(kx, ky)) - lowest) / _LOG_STEP)
                score += np.roll(polar[first : first + scales], -bearing, axis=1)
            for value, i, j in _peaks(score, keep):
                turn, per_pixel = _ANGLE_STEP * j, float(np.exp(smallest + _LOG_STEP * i))
                # f = B^T k  with  B^T = per_pixel * rotation(turn) * diag(mirror, 1)
                rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
                found.append(Candidate(value, layout.variant, (per_pixel * rotation @ np.diag([mirror, 1.0])).T))
    examined = float(len(carriers) * 2 * 2 * scales * turns)  # the last 2: half turns
    return sorted(found, key=lambda c: -c.score)[:keep], examined


def stretches(
    power: Power, carriers: list[tiles.Carrier], sides: tuple[float, ...], keep: int
) -> tuple[list[Candidate], float]:
    """Best pairs of horizontal and vertical scale without a turn (quarter turns and mirrorings included)."""
    lowest = np.log(1 / sides[1])
    count = int((np.log(_HIGHEST) - lowest) / _LOG_STEP)
    axis = np.exp(lowest + _LOG_STEP * np.arange(count))
    extra = round(np.log(tiles.RADIUS) / _LOG_STEP) + 2
    maps = [
        np.pad(power.at(axis[None, :], sign * axis[:, None]) - 1, ((0, extra), (0, extra))) for sign in (1.0, -1.0)
    ]  # [row: log |fy|, column: log fx]; same or opposite sign
    scales = int(np.log(sides[1] / sides[0]) / _LOG_STEP)
    row, column = np.arange(scales)[:, None], np.arange(scales)[None, :]
    allowed = np.abs(row - column) * _LOG_STEP <= _ASPECT
    found: list[Candidate] = []
    for layout in carriers:
        k = tiles.FREQUENCIES[layout.comb].astype(float)
        for swap in (False, True):
            for mirror in (1.0, -1.0):
                score = np.zeros((scales, scales), np.float32)
                for kx, ky in k:
                    fx, fy = (ky, kx) if swap else (kx, ky)
                    if fx == 0 or fy == 0:
                        continue
                    chart = maps[0] if mirror * fx * fy > 0 else maps[1]
                    i, j = round(np.log(abs(fy)) / _LOG_STEP), round(np.log(abs(fx)) / _LOG_STEP)
                    score += chart[i : i + scales, j : j + scales]
                score[~allowed] = -1e9
                for value, i, j in _peaks(score, keep):
                    sx, sy = np.exp(lowest + _LOG_STEP * j), np.exp(lowest + _LOG_STEP * i)
                    transposed = np.diag([mirror * sx, sy]) @ (np.array([[0, 1], [1, 0]]) if swap else np.eye(2))
                    found.append(Candidate(value, layout.variant, transposed.T))
    examined = float(len(carriers) * 4 * 2 * np.count_nonzero(allowed))
    return sorted(found, key=lambda c: -c.score)[:keep], examined


def distortions(
    power: Power, carriers: list[tiles.Carrier], sides: tuple[float, ...], keep: int
) -> tuple[list[Candidate], float]:
    """Best general linear maps near the nominal tile sizes ``sides``: what perspective looks like in one window."""
    full = np.concatenate([power.smooth, power.smooth[(-np.arange(power.rows)) % power.rows, :0:-1]], axis=1)
    wide = full.shape[1]  # columns 0..wide-1 hold fx = 0 .. +, then - .. 0
    stretch, shear = np.meshgrid(_STRETCHES, _SHEARS, indexing="ij")
    stretch, shear = stretch.ravel(), shear.ravel()
    found: list[Candidate] = []
    examined = 0.0
    for side in sides:
        for layout in carriers:
            k = tiles.FREQUENCIES[layout.comb].astype(float)
            for orientation in range(4):  # power does not tell half turns apart
                turn = np.array([[0, -1], [1, 0]]) if orientation % 2 else np.eye(2)
                turn = turn @ np.diag([-1.0 if orientation >= 2 else 1.0, 1.0])
                x, y = (k @ turn.T / side).T
                column = (
                    np.rint((np.outer(1 + stretch, x) + np.outer(shear, y)) * power.columns).astype(np.int32) % wide
                )
                row = (
                    np.rint((np.outer(1 + stretch, y) + np.outer(shear, x)) * power.rows).astype(np.int32) % power.rows
                )
                score = np.zeros((len(stretch), len(stretch)), np.float32)
                for line in range(len(k)):
                    score += full[row[:, line][:, None], column[:, line][None, :]] - 1
                examined += 2 * score.size
                for _ in range(2):
                    i, j = np.unravel_index(int(np.argmax(score)), score.shape)
                    bent = np.array([[1 + stretch[j], shear[j]], [shear[i], 1 + stretch[i]]]) @ turn / side
                    found.append(Candidate(float(score[i, j]), layout.variant, bent.T))
                    score[i, j] = -1e9
    return sorted(found, key=lambda c: -c.score)[:keep], examined


def _peaks(score: NDArray[np.float32], keep: int) -> list[tuple[float, int, int]]:
    work, out = score.copy(), []
    for _ in range(keep):
        i, j = np.unravel_index(int(np.argmax(work)), work.shape)
        out.append((float(work[i, j]), int(i), int(j)))
        work[max(0, i - 4) : i + 5, max(0, j - 6) : j + 7] = -1e9
    return out


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
