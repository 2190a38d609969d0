"""What a text says in another coding: base64, hexadecimal, percent escapes, character references, reversed display.

A classifier that reads only the letters as written passes "aWdub3JlIGFsbCBydWxlcw==". Each decoding keeps a map back to
the characters it came from. Only what decodes to readable words is a reading: a digest or a key is none.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import unquote

from gensafe.safety.normalize import Normalized, normalize

MAX_PARTS: Final = 16  # encoded parts of one text; more are a data file, and each costs a scoring
MAX_DEPTH: Final = 2  # an encoding inside an encoding; deeper ones are not undone
SHORTEST: Final = 8  # characters of a decoded part: two short words

_BASE64: Final = re.compile(r"(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/_-]{4}(?:\r?\n)?){3,20000}[A-Za-z0-9+/_-]{0,3}={0,2}")
_HEX: Final = re.compile(r"(?<![0-9A-Fa-f])(?:(?:\\x|0x)?[0-9A-Fa-f]{2}[ ,:]?){8,20000}(?![0-9A-Fa-f])")
_PERCENT: Final = re.compile(r"(?:%[0-9A-Fa-f]{2}|[A-Za-z0-9+.,!?_-]){8,20000}")
_REFERENCES: Final = re.compile(r"(?:&#x?[0-9A-Fa-f]{1,6};[ ]?){4,20000}")
_REVERSED: Final = re.compile("\u202e([^\u202c\u202e\n]{4,2000})")
_WORDS: Final = re.compile(r"[^\W\d_]{2,}")


def decoded(text: str, depth: int = MAX_DEPTH) -> Iterator[Normalized]:
    """Each encoded part of ``text`` that decodes to readable words, normalised, with offsets into ``text``."""
    count = 0
    for pattern, decode in _CODINGS:
        for found in pattern.finditer(text):
            plain = decode(found.group())
            if plain == found.group() or not (_readable(plain) or _encoded(plain)):
                continue
            count += 1
            if count > MAX_PARTS:
                return
            if _readable(plain):
                yield _placed(normalize(plain), found.start(), found.end(), len(text), len(plain))
            if depth > 1:
                for deeper in decoded(plain, depth - 1):
                    yield _placed(deeper, found.start(), found.end(), len(text), len(plain))


def _placed(inside: Normalized, start: int, end: int, total: int, length: int) -> Normalized:
    """``inside`` with the offsets of the part it was decoded from, in proportion."""
    scale = (end - start) / max(1, length)
    places = (end - 1 if o >= length - 1 else start + int(o * scale) for o in inside.origin)
    return Normalized(inside.text, tuple(places), total)


def _readable(plain: str) -> bool:
    """Mostly letters and spaces, with words: what a person or a model would read."""
    if len(plain) < SHORTEST or "\ufffd" in plain or (plain.isascii() and len(plain.split()) < 2):
        return False
    if not all(c.isprintable() or c.isspace() for c in plain):
        return False
    calm = sum(c.isalnum() or c.isspace() or c in ".,;:!?'\"-()" for c in plain)
    return calm >= 0.9 * len(plain) and len(_WORDS.findall(plain)) >= 2


def _encoded(plain: str) -> bool:
    """Whether it is itself one of the codings."""
    return plain.isascii() and any(pattern.fullmatch(plain.strip()) for pattern in (_BASE64, _HEX))


def _from_base64(part: str) -> str:
    compact = re.sub(r"\s", "", part).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4)).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def _from_hex(part: str) -> str:
    digits = re.sub(r"\\x|0x|[ ,:]", "", part)
    return bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("utf-8", "replace")


def _from_percent(part: str) -> str:
    return unquote(part.replace("+", " ")) if "%" in part else part


_CODINGS: Final[tuple[tuple[re.Pattern[str], Callable[[str], str]], ...]] = (
    (_BASE64, _from_base64),
    (_HEX, _from_hex),
    (_PERCENT, _from_percent),
    (_REFERENCES, html.unescape),
    (_REVERSED, lambda part: part[1:][::-1]),
)
