"""Inaudible content: ultrasonic carriers, infrasonic power, and what cancels when the channels are mixed to mono.

Ultrasonic: amplitude-modulated carriers above 18 kHz are demodulated by a microphone's own non-linearity and so can
speak to a machine without a person hearing it (DolphinAttack, Zhang et al., CCS 2017).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log10
from typing import Final

import numpy as np
from numpy.typing import NDArray

ULTRASONIC_HZ: Final = 18_000.0  # Hz: adults hear little above it, and the carriers of the paper begin near it
INFRASONIC_HZ: Final = 20.0  # Hz: the usual lower end of hearing
# power at 18 kHz and above over 200..8000 Hz; by eye, with no false find in 6 sounds (docs/safety-media.md)
RATIO_DB: Final = -30.0
# 13 dB below a carrier of amplitude 1 % (-43 dBFS), all of which are found (docs/safety-media.md)
CARRIER_DBFS: Final = -56.0
# of 20 Hz over the band's median 20 Hz; chosen with CARRIER_DBFS, its own effect was not measured
PROMINENCE_DB: Final = 15.0
_WINDOW_S: Final = 1.0  # seconds: a resolution of 1 Hz, and short commands are not averaged away


@dataclass(frozen=True, slots=True)
class Ultrasound:
    """The strongest second of one channel. ``carrier_hz`` 0 = no narrow carrier."""

    ratio_db: float  # power at 18 kHz and above over power at 200..8000 Hz
    level_dbfs: float  # root mean square of the band at 18 kHz and above
    carrier_hz: float
    at_s: float
    suspicious: bool
    seconds: tuple[float, ...] = ()  # where every suspicious second begins


def find_ultrasound(channel: NDArray[np.float32], rate: int) -> Ultrasound | None:
    """Look second by second for power or a narrow carrier at 18 kHz and above.

    Args:
        channel: (n,) samples.
        rate: Hz.

    Returns:
        The worst second; None if the rate cannot hold such frequencies (below 37 kHz).
    """
    if rate < 2 * ULTRASONIC_HZ + 1000:
        return None
    size = min(channel.size, round(_WINDOW_S * rate))
    if size < 256:
        return Ultrasound(-120.0, -120.0, 0.0, 0.0, False)
    starts = list(range(0, channel.size - size + 1, size))
    if starts[-1] + size < channel.size:
        starts.append(channel.size - size)
    found = [_one_window(channel[start : start + size], rate, start / rate) for start in starts]
    worst = max(found, key=lambda second: (second.suspicious, second.ratio_db))
    return replace(worst, seconds=tuple(second.at_s for second in found if second.suspicious))


def _one_window(block: NDArray[np.float32], rate: int, at_s: float) -> Ultrasound:
    taper = np.hanning(block.size)
    spectrum = np.abs(np.fft.rfft(block * taper)) ** 2 * (2 / (taper**2).sum() / block.size)
    frequency = np.fft.rfftfreq(block.size, 1 / rate)
    high = spectrum[frequency >= ULTRASONIC_HZ]
    audible = float(spectrum[(frequency >= 200) & (frequency < 8000)].sum())
    total = float(high.sum())
    level = 10 * log10(total + 1e-12)
    ratio = 10 * log10((total + 1e-12) / (audible + 1e-12))
    # a carrier: the best 20 Hz of the band against the band's median 20 Hz
    width = max(1, round(20 * block.size / rate))
    cells = high[: high.size // width * width].reshape(-1, width).sum(axis=1)
    best = int(np.argmax(cells))
    prominence = 10 * log10((cells[best] + 1e-15) / (float(np.median(cells)) + 1e-15))
    peak = 10 * log10(float(cells[best]) + 1e-15)
    narrow = prominence >= PROMINENCE_DB and peak >= CARRIER_DBFS
    # a band: stronger per hertz than 12..16 kHz below it, which hiss and cymbals are not
    below = spectrum[(frequency >= 12_000) & (frequency < 16_000)]
    island = float(high.mean()) > 4 * float(below.mean()) + 1e-18
    broad = ratio > RATIO_DB and level > CARRIER_DBFS and island
    carrier = ULTRASONIC_HZ + (best + 0.5) * width * rate / block.size if narrow else 0.0
    return Ultrasound(ratio, level, carrier, at_s, narrow or broad)


def infrasonic_share(channel: NDArray[np.float32], rate: int) -> float:
    """Share of a channel's power, its mean removed, below 20 Hz: 0..1; 0 for silence or less than half a second."""
    if channel.size < rate // 2:
        return 0.0
    centred = channel - channel.mean()
    spectrum = np.abs(np.fft.rfft(centred * np.hanning(centred.size))) ** 2
    total = float(spectrum.sum())
    if total / centred.size**2 < 1e-10:
        return 0.0
    return float(spectrum[np.fft.rfftfreq(centred.size, 1 / rate) < INFRASONIC_HZ].sum()) / total


def side_excess_db(samples: NDArray[np.float32]) -> float:
    """Power of (L - R) over (L + R), dB. Far above 0: most of the sound cancels in mono. -120 unless stereo."""
    if samples.shape[0] != 2:
        return -120.0
    left, right = samples.astype(np.float64)
    side, middle = float(((left - right) ** 2).mean()), float(((left + right) ** 2).mean())
    if max(side, middle) < 1e-10:
        return -120.0
    return 10 * log10((side + 1e-12) / (middle + 1e-12))
