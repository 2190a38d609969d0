"""The little CBOR (RFC 8949) needed to open a COSE_Sign1: heads, skipping, byte and text strings.

Definite lengths only. Everything raises ``ManifestInvalid`` on malformed input; nesting is bounded, and lengths by the
input itself.
"""

from __future__ import annotations

from typing import Final

from gensafe.core.errors import ManifestInvalid

UINT, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)  # major types: RFC 8949, section 3.1
_MAX_DEPTH: Final = 32  # far deeper than a manifest; bounds recursion. A round number, not measured


def head(data: bytes, at: int) -> tuple[int, int, int]:
    """Read one head: (major type, argument, offset after it)."""
    if at >= len(data):
        raise ManifestInvalid("CBOR ends in the middle of an item")
    major, info = data[at] >> 5, data[at] & 31
    if info < 24:
        return major, info, at + 1
    if info > 27:
        raise ManifestInvalid("indefinite or reserved CBOR length")
    size = 1 << (info - 24)
    if at + 1 + size > len(data):
        raise ManifestInvalid("CBOR ends in the middle of a head")
    return major, int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size


def skip(data: bytes, at: int, depth: int = 0) -> int:
    """Offset after the item that starts at ``at``."""
    if depth > _MAX_DEPTH:
        raise ManifestInvalid("CBOR is nested too deeply")
    major, argument, at = head(data, at)
    if major in (BYTES, TEXT):
        if argument > len(data) - at:
            raise ManifestInvalid("a CBOR string is longer than its input")
        return at + argument
    items = {ARRAY: argument, MAP: 2 * argument, TAG: 1}.get(major, 0)
    for _ in range(items):
        at = skip(data, at, depth + 1)
    return at


def string(data: bytes, at: int, major: int) -> tuple[bytes, int]:
    """Read a byte string (``BYTES``) or text string (``TEXT``): (content, offset after it)."""
    found, length, start = head(data, at)
    if found != major:
        raise ManifestInvalid("unexpected CBOR type")
    if length > len(data) - start:
        raise ManifestInvalid("a CBOR string is longer than its input")
    return data[start : start + length], start + length


def encode_head(major: int, argument: int) -> bytes:
    """The shortest head for ``argument``."""
    if argument < 24:
        return bytes([major << 5 | argument])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << (8 * size):
            return bytes([major << 5 | info]) + argument.to_bytes(size, "big")
    raise ValueError("a CBOR argument has at most 64 bits")


def encode_bytes(content: bytes) -> bytes:
    """A byte string."""
    return encode_head(BYTES, len(content)) + content


def encode_text(content: str) -> bytes:
    """A text string."""
    raw = content.encode()
    return encode_head(TEXT, len(raw)) + raw
