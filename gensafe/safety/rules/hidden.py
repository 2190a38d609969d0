"""Text a person does not see as it is: invisible characters, bidirectional controls, tag characters, look-alikes.

A few typographic marks (zero-width space, direction marks, word joiner, a byte-order mark inside) are noted at a low
score: messaging exports, web pages and joined files have them. Many, or several in a row, carry data or cut words.

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
_MARKS: Final = frozenset(
    "\u200b\u200c\u200d\u200e\u200f\u061c\u2060\ufeff\u00ad\u034f\u2061\u2062\u2063\u2064\u2066\u2068\u2069\u202a\u202c\u3164\u115f"
)
MARKS_IN_A_ROW: Final = 2  # exports write a direction mark before and after a name
MARKS_IN_WORDS: Final = 2  # a break offered inside a long word; a taken-apart phrase has one in every word
MARKS_A_LINE: Final = 4  # a chat export has two or three in each line
_TWINS: Final = frozenset("οΟΑΒΕΖΗΙΚΜΝΡΤΥΧινυρ")  # Greek letters that look like a Latin one in any font
_GREEK_CONFUSABLE: Final = frozenset("αεκητχωγσ")
_CYRILLIC_TWINS: Final = frozenset("асеорхуіјѕԁһӏԛԝАВЕКМНОРСТХУІЅЈ")
_WORD: Final = re.compile(r"[^\W\d_]{2,64}")
_NON_ASCII: Final = re.compile(r"[^\x00-\x7f]")


def find_hidden(text: str) -> Iterator[Hit]:
    """Yield hidden or disguised passages (category ``hid``)."""
    if text.isascii():
        return
    rtl = any(unicodedata.bidirectional(c) in ("R", "AL") for c in text if c > "\u058f" and c.isalpha())
    runs = _runs(text, rtl)
    if runs:
        total = sum(n for _, _, n, kind in runs if kind != "soft hyphen")
        if _few(text, runs):
            runs = [(a, b, n, "typographic mark" if kind == "invisible characters" else kind) for a, b, n, kind in runs]
        for start, end, count, kind in runs:
            yield Hit("hid", kind, start, end, _score(kind, count, total))
    for m in _WORD.finditer(text):
        word = m.group()
        if not word.isascii() and _mixed(word):
            yield Hit("hid", "look-alike letters", m.start(), m.end(), 0.6)


def _score(kind: str, count: int, total: int) -> float:
    if kind in ("bidirectional override", "tag characters", "selector payload"):
        return 0.95
    if kind in ("soft hyphen", "typographic mark"):
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
        pictured = "\u2190" <= char <= "\u21ff" or "\u2300" <= char <= "\u2bff" or "\U0001f000" <= char <= "\U0001faff"
        return bool(char) and (pictured or unicodedata.category(char) in ("So", "Sk"))

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


def _few(text: str, runs: list[tuple[int, int, int, str]]) -> bool:
    """Whether the unexplained marks are so few that they are typography: no word is taken apart, no data is carried."""
    marks = [(a, b, n) for a, b, n, kind in runs if kind == "invisible characters"]
    if any(n > MARKS_IN_A_ROW or not all(c in _MARKS for c in text[a:b]) for a, b, n in marks):
        return False
    inside = sum(text[a - 1 : a].isalpha() and text[b : b + 1].isalpha() for a, b, _ in marks)
    return inside <= MARKS_IN_WORDS and len(marks) <= MARKS_A_LINE * (1 + text.count("\n"))


def _mixed(word: str) -> bool:
    """Whether one word mixes Latin with Cyrillic, Greek or Armenian letters as a disguise does."""
    scripts = {script_of(c) for c in word} - {""}
    if "latin" not in scripts:
        return False
    if "armenian" in scripts or {"cyrillic", "greek"} <= scripts:
        return True
    if "greek" in scripts:
        return not (len(word) <= 3 or _science(word))  # "µm", "kΩ", "Δt", "αβ"
    return "cyrillic" in scripts and not _typed(word)


def _science(word: str) -> bool:
    """Whether Greek letters stand in a Latin word as science writes them: TNFα, NFκB, μmol, λmax, cosθ, PPARγ."""
    greek = [c for c in word if script_of(c) == "greek"]
    if len(greek) > 2 or any(c in _TWINS for c in greek):
        return False
    body = word.strip("".join(greek))  # Latin part if the Greek stands at an end
    if all(script_of(c) == "latin" for c in body):
        confusable = any(c in _GREEK_CONFUSABLE for c in greek)
        return not confusable or len(body) <= 3 or sum(c.isupper() for c in body) >= 2
    latin = [c for c in word if script_of(c) == "latin"]
    angle = re.match(r"(?:sin|cos|tan|cot|exp|log|ln|arc\w{3})[^a-zA-Z][a-z]$", word)
    return (
        all(c.isupper() for c in latin) and all(c.islower() and c not in "μ\u00b5" for c in greek)
    ) or angle is not None


def _typed(word: str) -> bool:
    """Whether Cyrillic and Latin meet as people type them: a Latin name with an ending (PDFка), one slipped letter."""
    kinds = "".join("c" if script_of(c) == "cyrillic" else "l" for c in word)
    telling = sum(script_of(c) == "cyrillic" and c not in _CYRILLIC_TWINS for c in word)
    if telling >= 2 and 2 * kinds.count("c") > len(word):
        return True
    return telling >= 1 and re.fullmatch(r"l{2,}c+|c{2,}l{2,}", kinds) is not None
