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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gensafe.core.digest import digest_json
from gensafe.core.errors import ConfigError
from gensafe.core.hazards import CATEGORIES
from gensafe.core.textfile import read_text
from gensafe.core.types import ACTION_ORDER, Action, Audio, Decision, Finding, Image, Media, Modality, Stage, Text
from gensafe.safety.custom import CustomCategory, parse_custom
from gensafe.safety.policy_reader import (
    STREAM,
    allow_of,
    categories_of,
    classifiers_of,
    flag_of,
    known_categories,
    number_of,
    options_of,
    over,
    require_of,
    rules_of,
    stream_of,
    table_of,
    tenant_of,
    text_of,
)
from gensafe.safety.rule import MILDEST, RULE_KEYS, Rule, StreamParameters, make_rule, merge, stricter

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FOLDER: Final = Path(__file__).parent / "policies"
DEFAULT_POLICY: Final = _FOLDER / "default.toml"
PRESETS: Final[Mapping[str, Path]] = {
    "strict": _FOLDER / "strict.toml",
    "balanced": DEFAULT_POLICY,
    "permissive": _FOLDER / "permissive.toml",
}
_TOP_KEYS: Final = frozenset(
    (
        *("id", "version", "mode", "on_error", "timeout_s", "classifiers", "options", "stream", "default"),
        *("categories", "floors", "custom", "allow", "tenants", "require", "keep_credentials", "base", "shadow"),
    )
)


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
    require: Mapping[Modality, tuple[str, ...]]
    keep_credentials: bool  # refuse an output into which the manifest of a source cannot go on
    shadow: Mapping[Modality, tuple[str, ...]]
    digest: str
    tenant: str = ""

    def for_tenant(self, tenant: str) -> Policy:
        """The policy as ``tenant`` sees it: its own categories over the common ones, floors on top of both."""
        table = self.tenants.get(tenant)
        if table is None:
            return self
        merged = {**self.categories}
        for name, rules in table.get("categories", {}).items():
            merged[name] = merge(merged.get(name, {}), rules)
        monitor = table.get("mode", "monitor" if self.monitor else "enforce") == "monitor"
        digest = digest_json({"policy": self.digest, "tenant": tenant})
        return replace(self, categories=merged, monitor=monitor, tenant=tenant, digest=digest)

    def with_classifier(self, modality: Modality, name: str, options: Mapping[str, str]) -> Policy:
        """The policy with one more classifier for ``modality``; its digest is another one."""
        names = {**self.classifiers, modality: (*self.classifiers.get(modality, ()), name)}
        more = replace(self, classifiers=names, options={**self.options, name: dict(options)})
        return replace(more, digest=digest_json(more.canonical()))

    def rule(self, category: str, modality: Modality, stage: Stage, *, streaming: bool = False) -> Rule:
        """The rule that holds for ``category`` there, floors applied."""
        table = self.categories.get(category, {})
        values = {**self.default, **{k: v for k, v in table.items() if k in RULE_KEYS}}
        both = f"{modality.value}_{stage.value}"
        for scope in (modality.value, stage.value, both, *((STREAM,) if streaming else ())):
            values.update(table.get(scope, {}))
        rule = make_rule(values)
        floor = self.floors.get(category)
        return rule if floor is None else stricter(rule, make_rule({**MILDEST, **floor}))

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
            if action is Action.REDACT and not _can_redact(finding, modality, stage):
                action = Action.REVIEW
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


def _can_redact(finding: Finding, modality: Modality, stage: Stage) -> bool:
    """Whether there is a place to paint over, and the item is ours to change: inputs reach the engine as they are."""
    if stage is Stage.INPUT:
        return False
    if modality is Modality.TEXT:
        return True
    return bool(finding.boxes if modality is Modality.IMAGE else finding.times)


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
    """Read a policy file, or the preset of that name where there is no such file; None = the default policy.

    Raises:
        ConfigError: unreadable, not TOML, an unknown key, or a value out of range.
    """
    return parse_policy(read_text(policy_path(path), "policy"))


