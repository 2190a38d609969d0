"""Addresses on a network: mail, IP, hardware. Only those that may stand for a person's mailbox or device."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from gensafe.safety.rules.hit import Hit

_EMAIL: Final = re.compile(r"(?<![\w.+-])([\w.+%-]{1,64})@((?:[\w-]{1,63}\.){1,8}([^\W\d_]{2,24}))(?![\w-])")
_IPV4: Final = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6: Final = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_MAC: Final = re.compile(r"(?<![\w:-])(?:[0-9A-Fa-f]{2}([:-]))(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![\w:-])")
_SERVICE: Final = frozenset(
    ("git", "hg", "svn", "gitlab", "bitbucket", "aur")
)  # accounts of services, nobody's mailbox
_FILES: Final = frozenset(
    "png jpg jpeg gif webp svg bmp ico css js ts jsx tsx mjs json html pdf wav zip gz tar exe dll so py rb rs".split()
)
# words that say what a dotted quad is; "from" and "to" stand before versions as well
_IP_WORDS: Final = re.compile(
    r"(?i)(?<![^\W_])(?:ip(?:v[46])?|ips|address(?:es)?|addr|hosts?|clients?|remote|peers?|visitors?|logins?|logged|log"
    r"|connect\w{0,4}|ping\w{0,4}|traceroute|whois|servers?|users?|subnet|router|dns|ssh|http|ftp|requests?|src|dst|banned"
    r"|blocked|traffic|adresse|dirección|indirizzo)(?![^\W_])"
)
_NOT_IP: Final = re.compile(
    r"(?i)(?:(?<![^\W_])(?:v|ver|versions?|releases?|builds?|kernel|firmware|driver|update[ds]?|upgrade[ds]?|rev(?:ision)?"
    r"|sections?|sect?|clauses?|chapters?|articles?|paragraphs?|items?|tables?|figures?|oid|appendix|annex|step|rule|part"
    r"|chrome|firefox|edge|windows|sdk|api|patch|tag|package|module|plugin|app|requirement)|§)[\w ./:=#(-]{0,12}$"
)
_LARGE: Final = 32  # an octet that no version or clause number is likely to have
_IP_BEFORE: Final = 40  # characters in which a word says what a number is; chosen by eye, not measured
_HARDWARE_WORDS: Final = re.compile(
    r"(?i)\b(?:mac|hwaddr|ether(?:net)?|hardware|wi-?fi|wlan|bluetooth|device|lladdr)\b"
)


def find_mail(text: str) -> Iterator[Hit]:
    """Yield mail addresses in (folded) ``text``."""
    for m in _EMAIL.finditer(text) if "@" in text else ():
        labels = m[2].lower().split(".")
        named = any(c.isalpha() for c in labels[-2])  # "react@18.2.beta" is a version
        if (
            m[1].lower() in _SERVICE
            or labels[-1] in _FILES
            or not named
            or text[max(0, m.start() - 3) : m.start()] == "://"
        ):
            continue
        yield Hit("pii", "email", m.start(), m.end())


def find_addresses(text: str, taken: list[tuple[int, int]]) -> Iterator[Hit]:
    """Yield hardware and IP addresses in (folded) ``text``; what they cover is added to ``taken``."""
    for m in _MAC.finditer(text):
        taken.append(m.span())  # a zero address is no telephone number either
        if _device(m.group(), text[max(0, m.start() - _IP_BEFORE) : m.start()]):
            yield Hit("pii", "mac", m.start(), m.end())
    for pattern in (_IPV4, _IPV6):
        for m in pattern.finditer(text):
            if any(m.start() < b and a < m.end() for a, b in taken):
                continue
            try:
                address = ipaddress.ip_address(m.group())
            except ValueError:
                continue
            taken.append(m.span())
            if _personal(address, text, m.start(), m.end()):
                yield Hit("pii", "ip", m.start(), m.end())


def _device(shown: str, before: str) -> bool:
    """Whether a hardware address may belong to a device: not zero, broadcast, multicast or documentation (RFC 7042)."""
    number = re.sub(r"[:-]", "", shown).lower()
    if len(set(number)) <= 2 or int(number[:2], 16) & 1 or number.startswith("00005e00") or _counting(number):
        return False
    return not number.isdigit() or _HARDWARE_WORDS.search(before) is not None


def _counting(number: str) -> bool:
    """Made-up addresses: 00:11:22:33:44:55, 12:34:56:78:9a:bc, aa:bb:cc:dd:ee:ff."""
    pairs = [number[i : i + 2] for i in range(0, 12, 2)]
    return number in "0123456789abcdef" or all(p[0] == p[1] for p in pairs)


def _personal(address: ipaddress.IPv4Address | ipaddress.IPv6Address, text: str, start: int, end: int) -> bool:
    """Whether it is an address of the open internet, in a place where one would stand."""
    if not address.is_global or address.is_multicast:
        return False
    before = text[max(0, start - _IP_BEFORE) : start]
    if address.version == 6:  # only 2000::/3 is handed out (RFC 4291)
        return address.packed[0] >> 5 == 1 and text.count(":", start, end) >= 3
    if _NOT_IP.search(before):
        return False
    large = sum(octet >= _LARGE for octet in address.packed)
    alone = not text[:start].strip() and not text[end:].strip()
    return large >= 2 or alone or _IP_WORDS.search(before) is not None
