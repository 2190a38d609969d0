"""What libraries say about damage, in words a person can read."""

from __future__ import annotations

import re
from typing import Final

_OBJECT: Final = re.compile(r"<[^<>]*(?: at 0x[0-9a-fA-F]+|object)[^<>]*>")
_BYTES: Final = re.compile(r"\bb'((?:[^'\\]|\\.)*)'|\bb\"((?:[^\"\\]|\\.)*)\"")
_TYPES: Final = {
    "EOFError": "it ends too early",
    "IndexError": "its structure is damaged",
    "KeyError": "its structure is damaged",
    "AssertionError": "its structure is damaged",
    "AttributeError": "its structure is damaged",
    "TypeError": "its structure is damaged",
    "error": "its structure is damaged",  # struct.error, zlib.error
    "OverflowError": "it holds a number that is too large",
    "MemoryError": "it needs more memory than it may have",
    "RecursionError": "it is nested too deeply",
}
_LONGEST: Final = 200  # characters: an error is one line. Chosen, not measured


def plain(error: BaseException) -> str:
    """The message of a library's error without its notation: no object addresses, no ``b'...'``, never empty."""
    known = _TYPES.get(type(error).__name__)
    if known:
        return known
    text = str(getattr(error, "strerror", None) or error).split(" '<none>'")[0]
    text = _BYTES.sub(lambda m: _printable(m.group(1) or m.group(2) or ""), _OBJECT.sub("the file", text))
    text = re.sub(r"[\w.]+\.(MAX_\w+)", r"\1", " ".join(text.split()))
    return _printable(text)[:_LONGEST] or "its structure is damaged"


def four_letters(name: bytes) -> str:
    """A chunk, box or tag name from a file, for a message: printable characters only."""
    return name.decode("latin-1").translate({i: "?" for i in (*range(32), *range(127, 161))}).strip() or "unnamed"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in re.sub(r"\\x[0-9a-fA-F]{2}", "?", text))
