"""Personal data with a shape.

E-mail, payment card (Luhn), IBAN (ISO 13616 mod 97), US social security number, IP and MAC address, telephone number.
Names and postal addresses have no shape; they are not covered.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from gensafe.safety.rules.hit import Hit

_EMAIL: Final = re.compile(r"(?<![\w.+-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_CARD: Final = re.compile(r"(?<![\d.,-])\d(?:[ -]?\d){11,18}(?![\d-])")
_IBAN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?![A-Za-z0-9])")
_SSN: Final = re.compile(r"(?<![\d-])(\d{3})([- ])(\d{2})\2(\d{4})(?![\d-])")
_BARE_SSN: Final = re.compile(r"(?<![\d-])\d{9}(?![\d-])")
_IPV4: Final = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]\d|\d)")
_IPV6: Final = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_MAC: Final = re.compile(r"(?<![\w:-])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![\w:-])")
_PHONE: Final = re.compile(
    r"(?<![\w.,/=-])(?:\+|00|\(0?\d|\d)(?:[ ./()-]{0,2}\d){6,16}(?:[ ]?(?:x|ext\.?)[ ]?\d{1,6})?(?![\w-])"
)
_INTERNATIONAL: Final = re.compile(r"(?:\+|00)[1-9]")
_NANP: Final = re.compile(
    r"(?:\+?1[ .-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}(?: ?(?:x|ext\.?) ?\d{1,6})?"
)
_PHONE_WORDS: Final = re.compile(
    r"\b(?:phone|telephone|tel|mobile|cell|fax|call|calls|called|calling|ring|dial|text|sms|whatsapp|reach|contact"
    r"|number|telefon|handy|anrufen|nummer|téléphone|portable|appelez)\b",
    re.IGNORECASE,
)
_SSN_WORDS: Final = re.compile(r"\b(?:ssn|social security|social)\b", re.IGNORECASE)
_IBAN_LENGTH: Final = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip
_CONTEXT: Final = 60


def find_pii(text: str) -> Iterator[Hit]:
    """Yield personal data found in ``text`` (category ``pii``)."""
    digits = any(c.isdigit() for c in text)
    if "@" in text:
        for m in _EMAIL.finditer(text):
            yield Hit("pii", "email", m.start(), m.end())
    if not digits:
        return
    taken: list[tuple[int, int]] = []
    for m in _IBAN.finditer(text):
        end = _iban_end(m.group())
        if end:
            taken.append((m.start(), m.start() + end))
            yield Hit("pii", "iban", m.start(), m.start() + end)
    for m in _CARD.finditer(text):
        number = re.sub(r"[ -]", "", m.group())
        if not _overlaps(m, taken) and _is_card(number):
            taken.append(m.span())
            yield Hit("pii", "card", m.start(), m.end())
    for m in _SSN.finditer(text):
        if not _overlaps(m, taken) and m[1] not in ("000", "666") and m[1] < "900" and m[3] != "00" and m[4] != "0000":
            taken.append(m.span())
            yield Hit("pii", "ssn", m.start(), m.end())
    for m in _BARE_SSN.finditer(text):
        if not _overlaps(m, taken) and _near(_SSN_WORDS, text, m.start(), m.end()):
            taken.append(m.span())
            yield Hit("pii", "ssn", m.start(), m.end())
    yield from _addresses(text, taken)
    yield from _phones(text, taken)


def luhn(number: str) -> bool:
    """Whether the digits of ``number`` satisfy the Luhn check (ISO/IEC 7812-1)."""
    total = 0
    for i, char in enumerate(reversed(number)):
        value = int(char) * (1 + i % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _is_card(number: str) -> bool:
    if len(set(number)) < 2 or not luhn(number):
        return False
    # issuer ranges keep order numbers and ISBN-13 (978/979) out
    length = len(number)
    if number[0] == "4":
        return length in (13, 16, 19)
    two, four = int(number[:2]), int(number[:4])
    if two in (34, 37):
        return length == 15
    if 51 <= two <= 55 or 2221 <= four <= 2720 or four == 6011 or two in (64, 65):
        return length == 16
    if two in (30, 36, 38, 39):
        return length in (14, 16, 19)
    return (two in (35, 62) and 16 <= length <= 19) or (two in (50, 56, 57, 58, 60, 63, 67, 68) and 12 <= length <= 19)


def _iban_end(candidate: str) -> int:
    """Length of the valid IBAN at the start of ``candidate`` (spaces counted), 0 if there is none."""
    length = _IBAN_LENGTH.get(candidate[:2], 0)
    kept = 0
    for position, char in enumerate(candidate):
        if char != " ":
            kept += 1
        if kept == length:
            compact = candidate[: position + 1].replace(" ", "")
            moved = compact[4:] + compact[:4]
            return position + 1 if int("".join(str(int(c, 36)) for c in moved)) % 97 == 1 else 0
    return 0


def _addresses(text: str, taken: list[tuple[int, int]]) -> Iterator[Hit]:
    for m in _MAC.finditer(text):
        taken.append(m.span())
        yield Hit("pii", "mac", m.start(), m.end())
    for pattern in (_IPV4, _IPV6):
        for m in pattern.finditer(text):
            if _overlaps(m, taken):
                continue
            try:
                address = ipaddress.ip_address(m.group())
            except ValueError:
                continue
            if (
                address.is_loopback
                or address.is_unspecified
                or address.is_private
                or (address.version == 6 and len(m.group()) < 7)
            ):
                continue  # says nothing about a person
            taken.append(m.span())
            yield Hit("pii", "ip", m.start(), m.end())


def _phones(text: str, taken: list[tuple[int, int]]) -> Iterator[Hit]:
    for m in _PHONE.finditer(text):
        number = m.group()
        count = sum(c.isdigit() for c in number)
        if _overlaps(m, taken) or not 7 <= count <= 16 or len(set(re.sub(r"\D", "", number))) < 3:
            continue
        shaped = (_INTERNATIONAL.match(number) is not None and any(c in number for c in " ()-.")) or _NANP.fullmatch(
            number
        )
        if shaped or (count >= 8 and _near(_PHONE_WORDS, text, m.start(), m.end())):
            taken.append(m.span())
            yield Hit("pii", "phone", m.start(), m.end())


def _near(words: re.Pattern[str], text: str, start: int, end: int) -> bool:
    return words.search(text, max(0, start - _CONTEXT), min(len(text), end + _CONTEXT // 2)) is not None


def _overlaps(match: re.Match[str], taken: list[tuple[int, int]]) -> bool:
    return any(match.start() < end and start < match.end() for start, end in taken)