def policy_path(path: str | Path | None) -> Path:
    """The file that ``path`` means: itself, or the preset of that name where there is no such file; None = default."""
    if path is None:
        return DEFAULT_POLICY
    preset = PRESETS.get(str(path))
    return Path(path) if preset is None or Path(path).exists() else preset


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
    if "base" in data:
        if data["base"] not in PRESETS:
            raise ConfigError("is no preset", field="base", fix=f"one of {', '.join(PRESETS)}")
        data = over(_with_base(PRESETS[data["base"]]), {k: v for k, v in data.items() if k != "base"})
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
    custom = parse_custom(table_of(data, "custom"))
    known = {*CATEGORIES, *(c.name for c in custom)}
    default = rules_of(table_of(data, "default"), "default", scopes=False)
    categories = categories_of(table_of(data, "categories"), "categories", known)
    floors = {n: rules_of(t, f"floors.{n}", scopes=False) for n, t in known_categories(data, "floors", known).items()}
    tenants = {n: tenant_of(t, n, known) for n, t in table_of(data, "tenants").items()}
    policy = Policy(
        id=text_of(data, "id", "unnamed"),
        version=text_of(data, "version", "0"),
        monitor=mode == "monitor",
        open_on_error=on_error == "open",
        timeout_s=number_of(data.get("timeout_s", 20.0), "timeout_s", 0.001, 600.0),
        classifiers=classifiers_of(table_of(data, "classifiers")),
        options=options_of(table_of(data, "options")),
        stream=stream_of(table_of(data, "stream")),
        default={"review": 0.6, "block": 0.8, "review_action": "review", "block_action": "block", **default},
        categories=categories,
        floors=floors,
        custom=custom,
        allow=allow_of(table_of(data, "allow")),
        tenants=tenants,
        require=require_of(table_of(data, "require"), set(CATEGORIES)),
        keep_credentials=flag_of(data, "keep_credentials"),
        shadow=classifiers_of(table_of(data, "shadow"), "shadow"),
        digest="",
    )
    _check_order(policy)
    _check_examples(policy)
    return replace(policy, digest=digest_json(policy.canonical()))


def _with_base(path: Path) -> dict[str, Any]:
    """The tables of a preset, on top of those of its own base."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    base = data.pop("base", None)
    return data if base is None else over(_with_base(PRESETS[base]), data)


def check_environment(policy: Policy, environment: str) -> None:
    """Refuse in production what lets items through that the policy itself would hold: watching only, open on errors.

    Raises:
        ConfigError: names the key.
    """
    if environment != "production":
        return
    watching = [f"tenants.{name}.mode" for name, table in policy.tenants.items() if table.get("mode") == "monitor"]
    if policy.open_on_error:
        raise ConfigError("production fails closed", field="on_error", fix='set on_error = "closed"')
    if policy.monitor or watching:
        field = "mode" if policy.monitor else watching[0]
        raise ConfigError("monitor mode is for development only", field=field, fix='set mode = "enforce"')


def _check_examples(policy: Policy) -> None:
    """A category that nothing would ever find must not look as if it were enforced."""
    text = policy.classifiers.get(Modality.TEXT, ())
    for category in policy.custom:
        if category.examples and text and "text_encoder" not in text:
            raise ConfigError(
                "examples need a classifier that compares them",
                field=f"custom.{category.name}.examples",
                fix='add "text_encoder" to classifiers.text',
            )


def _check_order(policy: Policy) -> None:
    for name, table in policy.categories.items():
        for scope in ({}, *(v for v in table.values() if isinstance(v, Mapping))):
            values = {**policy.default, **{k: v for k, v in table.items() if k in RULE_KEYS}, **scope}
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
        "stream": fix(asdict(policy.stream)),
        "default": fix(policy.default),
        "categories": fix(policy.categories),
        "floors": fix(policy.floors),
        "custom": [c.canonical() for c in policy.custom],
        "allow": sorted(policy.allow),
        "tenants": fix(policy.tenants),
        **({"require": {m.value: list(names) for m, names in policy.require.items()}} if policy.require else {}),
        **({"keep_credentials": True} if policy.keep_credentials else {}),
        **({"shadow": {m.value: list(names) for m, names in policy.shadow.items()}} if policy.shadow else {}),
    }
