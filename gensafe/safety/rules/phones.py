# ruff: noqa: E501 - the number plans read better on one line each
"""Telephone numbers: an international prefix that exists, a national form that is unmistakable, or words that say so.

Forms: ITU-T E.123 (notation), E.164 (country codes, at most 15 digits), the national plans named beside each pattern.
What has the shape of something else (a date, an amount, an order number) is painted over first: ``digits.masked``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gensafe.safety.rules.digits import GAP, masked
from gensafe.safety.rules.hit import Hit

_SEP: Final = r"(?:\) ?-?|[ -]?\(0?\)?| ?[/.-] ?| {1,2})"
_PHONE: Final = re.compile(rf"(?<![\w.,/=+-])(?:\+ ?|\()?\d(?:{_SEP}?\d){{6,16}}(?: ?(?:x|ext\.?) ?\d{{1,6}})?(?![\w])")
_CANDIDATE: Final = re.compile(rf"\d(?:[ ./(){GAP}+-]{{0,3}}\d){{6}}")
_CODES: Final = re.compile(  # E.164 country codes; assigned and reserved ones of three digits share these beginnings
    r"(?:\+|00) ?(?:1[ (.-]?\(?[2-9]|7|2[07]|2[1-6]\d|29\d|3[0-469]|3[578]\d|4[013-9]|42\d|5[1-8]|50\d|59\d|6[0-6]|6[7-9]\d"
    r"|8[1246]|80[08]|85\d|87[08]|88\d|9[0-58]|96\d|97\d|99\d)"
)
_NATIONAL: Final = re.compile(
    r"(?:\+?1[ .-]?)?(?:\([2-9]\d\d\) ?-?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}(?: ?(?:x|ext\.?) ?\d{1,6})?"  # NANP
    r"|1[ -](?:800|888|877|866|855|844|833)[ -]\d{3}[ -]\d{4}"
    r"|0[1-9](?:([ .-])\d\d)(?:\1\d\d){3}"  # France; also the Netherlands' mobiles
    r"|\(?0\d{2}\)?[ -]\d{4}[ -]?\d{4}|\(?0\d{3}\)?[ -]\d{3}[ -]?\d{4}|\(?0\d{4}\)?[ -]\d{3}[ -]?\d{3}|07\d{3}[ -]?\d{6}"  # UK
    r"|\(0\d{1,4}\) ?\d{3,8}|\(0\d\) \d{4}[ -]\d{4}|0\d{2,4}[/-]\d{5,8}|0\d{2,4} ?/ ?\d{3,4} ?\d{2,4}(?: \d{2,3})?"  # DE, AT, AU
    r"|0(?:15|16|17)\d{1,2}[ /-]\d{3,8}(?: \d{2,5})?|0[3-9]\d{1,3} \d{6,8}"  # Germany: mobiles, one block
    r"|04\d\d \d{3} \d{3}|0\d\d \d{3} \d\d \d\d"  # Australia's mobiles; Switzerland
    r"|[6-9]\d{4} \d{5}|0[6-9]\d{4}[ -]\d{5}"  # India
    r"|0\d{1,2}-\d{3,4}-\d{4}|1[3-9]\d[ -]\d{4}[ -]\d{4}"  # Japan, Korea; China
    r"|\(\d\d\) ?9?\d{4}-\d{4}|06[ -]\d{8}|[67]\d\d \d\d \d\d \d\d|3[2-9]\d [2-9]\d{6}"  # Brazil; NL; Spain; Italy
    r"|8 ?\(\d{3}\) ?\d{3}-\d\d-\d\d|0\d{3} \d{3} \d\d \d\d|0\d{2} \d{3} \d{3,4}"  # Russia; Turkey; others with a trunk 0
)
_WORDS: Final = (
    r"(?:tele)?phones?|tel(?:ephone)?s?|mobiles?|cell(?:phone|ular)?s?|fax|sms|whats ?app|signal|hotline|landline"
    r"|telefons?|telefonnummer|handy|handynummer|mobil|rückruf|t[ée]l[ée]phone|portable|t[ée]l[ée]fono|m[óo]vil|celular"
    r"|telefone|telem[óo]vel|telefono|cellulare|telefoon|gsm|telefonu|телефон|тел|моб|电话|電話|手机|手機|携帯|전화|فون|फोन"
)
_NEAR: Final = re.compile(rf"(?<![^\W_])(?:{_WORDS})(?![^\W_])|(?:电话|電話|手机|手機|携帯|전화)", re.IGNORECASE)
_WHOM: Final = (
    r"(?: (?:me|us|him|her|them|back|now|today|toll[- ]free|up|at|on|via|under|unter|au|al|nous|uns|our office))"
)
_VERB: Final = (
    rf"(?:call|ring|phone|dial|appelez|appeler|joindre|anrufen|llame|llamar){_WHOM}{{0,4}}"
    rf"|(?:text|sms|reach|contact|whats ?app|message|try){_WHOM}{{1,4}}"
)
_CUE: Final = re.compile(
    rf"(?:(?<![^\W_])(?:{_WORDS}|{_VERB}|(?:my|your|his|her|our|their) number|numéro|nummer|número)"
    r"(?: ?(?:numbers?|no|nr|n[°ºo]|is|at|on|:|#|\.|=|-|\(?(?:home|work|office|mobile|cell|direct)\)?)){0,4}"
    r"|(?:电话|電話|手机|手機|携帯|전화)(?:号码|番号)?(?:是|は)?[:：]?) {0,3}\(?$",
    re.IGNORECASE,
)
_BEFORE: Final = 48  # characters in which a cue stands
_NEAR_BEFORE: Final = 40  # characters; a shorter reach than _BEFORE, for weaker words. Chosen by eye, not measured
_NEAR_AFTER: Final = 15  # characters; "(office)" or "is my cell" fits. Chosen by eye, not measured
_SIGNS: Final = tuple("=<>*/+$€£%^")
_LEAST: Final = 7  # digits: a subscriber number of the North American plan without its area code
_MOST: Final = 15  # E.164


def find_phones(text: str, taken: list[tuple[int, int]]) -> Iterator[Hit]:
    """Yield telephone numbers in (folded) ``text`` outside ``taken``."""
    if _CANDIDATE.search(text) is None:
        return
    clean = masked(text, lambda start: _cued(text, start))
    for m in _PHONE.finditer(clean.replace(GAP, "-") if GAP in clean else clean):
        start, end = m.start(), m.end()
        if any(start < b and a < end for a, b in taken):
            continue
        number = re.sub(r"\D", "", re.split(r"x|e", m.group())[0])
        if _LEAST <= len(number) <= _MOST + 2 and len(set(number)) >= 3 and _is_phone(text, m.group(), start, end):
            taken.append((start, end))
            yield Hit("pii", "phone", start, end)


def _is_phone(text: str, shown: str, start: int, end: int) -> bool:
    count = sum(c.isdigit() for c in shown)
    separated = any(c in shown for c in " ()-./")
    if _CODES.match(shown) and 9 <= count <= _MOST + 2 and (separated or shown[0] == "+"):
        return True
    if _cued(text, start):
        return True
    if _NATIONAL.fullmatch(shown) and ("(" in shown or _alone(text, start, end)):
        return True
    return count >= 8 and _near(text, start, end) and _alone(text, start, end)


def _cued(text: str, start: int) -> bool:
    """Whether the words directly before say that a telephone number follows."""
    return _CUE.search(text[max(0, start - _BEFORE) : start]) is not None


def _near(text: str, start: int, end: int) -> bool:
    return _NEAR.search(text, max(0, start - _NEAR_BEFORE), min(len(text), end + _NEAR_AFTER)) is not None


def _alone(text: str, start: int, end: int) -> bool:
    """Whether no other number stands beside it, as in a row of a table, and no sign, as in a sum."""
    before, after = text[max(0, start - 3) : start].rstrip(" \t|,"), text[end : end + 3].lstrip(" \t|,")
    return not (before[-1:].isdigit() or after[:1].isdigit() or before[-1:] in _SIGNS or after[:1] in _SIGNS)
