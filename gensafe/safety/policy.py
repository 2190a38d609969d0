"""The policy: which classifiers look at what, which score leads to which action, and what no tenant can switch off.

A policy is a TOML file. Its identity is ``digest``, the SHA-256 of its canonical form (numbers in millionths), so two
files that mean the same have the same digest. Every verdict names it.

How a rule is found, later wins: ``[default]`` < ``[categories.X]`` < ``[categories.X.<modality>]`` <
``[categories.X.<stage>]`` < ``[categories.X.<modality>_<stage>]`` < ``[categories.X.stream]`` (the last only for
windows of a stream, whose thresholds must be calibrated on the streaming procedure because a sliding window looks
many times at the same text). ``[floors.X]`` then makes the result stricter where it was milder.
``[tenants.NAME.categories.X]`` tables lie on top of the categories and under the floors.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gensafe.core.digest import digest_json
from gensafe.core.errors import ConfigError
from gensafe.core.hazards import CATEGORIES
from gensafe.core.types import ACTION_ORDER, Action, Audio, Decision, Finding, Image, Media, Modality, Stage, Text
from gensafe.safety.custom import CustomCategory, parse_custom

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_POLICY: Final = Path(__file__).parent / "policies" / "default.toml"
STREAM: Final = "stream"
_SCOPES: Final = (
    *(m.value for m in Modality),
    *(s.value for s in Stage),
    *(f"{m.value}_{s.value}" for m in Modality for s in Stage),
    STREAM,
)
_RULE_KEYS: Final = ("review", "block", "review_action", "block_action", "severe")
_TOP_KEYS: Final = frozenset(
    (
        *("id", "version", "mode", "on_error", "timeout_s", "classifiers", "options", "stream", "default"),
        *("categories", "floors", "custom", "allow", "tenants"),
    )
)


@dataclass(frozen=True, slots=True)
class Rule:
    """Thresholds (scores in 0..1) and actions of one category in one scope."""

    review: float
    block: float
    severe: float  # from here on the severity is 6
    review_action: Action
    block_action: Action

    def decide(self, score: float) -> tuple[float, int, Action]:
        """(threshold that applied, severity 0/2/4/6, action) for ``score``."""
        if score >= self.block:
            return self.block, 6 if score >= self.severe else 4, self.block_action
        if score >= self.review:
            return self.review, 2, self.review_action
        return self.review, 0, Action.ALLOW


@dataclass(frozen=True, slots=True)
class StreamParameters:
    """How a text stream is held back; see ``gensafe.safety.streaming``. ``hold_back_words`` 0 = hold the whole text."""

    window_words: int = 120
    hold_back_words: int = 60
    step_words: int = 5


@dataclass(frozen=True)
class Policy:
    """A frozen policy. Build it with ``load_policy`` or ``parse_policy``."""

    id: str
    version: str
    monitor: bool
    open_on_error: bool
    timeout_s: float
    classifiers: Mapping[Modality, tuple[str, ...]]
    options: Mapping[str, Mapping[str, str]]
    stream: StreamParameters
    default: Mapping[str, Any]
    categories: Mapping[str, Mapping[str, Any]]
    floors: Mapping[str, Mapping[str, Any]]
    custom: tuple[CustomCategory, ...]
    allow: frozenset[str]
    tenants: Mapping[str, Mapping[str, Any]]
    digest: str
    tenant: str = ""

    def for_tenant(self, tenant: str) -> Policy:
        """The policy as ``tenant`` sees it: its own categories over the common ones, floors on top of both."""
        table = self.tenants.get(tenant)
        if table is None:
            return self
        merged = {**self.categories}
        for name, rules in table.get("categories", {}).items():
            merged[name] = _merge(merged.get(name, {}), rules)
        monitor = table.get("mode", "monitor" if self.monitor else "enforce") == "monitor"
        digest = digest_json({"policy": self.digest, "tenant": tenant})
        return replace(self, categories=merged, monitor=monitor, tenant=tenant, digest=digest)

    def rule(self, category: str, modality: Modality, stage: Stage, *, streaming: bool = False) -> Rule:
        """The rule that holds for ``category`` there, floors applied."""
        table = self.categories.get(category, {})
        values = {**self.default, **{k: v for k, v in table.items() if k in _RULE_KEYS}}
        both = f"{modality.value}_{stage.value}"
        for scope in (modality.value, stage.value, both, *((STREAM,) if streaming else ())):
            values.update(table.get(scope, {}))
        rule = _rule(values)
        floor = self.floors.get(category)
        return rule if floor is None else _stricter(rule, _rule({**_MILDEST, **floor}))

    def decide(
        self,
        findings: Iterable[Finding],
        modality: Modality,
        stage: Stage = Stage.STANDALONE,
        *,
        streaming: bool = False,
        allow_listed: bool = False,
    ) -> tuple[Decision, ...]:
        """Turn findings into decisions, strictest first. ``allow_listed`` lets all but floors through."""
        decisions = []
        for finding in findings:
            rule = self.rule(finding.category, modality, stage, streaming=streaming)
            threshold, severity, action = rule.decide(finding.score)
            if action is Action.REDACT and modality is not Modality.TEXT:
                action = Action.REVIEW  # nothing here can paint over pixels or samples
            if allow_listed and finding.category not in self.floors:
                action = Action.ALLOW
            decisions.append(Decision(finding, threshold, severity, action))
        decisions.sort(key=lambda d: (-ACTION_ORDER.index(d.action), -d.severity, -d.finding.score, d.finding.category))
        return tuple(decisions)

    def allows(self, item: Media) -> bool:
        """Whether the exact item is on the allow list."""
        return bool(self.allow) and item_digest(item) in self.allow

    def canonical(self) -> dict[str, Any]:
        """The canonical form that ``digest`` is taken of: strings, ints (millionths), bools."""
        return _canonical(self)


_MILDEST: Final[dict[str, Any]] = {"review": 1.01, "block": 1.01, "review_action": "allow", "block_action": "allow"}


def item_digest(item: Media) -> str:
    """Exact hash of an item, as allow lists use it: of UTF-8 text, or of a header and the raw pixels or samples."""
    if isinstance(item, Text):
        return "sha256:" + hashlib.sha256(item.text.encode("utf-8", "surrogatepass")).hexdigest()
    parts: list[NDArray[Any]]
    if isinstance(item, Image):
        header, parts = f"image {item.pixels.shape}", [item.pixels]
    elif isinstance(item, Audio):
        header, parts = f"audio {item.rate} {item.samples.shape}", [item.samples]
    else:
        header, parts = f"video {item.fps} {item.frames.shape}", [item.frames]
        if item.audio is not None:
            header += f" audio {item.audio.rate} {item.audio.samples.shape}"
            parts.append(item.audio.samples)
    state = hashlib.sha256(header.encode())
    for part in parts:
        state.update(part.tobytes())
    return "sha256:" + state.hexdigest()


def load_policy(path: str | Path | None = None) -> Policy:
    """Read a policy file; None = the policy that ships with GenSafe.

    Raises:
        ConfigError: unreadable, not TOML, an unknown key, or a value out of range.
    """
    source = Path(path) if path is not None else DEFAULT_POLICY
    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the policy file cannot be read: {error}", field="policy") from error
    return parse_policy(text)


def parse_policy(text: str) -> Policy:
    """Parse a policy from TOML text.

    Raises:
        ConfigError: see ``load_policy``; the message names the key.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}", field="policy") from error
    except RecursionError as error:
        raise ConfigError("nested too deeply", field="policy") from error
    unknown = set(data) - _TOP_KEYS
    if unknown:
        raise ConfigError(f"unknown keys: {', '.join(sorted(unknown))}", field="policy")
    mode, on_error = data.get("mode", "enforce"), data.get("on_error", "closed")
    if mode not in ("enforce", "monitor"):
        raise ConfigError("must be enforce or monitor", field="mode")
    if on_error not in ("closed", "open"):
        raise ConfigError("must be closed or open", field="on_error")
    if on_error == "open" and mode != "monitor":
        raise ConfigError("open is possible only in monitor mode", field="on_error", fix='set on_error = "closed"')
    custom = parse_custom(_table(data, "custom"))
    known = {*CATEGORIES, *(c.name for c in custom)}
    default = _check_rules(_table(data, "default"), "default", scopes=False)
    categories = _categories(_table(data, "categories"), "categories", known)
    floors = {n: _check_rules(t, f"floors.{n}", scopes=False) for n, t in _known(data, "floors", known).items()}
    tenants = {n: _tenant(t, n, known) for n, t in _table(data, "tenants").items()}
    policy = Policy(
        id=_text(data, "id", "unnamed"),
        version=_text(data, "version", "0"),
        monitor=mode == "monitor",
        open_on_error=on_error == "open",
        timeout_s=_number(data.get("timeout_s", 20.0), "timeout_s", 0.001, 600.0),
        classifiers=_classifiers(_table(data, "classifiers")),
        options=_options(_table(data, "options")),
        stream=_stream(_table(data, "stream")),
        default={"review": 0.6, "block": 0.8, "review_action": "review", "block_action": "block", **default},
        categories=categories,
        floors=floors,
        custom=custom,
        allow=_allow(_table(data, "allow")),
        tenants=tenants,
        digest="",
    )
    _check_order(policy)
    return replace(policy, digest=digest_json(policy.canonical()))


