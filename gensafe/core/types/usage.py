"""What requests use up, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

MICRO: Final = 1_000_000  # costs are whole millionths of the currency: sums are exact


@dataclass(frozen=True, slots=True)
class Amounts:
    """Counted units, all whole and 0 or more."""

    requests: int = 0
    tokens: int = 0  # read and written
    pixels: int = 0  # of pictures; frames of films count by their time
    audio_ms: int = 0
    video_ms: int = 0
    engine_ms: int = 0  # time that engines worked
    micros: int = 0  # cost, millionths of the currency

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: Amounts) -> Amounts:
        return Amounts(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))

    def by_name(self) -> dict[str, int]:
        """Unit -> amount."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @staticmethod
    def of(values: Mapping[str, int]) -> Amounts:
        """From a row that has every unit by its name."""
        return Amounts(**{f.name: int(values[f.name]) for f in fields(Amounts)})


UNITS: Final = tuple(f.name for f in fields(Amounts))


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request was expected to use at most, and what it used (while it runs: the same)."""

    forecast: Amounts
    spent: Amounts
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """One bound: no more than ``most`` of ``unit`` in a ``period`` for a tenant, or for one of its keys.

    ``key_id``: "" = the tenant with all its keys. ``period``: minute | day | month, by UTC.
    """

    period: str
    unit: str
    most: int
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an attempt may use, with the bounds that must hold before it starts."""

    tenant: str
    model: str
    modality: str
    forecast: Amounts
    key_id: str = ""
    limits: tuple[Limit, ...] = ()
