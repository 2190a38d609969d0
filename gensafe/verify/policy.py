"""Policies: what a caller demands of a report. Each is a small object whose ``verify`` raises when it is not met.

    AllOf([TrustedList("own"), LoggedIn("gensafe.example"), GeneratedAfter("2026-08-02T00:00:00Z")]).verify(report)

A policy file says the same in TOML; every ``[[require]]`` must hold:

    [[require]]
    policy = "TrustedList"
    names = ["own"]

    [[require]]
    policy = "AnyOf"
    policies = [{policy = "MarkedWith"}, {policy = "LoggedIn", origin = "gensafe.example"}]

Every policy but ``SignedBy`` asks for a proof (exit code 0) first: a mark on an altered file satisfies nobody.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from gensafe.core.errors import ConfigError, VerificationError
from gensafe.core.types import Check, Conclusion, Outcome, VerificationReport
from gensafe.verify.conclusion import EXIT_CODES

MAX_DEPTH: Final = 8  # far deeper than a policy's tables; bounds recursion. A round number, not measured


class Policy(Protocol):
    """Something a report must satisfy."""

    def verify(self, report: VerificationReport) -> None:
        """Return if ``report`` satisfies this policy.

        Raises:
            VerificationError: it does not; the message says why.
        """


@dataclass(frozen=True, slots=True)
class Proved:
    """The conclusion is a proof, with nothing against it."""

    def verify(self, report: VerificationReport) -> None:
        """See ``Policy``."""
        if EXIT_CODES[report.conclusion] != 0:
            raise VerificationError(f"not proved: {report.conclusion.value}")


@dataclass(frozen=True, slots=True)
class SignedBy:
    """Signed by one of these certificates, by fingerprint; a pinned signer needs no trust list.

    Args:
        fingerprints: "sha256:<64 hex>" of leaf certificates.
    """

    fingerprints: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.fingerprints:
            raise ConfigError("an empty list of signers would accept nobody", field="SignedBy.fingerprints")
        for text in self.fingerprints:
            if not text.startswith("sha256:") or len(text) != 71:
                raise ConfigError(f"{text!r} is not sha256:<64 hex>", field="SignedBy.fingerprints")

    def verify(self, report: VerificationReport) -> None:
        """See ``Policy``."""
        if report.conclusion not in (Conclusion.PROVED, Conclusion.FOUND_UNTRUSTED):
            raise VerificationError(f"no intact signature: {report.conclusion.value}")
        line = _passed(report, "claim signature")
        _passed(report, "hard binding")
        found = str(line.evidence.get("fingerprint", ""))
        if found not in self.fingerprints:
            raise VerificationError(f"signed by {found or 'a certificate that cannot be seen'}")


@dataclass(frozen=True, slots=True)
class SignedByName:
    """Proved, and the signer's certificate has one of these subjects; also through a recovered manifest.

    A name means something only below a trusted root, so unlike ``SignedBy`` this asks for a proof first.
    """

    subjects: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.subjects or not all(self.subjects):
            raise ConfigError("an empty list of signers would accept nobody", field="SignedByName.subjects")

    def verify(self, report: VerificationReport) -> None:
        """See ``Policy``."""
        Proved().verify(report)
        recovered = report.conclusion is Conclusion.PROVED_BY_RECOVERY
        found = str(
            _passed(report, "recovered manifest" if recovered else "claim signature").evidence.get("signer", "")
        )
        if found not in self.subjects:
            raise VerificationError(f"signed by {found or 'a certificate that cannot be seen'}")


@dataclass(frozen=True, slots=True)
class TrustedList:
    """The signer is on one of these trust lists, by name; also through a recovered manifest."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names:
            raise ConfigError("an empty list of trust lists would accept nobody", field="TrustedList.names")

    def verify(self, report: VerificationReport) -> None:
        """See ``Policy``."""
        Proved().verify(report)
        recovered = report.conclusion is Conclusion.PROVED_BY_RECOVERY
        line = _passed(report, "recovered manifest" if recovered else "signer trust")
        found = str(line.evidence.get("trust_list" if recovered else "list", ""))
        if found not in self.names:
            raise VerificationError(f"the signer is on the list {found!r}")


