"""Where the mark lives: a keyed block of time-frequency chips, the same at every sample rate.

A block is 60 chips of 32 ms (1.92 s) by 60 frequency bands between 0.3 and 6 kHz. One chip in five is a synchronisation
chip with a keyed sign; the others carry the coded bits, spread over the block by a keyed permutation and multiplied by
keyed signs. Blocks follow each other, every second one negated, so that steady host energy cancels over a pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe_watermark import payload as payload_code
from gensafe_watermark import prf

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEDIUM: Final = "audio"
SCHEME: Final = "audio-chips-1"
RATE: Final = 16_000  # the working rate; every input is brought to it
FRAME: Final = 512  # 32 ms: short enough for speech, 31 Hz per bin
HOP: Final = FRAME // 2  # samples: half a frame, at which squared root-Hann windows add up to one
CHIP_HOPS: Final = 2  # 32 ms a chip, a whole frame. Part of the scheme: files that are marked depend on it
CHIP: Final = CHIP_HOPS * HOP  # samples
BLOCK_CHIPS: Final = 60  # 1.92 s: clips of two seconds hold one. Part of the scheme; chosen by trial on the tuned clips
BLOCK: Final = BLOCK_CHIPS * CHIP  # samples; 1.92 s
# 3,600 chips with BLOCK_CHIPS, about 5.6 for a coded bit. Part of the scheme; chosen by trial on the tuned clips
BANDS: Final = 60
LOW_HZ: Final = 312.5  # under it a telephone passes nothing
# Hz; low-rate coders keep little above it. Part of the scheme; chosen by trial on the tuned clips
HIGH_HZ: Final = 6000.0
# one chip in five is for synchronisation. Part of the scheme; chosen by trial on the tuned clips
_SYNC_SHARE: Final = 5
_WARP_BINS: Final = 22.0  # bands widen above 22 bins (690 Hz), as the ear's do


@lru_cache(maxsize=1)
def band_edges() -> NDArray[np.intp]:
    """STFT bins at which bands begin, and the end of the last: (BANDS + 1,), every band two bins or more wide."""
    low, high = LOW_HZ * FRAME / RATE, HIGH_HZ * FRAME / RATE
    warped = np.linspace(np.log1p(low / _WARP_BINS), np.log1p(high / _WARP_BINS), BANDS + 1)
    edges = np.round(np.expm1(warped) * _WARP_BINS).astype(np.intp)
    for i in range(BANDS):  # rounding may leave one bin: push the next edge up
        edges[i + 1] = max(edges[i + 1], edges[i] + 2)
    return edges


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """What a key fixes about a block."""

    key: bytes
    sync: NDArray[np.float32]  # (BLOCK_CHIPS, BANDS) -1/+1 at synchronisation chips, 0 elsewhere
    bit: NDArray[np.intp]  # (BLOCK_CHIPS, BANDS) index of the coded bit, -1 at synchronisation chips
    sign: NDArray[np.float32]  # (BLOCK_CHIPS, BANDS) keyed sign of every chip

    def chips(self, coded: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Wanted sign of every chip: coded bit 0 is +1, times the chip's keyed sign."""
        value = 1.0 - 2.0 * coded.astype(np.float32)
        wanted = np.where(self.bit >= 0, value[self.bit], 1.0) * self.sign
        return wanted.astype(np.float32)


@lru_cache(maxsize=32)
def pattern(key: bytes) -> Pattern:
    """The block of a key.

    Raises:
        KeyError_: ``key`` is not 32 bytes.
    """
    count = BLOCK_CHIPS * BANDS
    order = prf.permutation(key, count, "chips", MEDIUM)
    sign = prf.signs(key, (BLOCK_CHIPS, BANDS), "signs", MEDIUM)
    bit = np.full(count, -1, np.intp)
    data = order[count // _SYNC_SHARE :]
    bit[data] = np.arange(len(data)) % payload_code.CODED_BITS
    grid = bit.reshape(BLOCK_CHIPS, BANDS)
    return Pattern(key=key, sync=np.where(grid < 0, sign, 0).astype(np.float32), bit=grid, sign=sign)
