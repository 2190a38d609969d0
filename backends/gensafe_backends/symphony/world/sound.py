"""Sounds of the world: spoken words, melodies, dialled numbers and beeps, each two seconds at 16 kHz."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gensafe_backends.symphony.world.speech import RATE, SPOKEN, WORD_SAMPLES, say

SAMPLES = 32000  # two seconds at 16 kHz: four words
NOTE_SAMPLES = 4000  # a quarter of a second: eight notes fill a sound
# Hz: C5 to B5 in equal temperament, A5 = 880.
NOTES: dict[str, float] = {
    "do": 523.25, "re": 587.33, "mi": 659.26, "fa": 698.46, "sol": 783.99, "la": 880.0, "ti": 987.77,
}  # fmt: skip
DTMF_ROWS, DTMF_COLUMNS = (697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0)  # Hz: ITU-T Q.23
BEEPS: dict[str, float] = {"low": 440.0, "": 880.0, "high": 1320.0}  # Hz: A4, A5 and E6, an octave and a fifth apart
BEEP_SPACING, BEEP_SAMPLES = 6000, 2500  # 0.375 s apart, 0.156 s long: five fit into a sound, by hand

Kind = Literal["words", "melody", "dial", "beeps"]


@dataclass(frozen=True, slots=True)
class Sound:
    """What is heard. ``items``: spoken words, note names, digits, or for beeps one pitch name per beep."""

    kind: Kind
    items: tuple[str, ...]


# items that fit into the two seconds of a sound
LIMITS: dict[str, int] = {"words": 4, "melody": 8, "dial": 7, "beeps": 5}


def dtmf(digit: str) -> tuple[float, float]:
    """The two frequencies of a digit key."""
    n = int(digit)
    row, column = (3, 1) if n == 0 else divmod(n - 1, 3)
    return DTMF_ROWS[row], DTMF_COLUMNS[column]


@lru_cache(maxsize=64)
def _note(name: str) -> NDArray[np.float32]:
    t = np.arange(NOTE_SAMPLES) / RATE
    f = NOTES[name]
    tone = sum(a * np.sin(2 * np.pi * f * h * t) for h, a in ((1, 1.0), (2, 0.35), (3, 0.12)))
    envelope = np.minimum(1.0, t / 0.008) * np.exp(-t * 5.0) * np.minimum(1.0, (0.25 - t) / 0.02)
    return (0.42 * tone * envelope).astype(np.float32)


def _tone(frequencies: tuple[float, ...], samples: int, level: float) -> NDArray[np.float32]:
    t = np.arange(samples) / RATE
    edge = np.minimum(1.0, np.minimum(np.arange(samples), np.arange(samples)[::-1]) / 80.0)
    return (level / len(frequencies) * edge * sum(np.sin(2 * np.pi * f * t) for f in frequencies)).astype(np.float32)


def render_sound(sound: Sound) -> NDArray[np.float32]:
    """A sound as float32 (32000,)."""
    out = np.zeros(SAMPLES, dtype=np.float32)
    for i, item in enumerate(sound.items):
        if sound.kind == "words":
            out[i * WORD_SAMPLES : (i + 1) * WORD_SAMPLES] = say(item)
        elif sound.kind == "melody":
            out[i * NOTE_SAMPLES : (i + 1) * NOTE_SAMPLES] = _note(item)
        elif sound.kind == "dial":
            out[i * NOTE_SAMPLES : i * NOTE_SAMPLES + 3000] = _tone(dtmf(item), 3000, 0.6)
        else:
            out[i * BEEP_SPACING : i * BEEP_SPACING + BEEP_SAMPLES] = _tone((BEEPS[item],), BEEP_SAMPLES, 0.45)
    return out


def sample_sound(rng: np.random.Generator) -> Sound:
    """A random sound: half of them spoken."""
    kind = rng.random()
    if kind < 0.5:
        count = int(rng.choice((1, 2, 3, 4), p=(0.2, 0.25, 0.25, 0.3)))
        pool = SPOKEN if rng.random() < 0.5 else SPOKEN[:10]
        return Sound("words", tuple(str(w) for w in rng.choice(pool, size=count)))
    if kind < 0.7:
        return Sound("melody", tuple(str(n) for n in rng.choice(tuple(NOTES), size=int(rng.integers(2, 9)))))
    if kind < 0.88:
        return Sound("dial", tuple(str(d) for d in rng.integers(0, 10, size=int(rng.integers(1, 8)))))
    pitch = str(rng.choice(tuple(BEEPS)))
    return Sound("beeps", (pitch,) * int(rng.integers(1, 6)))