# --- rules -----------------------------------------------------------------------------------------------------------


def _rule(values: Mapping[str, Any]) -> Rule:
    block = float(values["block"])
    return Rule(
        review=min(float(values["review"]), block),
        block=block,
        severe=float(values.get("severe", (1.0 + block) / 2)),
        review_action=Action(values["review_action"]),
        block_action=Action(values["block_action"]),
    )


def _stricter(a: Rule, b: Rule) -> Rule:
    def strict(x: Action, y: Action) -> Action:
        return max(x, y, key=ACTION_ORDER.index)

    block = min(a.block, b.block)
    return Rule(
        review=min(a.review, b.review, block),
        block=block,
        severe=min(a.severe, b.severe),
        review_action=strict(a.review_action, b.review_action),
        block_action=strict(a.block_action, b.block_action),
    )


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, Mapping) else value
    return merged


# --- reading ---------------------------------------------------------------------------------------------------------


def _table(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key, {})
    if not isinstance(value, Mapping):
        raise ConfigError("must be a table", field=key)
    return value


def _text(data: Mapping[str, Any], key: str, default: str) -> str:
    value = data.get(key, default)
    if not isinstance(value, str) or not value or len(value) > 200:
        raise ConfigError("must be a non-empty string of at most 200 characters", field=key)
    return value


