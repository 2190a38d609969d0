"""Sound fingerprint: a coarse picture of the spectrum, 64 bands from 80 Hz to 4 kHz, one column each 0.1 s.

Haitsma and Kalker's 32-bit sub-fingerprints (ISMIR 2002) are not used: they take the sign of differences between
neighbouring bands, and in a pure tone or a click most bands hold nothing but coding noise. Here the level of each band
is kept in 4 bits (3 dB steps, 45 dB below the clip's loudest cell is zero), so silence stays silence.
Levels are squared for comparison: loud cells, which a coder keeps, then weigh more than faint ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.media.fingerprint.parts import Part, spans

SPECTRUM: Final = "spectrum-64x4"
BANDS: Final = 64  # chosen by the author, not measured against other numbers
STEP_S: Final = 0.1  # seconds a column: ten a second. Chosen, not measured against others
_LOW_HZ, _HIGH_HZ = 80.0, 4000.0  # what speech and small loudspeakers carry; chosen, not measured
_COLUMNS_MAX: Final = 600  # a minute in steps of 0.1 s, so that a comparison stays cheap. Chosen, not measured
_FLOOR_DB: Final = 45.0  # 15 steps of 3 dB: what 4 bits hold
_STEP_DB: Final = 3.0  # dB a step: what 4 bits and a floor of 45 dB give
_COLUMN_ALIKE: Final = 0.5  # copies and edits are told apart in tests/unit/media/test_fingerprint_detail.py
_LOUD_SHARE: Final = 0.1  # fainter columns than this share of the mean are coding noise


def fingerprint_audio(samples: NDArray[np.float32], rate: int) -> dict[str, str]:
    """Fingerprint float32 (channels, n) samples.

    Returns:
        ``spectrum-64x4``: one byte e (a column each 0.1 s * 2**e, at most 600 columns), then 32 bytes a column, two
        bands a byte, low band in the high nibble.
    """
    mono = samples.mean(axis=0, dtype=np.float64)
    step = STEP_S
    exponent = 0
    while mono.size / rate / step > _COLUMNS_MAX:
        exponent, step = exponent + 1, step * 2
    levels = _levels(mono, rate, step)
    packed = (levels[:, 0::2] << 4) | levels[:, 1::2]
    return {SPECTRUM: f"{exponent:02x}" + packed.astype(np.uint8).tobytes().hex()}


def _levels(mono: NDArray[np.float64], rate: int, step_s: float) -> NDArray[np.uint8]:
    """(columns, BANDS) values 0..15."""
    window = max(2, round(0.2 * rate))
    hop = max(1, round(STEP_S * rate))
    count = max(1, -(-mono.size // hop))
    padded = np.pad(mono, (window // 2, window + count * hop - mono.size))
    size = 1 << (window - 1).bit_length()
    bank = _bank(rate, size)
    taper = np.hanning(window)
    power = np.empty((count, BANDS))
    for first in range(0, count, 256):  # in blocks: memory stays small for long sounds
        rows = range(first, min(count, first + 256))
        blocks = np.stack([padded[i * hop : i * hop + window] for i in rows]) * taper
        power[first : first + len(rows)] = np.abs(np.fft.rfft(blocks, size, axis=1)) ** 2 @ bank.T
    group = round(step_s / STEP_S)
    if group > 1:
        power = np.pad(power, ((0, -count % group), (0, 0))).reshape(-1, group, BANDS).mean(axis=1)
    peak = float(power.max())
    if peak <= 1e-12:
        return np.zeros(power.shape, np.uint8)
    decibel = 10 * np.log10(np.maximum(power / peak, 1e-9))
    return np.clip(np.rint((decibel + _FLOOR_DB) / _STEP_DB), 0, 15).astype(np.uint8)


def _bank(rate: int, size: int) -> NDArray[np.float64]:
    """(BANDS, size / 2 + 1) triangular weights on a logarithmic frequency axis."""
    centres = _LOW_HZ * (_HIGH_HZ / _LOW_HZ) ** (np.arange(BANDS) / (BANDS - 1))
    position = np.interp(np.log(np.maximum(np.fft.rfftfreq(size, 1 / rate), 1.0)), np.log(centres), np.arange(BANDS))
    frequency = np.fft.rfftfreq(size, 1 / rate)
    inside = (frequency >= _LOW_HZ * 0.97) & (frequency <= _HIGH_HZ * 1.03)
    weights: NDArray[np.float64] = np.clip(1.0 - np.abs(position[None, :] - np.arange(BANDS)[:, None]), 0.0, None)
    weights[:, ~inside] = 0.0
    empty = weights.sum(axis=1) == 0  # low bands narrower than one bin take the nearest bin
    for band in np.flatnonzero(empty):
        weights[band, int(np.argmin(np.abs(frequency - centres[band])))] = 1.0
    return weights


def similarity_audio(a: Mapping[str, str], b: Mapping[str, str]) -> float:
    """0..1: sum of minima over sum of maxima (Ruzicka) of the squared levels, at the best offset.

    An offset must cover half of the shorter sound. Two silent sounds are alike (1.0); a silent and a sounding one not.
    """
    one, two = (levels**2 for levels in _common_step(a, b)[:2])
    if not one.any() or not two.any():
        return float(not one.any() and not two.any())
    return _align(one, two)[0]


def _align(one: NDArray[np.int64], two: NDArray[np.int64]) -> tuple[float, int]:
    """(similarity, offset of ``two`` in ``one``) of the best alignment."""
    shorter = min(len(one), len(two))
    best, at = 0.0, 0
    for offset in range(-(len(two) - 1), len(one)):
        first, last = max(0, offset), min(len(one), offset + len(two))
        if last - first < max(1, (shorter + 1) // 2):
            continue
        left, right = one[first:last], two[first - offset : last - offset]
        total = float(np.maximum(left, right).sum())
        if total >= 0.25 * min(one.sum(), two.sum()):
            score = float(np.minimum(left, right).sum()) / total
            if score > best:
                best, at = score, offset
    return best, at


def odd_seconds(known: Mapping[str, str], other: Mapping[str, str]) -> list[Part]:
    """Stretches of ``other`` that do not sound as in ``known``, at the best alignment; in seconds of ``other``."""
    one, two, step_s = _common_step(known, other)
    one, two = one**2, two**2
    if not one.any() and not two.any():
        return []
    _, offset = _align(one, two)
    left = np.pad(one, ((max(0, -offset), 0), (0, 0)))[max(0, offset) :]
    length = min(len(left), len(two))
    old, new = (_smooth(part.astype(np.float64)) for part in _same_scale(left[:length], two[:length]))
    total = np.maximum(old, new).sum(axis=1)
    alike = np.minimum(old, new).sum(axis=1) / np.maximum(total, 1e-9)
    odd = (total > _LOUD_SHARE * total.mean()) & (alike < _COLUMN_ALIKE)
    first = max(0, -offset)  # what lies before the known sound begins is new, and so odd
    return spans("sound", [bool(o) or i < first for i, o in enumerate(odd)], step_s)


def _same_scale(one: NDArray[np.int64], two: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Squared levels of both on one scale: levels are below each sound's loudest cell, and an edit may be louder."""
    low, high = np.sqrt(one).astype(np.int64), np.sqrt(two).astype(np.int64)
    both = (low > 0) & (high > 0)
    shift = int(np.median(low[both] - high[both])) if both.any() else 0
    if shift > 0:  # the second is on the lower scale: what it would have lost there is left out of the first as well
        low = np.where(low > shift, low, 0)
        high = np.where(high > 0, high + shift, 0)
    elif shift < 0:
        high = np.where(high > -shift, high, 0)
        low = np.where(low > 0, low - shift, 0)
    return low**2, high**2


def _smooth(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each column with its neighbours: an onset may fall on either side of a border."""
    wide = np.pad(levels, ((1, 1), (0, 0)), mode="edge")
    found: NDArray[np.float64] = (wide[:-2] + 2 * wide[1:-1] + wide[2:]) / 4
    return found


def _common_step(a: Mapping[str, str], b: Mapping[str, str]) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    """Both as (columns, BANDS) levels at the coarser one's step, and that step in seconds."""
    parsed: list[tuple[int, NDArray[np.int64]]] = []
    for entry in (a, b):
        raw = np.frombuffer(bytes.fromhex(entry[SPECTRUM]), np.uint8)
        levels = np.stack([raw[1:] >> 4, raw[1:] & 15], axis=1).reshape(-1, BANDS).astype(np.int64)
        parsed.append((int(raw[0]), levels))
    coarse = max(p[0] for p in parsed)
    pooled = []
    for exponent, levels in parsed:
        group = 2 ** (coarse - exponent)
        whole = np.pad(levels, ((0, -len(levels) % group), (0, 0))).reshape(-1, group, BANDS)
        pooled.append(whole.max(axis=1))
    return pooled[0], pooled[1], STEP_S * 2.0**coarse
