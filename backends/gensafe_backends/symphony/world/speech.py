"""A small formant synthesiser (source-filter, after Klatt, JASA 67, 1980) that says the words of the world.

Each word is a list of phonemes with targets; parameters glide between them every 1.25 ms; a glottal pulse train and
noise
pass through five resonators in cascade, frication through two of its own. One voice, one pace: every word fits 0.5 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

RATE = 16000  # Hz: the usual rate of speech processing
FRAME = 20  # 1.25 ms: finer steps than one pitch period, or the filters click
_PER_TARGET = 4  # frames per 5 ms of a phoneme table
WORD_SAMPLES = 8000  # half a second: a quarter of a sound


@dataclass(frozen=True, slots=True)
class Phone:
    """Targets of one phoneme: three formants in Hz, milliseconds, and the strengths of its sources.

    ``end`` gives the formants a diphthong glides to. ``noise`` is (centre Hz, bandwidth Hz, strength) of frication;
    ``burst`` the same for the release of a stop, whose closure is silent or, with ``voice``, murmured.
    """

    f: tuple[float, float, float]
    ms: float
    voice: float = 1.0
    breath: float = 0.0
    end: tuple[float, float, float] | None = None
    noise: tuple[float, float, float] | None = None
    burst: tuple[float, float, float] | None = None
    wide: float = 1.0  # bandwidth factor: nasals and murmurs are damped


# Formants in Hz and lengths in ms of American English, set by hand; not measured.
PHONES: dict[str, Phone] = {
    "IY": Phone((310, 2250, 2950), 190, end=(280, 2350, 3050)),
    "IH": Phone((400, 1980, 2550), 90),
    "EH": Phone((560, 1820, 2500), 120),
    "AA": Phone((730, 1100, 2450), 150),
    "AO": Phone((590, 880, 2450), 140),
    "AH": Phone((630, 1200, 2450), 100),
    "AX": Phone((500, 1450, 2450), 60),
    "UW": Phone((370, 1350, 2300), 200, end=(320, 900, 2250)),
    "ER": Phone((480, 1350, 1690), 130),
    "EY": Phone((500, 1850, 2500), 190, end=(320, 2250, 2900)),
    "AY": Phone((740, 1180, 2500), 200, end=(370, 2080, 2700)),
    "OW": Phone((550, 1020, 2400), 190, end=(360, 800, 2300)),
    "AW": Phone((740, 1300, 2500), 190, end=(400, 900, 2350)),
    "W": Phone((310, 640, 2200), 70, 0.7),
    "R": Phone((340, 1150, 1550), 75, 0.8),
    "L": Phone((360, 1150, 2700), 70, 0.75),
    "Y": Phone((280, 2250, 2950), 60, 0.75),
    "M": Phone((250, 1050, 2200), 75, 0.5, wide=2.2),
    "N": Phone((260, 1600, 2600), 80, 0.5, wide=2.2),
    "HH": Phone((600, 1400, 2500), 60, 0.0, 0.35),
    "S": Phone((320, 1700, 2600), 110, 0.0, noise=(5600, 1800, 0.34)),
    "Z": Phone((300, 1700, 2600), 80, 0.35, noise=(5600, 1800, 0.2)),
    "F": Phone((340, 1100, 2300), 95, 0.0, noise=(4200, 5000, 0.12)),
    "V": Phone((300, 1150, 2300), 60, 0.5, noise=(4200, 5000, 0.05)),
    "TH": Phone((320, 1400, 2600), 90, 0.0, noise=(5200, 5000, 0.14)),
    "T": Phone((350, 1750, 2650), 55, 0.0, burst=(4300, 2200, 0.6)),
    "D": Phone((300, 1700, 2600), 45, 0.25, burst=(3900, 2200, 0.4)),
    "K": Phone((330, 1800, 2400), 60, 0.0, burst=(2000, 900, 0.7)),
    "G": Phone((300, 1800, 2350), 50, 0.25, burst=(1900, 900, 0.5)),
    "P": Phone((350, 950, 2250), 60, 0.0, burst=(900, 1200, 0.5)),
    "B": Phone((290, 950, 2250), 45, 0.25, burst=(800, 1200, 0.4)),
}
LEXICON: dict[str, str] = {
    "zero": "Z IH R OW",
    "one": "W AH N",
    "two": "T UW",
    "three": "TH R IY",
    "four": "F AO R",
    "five": "F AY V",
    "six": "S IH K S",
    "seven": "S EH V AX N",
    "eight": "EY T",
    "nine": "N AY N",
    "yes": "Y EH S",
    "no": "N OW",
    "hello": "HH AX L OW",
    "red": "R EH D",
    "green": "G R IY N",
    "blue": "B L UW",
    "yellow": "Y EH L OW",
    "stop": "S T AA P",
    "go": "G OW",
    "left": "L EH F T",
    "right": "R AY T",
    "up": "AH P",
    "down": "D AW N",
    "star": "S T AA R",
}
SPOKEN = tuple(LEXICON)


def _tracks(phones: list[Phone]) -> NDArray[np.float64]:
    """Per-frame parameters (n, 9): F1 F2 F3, voice, breath, noise centre, width and strength, damping."""
    rows: list[list[float]] = []
    for phone in phones:
        frames = max(4, round(phone.ms / 5)) * _PER_TARGET
        release = min(5 * _PER_TARGET, frames // 2) if phone.burst else 0
        for i in range(frames):
            u = i / (frames - 1)
            formants = [
                a + (b - a) * min(1.0, max(0.0, (u - 0.2) / 0.7))
                for a, b in zip(phone.f, phone.end or phone.f, strict=True)
            ]
            noise = phone.noise or (3000.0, 2000.0, 0.0)
            voice, breath = phone.voice, phone.breath
            if phone.burst:
                k = i - (frames - release)
                noise = (
                    (phone.burst[0], phone.burst[1], 0.0)
                    if k < 0
                    else (*phone.burst[:2], phone.burst[2] * 0.65 ** (k / _PER_TARGET))
                )
                breath = 0.0 if k < 2 * _PER_TARGET or phone.voice else 0.25
            rows.append([*formants, voice, breath, *noise, phone.wide])
    table = np.array(rows)
    kernel = np.hanning(41)[1:-1]
    kernel /= kernel.sum()
    for column in (0, 1, 2, 3, 8):  # formants, voicing and damping glide; bursts stay sharp
        table[:, column] = np.convolve(np.pad(table[:, column], 19, mode="edge"), kernel, mode="valid")
    return table


def _glottal(f0: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivative of a Rosenberg pulse train with the given pitch per sample."""
    phase = np.cumsum(f0 / RATE) % 1.0
    rise, fall = 0.4, 0.16
    opening = 0.5 * (1 - np.cos(np.pi * phase / rise))
    closing = np.cos(np.pi * (phase - rise) / (2 * fall))
    pulse = np.where(phase < rise, opening, np.where(phase < rise + fall, closing, 0.0))
    return np.asarray(np.diff(pulse, prepend=0.0) * 12.0, dtype=np.float64)


