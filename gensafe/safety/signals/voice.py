"""Is somebody speaking? From the shape of speech alone: no words, no speaker, no weights.

Speech differs from music and noise in ways that are known since Saunders (ICASSP 1996) and Scheirer and Slaney (ICASSP
1997): its level drops deep between syllables, many of its short frames are far below the mean, its spectrum moves back
and forth between voiced and unvoiced sounds, and the pitch of its voiced parts glides where instruments hold it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

RATE: Final = 16_000  # Hz: the usual rate of speech processing
_FRAME: Final = 512  # samples, 32 ms: the usual length for speech, two periods of the lowest pitch (70 Hz)
_HOP: Final = 160  # samples, 10 ms: the usual step for speech
_SIZE: Final = 1024  # of the Fourier transform: the frame, padded twofold
_WINDOW: Final = 100  # frames: one second
_STEP: Final = 50  # frames, half of _WINDOW
_PITCH: Final = (RATE // 400, RATE // 70)  # periods in samples
_VOICED: Final = 0.6  # height of the autocorrelation at the period
_FLOOR_DB: Final = 60.0  # level differences are seen down to this far below the loudest frame
_BLOCK: Final = 4096  # frames at a time; bounds memory, never changes the result
MIN_DYNAMICS_DB: Final = 20.0  # 90th over 10th percentile of the level within a second
MIN_LOW_SHARE: Final = 0.38  # frames below half of the mean power
MIN_MOVEMENT: Final = 0.45  # deviation of the logarithm of the spectral centroid
MIN_GLIDE: Final = 0.05  # median change of pitch from frame to frame in voiced parts, semitones
# of the frames: speech has voiced and unvoiced sounds; chosen by eye, see the card for what it finds
VOICED_SHARE: Final = (0.2, 0.97)


@dataclass(frozen=True, slots=True)
class Second:
    """What one second sounds like. ``speech``: it has the shape of speech."""

    at_s: float
    voiced: float
    low: float
    dynamics_db: float
    movement: float
    glide: float

    @property
    def speech(self) -> bool:
        """All of the marks of speech at once."""
        return (
            VOICED_SHARE[0] <= self.voiced <= VOICED_SHARE[1]
            and self.low >= MIN_LOW_SHARE
            and self.dynamics_db >= MIN_DYNAMICS_DB
            and self.movement >= MIN_MOVEMENT
            and self.glide >= MIN_GLIDE
        )


def speech_seconds(samples: NDArray[np.float32], rate: int) -> list[Second]:
    """Look at a mono sound second by second, every half second; shorter than half a second: nothing to tell.

    Args:
        samples: (n,) in [-1, 1].
        rate: Hz.
    """
    common = gcd(RATE, rate)
    mono = samples.astype(np.float64)
    if rate != RATE:
        mono = resample_poly(mono, RATE // common, rate // common)
    count = (mono.size - _FRAME) // _HOP + 1
    if count < _STEP:
        return []
    level, centroid, period, height = (np.empty(count) for _ in range(4))
    for first in range(0, count, _BLOCK):
        part = slice(first, min(count, first + _BLOCK))
        level[part], centroid[part], period[part], height[part] = _frames(mono, part.start, part.stop)
    level = np.maximum(level, level.max() - _FLOOR_DB)
    voiced = (height > _VOICED) & (level > level.max() - 35)
    pitch = 12 * np.log2(RATE / period)
    return [
        _second(start, slice(start, start + _WINDOW), level, centroid, pitch, voiced)
        for start in range(0, max(1, count - _WINDOW + 1), _STEP)
    ]


def _frames(mono: NDArray[np.float64], first: int, last: int) -> tuple[NDArray[np.float64], ...]:
    """Level (dB, 200..4000 Hz), spectral centroid (Hz), period (samples) and its autocorrelation for each frame."""
    taper = np.hanning(_FRAME)
    at = np.arange(_FRAME)[None] + _HOP * np.arange(first, last)[:, None]
    power = np.abs(np.fft.rfft(mono[at] * taper, _SIZE)) ** 2
    frequency = np.fft.rfftfreq(_SIZE, 1 / RATE)
    band = (frequency >= 200) & (frequency < 4000)
    level = 10 * np.log10(power[:, band].sum(axis=1) + 1e-9)
    centroid = (power * frequency).sum(axis=1) / (power.sum(axis=1) + 1e-9)
    lags = np.fft.irfft(power, _SIZE)[:, :_FRAME]
    window = np.fft.irfft(np.abs(np.fft.rfft(taper, _SIZE)) ** 2, _SIZE)[:_FRAME]
    normal = lags / (lags[:, :1] + 1e-9) / (window / window[0] + 1e-3)
    low, high = _PITCH
    place = normal[:, low:high].argmax(axis=1)
    return level, centroid, (place + low).astype(np.float64), normal[np.arange(len(place)), low + place]


def _second(
    start: int,
    part: slice,
    level: NDArray[np.float64],
    centroid: NDArray[np.float64],
    pitch: NDArray[np.float64],
    voiced: NDArray[np.bool_],
) -> Second:
    power = 10 ** (level[part] / 10)
    steps = np.abs(np.diff(pitch[part]))
    held = voiced[part][1:] & voiced[part][:-1] & (steps < 2)
    return Second(
        at_s=start * _HOP / RATE,
        voiced=float(voiced[part].mean()),
        low=float((power < 0.5 * power.mean()).mean()),
        dynamics_db=float(np.percentile(level[part], 90) - np.percentile(level[part], 10)),
        movement=float(np.std(np.log2(centroid[part] + 50))),
        glide=float(np.median(steps[held])) if held.sum() > 8 else 0.0,
    )
