"""Streaming embedding: bounded memory, and the same result whatever the sizes of the pieces it is fed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe_watermark import payload as payload_code
from gensafe_watermark import prf
from gensafe_watermark.audio.layout import BLOCK, BLOCK_CHIPS, CHIP, HOP, MEDIUM, pattern
from gensafe_watermark.audio.marker import mark_block
from gensafe_watermark.audio.transform import StreamResampler, forward, inverse, ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

PHASES: Final = 2 * BLOCK_CHIPS  # a block and its negation: the period of the pattern
_DECAY: Final = 0.1  # loudness memory per block: 10 dB per 1.92 s


class WorkingRateMarker:
    """The mark as a signal to add, at the working rate, for a host that arrives in pieces.

    Args:
        channels: Number of channels.
        payload: PAYLOAD_BYTES bytes.
        key: 32 bytes.
        strength: Amplitude factor; 1.0 is the shipped setting.
        phase: Chips of the first (block, negated block) period that are left out, 0..PHASES-1.
    """

    def __init__(self, channels: int, payload: bytes, key: bytes, strength: float = 1.0, phase: int = 0) -> None:
        self._plan = pattern(key)
        self._signs = self._plan.chips(payload_code.encode(payload, key, MEDIUM))
        self._seed = prf.integers(key, 2, "carrier", MEDIUM, payload.hex())
        self._strength = strength
        self._skip = phase * CHIP  # what is prepended, and dropped again from the output
        # frame i is centred on sample i * HOP, so one hop precedes the first block
        self._host = np.zeros((channels, HOP + self._skip), np.float32)
        self._tail = np.zeros((channels, HOP), np.float32)
        self._block = 0
        self._memory = 0.0
        self._taken = self._given = 0  # samples in and out

    def push(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take (channels, n) more of the host; return what of the mark is final, possibly nothing."""
        self._taken += x.shape[1]
        self._host = np.concatenate([self._host, x], axis=1)
        done = []
        while self._host.shape[1] >= HOP + 2 * BLOCK:  # the next block's loudness is needed
            done.append(self._mark())
        return self._out(done)

    def flush(self) -> NDArray[np.float32]:
        """Return the rest of the mark; the host has ended."""
        left = self._host.shape[1] - HOP
        blocks = -(-(left + HOP) // BLOCK)  # a block is final one hop before its end, because frames overlap
        self._host = np.pad(self._host, ((0, 0), (0, (blocks + 1) * BLOCK - left)))
        rest = self._taken - self._given
        return self._out([self._mark() for _ in range(blocks)])[:, :rest]

    def _out(self, done: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        if not done:
            return np.zeros((self._host.shape[0], 0), np.float32)
        joined = np.concatenate(done, axis=1)
        drop = min(self._skip, joined.shape[1])
        self._skip -= drop
        self._given += joined.shape[1] - drop
        return joined[:, drop:]

    def _mark(self) -> NDArray[np.float32]:
        piece = self._host[:, : HOP + BLOCK]
        channels = len(piece)
        # 1. how loud it is here and shortly after, and was shortly before
        here, after = (
            float(np.mean(self._host[:, HOP + i * BLOCK : HOP + (i + 1) * BLOCK] ** 2)) * channels for i in (0, 1)
        )
        self._memory = max(self._memory * _DECAY, here, after)
        # 2. host and carrier noise through the same transform
        spectrum = forward(piece)
        counter = np.array([0, self._block, 0, 0], np.uint64)
        noise = np.random.Generator(np.random.Philox(key=self._seed, counter=counter))
        carrier = forward(noise.standard_normal(HOP + BLOCK, np.float32))
        power = (spectrum.real**2 + spectrum.imag**2).sum(axis=0)
        # 3. the change, and back to time
        sign = -1.0 if self._block % 2 else 1.0
        change = mark_block(
            power,
            carrier.real**2 + carrier.imag**2,
            self._signs * np.float32(sign),
            self._plan,
            self._memory,
            self._strength,
        )
        delta = inverse(spectrum * change.gain + carrier * (change.fill / np.float32(np.sqrt(channels))))
        delta[:, :HOP] += self._tail
        self._tail = delta[:, BLOCK:].copy()
        self._host = self._host[:, BLOCK:]
        self._block += 1
        # the first hop of the first block lies before the host begins
        return delta[:, HOP:BLOCK] if self._block == 1 else delta[:, :BLOCK]


class RateMarker:
    """``WorkingRateMarker`` for a host at any rate: (channels, n) pieces in, the mark at the same rate out."""

    def __init__(self, channels: int, rate: int, payload: bytes, key: bytes, strength: float, phase: int) -> None:
        up, down = ratio(rate)
        self._in = StreamResampler(channels, up, down)
        self._marker = WorkingRateMarker(channels, payload, key, strength, phase)
        self._out = StreamResampler(channels, down, up)

    def push(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take more of the host; return what of the mark is final."""
        return self._out.push(self._marker.push(self._in.push(x)))

    def flush(self) -> NDArray[np.float32]:
        """Return the rest of the mark."""
        rest = self._marker.push(self._in.flush())
        first = self._out.push(np.concatenate([rest, self._marker.flush()], axis=1))
        return np.concatenate([first, self._out.flush()], axis=1)
