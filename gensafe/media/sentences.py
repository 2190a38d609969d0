"""How a text differs from another, by sentences: what was kept, what was changed, as a diff a person can read.

Both comparisons are longest common subsequences, found with rows of bits (Hyyrö 2004, after Crochemore et al. 2001):
n additions of m-bit integers for texts of n and m words, whatever the words are. No input is slower than another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from gensafe.media.fingerprint.text import words

MAX_LINES: Final = 40  # lines of a difference that a person still reads. Chosen, not measured
MAX_CHARACTERS: Final = 20_000
"""Texts up to here are compared: at most 10,000 words, 10,000 additions of 10,000 bits, 0.2 s (tests/unit/media)."""
# after a full stop, question or exclamation mark with what closes it, or a full-width one; and at line ends
_ENDS: Final = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+|(?<=[。！？])|\n+")


@dataclass(frozen=True, slots=True)
class TextDifference:
    """``words_kept`` 0..1 is the share of the longer text's words that stand, in order, in both.

    ``changed`` counts sentences of the first text that are not in the second as they were, or of the second that are
    new, whichever are more; ``sentences`` are those of the first. ``words`` are runs of words that became others.
    """

    words_kept: float
    changed: int
    sentences: int
    lines: tuple[str, ...]
    words: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """One line for a report."""
        plural = "s" if self.changed != 1 else ""
        return (
            f"{_percent(self.words_kept)} of the words are those of the recorded text; "
            f"{self.changed} sentence{plural} of {self.sentences} differ{'' if plural else 's'}"
        )


def _percent(share: float) -> str:
    """Rounded, but all or nothing only where it is."""
    return f"{min(99, max(1, round(100 * share)))} %" if 0 < share < 1 else f"{round(100 * share)} %"


def sentences(text: str) -> list[str]:
    """The sentences of ``text``, their marks at the end kept, in order."""
    parts, start = [], 0
    for end in _ENDS.finditer(text):
        parts.append(text[start : end.end()].strip())
        start = end.end()
    return [part for part in (*parts, text[start:].strip()) if part]


def text_difference(before: str, after: str) -> TextDifference:
    """Compare two texts.

    The cost is bounded by the product of their word counts / 64: callers keep to ``MAX_CHARACTERS``.
    """
    old, new = sentences(before), sentences(after)
    same = common(old, new)
    changed = max(len(old), len(new)) - len(same)
    one, two = words(before), words(after)
    kept = common(one, two)
    share = len(kept) / max(len(one), len(two), 1)
    runs = ((" ".join(one[a:b]), " ".join(two[c:d])) for a, b, c, d in _gaps(kept, len(one), len(two)))
    lines = tuple(islice(_diff(old, new, same), MAX_LINES))
    return TextDifference(share, changed, len(old), lines, tuple(islice(runs, MAX_LINES)))


def common(one: Sequence[str], two: Sequence[str]) -> list[tuple[int, int]]:
    """The places of a longest common subsequence, in order: (index in ``one``, index in ``two``)."""
    first = 0
    while first < min(len(one), len(two)) and one[first] == two[first]:
        first += 1
    last = 0
    while last < min(len(one), len(two)) - first and one[-1 - last] == two[-1 - last]:
        last += 1
    inner = _common(one[first : len(one) - last], two[first : len(two) - last])
    ends = [(len(one) - i, len(two) - i) for i in range(last, 0, -1)]
    return [*((i, i) for i in range(first)), *((first + i, first + j) for i, j in inner), *ends]


def _common(one: Sequence[str], two: Sequence[str]) -> list[tuple[int, int]]:
    """The same without the trimming. Bit j of row i is 0 where the common length grows at ``two[j]``."""
    if not one or not two:
        return []
    everywhere = (1 << len(two)) - 1
    places: dict[str, int] = {}
    for j, item in enumerate(two):
        places[item] = places.get(item, 0) | 1 << j
    row, rows = everywhere, [everywhere]
    for item in one:
        hits = row & places.get(item, 0)
        row = ((row + hits) | (row - hits)) & everywhere
        rows.append(row)
    found, i, j = [], len(one), len(two)
    while i and j:
        if rows[i] >> (j - 1) & 1:  # no growth at two[j - 1]
            j -= 1
        elif not rows[i - 1] >> (j - 1) & 1:  # it grew there before one[i - 1] came
            i -= 1
        else:
            i, j = i - 1, j - 1
            found.append((i, j))
    return found[::-1]


def _gaps(same: Sequence[tuple[int, int]], before: int, after: int) -> list[tuple[int, int, int, int]]:
    """The stretches between the common places: [a, b) of the first became [c, d) of the second."""
    found, a, c = [], 0, 0
    for b, d in [*same, (before, after)]:
        if a < b or c < d:
            found.append((a, b, c, d))
        a, c = b + 1, d + 1
    return found


def _diff(old: list[str], new: list[str], same: Sequence[tuple[int, int]]) -> list[str]:
    """A diff in the unified form, with one sentence of context."""
    lines = ["--- recorded", "+++ this file"] if len(same) < max(len(old), len(new)) else []
    for a, b, c, d in _gaps(same, len(old), len(new)):
        lines.append(f"@@ -{a + 1},{b - a} +{c + 1},{d - c} @@")
        lines += [f" {old[a - 1]}"] if a else []
        lines += [f"-{text}" for text in old[a:b]]
        lines += [f"+{text}" for text in new[c:d]]
        lines += [f" {old[b]}"] if b < len(old) else []
    return lines
