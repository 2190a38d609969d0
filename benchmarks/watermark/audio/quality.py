"""How far a marked clip is from its host, and the key and payloads the sound benchmarks share."""

from __future__ import annotations

import numpy as np

from benchmarks.watermark.audio import attacks as attacks_audio
from benchmarks.watermark.audio.sets import Samples
from gensafe.safety.signals.loudness import measure_loudness

KEY = bytes(range(32))


def si_snr(host: Samples, marked: Samples) -> float:
    """Scale-invariant signal-to-noise ratio in dB."""
    h, m = host.ravel().astype(float), marked.ravel().astype(float)
    target = (h @ m) / (h @ h) * h
    return float(10 * np.log10((target @ target) / max(1e-20, float(np.sum((m - target) ** 2)))))


def perceived(host: Samples, marked: Samples, rate: int) -> float | None:
    """PESQ wide band, or None where the package is missing or the clip has no speech-like activity."""
    try:
        from pesq import NoUtterancesError, pesq
    except ImportError:
        return None
    a, b = (attacks_audio.resample(x.mean(0), rate, 16_000) for x in (host, marked))
    try:
        return float(pesq(16_000, a, b, "wb"))
    except NoUtterancesError:
        return None


def quality_of(host: Samples, marked: Samples, rate: int) -> dict[str, object]:
    """SI-SNR, PESQ, and how far under the host the difference lies in energy and in loudness (BS.1770)."""
    score = perceived(host, marked, rate)
    difference = marked - host
    quieter = measure_loudness(difference, rate).integrated_lufs - measure_loudness(host, rate).integrated_lufs
    return {
        "rate": rate,
        "seconds": round(host.shape[1] / rate, 2),
        "si_snr_db": round(si_snr(host, marked), 2),
        "pesq": score and round(score, 3),
        "difference_db": round(float(10 * np.log10(np.sum(difference**2) / np.sum(host**2))), 2),
        "difference_lu": round(quieter, 2) if np.isfinite(quieter) else None,
    }


def payload_of(index: int) -> bytes:
    """A payload that differs per clip."""
    return bytes([0x10]) + np.random.default_rng(1000 + index).bytes(6)
