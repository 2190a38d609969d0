"""Links that lead elsewhere than they look, and image links that carry data out. Only the text is looked at."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from gensafe.safety.normalize import script_of
from gensafe.safety.rules.hit import Hit

_URL: Final = re.compile(r"(?i)(?<![a-z0-9])(?:https?|ftp|wss?)://([^\s<>\"'`\]\[(){}|\\^]{1,2000})")
_TARGET: Final = r"((?:https?|ftp)://[^\s()\[\]<>\"']{1,2000}+)"
_MARKDOWN: Final = re.compile(r"(!?)\[([^\]\[\n]{0,300}+)\]\([ \t]{0,3}<?" + _TARGET)
_HTML_LINK: Final = re.compile(
    r"(?i)<a\s[^<>]{0,300}?href\s?=\s?[\"']?" + _TARGET + r"[^<>]{0,300}+>([^<>]{1,300}+)</a>"
)
_HTML_IMAGE: Final = re.compile(r"(?i)<img\s[^<>]{0,300}?src\s?=\s?[\"']?" + _TARGET)
_HOST_IN_TEXT: Final = re.compile(r"(?i)(?<![\w@.-])(?:https?://)?((?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24})(?![\w-])")
_LOADED_QUERY: Final = re.compile(r"[?&/][^=\s]{0,64}=[^&\s]{24,}|\{\{[^}]{1,64}\}\}|%7B%7B")


def find_urls(text: str, denied: frozenset[str] = frozenset()) -> Iterator[Hit]:
    """Yield deceptive links (``hid``), outward-carrying images (``jbk``) and links to ``denied`` hosts (``lst``)."""
    if "://" not in text:
        return
    for m in _URL.finditer(text):
        rest = m.group(1)
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        host = host_of(authority)
        if denied and any(host == d or host.endswith("." + d) for d in denied):
            yield Hit("lst", "denied host", m.start(), m.end())
        if "@" in authority and "." in authority.rsplit("@", 1)[0]:
            yield Hit("hid", "host before @", m.start(), m.end(), 0.7)
        if _disguised(host):
            yield Hit("hid", "mixed-script host", m.start(), m.end(), 0.7)
        elif _is_ip(host):
            yield Hit("hid", "bare address as host", m.start(), m.end(), 0.3)
    for m in _MARKDOWN.finditer(text):
        yield from _link(m, image=m[1] == "!", label=m[2], target=m[3])
    for m in _HTML_LINK.finditer(text):
        yield from _link(m, image=False, label=m[2], target=m[1])
    for m in _HTML_IMAGE.finditer(text):
        yield from _link(m, image=True, label="", target=m[1])


def host_of(authority: str) -> str:
    """Host of a URL authority, lower case, without user info, port and trailing dot."""
    host = authority.rsplit("@", 1)[-1]
    if host.startswith("["):
        return host[1:].split("]", 1)[0]
    return host.split(":", 1)[0].rstrip(".").lower()


def _link(m: re.Match[str], *, image: bool, label: str, target: str) -> Iterator[Hit]:
    host = host_of(re.split(r"[/?#]", target.split("://", 1)[1], maxsplit=1)[0])
    if image and _LOADED_QUERY.search(target):
        yield Hit("jbk", "image link carrying data", m.start(), m.end(), 0.7)
    shown = _HOST_IN_TEXT.search(label)
    if shown and not image:
        name = shown.group(1).lower().removeprefix("www.")
        real = host.removeprefix("www.")
        if name != real and not real.endswith("." + name) and not name.endswith("." + real):
            yield Hit("hid", "link text names another host", m.start(), m.end(), 0.7)


def _disguised(host: str) -> bool:
    for label in host.split("."):
        shown = label
        if label.startswith("xn--"):
            try:
                shown = label[4:].encode("ascii").decode("punycode")
            except (UnicodeError, ValueError):
                return True
        scripts = {script_of(c) for c in shown} - {""}
        if "latin" in scripts and scripts & {"cyrillic", "greek", "armenian"}:
            return True
        if label.startswith("xn--") and scripts and scripts <= {"cyrillic", "greek"} and _all_lookalike(shown):
            return True
    return False


def _all_lookalike(label: str) -> bool:
    return all(not c.isalpha() or c in "асеорхуіјӏѕԁһԛԝмтвнкгκονατιρυχ" for c in label)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(re.fullmatch(r"0x[0-9a-f]{6,8}|\d{8,10}", host))
    return True
