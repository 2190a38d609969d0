"""Judge content that somebody else made, log the judgement, and give a receipt for it. Nothing is generated or marked.

1. Judge each text, and all of them as one: neither a text among others nor one in several pieces gets by. Judge every
   file by its own parts. What cannot be read is not passed.
2. Where policy redacts, mask each text by its own findings, and judge what is left: it must have nothing more to mask.
3. Log the judgement: categories, policy, classifiers and a keyed commitment to the content, never the content.
4. The receipt: the log's entry, its proof, and the key that opens the commitment.

Whatever goes wrong, the content is not passed: a judgement that cannot be logged is an error, not an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Final

from gensafe.audit import entries
from gensafe.audit.receipt import make_receipt, subject_of
from gensafe.core.errors import InvalidRequest, MediaError
from gensafe.core.types import ACTION_ORDER, Action, Decision, InputMedia, Modality, Stage, Text, Verdict
from gensafe.media import open_parts
from gensafe.pipeline.chain import Chain
from gensafe.safety import SafetyRunner, judge_parts
from gensafe.safety.text import redact

MAX_PARTS: Final = 256  # texts and files of one call: a long conversation. A round number, not measured
_KEPT: Final = 64  # decisions of one kind of medium that the entry names; a leaf has room for some hundred
_JOINT: Final = "\n\n"  # as the messages of a conversation are joined before the prompt is judged

Part = str | InputMedia


@dataclass(frozen=True, slots=True)
class Moderation:
    """An answer. ``texts``: as they may go on, masked where policy redacts; () = the content may not go on."""

    verdicts: tuple[Verdict, ...]
    action: Action
    passed: bool
    texts: tuple[str, ...]
    receipt: dict[str, Any]

    @property
    def masked(self) -> bool:
        """Whether the content may go on only as ``texts`` say."""
        return self.passed and self.action is Action.REDACT and not any(v.monitor_only for v in self.verdicts)

    @property
    def failed(self) -> bool:
        """Whether a check could not be made: then the content was stopped for that."""
        return not self.passed and any(v.errors for v in self.verdicts)

    @property
    def categories(self) -> tuple[str, ...]:
        """What led to the action, without repeats."""
        found = (c for v in self.verdicts if v.action is self.action for c in v.categories)
        return tuple(dict.fromkeys(found))


def moderate(
    chain: Chain, parts: Sequence[Part], *, stage: Stage, tenant: str, gateway: str, request_id: str
) -> Moderation:
    """Judge, log, and answer.

    Args:
        chain: Policy and log.
        parts: Texts and files, in the gateway's order.
        stage: ``PROMPT`` or ``OUTPUT``.
        tenant: Whose policy it is judged under.
        gateway: As ``entries.moderated``.
        request_id: Of this call.

    Raises:
        InvalidRequest: no parts, or too many.
        LogUnavailable: the judgement could not be logged; it does not count.
    """
    if not 0 < len(parts) <= MAX_PARTS:
        raise InvalidRequest(f"send 1 to {MAX_PARTS} texts and files", field="texts")
    runner = chain.safety(tenant)
    verdicts, texts = _judged(runner, parts, stage)  # 1., 2.
    action = max((v.action for v in verdicts), key=ACTION_ORDER.index)
    passed = all(v.releasable for v in verdicts)
    subject = subject_of([p if isinstance(p, str) else p.data for p in parts])
    entry = entries.moderated(
        verdicts,
        request_id=request_id,
        tenant=tenant,
        gateway=gateway,
        stage=stage,
        commitment=subject.commitment,
        parts=len(parts),
        action=action,
        passed=passed,
    )
    index = chain.log.append(entry).index  # 3.
    receipt = make_receipt(chain.log, index, subject)  # 4.
    return Moderation(verdicts, action, passed, texts if passed else (), receipt)


def _judged(runner: SafetyRunner, parts: Sequence[Part], stage: Stage) -> tuple[tuple[Verdict, ...], tuple[str, ...]]:
    """One verdict for each kind of medium, and the texts as they may go on."""
    texts = tuple(part for part in parts if isinstance(part, str))
    found: dict[Modality, Verdict] = {}
    if texts:
        found[Modality.TEXT], texts = _of_texts(runner, texts, stage)
    for part in parts:
        if isinstance(part, str):
            continue
        verdict = _of_file(runner, part, stage)
        before = found.get(verdict.modality)
        found[verdict.modality] = verdict if before is None else _joined(before, verdict)
    return tuple(map(_brief, found.values())), texts


def _of_texts(runner: SafetyRunner, texts: tuple[str, ...], stage: Stage) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict over texts, and the texts with what policy removes painted over; blocked if something is left."""
    each = {text: runner.judge(Text(text), stage) for text in texts}
    verdict = reduce(_joined, each.values())
    if len(texts) > 1:
        for joint in (_JOINT, ""):  # "": a word may be cut between two texts
            verdict = _joined(verdict, runner.judge(Text(joint.join(texts)), stage))
    if verdict.action is not Action.REDACT or not verdict.releasable or verdict.monitor_only:
        return verdict, texts
    painted = tuple(redact(text, each[text]) for text in texts)
    rest = runner.judge(Text(_JOINT.join(painted)), stage)
    if rest.action is Action.REDACT:
        rest = replace(rest, action=Action.BLOCK, errors=("masking did not remove what policy wants removed",))
    return (verdict if rest.releasable else _joined(verdict, rest)), painted


def _of_file(runner: SafetyRunner, part: InputMedia, stage: Stage) -> Verdict:
    """The verdict over a file; one that nobody can read, or that policy would have to paint over, is stopped."""
    try:
        verdict = judge_parts(runner, open_parts(part.data, part.media_type or None), stage)
    except MediaError as error:
        return _stopped(runner, part.media_type, stage, f"not examined: {error.reason}")
    if verdict.action is Action.REDACT and not verdict.monitor_only:
        return replace(verdict, action=Action.BLOCK)
    return verdict


def _stopped(runner: SafetyRunner, media_type: str, stage: Stage, why: str) -> Verdict:
    kind = media_type.partition("/")[0]
    modality = Modality(kind) if kind in (m.value for m in Modality) else Modality.IMAGE
    policy = runner.policy
    return Verdict(
        stage, modality, Action.BLOCK, (), (), (), policy.id, policy.digest, errors=(why,), monitor_only=policy.monitor
    )


def _joined(one: Verdict, other: Verdict) -> Verdict:
    """Two verdicts about one kind of medium as one: the stricter action."""
    first, second = sorted((one, other), key=lambda v: -ACTION_ORDER.index(v.action))
    return replace(
        first,
        decisions=first.decisions + second.decisions,
        coverage=first.coverage + second.coverage,
        classifiers=tuple(dict.fromkeys(first.classifiers + second.classifiers)),
        errors=first.errors + second.errors,
        monitor_only=first.monitor_only and second.monitor_only,
        elapsed_ms=first.elapsed_ms + second.elapsed_ms,
    )


def _brief(verdict: Verdict) -> Verdict:
    """The strictest decision of each classifier about each category: what the log's entry has room for."""
    kept: dict[tuple[str, str], Decision] = {}
    for one in sorted(verdict.decisions, key=lambda d: (-ACTION_ORDER.index(d.action), -d.finding.score)):
        kept.setdefault((one.finding.category, one.finding.classifier), one)
    return replace(verdict, decisions=tuple(kept.values())[:_KEPT])