@dataclass(frozen=True, slots=True)
class MarkedWith:
    """Our watermark is in the content, with a false-alarm probability of at most ``p_value``."""

    scheme: str = ""  # "" = any
    p_value: float = 1e-6

    def verify(self, report: VerificationReport) -> None:
        """See ``Policy``."""
        Proved().verify(report)
        line = _passed(report, "watermark")
        if self.scheme and line.evidence.get("scheme") != self.scheme:
            raise VerificationError(f"marked with {line.evidence.get('scheme')!r}")
        p_value = line.evidence.get("p_value")
        if not isinstance(p_value, float | int) or p_value > self.p_value:
            raise VerificationError(f"the mark is found at p ≤ {p_value}, asked for {self.p_value:g}")


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The log of this name proves the record."""

    origin: str

    def __post_init__(self) -> None:
        if not self.origin:
            raise ConfigError("a log needs a name", field="LoggedIn.origin")

    def verify(self, report: VerificationReport) -> None:
        """See ``Policy``."""
        Proved().verify(report)
        _passed(report, "log inclusion")
        found = _passed(report, "checkpoint signature").evidence.get("origin")
        if found != self.origin:
            raise VerificationError(f"logged in {found!r}")


@dataclass(frozen=True, slots=True)
class Logged:
    """A log whose key is known proves the record."""

    def verify(self, report: VerificationReport) -> None:
        """See ``Policy``."""
        Proved().verify(report)
        _passed(report, "log inclusion")
        _passed(report, "checkpoint signature")


@dataclass(frozen=True, slots=True)
class TimeStamped:
    """A trusted time-stamp says when it was signed; also through a recovered manifest."""

    def verify(self, report: VerificationReport) -> None:
        """See ``Policy``."""
        Proved().verify(report)
        if report.conclusion is not Conclusion.PROVED_BY_RECOVERY:
            _passed(report, "time-stamp")
        elif _passed(report, "recovered manifest").evidence.get("time_trusted") is not True:
            raise VerificationError("the recovered manifest has no trusted time-stamp")


@dataclass(frozen=True, slots=True)
class GeneratedAfter:
    """Signed after a moment, by a trusted time-stamp. ``time`` is RFC 3339 with a zone."""

    time: str

    def __post_init__(self) -> None:
        _moment(self.time, "GeneratedAfter.time")

    def verify(self, report: VerificationReport) -> None:
        """See ``Policy``."""
        Proved().verify(report)
        recovered = report.conclusion is Conclusion.PROVED_BY_RECOVERY
        line = _passed(report, "recovered manifest" if recovered else "time-stamp")
        found = str(line.evidence.get("time", ""))
        if recovered and line.evidence.get("time_trusted") is not True:
            raise VerificationError("the recovered manifest has no trusted time-stamp")
        try:
            stamped = _moment(found, "time-stamp")
        except ConfigError:
            raise VerificationError("the time-stamp cannot be read") from None
        if stamped <= _moment(self.time, "GeneratedAfter.time"):
            raise VerificationError(f"signed at {found}, not after {self.time}")


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of these holds. An empty list is refused: it would accept everything."""

    policies: Sequence[Policy]

    def __post_init__(self) -> None:
        if not self.policies:
            raise ConfigError("AllOf without policies would accept everything", field="AllOf.policies")

    def verify(self, report: VerificationReport) -> None:
        """See ``Policy``."""
        for policy in self.policies:
            policy.verify(report)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of these holds."""

    policies: Sequence[Policy]

    def __post_init__(self) -> None:
        if not self.policies:
            raise ConfigError("AnyOf without policies would accept nothing", field="AnyOf.policies")

    def verify(self, report: VerificationReport) -> None:
        """See ``Policy``."""
        reasons: list[str] = []
        for policy in self.policies:
            try:
                policy.verify(report)
                return
            except VerificationError as error:
                reasons.append(error.message)
        raise VerificationError("none of these holds: " + "; ".join(reasons))


def load_policy(text: str) -> Policy:
    """Read a policy file.

    Raises:
        ConfigError: not TOML, an unknown policy or field, or nothing required.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the policy is not valid TOML: {error}", field="policy") from None
    required = document.pop("require", None)
    if document:
        raise ConfigError(f"unknown key {sorted(document)[0]!r}", field="policy", fix="use [[require]] tables")
    if not isinstance(required, list) or not required:
        raise ConfigError("the policy requires nothing", field="policy.require")
    return AllOf([_build(item, 0) for item in required])


def _build(item: Any, depth: int) -> Policy:  # noqa: ANN401 - TOML
    if not isinstance(item, Mapping) or depth > MAX_DEPTH:
        raise ConfigError("a policy is a table", field="policy.require")
    values = dict(item)
    name = values.pop("policy", None)
    if name not in _KINDS:
        raise ConfigError(f"{name!r} is not a policy", field="policy", fix=f"one of {', '.join(_KINDS)}")
    kind, types = _KINDS[name]
    for key, value in values.items():
        wanted = types.get(key)
        if wanted is None or not isinstance(value, wanted) or isinstance(value, bool):
            raise ConfigError(f"{name} has no such field, or not of this type", field=f"policy.{key}")
        if isinstance(value, list):
            nested = key == "policies"
            if not nested and not all(isinstance(entry, str) for entry in value):
                raise ConfigError("a list of strings is needed", field=f"policy.{key}")
            values[key] = tuple(_build(entry, depth + 1) for entry in value) if nested else tuple(value)
    try:
        policy: Policy = kind(**values)
    except TypeError:
        raise ConfigError(f"{name} needs {', '.join(types)}", field="policy") from None
    return policy


_KINDS: Final[dict[str, tuple[Any, dict[str, type | tuple[type, ...]]]]] = {
    "Proved": (Proved, {}),
    "SignedBy": (SignedBy, {"fingerprints": list}),
    "SignedByName": (SignedByName, {"subjects": list}),
    "TrustedList": (TrustedList, {"names": list}),
    "MarkedWith": (MarkedWith, {"scheme": str, "p_value": (int, float)}),
    "Logged": (Logged, {}),
    "LoggedIn": (LoggedIn, {"origin": str}),
    "TimeStamped": (TimeStamped, {}),
    "GeneratedAfter": (GeneratedAfter, {"time": str}),
    "AllOf": (AllOf, {"policies": list}),
    "AnyOf": (AnyOf, {"policies": list}),
}


def _passed(report: VerificationReport, name: str) -> Check:
    for line in report.checks:
        if line.name == name:
            if line.outcome is Outcome.PASS:
                return line
            raise VerificationError(f"{name}: {line.outcome.value} ({line.summary})")
    raise VerificationError(f"{name}: not checked")


def _moment(text: str, field: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is not an RFC 3339 time", field=field) from None
    if moment.tzinfo is None:
        raise ConfigError(f"{text!r} has no time zone", field=field, fix="add Z")
    return moment
