"""Text a person does not see as it is: invisible characters, bidirectional controls, tag characters, look-alikes.

Allowed: joiners and selectors inside emoji, joiners in Indic and Arabic scripts, direction marks beside right-to-left
letters, one byte-order mark at the start, a few soft hyphens, and C2PA's text manifest wrapper (spec A.8), which is
variation selectors by design. Bidirectional controls: UTS #55, CVE-2021-42574.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from gensafe.safety.normalize import is_invisible, script_of
from gensafe.safety.rules.hit import Hit

_OVERRIDES: Final = frozenset("\u202d\u202e")
_DIRECTION: Final = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u2066\u2067\u2068\u2069")
_JOINERS: Final = frozenset("\u200c\u200d")
_RTL: Final = frozenset(("hebrew", "arabic"))
_C2PA_MAGIC: Final = b"C2PATXT\0"
_WORD: Final = re.compile(r"[^\W\d_]{2,64}")
_NON_ASCII: Final = re.compile(r"[^\x00-\x7f]")


def find_hidden(text: str) -> Iterator[Hit]:
    """Yield hidden or disguised passages (category ``hid``)."""
    if text.isascii():
        return
    rtl = any(unicodedata.bidirectional(c) in ("R", "AL") for c in text if c > "\u058f")
    runs = _runs(text, rtl)
    if runs:
        total = sum(n for _, _, n, _ in runs)
        for start, end, count, kind in runs:
            yield Hit("hid", kind, start, end, _score(kind, count, total))
    for m in _WORD.finditer(text):
        word = m.group()
        if not word.isascii() and _mixed(word):
            yield Hit("hid", "look-alike letters", m.start(), m.end(), 0.6)


def _score(kind: str, count: int, total: int) -> float:
    if kind in ("bidirectional override", "tag characters", "selector payload"):
        return 0.95
    if kind == "soft hyphen":
        return 0.2
    return 0.95 if count >= 8 or total >= 24 else 0.6


def _runs(text: str, rtl: bool) -> list[tuple[int, int, int, str]]:
    """Maximal runs of unexplained invisible characters: (start, end, how many, kind)."""
    found: list[tuple[int, int, int, str]] = []
    position = 0
    for m in _NON_ASCII.finditer(text):
        start = m.start()
        if start < position or not is_invisible(text[start]):
            continue
        end = start
        while end < len(text) and is_invisible(text[end]):
            end += 1
        position = end
        run = text[start:end]
        kind = _kind(text, start, run, rtl)
        if kind:
            found.append((start, end, len(run), kind))
    return found


def _kind(text: str, start: int, run: str, rtl: bool) -> str:
    """Name of the trouble, "" if the run is legitimate where it stands."""
    before = text[start - 1] if start else ""
    after = text[start + len(run)] if start + len(run) < len(text) else ""
    if start == 0 and run == "\ufeff":
        return ""
    if run[0] == "\ufeff" and selector_bytes(run[1:]).startswith(_C2PA_MAGIC):
        return ""
    if any(c in _OVERRIDES for c in run):
        return "bidirectional override"
    if any("\U000e0000" <= c <= "\U000e007f" for c in run):
        return "" if before == "\U0001f3f4" and run[-1] == "\U000e007f" and len(run) <= 8 else "tag characters"
    if len(selector_bytes(run.lstrip("\ufeff"))) >= 4:
        return "selector payload"
    if all(_selector(c) for c in run):
        return "" if len(run) == 1 and before and not before.isspace() else "invisible characters"
    if all(c in _JOINERS or _selector(c) for c in run) and len(run) <= 2 and _joined(before, after):
        return ""
    if rtl and all(c in _DIRECTION or c in _JOINERS for c in run):
        return ""
    if all(c == "\u00ad" for c in run):
        return "soft hyphen"
    return "invisible characters"


def _selector(char: str) -> bool:
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef" or "\u180b" <= char <= "\u180d"


def _joined(before: str, after: str) -> bool:
    """Whether a joiner between these two is orthography (emoji sequences, Indic, Arabic)."""

    def emoji(char: str) -> bool:
        return bool(char) and (unicodedata.category(char) in ("So", "Sk") or "\U0001f000" <= char <= "\U0001faff")

    if emoji(before) and emoji(after):
        return True
    return any(c and script_of(c) in ("indic", "arabic", "thai", "other") for c in (before, after)) or any(
        c and unicodedata.category(c) in ("Mn", "Mc") for c in (before, after)
    )


def selector_bytes(run: str) -> bytes:
    """Bytes written as variation selectors (0-15 as FE00.., 16-255 as E0100..), up to the first other character."""
    data = bytearray()
    for char in run:
        code = ord(char)
        if 0xFE00 <= code <= 0xFE0F:
            data.append(code - 0xFE00)
        elif 0xE0100 <= code <= 0xE01EF:
            data.append(code - 0xE0100 + 16)
        else:
            break
    return bytes(data)


def _mixed(word: str) -> bool:
    """Whether one word mixes Latin with Cyrillic, Greek or Armenian letters (Japanese mixes scripts by nature)."""
    scripts = {script_of(c) for c in word} - {""}
    return "latin" in scripts and bool(scripts & {"cyrillic", "greek", "armenian"}) and not _unit(word)


def _unit(word: str) -> bool:
    return len(word) <= 3  # "µm", "kΩ", "Δt", "αβ"
