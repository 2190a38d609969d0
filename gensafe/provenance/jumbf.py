"""JUMBF boxes (ISO 19566-5) of a C2PA manifest store: find the active manifest's signature box and resize it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gensafe.core.errors import ManifestInvalid

_MAX_BOXES: Final = 100_000  # bounds time on hostile stores. A round number, not measured


@dataclass(frozen=True, slots=True)
class Box:
    """One box: ``start``..``end`` covers header and content, ``content`` is where the content begins."""

    start: int
    content: int
    end: int
    kind: bytes


def boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """Boxes that fill ``data[start:end]``.

    Raises:
        ManifestInvalid: a box does not fit its parent.
    """
    for _ in range(_MAX_BOXES):
        if start == end:
            return
        length, kind, content = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8], start + 8
        if length == 1:
            length, content = int.from_bytes(data[start + 8 : start + 16], "big"), start + 16
        if length < content - start or start + length > end:
            raise ManifestInvalid("a JUMBF box does not fit its parent")
        yield Box(start, content, start + length, kind)
        start += length
    raise ManifestInvalid("too many JUMBF boxes")


def label(data: bytes, box: Box) -> str:
    """The label of a superbox ("" without one): jumd content is UUID (16), toggles (1), label, NUL."""
    first = next(boxes(data, box.content, box.end), None)
    if first is None or first.kind != b"jumd" or first.end - first.content < 17:
        raise ManifestInvalid("a JUMBF superbox has no description")
    if not data[first.content + 16] & 2:
        return ""
    raw = data[first.content + 17 : first.end].split(b"\0", 1)[0]
    return raw.decode("utf-8", "replace")


def manifests(store: bytes) -> tuple[Box, ...]:
    """The manifests of a store, in order; the last one is active (C2PA 2.4 section 11.1.4)."""
    top = tuple(boxes(store, 0, len(store)))
    if len(top) != 1 or top[0].kind != b"jumb" or label(store, top[0]) != "c2pa":
        raise ManifestInvalid("not a C2PA manifest store")
    return tuple(b for b in boxes(store, top[0].content, top[0].end) if b.kind == b"jumb")


def signature_path(store: bytes) -> tuple[Box, Box, Box, Box]:
    """Boxes from the store down to the active manifest's COSE signature: (store, manifest, superbox, cbor)."""
    found = manifests(store)
    if not found:
        raise ManifestInvalid("the manifest store is empty")
    return next(boxes(store, 0, len(store))), found[-1], *_signature(store, found[-1])


def _signature(store: bytes, manifest: Box) -> tuple[Box, Box]:
    for box in boxes(store, manifest.content, manifest.end):
        if box.kind == b"jumb" and label(store, box) == "c2pa.signature":
            for inner in boxes(store, box.content, box.end):
                if inner.kind == b"cbor":
                    return box, inner
    raise ManifestInvalid("the manifest has no signature")


def signature_of(store: bytes, name: str) -> Box:
    """The COSE signature's box of the manifest labelled ``name``.

    Raises:
        ManifestInvalid: no such manifest, or it has none.
    """
    for manifest in manifests(store):
        if label(store, manifest) == name:
            return _signature(store, manifest)[1]
    raise ManifestInvalid("the store has no such manifest")


def replace_signature(store: bytes, cose: bytes) -> bytes:
    """Put ``cose`` in the place of the active manifest's signature and mend the four box lengths."""
    path = signature_path(store)
    inner = path[-1]
    result = bytearray(store[: inner.content] + cose + store[inner.end :])
    difference = len(result) - len(store)
    for box in path:
        if box.content - box.start != 8:
            raise ManifestInvalid("a box with a 64-bit length is not resized")
        result[box.start : box.start + 4] = (box.end - box.start + difference).to_bytes(4, "big")
    return bytes(result)
