r"""The manifest wrapper for unstructured text, C2PA 2.4 annex A.8.

U+FEFF, then every byte of ``"C2PATXT\0" | version 1 | length (u32, big-endian) | manifest store`` as one variation
selector: 0x00-0x0F -> U+FE00..U+FE0F, 0x10-0xFF -> U+E0100..U+E01EF. GenSafe writes exactly one wrapper, unpadded, as
the suffix of NFC text, and reads nothing else: a second wrapper, or text after it, is refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gensafe.core.errors import ManifestInvalid, SigningFailed
from gensafe.provenance import jumbf
from gensafe.provenance.cose import CoseSign1, parse_cose

MARK: Final = "\ufeff"
_MAGIC: Final = b"C2PATXT\0"
_VERSION: Final = 1  # see above
_HEADER_BYTES: Final = len(_MAGIC) + 1 + 4  # magic, version, length
MAX_STORE_BYTES: Final = 4 * 1024 * 1024  # 4 MiB, up to 16 MiB as text in UTF-8. A round number, not measured
CORRUPTED: Final = "manifest.text.corruptedWrapper"
MULTIPLE: Final = "manifest.text.multipleWrappers"

_SELECTORS: Final = [chr(0xFE00 + b) if b < 16 else chr(0xE0100 + b - 16) for b in range(256)]  # see above
_SHORT: Final = bytes(range(16))  # their selectors take 3 bytes of UTF-8, the others 4
_RUN: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]*")
_BYTES: Final = {character: byte for byte, character in enumerate(_SELECTORS)}


class TextWrapperInvalid(ManifestInvalid):
    """A wrapper is there but not well formed. ``code`` is the C2PA status code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class A8Wrapper:
    """A well-formed wrapper. ``visible`` is the NFC text before it; ``start``/``length`` its span in UTF-8 bytes."""

    visible: str
    store: bytes
    start: int
    length: int


def wrap_a8(store: bytes) -> str:
    """The wrapper of ``store``, to be put at the end of NFC text."""
    return MARK + "".join(map(_SELECTORS.__getitem__, _header(store) + store))


def wrapper_length(store: bytes) -> int:
    """UTF-8 bytes that ``wrap_a8(store)`` takes."""
    data = _header(store) + store
    return len(MARK.encode()) + 3 * len(data) + len(data.translate(None, _SHORT))


def _header(store: bytes) -> bytes:
    return _MAGIC + bytes([_VERSION]) + len(store).to_bytes(4, "big")


def parse_a8(text: str) -> A8Wrapper | None:
    """Find the wrapper; None when there is none.

    Raises:
        TextWrapperInvalid: more than one, damaged, padded, or not at the end.
    """
    text = unicodedata.normalize("NFC", text)
    runs = list(_runs(text))
    if not runs:
        return None
    if len(runs) > 1:
        raise TextWrapperInvalid(MULTIPLE, "the text carries more than one manifest wrapper")
    start, end, content = runs[0]
    if end != len(text):
        raise TextWrapperInvalid(CORRUPTED, "text follows the manifest wrapper")
    if len(content) < _HEADER_BYTES or content[len(_MAGIC)] != _VERSION:
        raise TextWrapperInvalid(CORRUPTED, "the manifest wrapper's header is damaged or of an unknown version")
    length = int.from_bytes(content[_HEADER_BYTES - 4 : _HEADER_BYTES], "big")
    if length != len(content) - _HEADER_BYTES or not 8 <= length <= MAX_STORE_BYTES:
        raise TextWrapperInvalid(CORRUPTED, "the manifest wrapper's length does not match its content")
    visible = text[:start]
    return A8Wrapper(visible, content[_HEADER_BYTES:], len(visible.encode()), len(text[start:].encode()))


def strip_a8(text: str) -> str:
    """``text`` without any wrapper, well-formed or not (NFC)."""
    text = unicodedata.normalize("NFC", text)
    parts: list[str] = []
    at = 0
    for start, end, _ in _runs(text):
        parts.append(text[at:start])
        at = end
    return "".join(parts) + text[at:]


def fit(store: bytes, length: int) -> bytes:
    """Re-size the signature's padding so that the wrapper takes exactly ``length`` UTF-8 bytes.

    A selector below 0x10 takes 3 bytes and any other 4, so padding of n bytes, f of them 0xFF, adds 3n + f.

    Raises:
        SigningFailed: ``length`` cannot be reached.
    """
    cose = _signature(store)
    room = length - wrapper_length(_padded(store, cose, 0, 0))
    for size in range(
        max(0, room // 4 - 8), len(store)
    ):  # 3n + f with f <= n needs n of at least a quarter of the room
        base = _padded(store, cose, size, 0)
        missing = length - wrapper_length(base)
        if missing < 0:
            break
        if missing <= size:
            fitted = _padded(store, cose, size - missing, missing)
            if wrapper_length(fitted) == length:
                return fitted
    raise SigningFailed("the manifest does not fit the room reserved for it in the text")


def tight(store: bytes, slack: int) -> int:
    """A wrapper length for this store with ``slack`` zero bytes of padding: room for a second, slightly longer one."""
    return wrapper_length(_padded(store, _signature(store), slack, 0))


def _padded(store: bytes, cose: CoseSign1, zeros: int, filler: int) -> bytes:
    return jumbf.replace_signature(store, cose.with_padding(zeros, b"\xff" * filler).encode())


def _signature(store: bytes) -> CoseSign1:
    box = jumbf.signature_path(store)[-1]
    return parse_cose(store[box.content : box.end])


def _runs(text: str) -> Iterator[tuple[int, int, bytes]]:
    """Every U+FEFF whose selector run begins with the magic: (start, end, decoded bytes)."""
    at = text.find(MARK)
    while at != -1:
        run = _RUN.match(text, at + 1)
        end = run.end() if run else at + 1
        content = bytes(map(_BYTES.__getitem__, text[at + 1 : end]))
        if content.startswith(_MAGIC):
            yield at, end, content
        at = text.find(MARK, max(end, at + 1))
