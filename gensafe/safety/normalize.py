"""Undo the disguises of a text before it is scored, keeping a map back to the original characters.

Steps, in order: compatibility forms (NFKC), removal of invisible characters, Latin look-alikes inside mixed-script
words (the idea of UTS #39 skeletons, restricted to the letters that occur in disguised English), removal of combining
marks on Latin letters, runs of one character cut to three, white space collapsed, lower case.

Classifiers score the raw and the normalised form and keep the higher score: normalising must never hide anything.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from gensafe.core.types import Span

MAX_RUN: Final = 3  # "sooooo" and "sooo" should look alike; three keep emphasis apart from spelling

_INVISIBLE_RANGES: Final = (
    (0x00AD, 0x00AD),  # soft hyphen
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x061C, 0x061C),  # Arabic letter mark
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),  # zero-width space .. right-to-left mark
    (0x202A, 0x202E),  # bidirectional embeddings and overrides
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF9, 0xFFFB),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),  # tags and supplementary variation selectors
)

_UNTIDY: Final = re.compile(r"  |[^\S ]|([^ ])\1{2}", re.IGNORECASE)  # what ``_finish`` would change but for case
_LOOKALIKES: Final = {
    # Cyrillic
    "а": "a", "в": "b", "с": "c", "ԁ": "d", "е": "e", "һ": "h", "і": "i", "ј": "j", "к": "k", "ӏ": "l", "м": "m",
    "н": "h", "о": "o", "р": "p", "ԛ": "q", "ѕ": "s", "т": "t", "у": "y", "ѵ": "v", "ԝ": "w", "х": "x", "г": "r",
    # Greek
    "α": "a", "β": "b", "ε": "e", "η": "n", "ι": "i", "κ": "k", "ν": "v", "ο": "o", "ρ": "p", "σ": "o", "τ": "t",
    "υ": "u", "χ": "x", "γ": "y", "ω": "w",
    # Armenian and others
    "ո": "n", "ս": "u", "օ": "o", "հ": "h", "ց": "g", "յ": "j",
    # Latin letters that NFKC keeps
    "ı": "i", "ɑ": "a", "ɡ": "g", "ɩ": "i", "ᴀ": "a", "ʙ": "b", "ᴄ": "c", "ᴅ": "d", "ᴇ": "e", "ꜰ": "f", "ɢ": "g",
    "ʜ": "h", "ɪ": "i", "ᴊ": "j", "ᴋ": "k", "ʟ": "l", "ᴍ": "m", "ɴ": "n", "ᴏ": "o", "ᴘ": "p", "ʀ": "r", "ꜱ": "s",
    "ᴛ": "t", "ᴜ": "u", "ᴠ": "v", "ᴡ": "w", "ʏ": "y", "ᴢ": "z", "ø": "o", "ł": "l", "đ": "d", "ħ": "h",
}  # fmt: skip

# First and last code points of the Unicode blocks of each script (Unicode Blocks.txt), the blocks that matter here.
_SCRIPTS: Final = (
    ("latin", 0x0041, 0x024F),
    ("latin", 0x0250, 0x02AF),
    ("latin", 0x1D00, 0x1DBF),
    ("latin", 0x1E00, 0x1EFF),
    ("latin", 0xA720, 0xA7FF),
    ("greek", 0x0370, 0x03FF),
    ("cyrillic", 0x0400, 0x052F),
    ("armenian", 0x0530, 0x058F),
    ("hebrew", 0x0590, 0x05FF),
    ("arabic", 0x0600, 0x06FF),
    ("arabic", 0x0750, 0x077F),
    ("indic", 0x0900, 0x0DFF),
    ("thai", 0x0E00, 0x0EFF),
    ("georgian", 0x10A0, 0x10FF),
    ("hangul", 0x1100, 0x11FF),
    ("kana", 0x3040, 0x30FF),
    ("han", 0x3400, 0x9FFF),
    ("hangul", 0xAC00, 0xD7AF),
    ("han", 0x20000, 0x3134F),
)


def is_invisible(char: str) -> bool:
    """Whether ``char`` shows nothing and is not white space (format controls, fillers, selectors, tags)."""
    code = ord(char)
    if code < 0xAD:
        return False
    return any(low <= code <= high for low, high in _INVISIBLE_RANGES) or unicodedata.category(char) == "Cf"


def script_of(char: str) -> str:
    """Coarse script of a letter ("latin", "cyrillic", ..., "other"), "" for what is not a letter."""
    if not char.isalpha():
        return ""
    code = ord(char)
    for name, low, high in _SCRIPTS:
        if low <= code <= high:
            return name
    return "other"


@dataclass(frozen=True, slots=True)
class Normalized:
    """A normalised text. ``origin[i]`` is the index in the source of the character that gave ``text[i]``."""

    text: str
    origin: tuple[int, ...]
    source_length: int

    def span(self, start: int, end: int) -> Span:
        """Map [start, end) of the normalised text to the source; covers every source character in between."""
        if not self.origin or start >= end:
            return Span(0, 0)
        first = self.origin[min(start, len(self.origin) - 1)]
        last = self.origin[min(end, len(self.origin)) - 1]
        return Span(first, min(self.source_length, last + 1))


def normalize(text: str) -> Normalized:
    """Normalise ``text`` as the module describes. Linear in its length."""
    if text.isascii():  # the common case needs only case, runs and white space
        if _UNTIDY.search(text) is None:
            return Normalized(text.lower(), tuple(range(len(text))), len(text))
        return _finish(list(text), list(range(len(text))), len(text))
    chars: list[str] = []
    origin: list[int] = []
    for index, char in enumerate(text):
        if char.isascii():
            chars.append(char)
            origin.append(index)
            continue
        if is_invisible(char):
            continue
        for piece in unicodedata.normalize("NFKD", char) if _decomposes(char) else char:
            if unicodedata.combining(piece) and chars and script_of(chars[-1]) == "latin":
                continue
            chars.append(piece)
            origin.append(index)
    _fold_mixed_words(chars)
    return _finish(chars, origin, len(text))


def _decomposes(char: str) -> bool:
    # Hangul and kana must stay composed: their n-grams are what the models know
    return script_of(char) not in ("hangul", "kana", "han") and not unicodedata.combining(char)


def _fold_mixed_words(chars: list[str]) -> None:
    """Turn look-alikes into Latin letters, in words that mix Latin with another alphabet; in place."""
    start = 0
    for end in range(len(chars) + 1):
        if end < len(chars) and chars[end].isalpha():
            continue
        word = chars[start:end]
        scripts = {script_of(c) for c in word}
        small_capitals = "latin" in scripts and any(c.lower() in _LOOKALIKES for c in word)
        if small_capitals or ("latin" in scripts and len(scripts) > 1):
            chars[start:end] = [_LOOKALIKES.get(c.lower(), c) for c in word]
        start = end + 1


def _finish(chars: list[str], origin: list[int], length: int) -> Normalized:
    out: list[str] = []
    where: list[int] = []
    run = 0
    for char, index in zip(chars, origin, strict=True):
        lower = " " if char.isspace() else char.lower()
        for piece in lower:
            if out and piece == out[-1]:
                run += 1
                if piece == " " or run >= MAX_RUN:
                    continue
            else:
                run = 0
            out.append(piece)
            where.append(index)
    return Normalized("".join(out), tuple(where), length)
