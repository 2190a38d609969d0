"""The readings of a text that are scored: normalised, as written, letters put back, and what another coding says."""

from __future__ import annotations

import re
from typing import Final

from gensafe.safety.decoded import decoded
from gensafe.safety.normalize import Normalized, normalize

_LEET: Final = str.maketrans(
    {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "@": "a", "$": "s", "!": "i", "*": "u"}
)
_LEET_WORD: Final = re.compile(r"(?=[\w@$!*]*[a-z])(?=[\w@$!*]*[0-9@$!*])[a-z0-9@$!*]{3,20}")
_PLAIN_SUFFIX: Final = re.compile(
    r"\d+(?:st|nd|rd|th|s|x|k|m|g|kg|km|cm|mm|am|pm|p|d|gb|mb|ml|h|min)?$|[a-z]+[!*]*$|[a-z]+\d+$"
)
_SPREAD: Final = re.compile(r"(?<!\w)[a-z](?:[ .\-_*]{1,2}[a-z](?!\w)){3,30}")


def readings(text: str) -> list[Normalized]:
    """The normalised text first, then each further reading that differs from it. Same offsets into ``text``."""
    first = normalize(text)
    found = [first]
    undone = _undo(first)
    if undone is not None:
        found.append(undone)
    raw = text.lower()
    if not text.isascii() and raw != first.text and len(raw) == len(text):
        found.append(Normalized(raw, tuple(range(len(raw))), len(text)))
    known = {r.text for r in found}
    found += [r for r in decoded(text) if r.text not in known]
    return found


def _undo(first: Normalized) -> Normalized | None:
    """Undo letter swaps inside words ("k1ll") and spread-out words ("k i l l"); None if there are none."""
    chars = list(first.text)
    keep = [True] * len(chars)
    changed = False
    for m in _LEET_WORD.finditer(first.text):
        if not _PLAIN_SUFFIX.fullmatch(m.group()):
            chars[m.start() : m.end()] = m.group().translate(_LEET)
            changed = True
    for m in _SPREAD.finditer(first.text):
        for i in range(*m.span()):
            keep[i] = first.text[i].isalpha()
        changed = True
    if not changed:
        return None
    text = "".join(c for c, k in zip(chars, keep, strict=True) if k)
    return Normalized(text, tuple(o for o, k in zip(first.origin, keep, strict=True) if k), first.source_length)
