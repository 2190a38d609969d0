"""Short-time spectra and their inversion: Griffin-Lim with momentum (Perraudin et al. 2013), deterministic."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
FFT = 512  # samples, 32 ms at 16 kHz: the usual length for speech. Shipped weights depend on it
HOP = 125  # samples: 128 frames a second, about a quarter of a frame. Shipped weights depend on it
BINS = FFT // 2 + 1  # of a real transform
BANDS = 64  # equal on the mel scale; chosen by eye, not measured. Shipped weights depend on it
FLOOR = 1e-4  # a sine of amplitude 1 has magnitude 1; -80 dB is silence


@lru_cache(maxsize=1)
def _window() -> FloatArray:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(FFT) + 0.5) / FFT), dtype=np.float64)


def stft(samples: FloatArray) -> NDArray[np.complex128]:
    """Frames centred at (i + 1/2) HOP: (n / HOP, BINS), scaled so that a full-scale sine has magnitude 1."""
    frames = len(samples) // HOP
    pad = FFT // 2
    padded = np.pad(samples, (pad, pad))
    starts = np.arange(frames) * HOP + HOP // 2
    pieces = padded[starts[:, None] + np.arange(FFT)]
    return np.asarray(np.fft.rfft(pieces * _window(), axis=1) * (2.0 / _window().sum()), dtype=np.complex128)


def istft(spectrum: NDArray[np.complex128]) -> FloatArray:
    """Least-squares inverse of ``stft``: (frames * HOP,) samples."""
    frames = len(spectrum)
    pieces = np.fft.irfft(spectrum * (_window().sum() / 2.0), n=FFT, axis=1) * _window()
    total = frames * HOP + FFT
    out, weight = np.zeros(total), np.zeros(total)
    square = _window() ** 2
    for i in range(frames):
        a = i * HOP + HOP // 2
        out[a : a + FFT] += pieces[i]
        weight[a : a + FFT] += square
    pad = FFT // 2
    return np.asarray((out / np.maximum(weight, 1e-3))[pad : pad + frames * HOP], dtype=np.float64)


def griffin_lim(magnitude: FloatArray, iterations: int = 60, momentum: float = 0.99) -> FloatArray:
    """Samples whose spectrum has about the given magnitude (frames, BINS).

    Phases start from each bin's own steady rotation, so that tones come out whole.
    """
    frames = len(magnitude)
    centre = _peak_frequency(magnitude)
    phase = np.cumsum(2 * np.pi * HOP / FFT * centre, axis=0)
    spectrum = magnitude * np.exp(1j * phase)
    previous = spectrum
    for _ in range(iterations):
        rebuilt = stft(istft(spectrum))[:frames]
        accelerated = rebuilt + momentum * (rebuilt - previous)
        previous = rebuilt
        spectrum = magnitude * accelerated / np.maximum(np.abs(accelerated), 1e-9)
    return istft(spectrum)


def _peak_frequency(magnitude: FloatArray) -> FloatArray:
    """Frequency in bins that each bin follows: that of the nearest spectral peak, by parabolic interpolation."""
    logs = np.log(magnitude + FLOOR)
    left, right = np.roll(logs, 1, axis=1), np.roll(logs, -1, axis=1)
    bend = left - 2 * logs + right
    shift = np.clip(0.5 * (left - right) / np.where(np.abs(bend) < 1e-9, -1e-9, bend), -0.5, 0.5)
    is_peak = (logs >= left) & (logs > right)
    bins = np.arange(BINS)
    out = np.empty_like(magnitude)
    for i in range(len(magnitude)):
        peaks = np.flatnonzero(is_peak[i])
        if len(peaks) == 0:
            out[i] = bins
            continue
        nearest = peaks[np.argmin(np.abs(bins[:, None] - peaks[None, :]), axis=1)]
        out[i] = nearest + shift[i, nearest]
    return out


@lru_cache(maxsize=1)
def _bands() -> FloatArray:
    """Triangular bands, equal on the mel scale, (BINS, BANDS)."""

    def mel(f: float) -> float:
        return float(2595 * np.log10(1 + f / 700))

    points = 700 * (10 ** (np.linspace(mel(60), mel(7900), BANDS + 2) / 2595) - 1)
    f = np.arange(BINS)[:, None] * (8000 / (BINS - 1))
    step = 8000 / (BINS - 1)
    low, mid, high = points[:-2], points[1:-1], points[2:]
    rise = (f - low) / np.maximum(mid - low, step)
    fall = (high - f) / np.maximum(high - mid, step)
    return np.asarray(np.clip(np.minimum(rise, fall), 0, None), dtype=np.float64)


def log_magnitude(magnitude: FloatArray) -> FloatArray:
    """Magnitudes -> -1 (silence) .. 1 (full scale)."""
    return np.asarray((np.log10(magnitude + FLOOR) + 4.0) / 2.0 - 1.0, dtype=np.float64)


def from_log_magnitude(values: FloatArray) -> FloatArray:
    """Inverse of ``log_magnitude``."""
    return np.asarray(np.clip(10.0 ** (np.clip(values, -1.0, 1.2) * 2.0 - 2.0) - FLOOR, 0.0, None), dtype=np.float64)


def band_features(magnitude: FloatArray, frames_per_token: int) -> FloatArray:
    """Magnitudes (frames, BINS) -> (tokens, frames_per_token * BANDS) log band levels about zero."""
    bands = np.log10(magnitude @ _bands() + 1e-3) / 1.5 + 1.0
    return np.asarray(bands.reshape(-1, frames_per_token * BANDS), dtype=np.float64)
