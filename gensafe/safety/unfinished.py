"""Which pieces of a text that goes on are worth the encoder's time now, and which only once they have grown.

A stream shows the same words to many windows, and what it ends in changes with each of them. So the end is read when
it cannot change any more or has grown by ``UNREAD`` characters: every character is read before it leaves, and a text
is read about twice, not at every step.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Final

from gensafe.core.ports import UNREAD
from gensafe.safety.normalize import Normalized

TO_WORD_END: Final = 40  # characters looked ahead for a space, so that no word is cut; longer than almost every word
_ENDS: Final = (".", "!", "?", "\n", "。", "！", "？")

Suspect = Callable[[str], bool]
"""Whether a piece of normalised text is to be read at once."""


def windows_due(
    reading: Normalized, cuts: Iterator[tuple[int, int]], size: int, suspect: Suspect
) -> Iterator[tuple[int, int, bool]]:
    """(start, end, read it now) for each of the windows ``cuts``, of at most ``size`` characters, over ``reading``."""
    before = 0  # everything up to here is in a window that is read
    for start, end in cuts:
        if end - start == size or suspect(reading.text[start:end]):
            yield start, end, True
            before = end
            continue
        settled = _settled(reading, before, end)
        yield start, settled if settled > before else end, settled > before


def sentence_due(reading: Normalized, start: int, end: int, suspect: Suspect) -> bool:
    """Whether a sentence is over, or is to be read at once."""
    text = reading.text
    return end < len(text) or text[start:end].rstrip().endswith(_ENDS) or suspect(text[start:end])


def _settled(reading: Normalized, before: int, end: int) -> int:
    """Up to where a piece is read that is read up to ``before`` and goes on after ``end``.

    ``UNREAD`` counts characters as they were written: invisible ones must not carry anything past the gate.
    """
    origin = reading.origin
    at = before
    while at < end and origin[end - 1] + 1 - origin[at] >= UNREAD:
        at = max(at + 1, bisect_left(origin, origin[at] + UNREAD, at, end))
    if at == before:
        return before
    space = reading.text.find(" ", at, min(end, at + TO_WORD_END))
    return space if space >= 0 else at
