"""Where a long text is cut into the overlapping windows that a model reads at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

WINDOW: Final = 480  # characters, about 100 tokens: what the encoder reads at once


def next_start(text: str, start: int, size: int) -> int:
    """Where the window after the one at ``start`` begins: at the first word of its second half."""
    middle = start + size // 2
    space = text.find(" ", middle, middle + size // 4)
    return space + 1 if space >= 0 else middle


class Cuts:
    """The beginnings of the windows of ``WINDOW`` characters over a text that grows."""

    def __init__(self) -> None:
        self._places = [0]

    def within(self, text: str, first: int, last: int) -> Iterator[int]:
        """Those from ``first`` to ``last``, in order. ``text`` is what was given before, with more at its end."""
        while self._places[-1] < last:
            if self._places[-1] + WINDOW * 3 // 4 > len(text):  # the space that ``next_start`` looks for may still come
                break
            self._places.append(next_start(text, self._places[-1], WINDOW))
        return (p for p in self._places if first <= p <= last)
