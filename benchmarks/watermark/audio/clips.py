"""Short clips of the kind a small generator makes: tones, beeps, melodies, telephone digits, clicks, voiced speech."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

RATE = 16_000
_Clip = NDArray[np.float64]


def _fade(n: int, seconds: float = 0.01) -> _Clip:
    ramp = np.minimum(1, np.arange(n) / (seconds * RATE))
    return ramp * ramp[::-1]


def tone(seconds: float, hertz: float, amplitude: float = 0.4) -> _Clip:
    """A sine with soft ends."""
    n = int(seconds * RATE)
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(n) / RATE) * _fade(n)


def beeps(seconds: float, count: int) -> _Clip:
    """``count`` beeps of 150 ms on digital silence."""
    x = np.zeros(int(seconds * RATE))
    beep = tone(0.15, 880)
    for i in range(count):
        start = int((0.3 + 0.6 * i) * RATE)
        x[start : start + len(beep)] = beep[: len(x) - start]
    return x


def melody(seconds: float) -> _Clip:
    """Eight notes of a scale."""
    return np.concatenate([tone(seconds / 8, f) for f in (262, 294, 330, 349, 392, 440, 494, 523)])


def digits(seconds: float) -> _Clip:
    """Four dual-tone telephone digits."""
    pairs = [(697, 1209), (770, 1336), (852, 1477), (941, 1336)]
    part = seconds / len(pairs)
    sounds = [tone(0.7 * part, a, 0.25) + tone(0.7 * part, b, 0.25) for a, b in pairs]
    return np.concatenate([np.pad(s, (0, round(0.3 * part * RATE))) for s in sounds])


def clicks(seconds: float, count: int) -> _Clip:
    """``count`` clicks of 30 ms on digital silence."""
    x = np.zeros(int(seconds * RATE))
    rng = np.random.default_rng(3)
    for i in range(count):
        start = int((0.5 + 0.8 * i) * RATE)
        x[start : start + 480] = 0.3 * rng.normal(size=480) * np.exp(-np.arange(480) / 96)
    return x


def speech(seconds: float, pitch: float) -> _Clip:
    """Voiced formant synthesis with pauses."""
    n = int(seconds * RATE)
    hertz = pitch * (1 + 0.1 * np.sin(2 * np.pi * 1.3 * np.arange(n) / RATE))
    rng = np.random.default_rng(0)
    source = (np.diff(np.floor(np.cumsum(hertz) / RATE), prepend=0) > 0) + 0.01 * rng.normal(size=n)
    vowels = [(730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), ()]
    x = np.zeros(n)
    part = RATE // 4
    for start, vowel in zip(range(0, n, part), itertools.cycle(vowels), strict=False):
        for order, formant in enumerate(vowel):
            radius = np.exp(-np.pi * 80 / RATE)
            poles = [1, -2 * radius * np.cos(2 * np.pi * formant / RATE), radius**2]
            piece = lfilter([1 - radius], poles, source[start : start + part]) / (order + 1)
            x[start : start + part] += piece * _fade(len(piece), 0.02)
    return np.asarray(0.5 * x / np.abs(x).max(), np.float64)


def clips() -> dict[str, NDArray[np.float32]]:
    """Name -> (1, n) float32 at RATE."""
    made = {
        "tone 440 Hz 3 s": tone(3.0, 440),
        "tone 1 kHz 2 s": tone(2.0, 1000),
        "beeps 3 s": beeps(3.0, 4),
        "beeps 2 s": beeps(2.0, 2),
        "melody 4 s": melody(4.0),
        "digits 2 s": digits(2.0),
        "clicks 2 s": clicks(2.0, 2),
        "speech 2.5 s": speech(2.5, 120),
        "speech 4 s": speech(4.0, 200),
    }
    return {name: x[None].astype(np.float32) for name, x in made.items()}
