"""What a duty can be measured by: names that ``law/*.toml`` uses, each with the entries its evidence is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from gensafe.audit import entries as names
from gensafe.compliance.duty import Finding, Status
from gensafe.compliance.evidence import Evidence, Share

Judge = Callable[[Evidence], Finding]


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts for people to judge. ``needs``: what must be there for them to be evidence; None = any that is not zero."""

    pick: Callable[[Evidence], Mapping[str, Any]]
    events: tuple[str, ...]
    needs: Callable[[Evidence], int] | None = None


def _changes(evidence: Evidence) -> Mapping[str, Any]:
    facts: dict[str, Any] = {"policy_changes": evidence.policy_changes, "key_changes": evidence.key_changes}
    facts |= {"tenant_stops": evidence.tenant_stops}
    return facts | {"policies": dict(evidence.policies), "configuration_changes": evidence.config_changes}


def _log(evidence: Evidence) -> Mapping[str, Any]:
    facts: dict[str, Any] = {"entries": evidence.entries, "events": dict(sorted(evidence.events.items()))}
    return facts | {"pruned": evidence.pruned, "unfinished": evidence.unfinished, "exports": evidence.exports}


def _reviews(evidence: Evidence) -> Mapping[str, Any]:
    """Outputs held for a person, and the decisions of the period (on outputs held in it or before it)."""
    counts = {name: evidence.reviews.get(name, 0) for name in ("held", "released", "rejected")}
    return counts | {"copies_shown": evidence.shown}


def _misuse(evidence: Evidence) -> Mapping[str, Any]:
    """Reports of misuse by category, and how the cases of the period were decided."""
    found: dict[str, Any] = {"misuse_reports": dict(evidence.misuse)}
    return found | ({"misuse_decisions": dict(evidence.cases)} if evidence.cases else {})


def _notices(evidence: Evidence) -> Mapping[str, Any]:
    """Outputs with a visible or audible notice, where that is an option of the caller and its absence no fault."""
    return {"with_notice": evidence.visible.met, "without": evidence.visible.of - evidence.visible.met}


FACTS: Final[Mapping[str, Facts]] = {
    "changes": Facts(
        _changes,
        (
            names.POLICY_CHANGED,
            names.CONFIG_CHANGED,
            names.KEY_ROTATED,
            names.TENANT_STOPPED,
            names.TENANT_RESTORED,
            names.RELEASED,
        ),
    ),
    "erasures": Facts(
        lambda e: {"tombstones": e.tombstones, "holds": e.holds}, (names.TOMBSTONE, names.HOLD_SET, names.HOLD_RELEASED)
    ),
    "log": Facts(_log, names.EVENTS, attrgetter("entries")),
    "misuse": Facts(_misuse, (names.MISUSE_REPORTED, names.MISUSE_DECIDED)),
    "models": Facts(lambda e: {"models": dict(e.models)}, (names.RELEASED,)),
    "notices": Facts(_notices, (names.RELEASED,), attrgetter("outputs")),
    "reviews": Facts(_reviews, (names.HELD, names.REVIEW_SHOWN, names.RELEASED, names.BLOCKED)),
    "verifications": Facts(lambda e: {"verifications": dict(e.conclusions)}, (names.VERIFIED,)),
}
SHARES: Final[Mapping[str, Callable[[Evidence], Share]]] = {
    name: attrgetter(name)
    for name in (
        "aigc", "inputs_kept", "intent_first", "label_complete", "long_text", "manifest", "manifest_media",
        "model_named", "time_stamped", "trusted_signer", "two_layers", "visible", "visible_size", "watermark",
        "watermark_media",
    )
} | {"label_action": lambda e: e.label_fields["action"]}  # fmt: skip
FILTER_EVENTS: Final = (names.SERVICE_STARTED, names.RELEASED, names.BLOCKED, names.FILTER_UNAVAILABLE)
NOTHING: Final = "nothing"  # GenSafe does not do it
OUTSIDE: Final = "outside"  # software cannot show it
FILTERS: Final = "filters"
MEASURES: Final = frozenset((*SHARES, *FACTS, FILTERS, NOTHING, OUTSIDE))


