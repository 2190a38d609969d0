"""Judgements that several regimes share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gensafe.audit import entries as names
from gensafe.compliance.evidence import Evidence

FILTER_EVENTS: Final = (names.SERVICE_STARTED, names.RELEASED, names.BLOCKED, names.FILTER_UNAVAILABLE)
CHANGE_EVENTS: Final = (names.POLICY_CHANGED, names.CONFIG_CHANGED, names.KEY_ROTATED, names.RELEASED)
REVIEW_EVENTS: Final = (names.HELD, names.REVIEW_SHOWN, names.RELEASED, names.BLOCKED)
ERASURE_EVENTS: Final = (names.TOMBSTONE, names.HOLD_SET, names.HOLD_RELEASED)


def changes(evidence: Evidence) -> Mapping[str, Any]:
    """Policy and key changes, and the policies in force."""
    facts: dict[str, Any] = {"policy_changes": evidence.policy_changes, "key_changes": evidence.key_changes}
    return facts | {"policies": dict(evidence.policies), "configuration_changes": evidence.config_changes}


def log_facts(evidence: Evidence) -> Mapping[str, Any]:
    """What the log holds."""
    facts: dict[str, Any] = {"entries": evidence.entries, "events": dict(sorted(evidence.events.items()))}
    return facts | {"pruned": evidence.pruned, "unfinished": evidence.unfinished, "exports": evidence.exports}


def models(evidence: Evidence) -> Mapping[str, Any]:
    """Models by name, version and weights digest."""
    return {"models": dict(evidence.models)}


def verifications(evidence: Evidence) -> Mapping[str, Any]:
    """Verifications by conclusion."""
    return {"verifications": dict(evidence.conclusions)}


def erasures(evidence: Evidence) -> Mapping[str, Any]:
    """Erasures and holds."""
    return {"tombstones": evidence.tombstones, "holds": evidence.holds}


def reviews(evidence: Evidence) -> Mapping[str, Any]:
    """Outputs held for a person, and the decisions of the period (on outputs held in it or before it)."""
    counts = {name: evidence.reviews.get(name, 0) for name in ("held", "released", "rejected")}
    return counts | {"copies_shown": evidence.shown}


def notices(evidence: Evidence) -> Mapping[str, Any]:
    """Outputs with a visible or audible notice, where that is an option of the caller and its absence no fault."""
    return {"with_notice": evidence.visible.met, "without": evidence.visible.of - evidence.visible.met}
