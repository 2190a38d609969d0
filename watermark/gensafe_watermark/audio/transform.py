"""Short-time Fourier transform, its weighted overlap-add inverse, and rational resampling to the working rate."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import irfft, rfft
from scipy.signal import firwin, resample_poly

from gensafe_watermark.audio.layout import FRAME, HOP, RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_REACH = 10  # samples of the slower rate that the filter reaches each way
_MAX_RATIO_TERM = 2000  # 44,100 -> 16,000 is 160/441; odd rates are approximated, error below 1e-6


@lru_cache(maxsize=2)
def root_hann() -> NDArray[np.float32]:
    """Analysis and synthesis window whose squares at half overlap add to one."""
    return np.sqrt(hann())


@lru_cache(maxsize=2)
def hann() -> NDArray[np.float32]:
    """Periodic Hann window."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)).astype(np.float32)


def frames(x: NDArray[np.float32], hop: int) -> NDArray[np.float32]:
    """Overlapping views (..., count, FRAME) of the last axis; the caller pads."""
    return np.lib.stride_tricks.sliding_window_view(x, FRAME, axis=-1)[..., ::hop, :]


def forward(x: NDArray[np.float32]) -> NDArray[np.complex64]:
    """(..., n) -> (..., frames, bins) with the root-Hann window at half overlap; ``x`` begins with the first frame."""
    return rfft(frames(x, HOP) * root_hann(), axis=-1)  # type: ignore[no-any-return]


def inverse(spectrum: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Overlap-add: (..., frames, bins) -> (..., (frames + 1) * HOP)."""
    pieces = irfft(spectrum, FRAME, axis=-1).astype(np.float32) * root_hann()
    count = pieces.shape[-2]
    out = np.zeros((*pieces.shape[:-2], count + 1, HOP), np.float32)
    out[..., :-1, :] += pieces[..., :HOP]
    out[..., 1:, :] += pieces[..., HOP:]
    return out.reshape(*out.shape[:-2], -1)


def ratio(rate: int) -> tuple[int, int]:
    """(up, down) with RATE / rate = up / down, terms small enough for a polyphase filter."""
    exact = Fraction(RATE, rate)
    near = exact.limit_denominator(_MAX_RATIO_TERM)
    return near.numerator, near.denominator


@lru_cache(maxsize=16)
def _taps(most: int) -> NDArray[np.float32]:
    """The default low-pass of scipy for resampling, kept because designing it costs more than a second of sound."""
    taps: NDArray[np.float32] = firwin(2 * _REACH * most + 1, 1 / most, window=("kaiser", 5.0)).astype(np.float32)
    return taps


def polyphase(x: NDArray[np.float32], up: int, down: int) -> NDArray[np.float32]:
    """Resample the last axis by ``up / down``: ceil(n * up / down) samples, zero phase."""
    out: NDArray[np.float32] = resample_poly(x, up, down, axis=-1, window=_taps(max(up, down)))
    return out.astype(np.float32, copy=False)


def to_working_rate(x: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """(..., n) at ``rate`` -> (..., m) at RATE."""
    if rate == RATE:
        return x
    up, down = ratio(rate)
    return polyphase(x, up, down)


class StreamResampler:
    """Polyphase resampling of a stream; joins up to exactly what resampling the whole would give.

    Args:
        channels: Number of channels.
        up: Interpolation factor.
        down: Decimation factor.
    """

    def __init__(self, channels: int, up: int, down: int) -> None:
        self._up, self._down = up, down
        reach = -(-_REACH * max(up, down) // up) + 1
        self._context = -(-reach // down) * down
        self._buffer = np.zeros((channels, 0), np.float32)
        self._before = 0  # samples of the buffer that are context already emitted, a multiple of `down`

    def push(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take (channels, n) more; return what is final."""
        if self._up == self._down:
            return x
        self._buffer = np.concatenate([self._buffer, x], axis=1)
        ready = (self._buffer.shape[1] - self._before - self._context) // self._down * self._down
        if ready <= 0:
            return np.zeros((len(x), 0), np.float32)
        out = self._resample(self._before + ready + self._context)
        first = self._before // self._down * self._up
        done = out[:, first : first + ready // self._down * self._up]
        keep = min(self._context, self._before + ready)
        self._buffer = self._buffer[:, self._before + ready - keep :]
        self._before = keep
        return done

    def flush(self) -> NDArray[np.float32]:
        """Return the rest; the stream has ended."""
        if self._up == self._down or self._buffer.shape[1] == self._before:
            return self._buffer[:, :0]
        return self._resample(self._buffer.shape[1])[:, self._before // self._down * self._up :]

    def _resample(self, length: int) -> NDArray[np.float32]:
        return polyphase(self._buffer[:, :length], self._up, self._down)
