"""Check the tables of a policy file. Every refusal names the key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gensafe.core.errors import ConfigError
from gensafe.core.types import Action, Modality, Stage
from gensafe.safety.rule import StreamParameters

STREAM: Final = "stream"
_SCOPES: Final = (
    *(m.value for m in Modality),
    *(s.value for s in Stage),
    *(f"{m.value}_{s.value}" for m in Modality for s in Stage),
    STREAM,
)


def table_of(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The table under ``key``, empty if it is missing."""
    value = data.get(key, {})
    if not isinstance(value, Mapping):
        raise ConfigError("must be a table", field=key)
    return value


def over(base: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with what ``table`` says on top: tables are merged key by key, everything else is replaced."""
    found = dict(base)
    for key, value in table.items():
        old = found.get(key)
        found[key] = over(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return found


def text_of(data: Mapping[str, Any], key: str, default: str) -> str:
    """The short string under ``key``."""
    value = data.get(key, default)
    if not isinstance(value, str) or not value or len(value) > 200:
        raise ConfigError("must be a non-empty string of at most 200 characters", field=key)
    return value


def number_of(value: object, field: str, low: float, high: float) -> float:
    """``value`` as a number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"must be a number from {low} to {high}", field=field)
    return float(value)


def rules_of(table: object, field: str, *, scopes: bool = True) -> dict[str, Any]:
    """A table of thresholds and actions; with ``scopes``, tables per modality, stage, both, or stream inside it."""
    if not isinstance(table, Mapping):
        raise ConfigError("must be a table", field=field)
    checked: dict[str, Any] = {}
    for key, value in table.items():
        where = f"{field}.{key}"
        if key in ("review", "block", "severe"):
            checked[key] = number_of(value, where, 0.0, 1.01)
        elif key in ("review_action", "block_action"):
            if value not in {a.value for a in Action}:
                raise ConfigError(f"must be one of {', '.join(a.value for a in Action)}", field=where)
            checked[key] = value
        elif scopes and key in _SCOPES:
            checked[key] = rules_of(value, where, scopes=False)
        else:
            raise ConfigError("unknown key", field=where)
    return checked


def known_categories(data: Mapping[str, Any], key: str, known: set[str]) -> Mapping[str, Any]:
    """The table under ``key``, whose keys must be categories."""
    table = table_of(data, key)
    for name in table:
        if name not in known:
            raise ConfigError("not a category", field=f"{key}.{name}", fix=f"one of {', '.join(sorted(known))}")
    return table


def categories_of(table: Mapping[str, Any], field: str, known: set[str]) -> dict[str, dict[str, Any]]:
    """Rules per category."""
    return {n: rules_of(t, f"{field}.{n}") for n, t in known_categories({field: table}, field, known).items()}


def tenant_of(table: object, name: str, known: set[str]) -> dict[str, Any]:
    """A tenant's table."""
    if not isinstance(table, Mapping) or set(table) - {"categories", "mode"}:
        raise ConfigError("a tenant has only `mode` and `categories`", field=f"tenants.{name}")
    checked: dict[str, Any] = {"categories": categories_of(table_of(table, "categories"), "categories", known)}
    if "mode" in table:
        if table["mode"] not in ("enforce", "monitor"):
            raise ConfigError("must be enforce or monitor", field=f"tenants.{name}.mode")
        checked["mode"] = table["mode"]
    return checked


def classifiers_of(table: Mapping[str, Any], field: str = "classifiers") -> dict[Modality, tuple[str, ...]]:
    """Plugin names per modality."""
    found: dict[Modality, tuple[str, ...]] = {}
    for key, names in table.items():
        if key not in {m.value for m in Modality}:
            raise ConfigError("not a modality", field=f"{field}.{key}")
        if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
            raise ConfigError("must be a list of plugin names", field=f"{field}.{key}")
        found[Modality(key)] = tuple(dict.fromkeys(names))
    return found


def require_of(table: Mapping[str, Any], known: set[str]) -> dict[Modality, tuple[str, ...]]:
    """Categories that must be covered whole, per modality."""
    found: dict[Modality, tuple[str, ...]] = {}
    for key, names in table.items():
        if key not in {m.value for m in Modality}:
            raise ConfigError("not a modality", field=f"require.{key}")
        if not isinstance(names, list) or not all(isinstance(n, str) and n in known for n in names):
            raise ConfigError("must be a list of categories", field=f"require.{key}", fix=", ".join(sorted(known)))
        found[Modality(key)] = tuple(sorted(set(names)))
    return found


def flag_of(data: Mapping[str, Any], key: str) -> bool:
    """A switch that is off unless it is set."""
    value = data.get(key, False)
    if not isinstance(value, bool):
        raise ConfigError("must be true or false", field=key)
    return value


def options_of(table: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Options per plugin."""
    for name, options in table.items():
        if not isinstance(options, Mapping) or not all(isinstance(v, str) for v in options.values()):
            raise ConfigError("must be a table of strings", field=f"options.{name}")
    return {name: dict(options) for name, options in table.items()}


def stream_of(table: Mapping[str, Any]) -> StreamParameters:
    """The hold-back of text streams."""
    limits = {
        "window_words": (10, 2000), "hold_back_words": (0, 2000), "step_words": (1, 200),
        "hold_back_sentences": (0, 20),
    }  # fmt: skip
    for key, value in table.items():
        if key not in limits or isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError("unknown key or not a whole number", field=f"stream.{key}")
        number_of(value, f"stream.{key}", *limits[key])
    found = StreamParameters(**table)
    if found.hold_back_words > found.shortest_window - 2 * found.step_words:
        # guarantees two scored windows per released word
        raise ConfigError("must be at most 3/4 window_words - 2 step_words", field="stream.hold_back_words")
    return found


def allow_of(table: Mapping[str, Any]) -> frozenset[str]:
    """The digests on the allow list."""
    entries = table.get("sha256", [])
    if set(table) - {"sha256"} or not isinstance(entries, list):
        raise ConfigError("only `sha256 = [...]` is known", field="allow")
    for entry in entries:
        if not isinstance(entry, str) or len(entry) != 64 or any(c not in "0123456789abcdef" for c in entry):
            raise ConfigError("must be 64 lower-case hex digits each", field="allow.sha256")
    return frozenset("sha256:" + e for e in entries)
