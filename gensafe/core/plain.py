"""Our frozen dataclasses as JSON values and back, by their annotations. No code runs from what is read."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar

from gensafe.core.errors import InvalidRequest

T = TypeVar("T")


def to_plain(value: object) -> Any:  # noqa: ANN401 - JSON values
    """Dataclasses become objects, tuples lists, enums their values; bytes are not for JSON and are refused."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(name): to_plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{type(value).__name__} has no plain form")


def from_plain(kind: type[T], plain: object) -> T:
    """The ``kind`` that ``to_plain`` made ``plain`` of.

    Raises:
        InvalidRequest: it is not of that shape.
    """
    try:
        made: T = _build(kind, plain)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidRequest(f"is not a stored {kind.__name__}: {error}") from error
    return made


def _build(kind: Any, plain: Any) -> Any:  # noqa: ANN401 - annotations and JSON values
    if is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        return kind(**{name: _build(hints[name], item) for name, item in plain.items()})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if plain is None and type(None) in arguments:
            return None
        matching = [a for a in arguments if isinstance(a, type) and type(plain) is a]
        return plain if matching else _build(next(a for a in arguments if a is not type(None)), plain)
    if origin is tuple:
        return tuple(_build(arguments[0], item) for item in plain)
    if origin is not None and issubclass(origin, Mapping):
        return {name: _build(arguments[1], item) for name, item in plain.items()}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(plain)
    if kind is float and type(plain) is int:
        return float(plain)
    if type(plain) is not kind:
        raise TypeError(f"{type(plain).__name__} where {getattr(kind, '__name__', kind)} is expected")
    return plain
