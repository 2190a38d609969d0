"""Personal data with a shape.

E-mail, payment card (Luhn), IBAN (ISO 13616 mod 97), US social security number, IP and MAC address, telephone number.
Names and postal addresses have no shape; they are not covered. Rules read the folded text (``digits.fold``): digits of
any script, any kind of space and dash, full-width letters; offsets are those of the text as given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gensafe.safety.rules.addresses import find_addresses, find_mail
from gensafe.safety.rules.digits import GAP, fold
from gensafe.safety.rules.hit import Hit
from gensafe.safety.rules.phones import find_phones

_GROUP: Final = re.compile(r"\d+")
_JOINED: Final = re.compile(rf"[ \n\t.{GAP}-]{{1,3}}|[ \t]{{0,2}}\r?\n[ \t>]{{0,4}}")
_IBAN_HEAD: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?!\d{32})")
_IBAN_SKIPPED: Final = frozenset(f" \n.-{GAP}")
_SSN: Final = re.compile(r"(?<![\d.,-])(\d{3})([-. ])(\d{2})\2(\d{4})(?![\d-])")
_BARE_SSN: Final = re.compile(r"(?<![\d.,-])\d{9}(?![\d-])")
_SSN_WORDS: Final = re.compile(
    r"\b(?:ssn|social security|social (?:number|no|num|#)|(?:my|his|her|your|their) social)\b", re.IGNORECASE
)
# how cards are printed; other groups are a row of numbers
_PRINTED: Final = frozenset(
    ((4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 4, 1), (4, 4, 5), (8, 8), (6, 13))
)
_CARD_WORDS: Final = re.compile(
    r"(?i)\b(?:(?:credit|debit|bank|payment) ?cards?|card (?:no|number)|visa|master ?card|maestro)\b"
)
_CARD_BEFORE: Final = 40  # characters before a number in which such a word vouches for an issuer that is not known
_MIN_CARD: Final = 12  # digits: the shortest card numbers in use (Maestro); ISO/IEC 7812 sets no lower bound of its own
_MAX_CARD: Final = 19  # digits: ISO/IEC 7812-1
# Characters of an IBAN by country: the IBAN registry of SWIFT (ISO 13616).
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
# characters before (half as many after) in which a word says what a number is; chosen by eye, not measured
_CONTEXT: Final = 60


def find_pii(text: str) -> Iterator[Hit]:
    """Yield personal data found in ``text`` (category ``pii``)."""
    plain = fold(text)
    yield from find_mail(plain)
    if not any(c.isdigit() for c in plain):
        return
    taken: list[tuple[int, int]] = []
    for kind, spans in (("iban", _ibans(plain)), ("card", _cards(plain)), ("ssn", _ssns(plain))):
        for start, end in spans:
            if not any(start < b and a < end for a, b in taken):
                taken.append((start, end))
                yield Hit("pii", kind, start, end)
    yield from find_addresses(plain, taken)
    yield from find_phones(plain, taken)


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for m in _IBAN_HEAD.finditer(text):
        end = _iban_end(text, m.start())
        if end:
            yield m.start(), end


def _cards(text: str) -> Iterator[tuple[int, int]]:
    """Runs of neighbouring digit groups that have a card's length, layout, issuer and check digit."""
    run: list[tuple[int, int]] = []
    for m in _GROUP.finditer(text):
        if run and not _JOINED.fullmatch(text, run[-1][1], m.start()):
            yield from _in_run(text, run)
            run = []
        run.append(m.span())
    yield from _in_run(text, run)


def _in_run(text: str, run: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    first = 0
    while first < len(run):
        found = _card_at(text, run, first)
        if found:
            yield run[first][0], run[found - 1][1]
        first = found or first + 1


def _card_at(text: str, run: list[tuple[int, int]], first: int) -> int:
    """End (in groups) of the card that begins with group ``first``, 0 if none does."""
    before = text[max(0, run[first][0] - 2) : run[first][0]]
    if first == 0 and (before[-1:] in (",", ".") or re.fullmatch(r"\w-", before)):
        return 0  # a decimal place, a piece of an identifier
    if before[-1:] == "." and run[first][1] - run[first][0] >= _MIN_CARD:
        return 0
    number, sizes = "", []
    for position in range(first, len(run)):
        start, end = run[position]
        number += text[start:end]
        sizes.append(end - start)
        if len(number) > _MAX_CARD:
            return 0
        if (
            len(number) >= _MIN_CARD
            and _laid_out(sizes)
            and luhn(number)
            and len(set(number)) > 1
            and text[end : end + 1] != "_"
            and (_is_card(number) or _CARD_WORDS.search(text, max(0, run[first][0] - _CARD_BEFORE), run[first][0]))
        ):
            return position + 1
    return 0


def _laid_out(sizes: list[int]) -> bool:
    return len(sizes) == 1 or tuple(sizes) in _PRINTED or set(sizes) in ({1}, {2})


def _ssns(text: str) -> Iterator[tuple[int, int]]:
    for m in _SSN.finditer(text):
        valid = m[1] not in ("000", "666") and m[1] < "900" and m[3] != "00" and m[4] != "0000"
        if valid and (m[2] == "-" or _near(text, *m.span())):
            yield m.span()
    for m in _BARE_SSN.finditer(text):
        if _near(text, *m.span()):
            yield m.span()


def luhn(number: str) -> bool:
    """Whether the digits of ``number`` satisfy the Luhn check (ISO/IEC 7812-1)."""
    total = 0
    for i, char in enumerate(reversed(number)):
        value = int(char) * (1 + i % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _is_card(number: str) -> bool:
    """Whether an issuer has numbers of this beginning and length (ISO/IEC 7812)."""
    # issuer ranges keep order numbers and ISBN-13 (978/979) out
    length = len(number)
    if number[0] == "4":
        return length in (13, 16, 19)
    two, four = int(number[:2]), int(number[:4])
    if two in (34, 37):
        return length == 15
    if 51 <= two <= 55 or 2221 <= four <= 2720 or four == 6011 or two in (64, 65):
        return length == 16
    if four in (1800, 2131):
        return length == 15
    if two in (30, 36, 38, 39):
        return length in (14, 16, 19)
    return (two in (35, 62) and 16 <= length <= 19) or (two in (50, 56, 57, 58, 60, 63, 67, 68) and 12 <= length <= 19)


def _iban_end(text: str, start: int) -> int:
    """Where the valid IBAN ends that begins at ``start``, 0 if there is none."""
    length = _IBAN_LENGTH.get(text[start : start + 2].upper(), 0)
    compact, skipped = "", 0
    for position in range(start, min(len(text), start + 4 * length)):
        char = text[position]
        if char.isascii() and char.isalnum():
            compact, skipped = compact + char.upper(), 0
        elif char in _IBAN_SKIPPED and skipped < 3:
            skipped += 1
        else:
            return 0
        if len(compact) == length:
            moved = compact[4:] + compact[:4]
            ends = not text[position + 1 : position + 2].isalnum()
            return position + 1 if ends and int("".join(str(int(c, 36)) for c in moved)) % 97 == 1 else 0
    return 0


def _near(text: str, start: int, end: int) -> bool:
    return _SSN_WORDS.search(text, max(0, start - _CONTEXT), min(len(text), end + _CONTEXT // 2)) is not None
