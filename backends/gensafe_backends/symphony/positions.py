"""Ids -> (t, y, x) positions and slots: TM-RoPE with real time.

t counts ticks of 1/64 s. Text and control tokens advance t by one. An image sits at one t and spreads over (y, x); what
follows it starts ``image_grid + 1`` ticks later. Audio token j of a span that opens at t0 sits at ``t0 + 1 + 2 j``.
Chunk k of a video starts at ``t0 + 1 + 16 k``; its picture tokens all sit there with their (y, x), its sound tokens at
their own time inside the chunk, so simultaneous sound and picture share t whatever the token order.

The *slot* of a token names the place in the span that comes next (0 outside spans): the opening control token has the
slot of place 0, the last token of a span the slot of its end. It tells the model what it is about to write.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.vocab import BOA, BOI, BOV


@dataclass(frozen=True, slots=True)
class Position:
    """Where one token sits: ticks, grid row, grid column, and the slot row of what comes next."""

    t: int
    y: int
    x: int
    slot: int


class PositionTracker:
    """Assigns positions one token at a time; feeding ids one by one or all at once gives the same result.

    Args:
        config: Span geometry.
        start: t of the first token.
    """

    def __init__(self, config: SymphonyConfig, start: int = 0) -> None:
        self._c = config
        self._next_t = start  # t of the next token outside a span
        self._span = 0  # BOI, BOA, BOV while a span is open, else 0
        self._index = 0  # tokens of the open span seen so far
        self._origin = 0  # t of the control token that opened it
        c = config
        self._first_slot = {BOI: 1, BOA: 2 + c.image_tokens, BOV: 3 + c.image_tokens + c.audio_tokens}
        self._length = {BOI: c.image_tokens, BOA: c.audio_tokens, BOV: c.video_tokens}

    def copy(self) -> PositionTracker:
        """An independent tracker in the same state."""
        twin = PositionTracker(self._c)
        twin._next_t, twin._span, twin._index, twin._origin = self._next_t, self._span, self._index, self._origin
        return twin

    def push(self, token: int) -> Position:
        """Position of ``token``, which follows everything pushed before."""
        if self._span:
            return self._inside()
        t = self._next_t
        self._next_t = t + 1
        if token in self._first_slot:
            self._span, self._index, self._origin = token, 0, t
            return Position(t, 0, 0, self._first_slot[token])
        return Position(t, 0, 0, 0)

    def _inside(self) -> Position:
        c, kind, i = self._c, self._span, self._index
        self._index = i + 1
        t, y, x = self._origin + 1, 0, 0
        if kind == BOI:
            y, x = divmod(i, c.image_grid)
            after = t + c.image_grid
        elif kind == BOA:
            t += c.audio_ticks * i
            after = t + c.audio_ticks
        else:
            chunk, r = divmod(i, c.chunk_tokens)
            t += c.chunk_ticks * chunk
            after = t + c.chunk_ticks
            if r < c.video_grid * c.video_grid:
                y, x = divmod(r, c.video_grid)
            else:
                t += c.audio_ticks * (r - c.video_grid * c.video_grid)
        if self._index == self._length[kind]:
            self._span, self._next_t = 0, after
        return Position(t, y, x, self._first_slot[kind] + i + 1)


def positions(
    ids: Iterable[int], config: SymphonyConfig, start: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of a whole sequence.

    Returns:
        ``(tyx, slots)``: int64 (n, 3) and int64 (n,).
    """
    tracker = PositionTracker(config, start)
    rows = [(p.t, p.y, p.x, p.slot) for p in map(tracker.push, ids)]
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return table[:, :3].copy(), table[:, 3].copy()