def _resonator(frequency: float, width: float) -> tuple[list[float], list[float]]:
    r = np.exp(-np.pi * width / RATE)
    b, c = 2 * r * np.cos(2 * np.pi * frequency / RATE), -r * r
    return [1 - b - c], [1.0, -b, -c]


@lru_cache(maxsize=64)
def _noise_level(centre: float, width: float) -> float:
    """RMS of unit noise after the two frication resonators, so that strengths mean levels relative to a vowel."""
    z = np.random.default_rng(0).standard_normal(8000)
    for f in (centre, min(centre * 1.25, 7400.0)):
        b, a = _resonator(f, width)
        z = lfilter([b[0], 0.0, -b[0]], a, z)
    return float(np.sqrt(np.mean(z * z)))


@lru_cache(maxsize=64)
def say(word: str) -> NDArray[np.float32]:
    """One word as float32 (8000,) at 16 kHz, below 0.6, the same every time."""
    table = _tracks([PHONES[p] for p in LEXICON[word].split()])
    lead = 24  # 30 ms before the first sound
    table = table[: WORD_SAMPLES // FRAME - lead - 16]
    n = len(table)
    rng = np.random.default_rng(sum(map(ord, word)))
    ramp = np.minimum(1.0, np.minimum(np.arange(n) + 1, (np.arange(n)[::-1] + 1) / 3.0) / 16.0)
    f0 = np.interp(np.arange(n * FRAME) / (n * FRAME), [0, 0.3, 1], [122, 132, 96])
    voice = _glottal(f0)
    hiss = rng.standard_normal(n * FRAME)
    voiced, rough = np.zeros(n * FRAME), np.zeros(n * FRAME)
    widths = (70.0, 90.0, 130.0, 220.0, 280.0)
    states = [np.zeros(2) for _ in range(5)]
    noise_states = [np.zeros(2), np.zeros(2)]
    smooth = {c: np.repeat(table[:, c], FRAME) for c in (3, 4)}
    for i in range(n):
        part = slice(i * FRAME, (i + 1) * FRAME)
        f1, f2, f3, _, _, centre, width, strength, wide = table[i]
        z = voice[part] * smooth[3][part] + 0.25 * hiss[part] * smooth[4][part]
        for j, f in enumerate((f1, f2, f3, 3500.0, 4500.0)):
            z, states[j] = lfilter(*_resonator(f, widths[j] * wide), z, zi=states[j])
        fricative = hiss[part]
        for j, f in enumerate((centre, min(centre * 1.25, 7400.0))):
            b, a = _resonator(f, width)
            fricative, noise_states[j] = lfilter([b[0], 0.0, -b[0]], a, fricative, zi=noise_states[j])
        voiced[part] = z * ramp[i]
        rough[part] = fricative * ramp[i] * (strength / _noise_level(centre, width))
    voiced = np.append(voiced[0], np.diff(voiced)) * 0.8 + voiced * 0.2  # radiation at the lips, softened
    loud = np.sqrt(np.mean(np.sort(voiced**2)[len(voiced) // 2 :]))  # level of the louder half: the vowels
    out = voiced / loud + rough
    out = 0.6 * np.tanh(out / 3.0)  # one level for every word; bursts are held back
    whole = np.zeros(WORD_SAMPLES)
    whole[lead * FRAME : lead * FRAME + len(out)] = out
    return whole.astype(np.float32)
