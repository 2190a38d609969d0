"""The embedding rule for one block: how much to raise or lower every chip, given the host.

Three ideas set the amounts. Loud cells decide the signal-to-noise ratio while every cell tells the detector as much, so
quiet cells move more (amplitude ~ energy ** -ALPHA). What the host happens to say about each coded bit is
measured as the detector would, and bits that the host already says well get less (informed embedding). Where the host
is silent there is nothing to modulate, so a low keyed noise is added and switched by the pattern.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe_watermark.audio.features import RELATIVE_FLOOR, flatten_bands, flatten_time, limit
from gensafe_watermark.audio.layout import BANDS, CHIP_HOPS, FRAME, Pattern, band_edges
from gensafe_watermark.payload import CODED_BITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALPHA: Final = 0.65  # exponent, 0..1; by trial on the five tuned clips (docs/watermark-audio.md), not measured alone
BUDGET_DB: Final = 28.2  # of every block before overlapping chips cancel; about 30.5 dB SI-SNR come out
DENSE_DB: Final = 4.0  # how much of that a block of steady noise may spend more, where no cell is quiet
DENSE_VOTE: Final = (0.3, 0.7)  # mean vote of the coded bits at which all and nothing of it is spent
MAX_DB: Final = 4.0  # change of one cell, at strength 1
# change of one cell, so that every cell votes; by trial on the five tuned clips, not measured alone
MIN_DB: Final = 0.15
FILL_DB: Final = -56.0  # carrier noise relative to the loudest block near by, all bands together
FILL_SPARSE_DB: Final = -44.0  # the same where most cells are empty (a tone, clicks) and nothing else can carry
SPARSE: Final = (0.5, 0.8)  # share of empty cells at which the change from one to the other begins and ends
FILL_MIN: Final = 1e-8  # mean square at full scale 1: -80 dBFS
# mean square at full scale 1: -48 dBFS; chosen by trial on the five tuned clips, not measured alone
FILL_MAX: Final = 10**-4.8
FILL_OFF: Final = 0.1  # amplitude of a switched-off carrier
_DB: Final = float(np.log(10) / 20)  # of amplitude in nepers: exp(_DB * x) is a gain of x dB
_WINDOW_POWER: Final = FRAME / 2  # sum of the squared root-Hann window


@dataclass(frozen=True, slots=True)
class Change:
    """What to do to the block's frames: ``spectrum * gain + carrier * fill``."""

    gain: NDArray[np.float32]  # (frames, bins)
    fill: NDArray[np.float32]  # (frames, bins)


def _expand(cells: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """(chips, BANDS) -> (chips * CHIP_HOPS, bins), zero outside the bands."""
    edges = band_edges()
    out = np.zeros((len(cells) * CHIP_HOPS, bins), np.float32)
    out[:, edges[0] : edges[-1]] = np.repeat(np.repeat(cells, CHIP_HOPS, axis=0), np.diff(edges), axis=1)
    return out


def _cells(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(frames, bins) -> (chips, BANDS) means."""
    edges = band_edges()
    by_band = np.add.reduceat(values[:, : edges[-1]], edges[:-1], axis=1) / np.diff(edges).astype(np.float32)
    chips = len(values) // CHIP_HOPS
    means: NDArray[np.float32] = by_band[: chips * CHIP_HOPS].reshape(chips, CHIP_HOPS, BANDS).mean(axis=1)
    return means


def mark_block(
    power: NDArray[np.float32],
    carrier: NDArray[np.float32],
    signs: NDArray[np.float32],
    pattern: Pattern,
    loudness: float,
    strength: float,
) -> Change:
    """Decide the change of one block.

    Args:
        power: (frames, bins) power of the host, summed over channels, of up to BLOCK_CHIPS chips.
        carrier: (frames, bins) power of a unit-variance noise through the same transform.
        signs: (chips, BANDS) wanted sign of every chip.
        pattern: the key's block.
        loudness: mean square of the loudest host near by.
        strength: 1.0 is the shipped setting; amplitudes scale with it.
    """
    chips = len(power) // CHIP_HOPS
    power, carrier = power[: chips * CHIP_HOPS], carrier[: chips * CHIP_HOPS]
    signs, bit = signs[:chips], pattern.bit[:chips]
    bins = power.shape[1]
    energy = _cells(power)
    whole = float(power.sum()) / CHIP_HOPS + 1e-20
    # 1. carrier level of every cell that the host leaves empty
    share = FRAME / 2 / float(band_edges()[-1] - band_edges()[0])  # all of it falls into the bands
    empty = float((energy < loudness * 10 ** (FILL_SPARSE_DB / 10) * share * _WINDOW_POWER).mean())
    fill_db = float(np.interp(empty, SPARSE, (FILL_DB, FILL_SPARSE_DB)))
    level = float(np.clip(loudness * 10 ** (fill_db / 10), FILL_MIN, FILL_MAX)) * strength**2
    missing = np.clip(1 - energy / (level * share * _WINDOW_POWER), 0, 1)
    on = np.sqrt(level * share * missing)
    fill = np.where(signs > 0, on, on * FILL_OFF).astype(np.float32)
    # 2. change of every cell in dB for one unit of push
    reference = float(energy.mean()) + 1e-12
    unit = (energy / reference + 1e-9) ** -ALPHA
    step = _scaled(unit, energy, whole, BUDGET_DB)
    # 3. what the detector would then see of every coded bit
    noise = _expand(fill, bins) ** 2 * carrier
    floor = np.float32(RELATIVE_FLOOR * (float(power.mean()) + level * _WINDOW_POWER) + 1e-12)
    seen = _cells(np.log(power * _expand(np.exp(2 * _DB * step * signs), bins) + noise + floor))
    agree = limit(flatten_time(flatten_bands(seen), 1)) * signs
    held = bit >= 0
    count = np.bincount(bit[held], minlength=CODED_BITS)
    vote = np.bincount(bit[held], agree[held], minlength=CODED_BITS) / np.sqrt(np.maximum(count, 1))
    # 4. more for the bits that the host gainsays, and for a host that masks everything
    weight = np.clip(np.exp(0.35 * (vote.mean() - vote)), 0.3, 2.2)
    each = np.where(held, weight[bit], 1.0).astype(np.float32)
    extra = float(np.interp(vote.mean(), DENSE_VOTE, (DENSE_DB, 0.0)))
    step = _scaled(unit * each, energy, whole, BUDGET_DB - extra) * np.float32(strength)
    gain = _expand((step * signs * _DB).astype(np.float32), bins)
    return Change(np.exp(gain) - 1, _expand(fill, bins))


def _scaled(
    unit: NDArray[np.float32], energy: NDArray[np.float32], whole: float, budget_db: float
) -> NDArray[np.float32]:
    """Changes in dB, scaled so that together they lie ``budget_db`` under the host, within MIN_DB..MAX_DB each."""
    widths = np.diff(band_edges())
    allowed = whole * 10 ** (-budget_db / 10)
    scale = 1.0
    for _ in range(8):  # limiting the quiet cells frees energy for the rest
        step = np.clip(unit * scale, MIN_DB, MAX_DB)
        used = float((energy * widths * np.expm1(_DB * step) ** 2).sum()) + 1e-20
        scale *= float(np.sqrt(allowed / used))
    amounts: NDArray[np.float32] = np.clip(unit * scale, MIN_DB, MAX_DB).astype(np.float32)
    return amounts
