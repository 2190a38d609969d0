"""What the detector correlates: whitened, limited log power of every chip-sized cell, at any time and pitch scale.

Log power makes the mark independent of gain; subtracting the local mean over time and over frequency removes the host's
envelope and any equaliser; limiting keeps onsets and silences from outvoting everything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.fft import rfft
from scipy.ndimage import uniform_filter1d

from gensafe_watermark.audio.layout import CHIP, FRAME, band_edges
from gensafe_watermark.audio.transform import frames, hann

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP: Final = 128  # samples between detector frames; a quarter of a chip
STEPS_PER_CHIP: Final = CHIP // STEP
RELATIVE_FLOOR: Final = 1e-6  # power under which a bin counts as silent, relative to the mean bin of the clip
NEAR_CHIPS: Final = 5  # that make up the local mean over time
NEAR_BANDS: Final = 9  # and over frequency
LIMIT: Final = 2.0  # in robust standard deviations


def log_power(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """(channels, n) at the working rate -> (frames, bins) log of the power summed over channels.

    Frame ``i`` is centred on sample ``i * STEP``.
    """
    padded = np.pad(x, ((0, 0), (FRAME // 2, FRAME // 2)))
    power = np.zeros((1 + (padded.shape[1] - FRAME) // STEP, FRAME // 2 + 1), np.float32)
    for channel in padded:
        spectrum = rfft(frames(channel, STEP) * hann(), axis=-1)
        power += spectrum.real**2 + spectrum.imag**2
    top = band_edges()[-1]
    floor = RELATIVE_FLOOR * float(power[:, :top].mean()) + 1e-12
    return np.log(power + np.float32(floor))


def flatten_bands(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract the mean of NEAR_BANDS bands around each band: (rows, BANDS)."""
    flat: NDArray[np.float32] = values - uniform_filter1d(values, NEAR_BANDS, axis=1, mode="nearest")
    return flat


def flatten_time(values: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """Subtract the mean of NEAR_CHIPS chips around each chip, ``stride`` rows apart: (rows, BANDS)."""
    reach = NEAR_CHIPS // 2
    padded = np.pad(values, ((reach * stride, reach * stride), (0, 0)), mode="edge")
    local = padded[: len(values)].copy()
    for i in range(1, NEAR_CHIPS):
        local += padded[i * stride : i * stride + len(values)]
    local *= np.float32(-1 / NEAR_CHIPS)
    local += values
    return local


def limit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring to unit robust deviation and limit to [-LIMIT, LIMIT]."""
    sample = values.ravel()[:: 1 + values.size // 20_000]  # enough for a median
    spread = 1.4826 * float(np.median(np.abs(sample))) + 1e-9
    limited: NDArray[np.float32] = np.clip(values * np.float32(1 / spread), -LIMIT, LIMIT)
    return limited


class ScaledCells:
    """Chip cells of one clip at any time scale and pitch scale, by interpolating sums over the log spectrogram.

    Args:
        log: (frames, bins) from ``log_power``.
    """

    def __init__(self, log: NDArray[np.float32]) -> None:
        self._frames = len(log)
        self._sums = np.zeros((log.shape[1] + 1, len(log)), np.float32)  # bins first: edges are gathered by row
        np.cumsum((log - log.mean()).T, axis=0, out=self._sums[1:])
        self._pitch = 0.0
        self._total: NDArray[np.float32] = np.zeros((0, 0), np.float32)

    def _bands(self, pitch: float) -> NDArray[np.float32]:
        """(frames + 1, BANDS): sums over time of the flattened band means, with band edges scaled by ``pitch``."""
        if self._pitch != pitch:
            edges = np.minimum(band_edges() * pitch, len(self._sums) - 1.001)
            low = edges.astype(np.intp)
            part = (edges - low).astype(np.float32)[:, None]
            at = self._sums[low] * (1 - part) + self._sums[low + 1] * part
            widths = np.maximum(np.diff(edges), 0.5).astype(np.float32)
            means = flatten_bands(np.ascontiguousarray((np.diff(at, axis=0) / widths[:, None]).T))
            self._total = np.zeros((self._frames + 1, means.shape[1]), np.float32)
            np.cumsum(means, axis=0, out=self._total[1:])
            self._pitch = pitch
        return self._total

    def at(self, tempo: float, pitch: float) -> NDArray[np.float32]:
        """Whitened cells of the clip slowed down by ``tempo`` and lowered by ``pitch``: (rows, BANDS).

        Row ``r`` covers the chip that begins ``r * STEP`` samples into the restored clip.
        """
        total = self._bands(pitch)
        width = STEPS_PER_CHIP / tempo
        rows = int((self._frames - width) * tempo)
        if rows < 1:
            return np.zeros((0, total.shape[1]), np.float32)
        if tempo == 1.0:
            cells = total[STEPS_PER_CHIP : STEPS_PER_CHIP + rows] - total[:rows]
        else:
            start = np.arange(rows + STEPS_PER_CHIP) / tempo
            at = _interpolate(total, start)
            cells = at[STEPS_PER_CHIP:] - at[:rows]
        return limit(flatten_time(cells, STEPS_PER_CHIP))


def _interpolate(table: NDArray[np.float32], at: NDArray[np.float64]) -> NDArray[np.float32]:
    low = np.minimum(at.astype(np.intp), len(table) - 2)
    part = (at - low).astype(np.float32)[:, None]
    first = table[low]
    first += (table[low + 1] - first) * part
    return first