def measured(name: str, says: str, categories: Sequence[str] = ()) -> tuple[Judge, tuple[str, ...]]:
    """The judgement that ``name`` stands for, and the entries it rests on.

    Args:
        name: One of ``MEASURES``.
        says: What was counted, as the report says it.
        categories: For ``filters``: the categories (``core.hazards``) that filters must have covered.

    Raises:
        KeyError: there is no such measure.
    """
    if name in SHARES:
        events = (names.OPENED, names.RELEASED) if name == "intent_first" else (names.RELEASED,)
        return _by_share(SHARES[name], says), events
    if name == FILTERS:
        return _filters(categories), FILTER_EVENTS
    if name in (NOTHING, OUTSIDE):
        status = Status.NO_EVIDENCE if name == NOTHING else Status.OUTSIDE
        return lambda _: Finding(status, says), ()
    return _by_facts(FACTS[name], says), FACTS[name].events


def _by_share(pick: Callable[[Evidence], Share], says: str) -> Judge:
    """Judge a duty by the share of outputs that satisfy it."""

    def judge(evidence: Evidence) -> Finding:
        share = pick(evidence)
        if share.of == 0:
            return Finding(Status.NO_EVIDENCE, f"no output in the period is subject to this: {says}")
        status = Status.MET if share.met == share.of else (Status.PARTLY if share.met else Status.NOT_MET)
        text = f"{share.met:,} of {share.of:,} outputs ({_percent(share.met, share.of)}): {says}"
        return Finding(status, text, (share.met, share.of), tuple(share.exceptions))

    return judge


def _by_facts(measure: Facts, says: str) -> Judge:
    """Judge a duty by whether there are facts at all. Zeroes are no facts."""

    def judge(evidence: Evidence) -> Finding:
        facts = dict(measure.pick(evidence))
        present = bool(measure.needs(evidence)) if measure.needs else any(facts.values())
        return Finding(Status.RECORDED if present else Status.NO_EVIDENCE, says, facts=facts)

    return judge


def _filters(categories: Sequence[str]) -> Judge:
    """Filters for ``categories`` judged every output, and none left while one of its filters was down.

    What no classifier covers is not met, however well the others worked: it is named as the gap.
    """

    def judge(evidence: Evidence) -> Finding:
        blocked = evidence.events[names.BLOCKED]
        facts: dict[str, Any] = {"outages": evidence.outages, "blocked": blocked}
        leaks = sum(int(outage["released_meanwhile"]) for outage in evidence.outages)
        if leaks:
            return Finding(Status.NOT_MET, f"{leaks} outputs left although a filter failed on them", facts=facts)
        judged = evidence.judged
        if judged.of == 0:
            return Finding(Status.NO_EVIDENCE, f"no output was released; {_requests(blocked)} blocked", facts=facts)
        covered, gaps = evidence.coverage.summary(categories)
        facts["coverage"] = evidence.coverage.facts(categories)
        text = f"{judged.met:,} of {judged.of:,} outputs passed prompt and output filters that were all working; "
        text += f"{_requests(blocked)} blocked; {len(evidence.outages)} filter outages, nothing left in them"
        if gaps:
            text += "; gap: " + "; ".join(gaps)
        status = Status.MET if judged.met == judged.of and not gaps else Status.PARTLY
        if categories and not covered:
            status = Status.NO_EVIDENCE
        return Finding(status, text, (judged.met, judged.of), tuple(judged.exceptions), facts)

    return judge


def _requests(count: int) -> str:
    return "1 request was" if count == 1 else f"{count:,} requests were"


def _percent(part: int, whole: int) -> str:
    """Rounded down, so that 100 % means all."""
    return f"{part * 1000 // whole / 10:.1f} %"
