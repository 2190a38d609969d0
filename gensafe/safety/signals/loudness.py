"""Programme loudness and true peak.

Sources: ITU-R BS.1770-5 (K weighting, gating, true peak by four-fold oversampling), EBU R 128 and EBU Tech 3341
(momentary 0.4 s, short-term 3 s). The two filters are given by BS.1770 for 48 kHz only; here they are derived for any
rate from the analogue prototypes (B. De Man, "Evaluation of implementations of the EBU R128 loudness measurement",
2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log10, pi, tan
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly, sosfilt

_BLOCK_S: Final = 0.4  # seconds of a gating block, three quarters overlapped: BS.1770-5
_ABSOLUTE_GATE: Final = -70.0  # LUFS: BS.1770-5
_RELATIVE_GATE: Final = -10.0  # LU below the mean of what passes the absolute gate: BS.1770-5


@dataclass(frozen=True, slots=True)
class Loudness:
    """Levels of one sound. ``-inf`` where there was nothing above the gate."""

    integrated_lufs: float
    momentary_max_lufs: float
    true_peak_dbtp: float
    jump_lu: float  # largest rise of momentary loudness within a second, from a level above -50 LUFS or from silence
    jump_at_s: float


def k_filter(rate: int) -> NDArray[np.float64]:
    """The K weighting as second-order sections (2, 6) for ``rate`` Hz."""
    k = tan(pi * 1681.974450955533 / rate)
    q, gain = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    middle = gain**0.4996667741545416
    norm = 1 + k / q + k * k
    shelf = [
        (gain + middle * k / q + k * k) / norm,
        2 * (k * k - gain) / norm,
        (gain - middle * k / q + k * k) / norm,
        1.0,
        2 * (k * k - 1) / norm,
        (1 - k / q + k * k) / norm,
    ]
    k = tan(pi * 38.13547087602444 / rate)
    q = 0.5003270373238773
    norm = 1 + k / q + k * k
    high_pass = [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm]
    return np.array([shelf, high_pass])


def channel_weights(channels: int) -> NDArray[np.float64]:
    """BS.1770 weights in the order of the layouts of ``gensafe.media``: surrounds 1.41, low-frequency channel 0."""
    weights = np.ones(channels)
    if channels == 4:
        weights[2:] = 1.41
    elif channels == 5:
        weights[3:] = 1.41
    elif channels >= 6:
        weights[3], weights[4:] = 0.0, 1.41
    return weights


def measure_loudness(samples: NDArray[np.float32], rate: int) -> Loudness:
    """Measure float samples (channels, n) at ``rate`` Hz. A sound shorter than 0.4 s is one block."""
    power = weighted_power(samples, rate)
    hop = max(1, round(_BLOCK_S / 4 * rate))
    blocks = _sliding_mean(power, round(_BLOCK_S * rate), hop)
    levels = _lufs(blocks)
    jump, where = _largest_jump(levels)
    return Loudness(
        integrated_lufs=_gated(blocks, levels),
        momentary_max_lufs=float(levels.max()),
        true_peak_dbtp=true_peak(samples, rate),
        jump_lu=jump,
        jump_at_s=where * hop / rate,
    )


def weighted_power(samples: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """Sum over channels of the squared K-weighted signal, (n,)."""
    shaped = sosfilt(k_filter(rate), samples.astype(np.float64), axis=1)
    total: NDArray[np.float64] = channel_weights(samples.shape[0]) @ (shaped * shaped)
    return total


def true_peak(samples: NDArray[np.float32], rate: int) -> float:
    """Highest level between the samples too, dBTP (BS.1770-5 annex 2); -inf for digital silence."""
    factor = 4 if rate < 96_000 else 2 if rate < 192_000 else 1
    peak = float(np.abs(samples).max(initial=0.0))
    if factor > 1:
        for channel in samples:
            peak = max(peak, float(np.abs(resample_poly(channel.astype(np.float64), factor, 1)).max(initial=0.0)))
    return 20 * log10(peak) if peak > 0 else -inf


def _sliding_mean(power: NDArray[np.float64], window: int, hop: int) -> NDArray[np.float64]:
    window = min(window, power.size)
    total = np.concatenate([[0.0], np.cumsum(power)])
    starts = np.arange(0, power.size - window + 1, hop)
    means: NDArray[np.float64] = (total[starts + window] - total[starts]) / window
    return np.maximum(means, 0.0)


def _lufs(power: NDArray[np.float64]) -> NDArray[np.float64]:
    levels: NDArray[np.float64] = -0.691 + 10 * np.log10(np.maximum(power, 1e-30))
    return levels


def _gated(blocks: NDArray[np.float64], levels: NDArray[np.float64]) -> float:
    heard = blocks[levels > _ABSOLUTE_GATE]
    if not heard.size:
        return -inf
    gate = float(_lufs(heard.mean()[None])[0]) + _RELATIVE_GATE
    kept = blocks[(levels > _ABSOLUTE_GATE) & (levels > gate)]
    return float(_lufs(kept.mean()[None])[0])


def _largest_jump(levels: NDArray[np.float64]) -> tuple[float, int]:
    """Largest rise over ten hops (one second), measured from no lower than -50 LUFS so that a start is not a jump."""
    base = np.maximum(levels, -50.0)
    best, where = 0.0, 0
    for gap in range(1, min(10, base.size - 1) + 1):
        rise = base[gap:] - base[:-gap]
        at = int(np.argmax(rise))
        if rise[at] > best:
            best, where = float(rise[at]), at + gap
    return best, where