def _number(value: object, field: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"must be a number from {low} to {high}", field=field)
    return float(value)


def _check_rules(table: object, field: str, *, scopes: bool = True) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise ConfigError("must be a table", field=field)
    checked: dict[str, Any] = {}
    for key, value in table.items():
        where = f"{field}.{key}"
        if key in ("review", "block", "severe"):
            checked[key] = _number(value, where, 0.0, 1.01)
        elif key in ("review_action", "block_action"):
            if value not in {a.value for a in Action}:
                raise ConfigError(f"must be one of {', '.join(a.value for a in Action)}", field=where)
            checked[key] = value
        elif scopes and key in _SCOPES:
            checked[key] = _check_rules(value, where, scopes=False)
        else:
            raise ConfigError("unknown key", field=where)
    return checked


def _known(data: Mapping[str, Any], key: str, known: set[str]) -> Mapping[str, Any]:
    table = _table(data, key)
    for name in table:
        if name not in known:
            raise ConfigError("not a category", field=f"{key}.{name}", fix=f"one of {', '.join(sorted(known))}")
    return table


def _categories(table: Mapping[str, Any], field: str, known: set[str]) -> dict[str, dict[str, Any]]:
    return {n: _check_rules(t, f"{field}.{n}") for n, t in _known({field: table}, field, known).items()}


