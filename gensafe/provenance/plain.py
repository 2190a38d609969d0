"""``ManifestReading`` as plain values and back: what comes out of a worker process must be data, not objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from typing import Any, TypeVar

from gensafe.core.errors import ManifestInvalid
from gensafe.provenance.types import (
    ActionReading,
    IngredientReading,
    ManifestReading,
    ManifestState,
    SignerReading,
    SoftBindingReading,
    Status,
    TimeStampReading,
)

T = TypeVar("T")


def to_plain(reading: ManifestReading) -> dict[str, Any]:
    """Dictionaries, lists, strings, numbers, booleans and None only."""
    found: dict[str, Any] = _plain(reading)
    return found


def from_plain(plain: Mapping[str, Any]) -> ManifestReading:
    """Inverse of ``to_plain``.

    Raises:
        ManifestInvalid: not what ``to_plain`` makes.
    """
    try:
        values = dict(plain)
        values["state"] = ManifestState(values["state"])
        values["signer"] = None if values["signer"] is None else SignerReading(**values["signer"])
        values["time_stamp"] = None if values["time_stamp"] is None else TimeStampReading(**values["time_stamp"])
        for name in ("successes", "informational", "failures"):
            values[name] = _each(Status, values[name])
        values["actions"] = _each(ActionReading, values["actions"])
        values["soft_bindings"] = _each(SoftBindingReading, values["soft_bindings"])
        values["ingredients"] = tuple(_ingredient(item) for item in values["ingredients"])
        values["assertions"] = tuple(values["assertions"])
        return ManifestReading(**values)
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ManifestInvalid("the manifest report is malformed") from None


def _ingredient(plain: Mapping[str, Any]) -> IngredientReading:
    state = None if plain["state"] is None else ManifestState(plain["state"])
    inside = tuple(_ingredient(item) for item in plain["ingredients"])
    failures = _each(Status, plain["failures"])
    return IngredientReading(**{**plain, "state": state, "failures": failures, "ingredients": inside})


def _each(kind: type[T], items: list[Mapping[str, Any]]) -> tuple[T, ...]:
    return tuple(kind(**item) for item in items)


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
