"""The law as dated data: one TOML file a regime, read and checked here.

Facts about the law were read from the sources each duty names, on the day it names; this is not legal advice.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Final

from gensafe.compliance.duty import Duty, Regime, Watched
from gensafe.compliance.measures import MEASURES, measured
from gensafe.core.errors import ConfigError
from gensafe.core.hazards import CATEGORIES

WATCHED: Final = "watched.toml"
# fields of the files, and what kind each must be
_REGIME: Final = {"key": str, "title": str, "standing": str, "dated": date, "not_covered": list, "duty": list}
_DUTY: Final = {
    "key": str,
    "title": str,
    "basis": str,
    "carried_by": str,
    "feature": str,
    "measure": str,
    "beyond": str,
}
_MAY: Final = {"says": str, "categories": list, "from": date, "until": date, "read": date, "unconfirmed": str}


@dataclass(frozen=True, slots=True)
class Change:
    """A duty that begins or ends between two days."""

    day: date
    begins: bool
    regime: Regime
    duty: Duty


@cache
def regimes() -> Mapping[str, Regime]:
    """Every regime by its key, in the order of the keys.

    Raises:
        ConfigError: a file says something that is not understood; named with its duty.
    """
    read = [_regime(name, document) for name, document in _documents() if name != WATCHED]
    return {regime.key: regime for regime in sorted(read, key=lambda r: r.key)}


@cache
def watched() -> tuple[Watched, ...]:
    """What may become law, as read on its day; nothing is reported about it."""
    [document] = [document for name, document in _documents() if name == WATCHED]
    return tuple(Watched(**item) for item in document["watched"])


def changes(first: date, last: date) -> list[Change]:
    """Duties that begin or end after ``first``, up to and including ``last``, by day."""
    found = [
        Change(day, begins, regime, duty)
        for regime in regimes().values()
        for duty in regime.duties
        for day, begins in ((duty.start, True), (duty.end, False))
        if day is not None and first < day <= last
    ]
    return sorted(found, key=lambda c: (c.day, c.regime.key, c.duty.key))


def _documents() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(files(__name__).iterdir(), key=lambda p: p.name):
        if path.name.endswith(".toml"):
            yield path.name, tomllib.loads(path.read_text("utf-8"))


def _regime(name: str, document: Mapping[str, Any]) -> Regime:
    _checked(name, document, _REGIME, {})
    duties = tuple(_duty(f"{name}: {duty.get('key', '(duty without key)')}", duty) for duty in document["duty"])
    head = {field: document[field] for field in ("key", "title", "standing", "dated")}
    return Regime(**head, duties=duties, not_covered=tuple(document["not_covered"]))


def _duty(where: str, said: Mapping[str, Any]) -> Duty:
    _checked(where, said, _DUTY, _MAY)
    categories = said.get("categories", [])
    if said["measure"] not in MEASURES:
        raise ConfigError(f"no measure {said['measure']!r}", field=where, fix=f"one of: {', '.join(sorted(MEASURES))}")
    if not set(categories) <= set(CATEGORIES):
        raise ConfigError("a category that is not in core.hazards", field=where)
    judge, events = measured(said["measure"], said.get("says", ""), categories)
    return Duty(
        key=said["key"],
        title=said["title"],
        basis=said["basis"],
        start=said.get("from"),
        end=said.get("until"),
        carried_by=said["carried_by"],
        feature=said["feature"],
        judge=judge,
        beyond=said["beyond"],
        events=events,
        read=said.get("read"),
        unconfirmed=said.get("unconfirmed", ""),
    )


def _checked(where: str, said: Mapping[str, Any], must: Mapping[str, type], may: Mapping[str, type]) -> None:
    for name, kind in must.items():
        if not isinstance(said.get(name), kind):
            raise ConfigError(f"{name} is missing or not a {kind.__name__}", field=where)
    for name, value in said.items():
        if name not in must and not isinstance(value, may.get(name, ())):
            raise ConfigError(f"{name} is unknown or of the wrong kind", field=where)
