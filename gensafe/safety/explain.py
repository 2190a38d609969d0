"""Say in words what a policy does, and what changes between two of them."""

from __future__ import annotations

from collections.abc import Iterator

from gensafe.core.hazards import CATEGORIES
from gensafe.core.types import Modality, Stage
from gensafe.safety.policy import Policy
from gensafe.safety.rule import Rule
from gensafe.safety.runner import SafetyRunner


def check(policy: Policy) -> tuple[str, ...]:
    """What is wrong or weak about ``policy`` beyond its syntax, e.g. categories that nobody reports."""
    problems: list[str] = []
    if policy.monitor:
        problems.append("monitor mode (refused in production): nothing but floors is held or blocked")
    if policy.open_on_error:
        problems.append("open on error (refused in production): a classifier that fails lets items through")
    for modality in Modality:
        names = policy.classifiers.get(modality, ())
        if not names:
            problems.append(f"{modality}: no classifier, every item is blocked")
    runner = SafetyRunner.from_policy(policy)
    reported = {c for m in Modality for k in runner.classifiers(m) for c in k.card().categories}
    for name in sorted({*policy.categories, *policy.floors} - reported - {c.name for c in policy.custom}):
        problems.append(f"{name}: a rule, but no classifier of this policy reports it")
    return tuple(problems)


def explain(policy: Policy, modality: Modality, stage: Stage, category: str = "") -> Iterator[str]:
    """One line per category: what happens at which score."""
    names = [category] if category else [*CATEGORIES, *(c.name for c in policy.custom)]
    for name in names:
        floor = " (floor)" if name in policy.floors else ""
        yield f"{name:4} {CATEGORIES.get(name, 'custom')}: {_words(policy.rule(name, modality, stage))}{floor}"
        stream = policy.rule(name, modality, stage, streaming=True)
        if modality is Modality.TEXT and stream != policy.rule(name, modality, stage):
            yield f"     in streams: {_words(stream)}"


def diff(old: Policy, new: Policy) -> Iterator[str]:
    """What changes from ``old`` to ``new``, in every modality and stage; nothing if they mean the same."""
    if old.digest == new.digest:
        return
    for field in ("id", "version", "monitor", "open_on_error", "timeout_s", "stream"):
        before, after = getattr(old, field), getattr(new, field)
        if before != after:
            yield f"{field}: {before} -> {after}"
    for modality in Modality:
        before, after = old.classifiers.get(modality, ()), new.classifiers.get(modality, ())
        if before != after:
            yield f"classifiers for {modality}: {', '.join(before) or 'none'} -> {', '.join(after) or 'none'}"
    for label, ours, theirs in (
        ("custom category", {c.name: c for c in old.custom}, {c.name: c for c in new.custom}),
        ("tenant", dict(old.tenants), dict(new.tenants)),
        ("options of", dict(old.options), dict(new.options)),
    ):
        for name in sorted({*ours, *theirs}):
            if ours.get(name) != theirs.get(name):
                change = "added" if name not in ours else "removed" if name not in theirs else "changed"
                yield f"{label} {name}: {change}"
    if old.allow != new.allow:
        yield f"allow list: {len(new.allow - old.allow)} added, {len(old.allow - new.allow)} removed"
    for name in [*CATEGORIES, *sorted({c.name for c in (*old.custom, *new.custom)})]:
        yield from _rule_changes(old, new, name)


def _rule_changes(old: Policy, new: Policy, name: str) -> Iterator[str]:
    changes: dict[tuple[Rule, Rule], list[str]] = {}
    for modality in Modality:
        for stage in Stage:
            for streaming in (False, True) if modality is Modality.TEXT else (False,):
                pair = tuple(p.rule(name, modality, stage, streaming=streaming) for p in (old, new))
                if pair[0] != pair[1]:
                    where = f"{modality} {stage}" + (" stream" if streaming else "")
                    changes.setdefault((pair[0], pair[1]), []).append(where)
    for (before, after), places in changes.items():
        everywhere = len(places) == (len(Modality) + 1) * len(Stage)
        where = "everywhere" if everywhere else ", ".join(places)
        yield f"{name} ({where}): {_words(before)} -> {_words(after)}"


def _words(rule: Rule) -> str:
    if rule.review >= rule.block:
        return f"{rule.block_action} from {rule.block:.3g}"
    return f"{rule.review_action} from {rule.review:.3g}, {rule.block_action} from {rule.block:.3g}"