def _tenant(table: object, name: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(table, Mapping) or set(table) - {"categories", "mode"}:
        raise ConfigError("a tenant has only `mode` and `categories`", field=f"tenants.{name}")
    checked: dict[str, Any] = {"categories": _categories(_table(table, "categories"), "categories", known)}
    if "mode" in table:
        if table["mode"] not in ("enforce", "monitor"):
            raise ConfigError("must be enforce or monitor", field=f"tenants.{name}.mode")
        checked["mode"] = table["mode"]
    return checked


def _classifiers(table: Mapping[str, Any]) -> dict[Modality, tuple[str, ...]]:
    found: dict[Modality, tuple[str, ...]] = {}
    for key, names in table.items():
        if key not in {m.value for m in Modality}:
            raise ConfigError("not a modality", field=f"classifiers.{key}")
        if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
            raise ConfigError("must be a list of plugin names", field=f"classifiers.{key}")
        found[Modality(key)] = tuple(dict.fromkeys(names))
    return found


def _options(table: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    for name, options in table.items():
        if not isinstance(options, Mapping) or not all(isinstance(v, str) for v in options.values()):
            raise ConfigError("must be a table of strings", field=f"options.{name}")
    return {name: dict(options) for name, options in table.items()}


def _stream(table: Mapping[str, Any]) -> StreamParameters:
    limits = {"window_words": (10, 2000), "hold_back_words": (0, 2000), "step_words": (1, 200)}
    for key, value in table.items():
        if key not in limits or isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError("unknown key or not a whole number", field=f"stream.{key}")
        _number(value, f"stream.{key}", *limits[key])
    found = StreamParameters(**table)
    if found.hold_back_words > found.window_words - 2 * found.step_words:
        # otherwise a word could leave after fewer than two windows had seen it
        raise ConfigError("must be at most window_words - 2 * step_words", field="stream.hold_back_words")
    return found


def _allow(table: Mapping[str, Any]) -> frozenset[str]:
    entries = table.get("sha256", [])
    if set(table) - {"sha256"} or not isinstance(entries, list):
        raise ConfigError("only `sha256 = [...]` is known", field="allow")
    for entry in entries:
        if not isinstance(entry, str) or len(entry) != 64 or any(c not in "0123456789abcdef" for c in entry):
            raise ConfigError("must be 64 lower-case hex digits each", field="allow.sha256")
    return frozenset("sha256:" + e for e in entries)


def _check_order(policy: Policy) -> None:
    for name, table in policy.categories.items():
        for scope in ({}, *(v for v in table.values() if isinstance(v, Mapping))):
            values = {**policy.default, **{k: v for k, v in table.items() if k in _RULE_KEYS}, **scope}
            if values["review"] > values["block"]:
                raise ConfigError("review must not be above block", field=f"categories.{name}")


def _canonical(policy: Policy) -> dict[str, Any]:
    def fix(value: Any) -> Any:  # noqa: ANN401 - walks plain TOML data
        if isinstance(value, float):
            return round(value * 1_000_000)
        if isinstance(value, Mapping):
            return {str(k): fix(v) for k, v in value.items()}
        return [fix(v) for v in value] if isinstance(value, list | tuple) else value

    return {
        "id": policy.id,
        "version": policy.version,
        "monitor": policy.monitor,
        "open_on_error": policy.open_on_error,
        "timeout_ms": round(policy.timeout_s * 1000),
        "classifiers": {m.value: list(names) for m, names in policy.classifiers.items()},
        "options": fix(policy.options),
        "stream": [policy.stream.window_words, policy.stream.hold_back_words, policy.stream.step_words],
        "default": fix(policy.default),
        "categories": fix(policy.categories),
        "floors": fix(policy.floors),
        "custom": [c.canonical() for c in policy.custom],
        "allow": sorted(policy.allow),
        "tenants": fix(policy.tenants),
    }
