"""Acoustic fingerprints of recordings, and the search of excerpts in a block list.

Haitsma and Kalker, "A highly robust audio fingerprinting system", ISMIR 2002: 32 bits for each 31 ms, each bit the
sign of how the difference of two neighbouring bands (300..2000 Hz) changes from one frame to the next. An excerpt is
looked up by sub-fingerprints that agree in all 32 bits or all but one, and confirmed by the share of wrong bits over
3 s. It finds the same recording after lossy coding, changes of level, cuts and some noise; not another performance,
another speed or another pitch.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import gcd
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

RATE: Final = 5120  # Hz; near the 5 kHz of the paper, and a whole number of hops a second (32)
HOP: Final = 160  # samples: 31 ms where the paper has 11.6, so that lists are about a third as long
FRAMES_A_SECOND: Final = RATE / HOP
_FRAME: Final = 2048  # samples, 0.4 s: near the paper's 0.37 s, as a power of two
_BANDS: Final = 33  # one more than the 32 bits of a sub-fingerprint: the paper
_BAND_HZ: Final = (300.0, 2000.0)  # Hz: the paper
_SILENT_DB: Final = -60.0  # dB, below it no code is made: silence would match silence. Chosen by eye, not measured
CONFIRM: Final = 96  # sub-fingerprints that are compared at a time: 3 s
SHORTEST: Final = 48  # a listed recording shorter than 3 s is compared whole, down to 1.5 s
WRONG_BITS: Final = 0.28  # unrelated recordings: 0.5; see docs/safety-media.md
EDGE_BITS: Final = 0.28  # share of wrong bits over one second, as WRONG_BITS over three
_SECOND: Final = 32  # sub-fingerprints: FRAMES_A_SECOND
_CANDIDATES: Final = 20  # alignments that are confirmed, the most voted for; bounds the time of a look-up. Not measured


@dataclass(frozen=True, slots=True)
class PrintEntry:
    """One listed recording: uint32 (n,) sub-fingerprints, 0 = silence."""

    codes: NDArray[np.uint32]
    category: str
    label: str


@dataclass(frozen=True, slots=True)
class PrintHit:
    """A listed recording heard between two times (s); ``wrong`` is the share of wrong bits at its best place."""

    entry: PrintEntry
    wrong: float
    start_s: float
    end_s: float


def audio_print(samples: NDArray[np.float32], rate: int) -> NDArray[np.uint32]:
    """uint32 (n,) sub-fingerprints of a mono sound, 32 a second; 0 where it is silent; empty below half a second.

    Args:
        samples: (n,) in [-1, 1].
        rate: Hz.
    """
    common = gcd(RATE, rate)
    mono = resample_poly(samples.astype(np.float64), RATE // common, rate // common)
    count = (mono.size - _FRAME) // HOP + 1
    if count < 2:
        return np.empty(0, np.uint32)
    frequency = np.fft.rfftfreq(_FRAME, 1 / RATE)
    edges = np.searchsorted(frequency, np.geomspace(*_BAND_HZ, _BANDS + 1))
    taper = np.hanning(_FRAME)
    energy = np.empty((count, _BANDS))
    for first in range(0, count, 1024):
        at = np.arange(_FRAME)[None] + HOP * np.arange(first, min(count, first + 1024))[:, None]
        power = np.abs(np.fft.rfft(mono[at] * taper)) ** 2
        energy[first : first + 1024] = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)
    slope = energy[:, :-1] - energy[:, 1:]
    bits = slope[1:] - slope[:-1] > 0
    codes = (bits << np.arange(32, dtype=np.uint64)).sum(axis=1).astype(np.uint32)
    level = 10 * np.log10(energy[1:].sum(axis=1) / (taper.sum() ** 2) + 1e-15)
    return np.where(level < _SILENT_DB, 0, codes).astype(np.uint32)


@dataclass(slots=True)
class PrintIndex:
    """Finds listed recordings, or excerpts of them, in a sound."""

    entries: list[PrintEntry]
    _codes: NDArray[np.uint32] = field(init=False)
    _owner: NDArray[np.int64] = field(init=False)
    _place: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        codes = np.concatenate([np.empty(0, np.uint32), *(e.codes for e in self.entries)])
        owner = np.repeat(np.arange(len(self.entries)), [len(e.codes) for e in self.entries])
        place = np.concatenate([np.empty(0, np.int64), *(np.arange(len(e.codes)) for e in self.entries)])
        kept = codes != 0
        order = np.argsort(codes[kept], kind="stable")
        self._codes, self._owner, self._place = codes[kept][order], owner[kept][order], place[kept][order]

    def search(self, codes: NDArray[np.uint32]) -> list[PrintHit]:
        """Listed recordings in a sound's sub-fingerprints, the best first, each at most once."""
        if not len(self._codes) or not len(codes):
            return []
        found: dict[int, PrintHit] = {}
        for (owner, offset), _ in self._votes(codes).most_common(_CANDIDATES):
            hit = _confirm(self.entries[owner], codes, offset)
            if hit is not None and (owner not in found or hit.wrong < found[owner].wrong):
                found[owner] = hit
        return sorted(found.values(), key=lambda h: h.wrong)

    def _votes(self, codes: NDArray[np.uint32]) -> Counter[tuple[int, int]]:
        """How many sub-fingerprints agree, for each listed recording and alignment."""
        votes: Counter[tuple[int, int]] = Counter()
        at = np.flatnonzero(codes)
        for flip in (0, *(1 << bit for bit in range(32))):
            wanted = codes[at] ^ np.uint32(flip)
            first = np.searchsorted(self._codes, wanted, "left")
            last = np.searchsorted(self._codes, wanted, "right")
            for index in np.flatnonzero(last > first):
                for row in range(int(first[index]), min(int(last[index]), int(first[index]) + 64)):
                    votes[int(self._owner[row]), int(self._place[row] - at[index])] += 1
        return votes


