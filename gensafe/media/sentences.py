"""How a text differs from another, by sentences: what was kept, what was changed, as a diff a person can read."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from itertools import islice
from typing import Final

from gensafe.media.fingerprint.text import words

MAX_LINES: Final = 40
# after a full stop, question or exclamation mark with what closes it, or a full-width one; and at line ends
_ENDS: Final = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+|(?<=[。！？])|\n+")


@dataclass(frozen=True, slots=True)
class TextDifference:
    """``words_kept`` 0..1 is the share of the longer text's words that stand, in order, in both.

    ``changed`` counts sentences of the first text that are not in the second as they were, or of the second that are
    new, whichever are more; ``sentences`` are those of the first.
    """

    words_kept: float
    changed: int
    sentences: int
    lines: tuple[str, ...]

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

    The cost grows with the product of their lengths; callers bound them (20,000 characters take about a second).
    """
    old, new = sentences(before), sentences(after)
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    changed = sum(max(b - a, d - c) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal")
    one, two = words(before), words(after)
    kept = sum(block.size for block in difflib.SequenceMatcher(None, one, two, autojunk=False).get_matching_blocks())
    share = kept / max(len(one), len(two), 1)
    diff = difflib.unified_diff(old, new, "recorded", "this file", lineterm="", n=1)
    return TextDifference(share, changed, len(old), tuple(islice(diff, MAX_LINES)))
