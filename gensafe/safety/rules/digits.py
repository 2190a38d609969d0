"""Numbers as people type them: folding to plain characters, and what has the shape of something else than a phone.

Folding keeps the length of a text, so that offsets in the folded text are offsets in the original.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

from gensafe.safety.normalize import is_invisible

GAP: Final = "\u200b"  # stands for every invisible character and for the box around a keycap digit
_HYPHENS: Final = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d\u30fc"
MASK: Final = "_"  # a word character: no number begins or ends beside it


def fold(text: str) -> str:
    """``text`` with digits of every script, odd spaces, dashes and full-width letters made plain; same length."""
    return text if text.isascii() else "".join(map(_plain, text))


def _plain(char: str) -> str:
    if char.isascii():
        return char
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    if char.isspace():
        return "\n" if char in "\u2028\u2029\x85" else " "
    if char in _HYPHENS:
        return "-"
    if is_invisible(char) or char == "\u20e3":
        return GAP
    if "\uff01" <= char <= "\uff5e":
        return chr(ord(char) - 0xFEE0)
    return {"\u3002": ".", "\uff0e": ".", "\u2024": ".", "\u00b7": ".", "\u2044": "/", "\u2215": "/"}.get(char, char)


def _date(m: re.Match[str]) -> bool:
    """Whether three numbers are a day in any usual order."""
    numbers = [int(p) for p in re.split(r"\D+", m.group()) if p]
    year_first = len(re.split(r"\D+", m.group())[0]) == 4
    first, second = numbers[1:3] if year_first else numbers[:2]
    if len(m.group()) > 8 and not 1000 <= (numbers[0] if year_first else numbers[2]) <= 2999:
        return False
    return (1 <= first <= 12 and 1 <= second <= 31) or (1 <= second <= 12 and 1 <= first <= 31)


def _compact_date(m: re.Match[str]) -> bool:
    text = m.group()
    return 1 <= int(text[4:6]) <= 12 and 1 <= int(text[6:8]) <= 31


def _dotted(m: re.Match[str]) -> bool:
    """Versions, clauses, object identifiers; not a French number with dots."""
    parts = m.group().split(".")
    if len(parts) == 3:
        return any(len(p) == 1 for p in parts)
    return not (m.group().startswith("0") and all(len(p) == 2 for p in parts))


def _book(m: re.Match[str]) -> bool:
    """ISBN-13 by its check digit."""
    number = re.sub(r"\D", "", m.group())
    return len(number) == 13 and sum(int(c) * (1 + 2 * (i % 2)) for i, c in enumerate(number)) % 10 == 0


def _any(_: re.Match[str]) -> bool:
    return True


_CLOCK: Final = r"(?:[01]?\d|2[0-4])[.:h][0-5]\d(?:[.:][0-5]\d)?"
_REFERENCE: Final = (
    r"(?:invoices?|orders?|tracking|ref(?:erence|s)?|account|acct|customer|client|member(?:ship)?|ticket|case|claim|serial"
    r"|model|parts?|items?|articles?|products?|sku|batch|lot|policy|booking|reservation|confirmation|transaction|receipt"
    r"|shipment|parcel|package|container|waybill|awb|ids?|code|file|record|document|doc|registration|patent|docket"
    r"|application|permit|licen[cs]e|passport|isbn|issn|ismn|isrc|doi|ean|upc|gtin|imei|oclc|pmid|arxiv|lccn|isin|vin|ein"
    r"|abn|vat|hrb|siret|siren|oid|cas|rfc|po|p\.o\.|commit|build|issue|bug|row|line|page|section|clause|version|port"
    r"|rechnung(?:snummer)?|bestell(?:ung|nummer)|kundennummer|aktenzeichen|facture|commande|factura|pedido|fattura|ordine)"
)
# (what must match, what must be true of the match); the order matters little: masks do not overlap
_SHAPES: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], bool]], ...]] = (
    (re.compile(r"(?i)\b10\.\d{4,9}/[^\s]{1,100}"), _any),  # DOI
    (re.compile(r"(?<!\d)97[89](?:[ -]?\d){10}(?!\d)"), _book),
    (re.compile(r"(?i)(?:\bn[or]\.? ?|#|№ ?|n° ?)\d[\d/-]{5,30}"), _any),
    (re.compile(r"(?<![\d.])\d{4}([-/. ])\d{1,2}\1\d{1,2}(?!\d)"), _date),
    (re.compile(r"(?<!\d)(?<!\d[. /-])\d{1,2}([-/. ])\d{1,2}\1\d{4}(?!\d)"), _date),
    (re.compile(r"(?<!\d)(?<!\d[. /-])\d{1,2}([-/.])\d{1,2}\1\d{2}(?!\d)(?!\1\d)"), _date),
    (re.compile(r"(?<!\d)(?:1[5-9]|20)\d{6}(?:T?\d{4,6}Z?)?(?!\d)"), _compact_date),
    (re.compile(rf"(?<![\d.]){_CLOCK} ?(?:-|to|bis|à|a) ?{_CLOCK}(?![\d])"), _any),
    (re.compile(r"(?<!\d)(?:[01]\d|2[0-4])[0-5]\d ?- ?(?:[01]\d|2[0-4])[0-5]\d(?!\d)"), _any),
    (re.compile(r"(?<!\d)(?<!\d[.,/-])(?:1\d|20)\d\d ?[-/] ?(?:1\d|20)\d\d(?!\d)"), _any),  # years
    (re.compile(r"(?<![\d.])\d{1,10}(?:\.\d{1,10}){2,12}(?![.]?\d)"), _dotted),
    (re.compile(r"(?<![\w.+/(])[+-]?\d{1,3}[.,]\d{4,12}(?!\d)(?! ?[./(-]? ?\d{3})"), _any),  # decimals, coordinates
    (re.compile(r"[$€£¥₹₽₩] ?\d{1,3}(?:[ .,']?\d{3}){0,5}(?:[.,]\d{1,2})?"), _any),
    (re.compile(r"(?<!\d)1[4-9]\d{8}(?:\d{3})?(?!\d)"), _any),  # Unix time
)
_NAMED: Final = re.compile(r"(?<![\d+(])\d(?:\d|[./-]\d){4,40}|(?<![\d+(])\d{1,6}(?: \d{1,6}){1,8}")
_REFERENCE_BEFORE: Final = re.compile(
    rf"(?i)(?<![^\W_]){_REFERENCE}(?:[ -]?1[03])?[ .:#-]{{0,3}}(?:no|nr|numbers?|num|id|code|n°|№)?[ .:#°-]{{0,3}}"
    r"(?:is[ :]|was |are )?(?:\d?[A-Za-z]{1,4}[-/ ]?){0,2}$"
)
_REACH: Final = 48  # characters before a number in which the word stands that names it
_GROUPED: Final = re.compile(
    r"(?<![\w+(.])(?<!\d )[1-9]\d{0,2}(?:([ .,'])\d{3})(?:\1\d{3}){1,5}(?![ -]?\d)(?:[.,]\d{1,3})?"
)


def masked(text: str, keep: Callable[[int], bool]) -> str:
    """``text`` (folded) with dates, clocks, versions, references and the like painted over; same length.

    Args:
        text: Folded text.
        keep: Told the offset of a number in groups of three ("12 500 000"): whether to leave it, as words that directly
            precede it say what it is.
    """
    chars: list[str] | None = None
    for pattern, true in _SHAPES:
        for m in pattern.finditer(text):
            if true(m):
                chars = list(text) if chars is None else chars
                chars[m.start() : m.end()] = MASK * (m.end() - m.start())
    for m in _NAMED.finditer(text):
        if _REFERENCE_BEFORE.search(text[max(0, m.start() - _REACH) : m.start()]):
            chars = list(text) if chars is None else chars
            chars[m.start() : m.end()] = MASK * (m.end() - m.start())
    for m in _GROUPED.finditer(text):
        if not keep(m.start()):
            chars = list(text) if chars is None else chars
            chars[m.start() : m.end()] = MASK * (m.end() - m.start())
    return text if chars is None else "".join(chars)
