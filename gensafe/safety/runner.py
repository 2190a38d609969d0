"""Run a policy's classifiers over one item and turn what they say into a verdict.

The gate stays shut on any doubt: a classifier that raises, returns nonsense, is too slow or is missing makes the
verdict BLOCK, and so does a part of the item that no classifier examined.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from gensafe.core import plugins
from gensafe.core.errors import GensafeError, SafetyUnavailable
from gensafe.core.hazards import CATEGORIES
from gensafe.core.observer import ClassifierRan
from gensafe.core.ports import Classifier
from gensafe.core.types import (
    Action,
    Audio,
    AudioStream,
    ClassifierId,
    Coverage,
    Decision,
    Finding,
    Medium,
    Modality,
    Stage,
    Verdict,
    VideoStream,
)
from gensafe.safety.cards import CategoryCoverage, category_coverage
from gensafe.safety.film_calls import (
    TIMED_OUT,
    Job,
    film_of,
    start_film,
    time_of,
    whole_of,
)
from gensafe.safety.health import FilterHealth
from gensafe.safety.item_calls import ItemCall
from gensafe.safety.policy import Policy
from gensafe.safety.shadow import Shadow
from gensafe.safety.turns import Turns
from gensafe.safety.workers import Workers

MAX_STUCK: Final = 64  # threads that may hang in a classifier before new work is refused
# Sounds of up to 34 s judged at a time: recognising speech takes a core for seconds. With 16 at once on two cores, 31
# of 64 in a mixed load of 256 requests ran out of time and were blocked
_SOUNDS: Final = threading.BoundedSemaphore(max(2, os.cpu_count() or 2))
# Seconds: so long a classifier that hangs, or asks others without saying so (``waits``), delays who comes after.
# Chosen, not measured: far more than a judgement takes
TURN_S: Final = 1.0
# Two at least, so that a slow item does not stop the others on one core
_TURNS: Final = {m: Turns(max(2, os.cpu_count() or 2), TURN_S) for m in (Modality.TEXT, Modality.IMAGE)}
MAX_SHADOW: Final = 2  # threads for classifiers on trial: they must not take the processor from those that decide


class SafetyRunner:
    """Judges items of every modality under one policy. Thread-safe; keep one per policy.

    Args:
        policy: What the scores lead to.
        classifiers: Per modality, the classifiers to run; a modality without any is blocked.
        timeout_s: Seconds one item may take in all; None = the policy's.
        errors: Per modality, why classifiers named by the policy are missing; such a modality is blocked.
        health: Told of every failure and success of a classifier; None = nobody is.
        shadow: Classifiers on trial, asked after the verdict; None = none.
    """

    def __init__(
        self,
        policy: Policy,
        classifiers: Mapping[Modality, Sequence[Classifier]],
        timeout_s: float | None = None,
        errors: Mapping[Modality, Sequence[str]] | None = None,
        health: FilterHealth | None = None,
        shadow: Shadow | None = None,
    ) -> None:
        self.policy = policy
        self.timeout_s = policy.timeout_s if timeout_s is None else timeout_s
        self._classifiers = {m: tuple(c) for m, c in classifiers.items()}
        self._missing = {m: tuple(e) for m, e in (errors or {}).items()}
        self._health = health
        self._workers = Workers(MAX_STUCK)
        self._shadow = shadow or Shadow(policy, {})
        self._shadow_workers = Workers(MAX_SHADOW)

    @classmethod
    def from_policy(
        cls, policy: Policy, timeout_s: float | None = None, *, health: FilterHealth | None = None
    ) -> SafetyRunner:
        """Load the classifiers the policy names, through their entry points.

        Raises:
            SafetyUnavailable: one of them is missing or cannot be loaded: better no service than an unguarded one.
        """
        loaded: dict[str, Classifier] = {}
        by_modality = _by_modality(policy.classifiers, policy, loaded)
        shadow = Shadow(policy, _by_modality(policy.shadow, policy, loaded))
        return cls(policy, by_modality, timeout_s, _unmet(policy, by_modality), health, shadow)

    def for_tenant(self, tenant: str) -> SafetyRunner:
        """The same classifiers under the tenant's policy."""
        policy = self.policy.for_tenant(tenant)
        if policy is self.policy:
            return self
        shadow = self._shadow.under(policy)
        other = SafetyRunner(policy, self._classifiers, self.timeout_s, self._missing, self._health, shadow)
        other._workers, other._shadow_workers = self._workers, self._shadow_workers
        return other

    def classifiers(self, modality: Modality) -> tuple[Classifier, ...]:
        """The classifiers that run for ``modality``."""
        return self._classifiers.get(modality, ())

    def unmet(self) -> dict[Modality, tuple[str, ...]]:
        """Why each modality is blocked whatever it shows: categories that the policy requires and nothing covers."""
        return dict(self._missing)

    def asked(self) -> frozenset[tuple[str, Modality]]:
        """Every classifier of the policy by name and modality."""
        return frozenset((_name(c), modality) for modality, found in self._classifiers.items() for c in found)

    def coverage(self) -> dict[Modality, CategoryCoverage]:
        """Per modality, which of the known categories its classifiers look for: whole, in part, not at all."""
        return {m: category_coverage((c.card() for c in found), CATEGORIES) for m, found in self._classifiers.items()}

    def judge(self, item: Medium, stage: Stage, *, streaming: bool = False) -> Verdict:
        """Examine ``item`` and decide. Never raises: what goes wrong is in ``errors`` and makes the action BLOCK.

        Args:
            item: Text, Image, Audio, Video or a stream. A film and a sound may take longer than ``timeout_s``: what
                they are given more follows from their length and what was examined (``gensafe.safety.film_calls``).
            stage: Where in the request this is.
            streaming: The item is a window of a stream: use the thresholds calibrated for that, and let classifiers
                that can (``StreamClassifier``) leave its end to later windows.
        """
        if isinstance(item, Audio) and film_of(item) is None:  # a short sound: its time begins when it is its turn
            with _SOUNDS:
                return self._judge(item, stage, streaming=streaming)
        return self._judge(item, stage, streaming=streaming)

    def _judge(self, item: Medium, stage: Stage, *, streaming: bool) -> Verdict:
        begin = time.monotonic()
        modality = item.modality
        classifiers = self._classifiers.get(modality, ())
        errors = list(self._missing.get(modality, ()))
        if not classifiers and not errors:
            errors.append(f"no classifier for {modality}")
        # 1. start all, 2. collect until the item's time is over
        film = film_of(item)
        jobs: list[tuple[Classifier, Job]]
        now = begin
        if film is not None:
            stop = partial(self._blocks, modality=modality, stage=stage)
            jobs = start_film(classifiers, film, stage, self._workers.submit, self.timeout_s, stop)
        else:
            calls = [ItemCall(c, item, stage, unfinished=streaming) for c in classifiers]  # type: ignore[arg-type] # no stream: film_of
            now = self._start(calls, modality)
            jobs = list(zip(classifiers, calls, strict=True))
        findings: list[Finding] = []
        coverage: list[Coverage] = []
        ids: list[ClassifierId] = []
        end = now + self.timeout_s + time_of(item)
        for classifier, job in jobs:
            outcome = job.wait(max(0.0, end - time.monotonic()))
            if isinstance(outcome, str):
                if outcome == TIMED_OUT:
                    self._workers.gave_up(job)
                errors.append(f"{_name(classifier)}: {outcome}")
                if self._health is not None:
                    reason = outcome.partition(":")[0]
                    self._health.failed(_identity(classifier), modality, reason)
                    self._health.ran(ClassifierRan(_name(classifier), modality.value, "failed", job.seconds, reason))
                continue
            identity, assessment = outcome
            if self._health is not None:
                self._health.worked(identity, modality)
                result = "found" if assessment.findings else "clear"
                self._health.ran(ClassifierRan(identity.name, modality.value, result, job.seconds))
            ids.append(identity)
            findings.extend(assessment.findings)
            coverage.extend(assessment.coverage)
        # 3. what nobody looked at
        errors.extend(_gaps(coverage))
        # 4. the policy's answer
        try:
            listed = self.policy.allow and self.policy.allows(whole_of(item))
            decisions = self.policy.decide(findings, modality, stage, streaming=streaming, allow_listed=bool(listed))
        except Exception as error:  # the gate must answer, whatever a plug-in's finding broke
            decisions = ()
            errors.append(f"policy: {type(error).__name__}")
        action = decisions[0].action if decisions else Action.ALLOW
        verdict = Verdict(
            stage=stage,
            modality=modality,
            action=Action.BLOCK if errors else action,
            decisions=decisions,
            coverage=tuple(coverage),
            classifiers=tuple(ids),
            policy_id=f"{self.policy.id}@{self.policy.version}",
            policy_digest=self.policy.digest,
            errors=tuple(errors),
            monitor_only=self._monitor_only(decisions, bool(errors)),
            elapsed_ms=round((time.monotonic() - begin) * 1000),
        )
        # 5. classifiers on trial; nobody waits for them
        if not isinstance(item, VideoStream | AudioStream):  # a film that is read as it comes cannot be read again
            for classifier in self._shadow.of(modality):
                look = partial(self._shadow.look, classifier, item, stage, verdict, streaming=streaming)
                self._shadow_workers.offer(look)
        return verdict

    def _start(self, calls: Sequence[ItemCall], modality: Modality) -> float:
        """Run the calls: at once those that ask others, and those that take this machine's cores in their turn.

        Returns:
            When that was, on ``time.monotonic``: the item's time begins at its turn. Most calls have ended by then;
            those that take longer than a turn have not.
        """
        here = [call for call in calls if not call.waits]
        for call in calls:
            if call.waits:
                self._workers.submit(call)
        turns = _TURNS.get(modality)
        if turns is None or not here:
            for call in here:
                self._workers.submit(call)
            return time.monotonic()
        with turns.turn() as turn:
            now = time.monotonic()
            for call in here:
                self._workers.submit(call)
            for call in here:
                call.wait(min(turn.left, max(0.0, now + self.timeout_s - time.monotonic())))
        return now

    def _blocks(self, findings: Sequence[Finding], *, modality: Modality, stage: Stage) -> bool:
        """Whether these findings alone block: nothing that is found later can change that."""
        if self.policy.monitor or self.policy.allow or not findings:
            return False
        decisions = self.policy.decide(findings, modality, stage)
        return bool(decisions) and decisions[0].action is Action.BLOCK

    def _monitor_only(self, decisions: Sequence[Decision], failed: bool) -> bool:
        """Whether the verdict only watches. Floors never do; failures only where the policy says open."""
        if not self.policy.monitor or (failed and not self.policy.open_on_error):
            return False
        held = (Action.BLOCK, Action.REVIEW)
        return not any(d.action in held and d.finding.category in self.policy.floors for d in decisions)


