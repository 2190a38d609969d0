"""Soft bindings (C2PA 2.4 section 9.3) by name and value: how a mark is written in a manifest and asked for by others.

One spelling is written: ``org.gensafe.image-1`` with the payload in hexadecimal. Readers take what was ever written or
documented: the scheme's full name (``org.gensafe.gensafe-image-1``), and base64, in which the Soft Binding Resolution
API has values.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Final

from gensafe.core.types import PAYLOAD_BYTES

PREFIX: Final = "org.gensafe."
_OWN: Final = "gensafe-"


def algorithm_of(scheme: str) -> str:
    """The soft-binding name of a mark: "gensafe-image-1" -> "org.gensafe.image-1"."""
    return PREFIX + scheme.removeprefix(_OWN)


def is_ours(algorithm: str) -> bool:
    """Whether a name is one of this project's marks."""
    return algorithm.startswith(PREFIX)


def known(algorithm: str, algorithms: Iterable[str]) -> str | None:
    """The written spelling of ``algorithm`` if it is one of ``algorithms``; None = it is not."""
    written = algorithm_of(algorithm.removeprefix(PREFIX)) if is_ours(algorithm) else algorithm
    return written if written in algorithms else None


def value_of(payload: bytes) -> str:
    """A payload as it stands in a manifest."""
    return payload.hex()


def payload_of(value: str) -> bytes | None:
    """The payload that a value stands for, in hexadecimal or base64; None = neither.

    The two cannot be taken for each other: 7 bytes are 14 characters in one and 12 in the other.
    """
    if len(value) == 2 * PAYLOAD_BYTES:
        try:
            return bytes.fromhex(value)
        except ValueError:
            return None
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
