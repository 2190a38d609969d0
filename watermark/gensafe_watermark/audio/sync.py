"""Finding the block grid: correlation of the keyed synchronisation chips over every lag, at many scales.

A clip may have been cut anywhere, resampled to another speed (time and pitch together), stretched (time alone) or
pitched (pitch alone). Those three lines through the scale plane are searched, never the whole plane.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from gensafe_watermark.audio.features import STEPS_PER_CHIP, ScaledCells
from gensafe_watermark.audio.layout import BLOCK_CHIPS, Pattern

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_ROWS: Final = BLOCK_CHIPS * STEPS_PER_CHIP
PERIOD: Final = 2 * BLOCK_ROWS  # a block and its negative


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One way the clip may have been scaled and cut. ``z`` is the folded correlation in standard deviations."""

    tempo: float
    pitch: float
    lag: int  # rows; where in the (block, negated block) period the clip begins, 0..PERIOD-1
    z: float


class Correlator:
    """Correlation of one key's synchronisation chips with clips, the keyed spectrum computed once per length."""

    def __init__(self, plan: Pattern) -> None:
        self._sync = plan.sync
        self._size = 0
        self._spectrum: NDArray[np.complex64] = np.zeros((0, 0), np.complex64)

    def __call__(self, cells: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of a block that begins at every row, partial ones included.

        Args:
            cells: (rows, BANDS) whitened.

        Returns:
            (rows + BLOCK_ROWS,): entry ``i`` is for a block that begins at row ``i - BLOCK_ROWS``.
        """
        rows = len(cells)
        needed = rows + 2 * BLOCK_ROWS
        if not needed <= self._size <= 2 * needed:
            self._size = next_fast_len(needed + BLOCK_ROWS // 2, real=True)
            comb = np.zeros((self._sync.shape[1], self._size), np.float32)
            comb[:, :BLOCK_ROWS:STEPS_PER_CHIP] = self._sync.T
            self._spectrum = np.conj(rfft(comb, axis=1))
        padded = np.zeros((cells.shape[1], self._size), np.float32)
        padded[:, BLOCK_ROWS : BLOCK_ROWS + rows] = cells.T
        product = np.einsum("bf,bf->f", rfft(padded, axis=1), self._spectrum)
        return irfft(product, self._size)[: rows + BLOCK_ROWS].astype(np.float32)  # type: ignore[no-any-return]


def fold(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Add up blocks and negated blocks for every lag: (PERIOD,) in standard deviations of an unmarked clip.

    Lag ``l`` means that a non-negated block begins ``l`` rows before the clip does.
    """
    count = -(-len(scores) // BLOCK_ROWS)
    padded = np.zeros(count * BLOCK_ROWS, np.float32)
    padded[: len(scores)] = scores
    table = padded.reshape(count, BLOCK_ROWS)
    signs = (-1.0) ** np.arange(count, dtype=np.float32)
    folded = (table * signs[:, None]).sum(axis=0)
    # entry r of table row 0 is a block that begins at row r - BLOCK_ROWS: lag BLOCK_ROWS - r
    by_lag = np.concatenate([folded[1:][::-1], folded[:1]])  # lags 1..BLOCK_ROWS
    spread = 1.4826 * float(np.median(np.abs(by_lag))) + 1e-9
    z = by_lag / np.float32(spread)
    full = np.concatenate([z, -z])  # lags 1..2*BLOCK_ROWS; half a period later the sign turns
    return np.roll(full, 1)


def scales() -> Iterator[tuple[float, float]]:
    """(tempo, pitch) pairs on the speed, tempo and pitch lines, near ones first; the tempo line shares a pitch."""
    factors = [1.003 ** (side * k) for k in range(1, 84) for side in (1, -1)]
    factors = [factor for factor in factors if 0.79 <= factor <= 1.27]
    yield from ((factor, 1.0) for factor in factors)
    yield from ((factor, factor) for factor in factors)
    for k in range(1, 25):
        for side in (1, -1):
            yield 1.0, 2 ** (side * k / 96)  # eighths of a semitone, three semitones each way


def best(
    cells: NDArray[np.float32], correlator: Correlator, tempo: float, pitch: float, count: int = 1
) -> list[Hypothesis]:
    """The strongest lags at one scale."""
    if len(cells) == 0:
        return []
    z = fold(correlator(cells))
    found = []
    for _ in range(count):
        lag = int(np.argmax(z))
        found.append(Hypothesis(tempo, pitch, lag, float(z[lag])))
        near = (np.arange(-STEPS_PER_CHIP, STEPS_PER_CHIP + 1) + lag) % PERIOD
        z[near] = -np.inf
    return found


def refine(cells: ScaledCells, correlator: Correlator, start: Hypothesis) -> Hypothesis:
    """Improve the time scale (and with it the pitch, on the speed line) around a coarse hit."""
    top = start
    for width in (0.001, 0.0004):
        centre = top
        for k in (-2, -1, 1, 2):
            factor = 1 + k * width
            tempo = centre.tempo * factor
            pitch = centre.pitch * factor if centre.pitch == centre.tempo else centre.pitch
            top = max([top, *best(cells.at(tempo, pitch), correlator, tempo, pitch)], key=lambda h: h.z)
    return top


def folded_cells(cells: NDArray[np.float32], lag: int) -> NDArray[np.float32]:
    """Sum of all blocks of a grid, negated ones turned: (BLOCK_CHIPS, BANDS)."""
    total = np.zeros((BLOCK_CHIPS, cells.shape[1]), np.float32)
    padded = np.pad(cells, ((BLOCK_ROWS, BLOCK_ROWS), (0, 0)))
    begin, sign = -lag, 1.0
    while begin < len(cells):
        if begin > -BLOCK_ROWS:
            at = begin + BLOCK_ROWS
            total += np.float32(sign) * padded[at : at + BLOCK_ROWS : STEPS_PER_CHIP]
        begin, sign = begin + BLOCK_ROWS, -sign
    return total


def exact_z(cells: NDArray[np.float32], plan: Pattern, lag: int) -> float:
    """Correlation of the folded clip with the keyed signs, in its own standard deviations.

    Given the clip, the signs of an unrelated key are independent fair coins, so this is a normalised Rademacher sum:
    its tail is at most 3.18 times the Gaussian one (Pinelis 1994), whatever the clip is. No calibration is involved.
    """
    folded = folded_cells(cells, lag)[plan.sync != 0]
    power = float((folded.astype(np.float64) ** 2).sum())
    return float((folded * plan.sync[plan.sync != 0]).sum()) / np.sqrt(power) if power > 0 else 0.0
