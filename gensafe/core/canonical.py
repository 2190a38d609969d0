"""Canonical JSON for everything that is hashed or logged.

The profile is RFC 8785 (JCS) restricted to objects with ASCII keys, arrays, strings, integers within +-(2^53 - 1),
booleans and null: under it, sorted compact JSON *is* JCS (a property test proves it against ``rfc8785``).
Floats are refused: their text form is where implementations differ.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

MAX_INT: Final = 2**53 - 1


def canonical_json(value: object) -> bytes:
    """Encode ``value`` canonically.

    Raises:
        TypeError: a float, a non-string or non-ASCII key, or a type outside the profile.
        ValueError: an integer outside the interoperable range, or a lone surrogate.
    """
    _check(value, "$")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")


def _check(value: object, where: str) -> None:
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, float):
        raise TypeError(f"{where}: floats are outside the canonical profile")
    if isinstance(value, int):
        if abs(value) > MAX_INT:
            raise ValueError(f"{where}: integer outside +-(2^53 - 1)")
        return
    if isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _check(item, f"{where}[{i}]")
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise TypeError(f"{where}: keys must be ASCII strings, not {key!r}")
            _check(item, f"{where}.{key}")
        return
    raise TypeError(f"{where}: {type(value).__name__} is outside the canonical profile")