def _confirm(entry: PrintEntry, codes: NDArray[np.uint32], offset: int) -> PrintHit | None:
    """Compare bit by bit where the recordings overlap; the sound's first code lies at ``offset`` in the entry."""
    begin, end = max(0, -offset), min(len(codes), len(entry.codes) - offset)
    window = min(CONFIRM, len(entry.codes))
    if end - begin < window or window < SHORTEST:
        return None
    ours, theirs = codes[begin:end], entry.codes[begin + offset : end + offset]
    heard = (ours != 0) & (theirs != 0)
    wrong = np.where(heard, np.bitwise_count(ours ^ theirs), 0).astype(np.int64)
    share = _share(wrong, heard, window, max(SHORTEST, window // 2))
    good = np.flatnonzero(share <= WRONG_BITS)
    if not good.size:
        return None
    # where it begins and ends, by single seconds: a window of three may lie half outside
    near = np.flatnonzero(_share(wrong, heard, _SECOND, _SECOND // 2) <= EDGE_BITS)
    near = near[(near >= good[0]) & (near <= good[-1] + window - _SECOND)]
    first, last = (near[0], near[-1] + _SECOND) if near.size else (good[0], good[-1] + window)
    start, stop = (begin + int(first)) / FRAMES_A_SECOND, (begin + int(last)) / FRAMES_A_SECOND
    return PrintHit(entry, float(share.min()), start, stop + _FRAME / RATE / 2)


def _share(wrong: NDArray[np.int64], heard: NDArray[np.bool_], window: int, least: int) -> NDArray[np.float64]:
    """Share of wrong bits in each run of ``window`` frames; 1 where fewer than ``least`` of them are no silence."""
    total = np.concatenate([[0], np.cumsum(wrong)])
    counted = np.concatenate([[0], np.cumsum(heard)])
    errors, seen = total[window:] - total[:-window], counted[window:] - counted[:-window]
    return np.where(seen >= least, errors / np.maximum(1, 32 * seen), 1.0)