def _unmet(policy: Policy, loaded: Mapping[Modality, Sequence[Classifier]]) -> dict[Modality, list[str]]:
    """Per modality the required categories that no classifier covers whole; such a modality is blocked."""
    unmet: dict[Modality, list[str]] = {}
    for modality, required in policy.require.items():
        covered = category_coverage((c.card() for c in loaded.get(modality, ())), required)
        found = [f"the policy requires {c}, covered only in part: {'; '.join(p)}" for c, p in covered.partial.items()]
        found += [f"the policy requires {c}, which no classifier covers" for c in covered.missing]
        if found:
            unmet[modality] = found
    return unmet


def _by_modality(
    wanted: Mapping[Modality, Sequence[str]], policy: Policy, loaded: dict[str, Classifier]
) -> dict[Modality, list[Classifier]]:
    """The classifiers named in ``wanted``, each loaded once.

    Raises:
        SafetyUnavailable: one of them is missing or reads something else.
    """
    found: dict[Modality, list[Classifier]] = {}
    for modality, names in wanted.items():
        for name in names:
            if name not in loaded:
                loaded[name] = _load(name, policy)
            if loaded[name].modality is not modality:
                raise SafetyUnavailable(f"classifier {name} reads {loaded[name].modality}, not {modality}")
            found.setdefault(modality, []).append(loaded[name])
    return found


