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

from gensafe_watermark.image import carrier as tiles
from gensafe_watermark.image.spectrum import HIGHEST, MOVES, Power, climb

if TYPE_CHECKING:
    from numpy.typing import NDArray

# 0.75 % of a frequency; by trial on the tuning pictures (docs/watermark-image.md), not measured alone
_LOG_STEP: Final = 0.0075
_ANGLE_STEP: Final = np.pi / 480  # radians, 0.375 degrees: across a circle about as far as _LOG_STEP along its radius
_ASPECT: Final = 0.36  # largest |log(sx / sy)|
_BEND: Final = 0.027  # step of general linear maps: half of it moves a line of a window by less than its width
_STRETCHES: Final = _BEND * np.arange(-3, 10)  # perspective inside a picture's own canvas makes things smaller
_SHEAR: Final = 0.09  # the most, for a square; a wide picture's uprights lean further than its level lines
_SCALE_STEP: Final = 0.0025  # 0.25 %; finer, as one axis alone is searched; by trial, not measured alone
_FEW: Final = 4  # candidates kept of each layout and orientation, before they climb


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
    count = int((np.log(HIGHEST) - lowest) / _LOG_STEP)
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
    scales = int(np.log(sides[1] / sides[0]) / _LOG_STEP)
    reach = round(np.log(tiles.RADIUS) / _LOG_STEP) + 2
    aspect = round(_ASPECT / _LOG_STEP)
    # a chart over log |fy| and log(fx / |fy|): only maps of a likely aspect are ever looked at
    fy = np.exp(lowest + _LOG_STEP * np.arange(scales + reach))[:, None]
    fx = fy * np.exp(_LOG_STEP * np.arange(-reach - aspect, reach + aspect + 1))
    inside = np.maximum(fx, fy) < HIGHEST
    charts = [np.where(inside, power.at(fx, sign * fy) - 1, np.float32(0)) for sign in (1.0, -1.0)]
    found: list[Candidate] = []
    for layout in carriers:
        k = tiles.FREQUENCIES[layout.comb].astype(float)
        for swap in (False, True):
            for mirror in (1.0, -1.0):
                score = np.zeros((scales, 2 * aspect + 1), np.float32)
                for x, y in k:
                    kx, ky = (y, x) if swap else (x, y)
                    if kx == 0 or ky == 0:
                        continue
                    i, j = round(np.log(abs(ky)) / _LOG_STEP), round(np.log(abs(kx)) / _LOG_STEP)
                    chart = charts[0] if mirror * kx * ky > 0 else charts[1]
                    score += chart[i : i + scales, reach + j - i : reach + j - i + 2 * aspect + 1]
                for value, i, j in _peaks(score, keep):
                    sy = np.exp(lowest + _LOG_STEP * i)
                    sx = sy * np.exp(_LOG_STEP * (j - aspect))
                    transposed = np.diag([mirror * sx, sy]) @ (np.array([[0, 1], [1, 0]]) if swap else np.eye(2))
                    found.append(Candidate(value, layout.variant, transposed.T))
    examined = float(len(carriers) * 4 * 2 * scales * (2 * aspect + 1))
    return sorted(found, key=lambda c: -c.score)[:keep], examined


def distortions(
    power: Power, carriers: list[tiles.Carrier], sides: tuple[float, ...], keep: int
) -> tuple[list[Candidate], float]:
    """Best general linear maps near the nominal tile sizes ``sides``: what perspective looks like in one window."""
    full = np.concatenate([power.smooth, power.smooth[(-np.arange(power.rows)) % power.rows, :0:-1]], axis=1)
    wide = full.shape[1]  # columns 0..wide-1 hold fx = 0 .. +, then - .. 0
    level, lean = (
        tuple(v.ravel() for v in np.meshgrid(_STRETCHES, _shears(ratio), indexing="ij"))
        for ratio in (power.rows / power.columns, power.columns / power.rows)
    )
    found: list[Candidate] = []
    examined = 0.0
    for layout in carriers:
        k = tiles.FREQUENCIES[layout.comb].astype(float)
        rough: list[tuple[float, NDArray[np.float64]]] = []
        for side in sides:
            for orientation in range(4):  # power does not tell half turns apart
                turn = np.array([[0, -1], [1, 0]]) if orientation % 2 else np.eye(2)
                turn = turn @ np.diag([-1.0 if orientation >= 2 else 1.0, 1.0])
                x, y = (k @ turn.T / side).T
                column = np.outer(1 + level[0], x) + np.outer(level[1], y)
                row = np.outer(1 + lean[0], y) + np.outer(lean[1], x)
                column = np.rint(column * power.columns).astype(np.int32) % wide
                row = np.rint(row * power.rows).astype(np.int32) % power.rows
                score = np.zeros((len(row), len(column)), np.float32)
                for line in range(len(k)):
                    score += full[row[:, line][:, None], column[:, line][None, :]]
                examined += 2 * score.size
                for best in np.argpartition(score, -_FEW, axis=None)[-_FEW:]:
                    i, j = divmod(int(best), score.shape[1])
                    bent = np.array([[1 + level[0][j], level[1][j]], [lean[1][i], 1 + lean[0][i]]]) @ turn / side
                    rough.append((float(score[i, j]), bent.T))
        examined += 2 * MOVES * len(rough)
        found += [Candidate(z, layout.variant, matrix) for z, matrix in climb(power, layout, rough)]
    return sorted(found, key=lambda c: -c.score)[:keep], examined


def _shears(ratio: float) -> NDArray[np.float64]:
    reach = round(_SHEAR * ratio / _BEND)
    return np.asarray(_BEND * np.arange(-reach, reach + 1), float)


def scales(
    power: Power, carriers: list[tiles.Carrier], sides: tuple[float, ...], keep: int
) -> tuple[list[Candidate], float]:
    """Best single scales without a turn (quarter turns and mirrorings included), finely: what crops ask for."""
    per_pixel = 1 / np.exp(np.arange(np.log(sides[0]), np.log(sides[1]), _SCALE_STEP))
    found: list[Candidate] = []
    for layout in carriers:
        kx, ky = tiles.FREQUENCIES[layout.comb].astype(float).T
        best = np.zeros(len(per_pixel))
        for x, y in ((kx, ky), (-kx, ky), (ky, kx), (-ky, kx)):
            value = power.at(per_pixel[:, None] * x, per_pixel[:, None] * y)
            best = np.maximum(best, value.sum(axis=1) - len(kx))
        for _ in range(keep):
            i = int(np.argmax(best))
            found.append(Candidate(float(best[i]), layout.variant, per_pixel[i] * np.eye(2)))
            best[max(0, i - 2) : i + 3] = -np.inf
    return sorted(found, key=lambda c: -c.score)[:keep], float(len(carriers) * tiles.ORIENTATIONS * len(per_pixel))


def _peaks(score: NDArray[np.float32], keep: int) -> list[tuple[float, int, int]]:
    work, out = score.copy(), []
    for _ in range(keep):
        i, j = np.unravel_index(int(np.argmax(work)), work.shape)
        out.append((float(work[i, j]), int(i), int(j)))
        work[max(0, i - 3) : i + 4, max(0, j - 4) : j + 5] = -1e9
    return out
