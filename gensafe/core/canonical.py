"""Canonical JSON for everything that is hashed or logged.

The profile is RFC 8785 (JCS) restricted to objects with ASCII keys, arrays, strings, integers within +-(2^53 - 1),
booleans and null: under it, sorted compact JSON *is* JCS (a property test proves it against ``rfc8785``).
Floats are refused: their text form is where implementations differ.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

MAX_INT: Final = 2**53 - 1  # see above: integers that a double holds exactly (RFC 8785, RFC 7493 section 2.2)
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: object) -> bytes:
    """Encode ``value`` canonically.

    Raises:
        TypeError: a float, a non-string or non-ASCII key, or a type outside the profile.
        ValueError: an integer outside the interoperable range, or a lone surrogate.
    """
    if not _plain(value):
        _check(value, "$")
    return _ENCODER.encode(value).encode("utf-8")


def _plain(value: object) -> bool:
    """Whether ``value`` is certainly in the profile, told by exact types alone; most values are, and this is fast."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return -MAX_INT <= value <= MAX_INT  # type: ignore[operator]
    if kind is dict:
        for key, item in value.items():  # type: ignore[attr-defined]
            if type(key) is not str or not key.isascii() or not (type(item) is str or _plain(item)):
                return False
        return True
    return (kind is list or kind is tuple) and all(map(_plain, value))  # type: ignore[call-overload]


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