def _load(name: str, policy: Policy) -> Classifier:
    options = dict(policy.options.get(name, {}))
    if policy.custom:  # every classifier that reads text, in whatever medium, applies the operator's categories
        options["custom"] = json.dumps({c.name: c.source() for c in policy.custom}, sort_keys=True)
    try:
        found: Classifier = plugins.load("gensafe.classifiers", name, options)
        found.identity()
    except GensafeError as error:
        raise SafetyUnavailable(f"classifier {name}: {error.message}", fix=error.fix) from error
    except Exception as error:
        raise SafetyUnavailable(f"classifier {name}: {type(error).__name__}") from error
    return found


def _name(classifier: Classifier) -> str:
    return str(getattr(classifier, "name", type(classifier).__name__))


def _identity(classifier: Classifier) -> ClassifierId:
    """Who failed; a classifier that cannot say it is known by its name."""
    try:
        return classifier.identity()
    except Exception:
        return ClassifierId(_name(classifier), "")


def _gaps(coverage: Sequence[Coverage]) -> list[str]:
    """Units of the item that no classifier examined whole."""
    best: dict[str, Coverage] = {}
    for c in coverage:
        share = 1.0 if c.total <= 0 else c.examined / c.total
        known = best.get(c.unit)
        if known is None or share > (1.0 if known.total <= 0 else known.examined / known.total):
            best[c.unit] = c
    return [
        f"coverage: {c.examined} of {c.total} {c.unit} examined"
        for c in best.values()
        if 0 < c.total and c.examined < c.total
    ]
