"""What is logged: one constructor per event, so that an entry can hold only what its event is allowed to say.

Canonical profile (strings, integers, booleans, lists, objects). No prompt, no output, no name, no address: tenants and
actors are pseudonyms, prompts are keyed commitments, outputs are digests. Classifier findings keep category, action and
coarse numbers, never their free text. Floats become integers in stated units.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from gensafe.audit.entry_parts import Entry as Entry  # part of this module's interface
from gensafe.audit.entry_parts import generation, given, manifest, source, verdict, watermark
from gensafe.core.ids import record_id_text
from gensafe.core.types import (
    Action,
    Admission,
    GenerationRecord,
    Modality,
    Review,
    Signed,
    Stage,
    Verdict,
)

SCHEMA: Final = "gensafe.audit.entry/1"

Coverage: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]
"""Modality -> "whole" | "part" | "none" -> categories."""

OPENED: Final = "generation.opened"
HELD: Final = "generation.held"
REVIEW_SHOWN: Final = "review.shown"
RELEASED: Final = "generation.released"
BLOCKED: Final = "generation.blocked"
CANCELLED: Final = "generation.cancelled"
FAILED: Final = "generation.failed"
ABORTED: Final = "generation.aborted"
VERIFIED: Final = "verify.performed"
POLICY_CHANGED: Final = "policy.changed"
KEY_ROTATED: Final = "key.rotated"
KEY_COMMITTED: Final = "key.committed"
KEY_DISCLOSED: Final = "key.disclosed"
CONFIG_CHANGED: Final = "config.changed"
EXPORT_MADE: Final = "export.made"
HOLD_SET: Final = "hold.set"
HOLD_RELEASED: Final = "hold.released"
TOMBSTONE: Final = "log.tombstone"
FILTER_UNAVAILABLE: Final = "filter.unavailable"
FILTER_RESTORED: Final = "filter.restored"
SERVICE_STARTED: Final = "service.started"
CLOCK_CORRECTED: Final = "clock.corrected"
MISUSE_REPORTED: Final = "misuse.reported"
MISUSE_DECIDED: Final = "misuse.decided"
DRILL: Final = "drill.performed"
MODERATED: Final = "moderation.performed"
SIGNATURE_DISCARDED: Final = "signature.discarded"
API_KEY_CHANGED: Final = "api_key.changed"
ACCESS_REFUSED: Final = "access.refused"
TENANT_STOPPED: Final = "tenant.stopped"
TENANT_RESTORED: Final = "tenant.restored"

EVENTS: Final = (
    OPENED,
    HELD,
    REVIEW_SHOWN,
    RELEASED,
    BLOCKED,
    CANCELLED,
    FAILED,
    ABORTED,
    VERIFIED,
    POLICY_CHANGED,
    KEY_ROTATED,
    KEY_COMMITTED,
    KEY_DISCLOSED,
    CONFIG_CHANGED,
    EXPORT_MADE,
    HOLD_SET,
    HOLD_RELEASED,
    TOMBSTONE,
    FILTER_UNAVAILABLE,
    FILTER_RESTORED,
    SERVICE_STARTED,
    CLOCK_CORRECTED,
    MISUSE_REPORTED,
    MISUSE_DECIDED,
    DRILL,
    MODERATED,
    SIGNATURE_DISCARDED,
    API_KEY_CHANGED,
    ACCESS_REFUSED,
    TENANT_STOPPED,
    TENANT_RESTORED,
)
FINAL_STATES: Final = {RELEASED, BLOCKED, CANCELLED, FAILED, ABORTED}
"""Events that close a ``generation.opened``."""


def pseudonym(key: bytes, name: str) -> str:
    """A stable stand-in for a tenant or actor: "p-" and 24 hex digits of HMAC-SHA-256 under ``key``."""
    return "p-" + hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:24]


def opened(
    *,
    request_id: str,
    record_id: int,
    tenant: str,
    modality: Modality,
    prompt_commitment: str,
    policy_id: str,
    policy_digest: str,
    input_digests: Sequence[str] = (),
    model: str = "",
    label_profile: str = "",
    actor: str = "",
    retention: str = "default",
    subject: str = "",
) -> Entry:
    """The durable intent: logged before anything is generated, closed by exactly one final state.

    ``subject``: keyed commitment to the tenant's end user.
    """
    entry = _about(OPENED, request_id, record_id, tenant, modality)
    entry |= {
        "prompt_commitment": prompt_commitment,
        "policy": {"id": policy_id, "digest": policy_digest},
        "inputs": list(input_digests),
        "retention": retention,
    }
    return entry | given(model=model, label_profile=label_profile, actor=actor, subject=subject)


def released(
    signed: Signed,
    *,
    labels: Mapping[str, object] | None = None,
    layers: Sequence[str] = (),
    timestamp: str = "",
    environment: str = "",
) -> Entry:
    """An output that is about to leave: everything later questions need, by digest.

    Args:
        signed: The final bytes with all receipts.
        labels: What the label profile wrote (profile, fields, measured sizes).
        layers: Marks seen again on the final bytes, e.g. ("c2pa", "watermark").
        timestamp: Who time-stamped the manifest's signature (name of the authority), or ``NOT_STAMPED``.
        environment: "production" or "development".
    """
    judged = signed.marked.judged
    admission = judged.admission
    entry = _of_admission(RELEASED, admission)
    entry |= {
        "output": {"digest": signed.digest, "media_type": signed.marked.media_type, "bytes": len(signed.data)},
        "manifest": manifest(signed.manifest),
        "watermark": watermark(signed.marked.receipt),
        "generation": generation(judged.draft.record),
        "verdicts": [verdict(admission.prompt_verdict), verdict(judged.verdict)],
        "fingerprints": sorted(signed.marked.fingerprint),
        "layers": list(layers),
    }
    if judged.review:
        entry["review"] = review(judged.review)
    if admission.input_digests or signed.sources:
        entry["sources"] = [source(each) for each in signed.sources]
    if labels:
        entry["labels"] = dict(labels)
    return entry | given(timestamp=timestamp, environment=environment)


def blocked(
    *,
    request_id: str,
    record_id: int,
    tenant: str,
    modality: Modality,
    stage: Stage,
    verdict_: Verdict,
    opened_index: int = -1,
    generation_: GenerationRecord | None = None,
    subject: str = "",
) -> Entry:
    """Policy said no; nothing left. ``generation_`` where an output existed and was discarded."""
    entry = _about(BLOCKED, request_id, record_id, tenant, modality)
    entry |= {"stage": stage.value, "verdicts": [verdict(verdict_)], "opened_index": opened_index}
    if generation_ is not None:
        entry["generation"] = generation(generation_)
    return entry | given(subject=subject)


def held(admission: Admission, *, verdict_: Verdict, review_id: str, draft: str, bytes_released: int) -> Entry:
    """An output waits for a person's decision. Its request stays open until the entry that carries the decision.

    Args:
        admission: Of the request.
        verdict_: What policy wants a person to see.
        review_id: Its place in the queue.
        draft: Digest of the sealed draft.
        bytes_released: Text that had streamed out before and was taken back.
    """
    entry = _of_admission(HELD, admission) | {"verdicts": [verdict(verdict_)], "review_id": review_id}
    return entry | {"draft": draft, "bytes_released": bytes_released}


def rejected(held_: Mapping[str, object], review_: Review) -> Entry:
    """The person said no; nothing left. ``held_``: the ``generation.held`` entry of the output."""
    same = ("request_id", "record_id", "tenant", "modality", "opened_index", "verdicts", "subject")
    entry = of_event(BLOCKED) | {name: held_[name] for name in same if name in held_}
    return entry | {"stage": Stage.OUTPUT.value, "review": review(review_)}


def review(value: Review) -> Entry:
    """A person's decision; who and why are commitments, the queue keeps the words."""
    return {
        "review_id": value.review_id,
        "decision": value.decision,
        "reviewer": value.reviewer,
        "reason_digest": value.reason_digest,
        "decided_ms": value.decided_ms,
    }


def ended(
    event: str,
    *,
    request_id: str,
    record_id: int,
    tenant: str,
    modality: Modality,
    reason: str,
    opened_index: int,
    stage: str = "",
    bytes_released: int = 0,
    subject: str = "",
) -> Entry:
    """A request that ended without a released output: ``CANCELLED``, ``FAILED`` or ``ABORTED`` (found by recovery).

    Args:
        event: One of the three.
        request_id: As opened.
        record_id: As opened.
        tenant: As opened.
        modality: As opened.
        reason: The stable ``GensafeError.reason``, never a message.
        opened_index: Index of the ``generation.opened`` entry.
        stage: Where it ended.
        bytes_released: Text that had streamed out before (0 for media).
        subject: Commitment to the end user.
    """
    if event not in (CANCELLED, FAILED, ABORTED):
        raise ValueError(f"{event} does not end a request")
    entry = _about(event, request_id, record_id, tenant, modality)
    entry |= {"reason": reason, "opened_index": opened_index, "bytes_released": bytes_released}
    return entry | given(stage=stage, subject=subject)


def verify_performed(*, conclusion: str, checks: Mapping[str, str], record_id: int | None = None) -> Entry:
    """Somebody verified a file: what was concluded, not who asked and not the file."""
    entry = of_event(VERIFIED) | {"conclusion": conclusion, "checks": dict(checks)}
    return entry | ({} if record_id is None else {"record_id": record_id_text(record_id)})


def policy_changed(
    *, policy_id: str, old_digest: str, new_digest: str, actor: str, coverage: Coverage | None = None
) -> Entry:
    """A policy is about to be put in force, or ``new_digest`` "refused"; ``coverage`` as in ``service_started``."""
    entry = of_event(POLICY_CHANGED) | {"policy": policy_id, "old": old_digest, "new": new_digest, "actor": actor}
    return entry | ({"coverage": _plain(coverage)} if coverage else {})


def clock_corrected(*, from_ms: int, to_ms: int) -> Entry:
    """The clock was ahead and was put right: times go back from ``from_ms``, the newest, to ``to_ms``, this one."""
    return of_event(CLOCK_CORRECTED) | {"from_ms": from_ms, "to_ms": to_ms}


def key_rotated(*, role: str, old: str, new: str, reason: str, actor: str = "") -> Entry:
    """A key changed. ``role``: as ``keys.Role``; ``old``/``new``: key ids; ``reason``: what happened, never words."""
    return of_event(KEY_ROTATED) | {"role": role, "old": old, "new": new, "reason": reason} | given(actor=actor)


def config_changed(*, old_digest: str, new_digest: str, changed: Sequence[str]) -> Entry:
    """This start runs with another configuration than the one before; ``changed``: names of keys, never values."""
    return of_event(CONFIG_CHANGED) | {"old": old_digest, "new": new_digest, "changed": sorted(changed)}


def service_started(
    *, version: str, config_digest: str, policy_digest: str, environment: str, coverage: Coverage | None = None
) -> Entry:
    """A process came up that makes outputs; what it ran with.

    ``coverage``: modality -> "whole" | "part" | "none" -> categories, as the cards of the loaded classifiers say.
    """
    about = {"version": version, "config": config_digest, "policy": policy_digest, "environment": environment}
    return of_event(SERVICE_STARTED) | about | ({"coverage": _plain(coverage)} if coverage else {})


def export_made(
    *, start: int, stop: int, size: int, tenant: str, formats: Sequence[str], manifest_digest: str
) -> Entry:
    """An export of entries [start, stop) under the checkpoint of ``size`` was written."""
    entry = of_event(EXPORT_MADE) | {"start": start, "stop": stop, "size": size, "formats": sorted(formats)}
    return entry | {"manifest_digest": manifest_digest} | given(tenant=tenant)


def filter_outage(
    event: str,
    *,
    classifier: str,
    since_ms: int,
    refused: int = 0,
    modality: str = "",
    version: str = "",
    weights: str = "",
    reason: str = "",
) -> Entry:
    """A classifier gave no answer (``FILTER_UNAVAILABLE``) or answers again; ``refused``: judgements that failed.

    ``reason``: a stable code or the name of an exception's type; for a restored one, why it ended without an answer.
    """
    if event not in (FILTER_UNAVAILABLE, FILTER_RESTORED):
        raise ValueError(f"{event} is not about an outage")
    entry = of_event(event) | {"classifier": classifier, "since_ms": since_ms, "refused": refused}
    return entry | given(modality=modality, version=version, weights=weights, reason=reason[:80])


def moderated(
    verdicts: Sequence[Verdict],
    *,
    request_id: str,
    tenant: str,
    gateway: str,
    stage: Stage,
    commitment: str,
    parts: int,
    action: Action,
    passed: bool,
) -> Entry:
    """A gateway asked for a judgement of content that somebody else made. It says nothing about where that came from.

    Args:
        verdicts: One for each kind of medium, all under one policy.
        request_id: Of the call that asked.
        tenant: Who asked.
        gateway: The gateway's interface: "litellm", "kong" or "envoy".
        stage: ``PROMPT`` for what goes to a model, ``OUTPUT`` for what comes from it.
        commitment: Keyed, to the digests of the parts; whoever has the receipt can open it.
        parts: How many parts were judged.
        action: The strictest of the verdicts.
        passed: Whether the content may go on, as it is or with words painted over.
    """
    entry = of_event(MODERATED) | {"request_id": request_id, "tenant": tenant, "gateway": gateway, "stage": stage.value}
    entry |= {"content_commitment": commitment, "parts": parts, "action": action.value, "passed": passed}
    return entry | {"verdicts": [{"modality": v.modality.value} | verdict(v) for v in verdicts]}


def signature_discarded(*, signer: str, signatures: Sequence[str], unsure: int, reason: str, record: str = "") -> Entry:
    """Claim signatures that are in no output: of a request that came to nothing, a crash, or a test of the signer.

    ``unsure``: attempts of which it is not known whether the signer signed.
    """
    entry = of_event(SIGNATURE_DISCARDED) | {"signer": signer, "signatures": list(signatures), "unsure": unsure}
    return entry | {"reason": reason} | given(record_id=record)


def api_key_changed(
    *, key_id: str, change: str, tenant: str, roles: Sequence[str], models: Sequence[str], actor: str, reason: str
) -> Entry:
    """An API key was made, replaced or withdrawn. ``actor``: a pseudonym; ``reason``: keyed digest of the words."""
    entry = of_event(API_KEY_CHANGED) | {"key_id": key_id, "change": change, "tenant": tenant, "roles": sorted(roles)}
    return entry | {"models": sorted(models), "actor": actor, "reason": reason}


def access_refused(*, refused: Mapping[str, int], since_ms: int, tenant: str = "") -> Entry:
    """Calls that were refused since ``since_ms``: "REASON role" -> how many. ``tenant``: where the caller was known."""
    return of_event(ACCESS_REFUSED) | {"refused": dict(refused), "since_ms": since_ms} | given(tenant=tenant)


def _plain(coverage: Coverage) -> Entry:
    return {modality: {how: list(found) for how, found in by.items()} for modality, by in coverage.items()}


def of_event(event: str) -> Entry:
    """How every entry begins."""
    return {"schema": SCHEMA, "event": event}


def _about(event: str, request_id: str, record_id: int, tenant: str, modality: Modality) -> Entry:
    about = {"request_id": request_id, "record_id": record_id_text(record_id), "tenant": tenant}
    return of_event(event) | about | {"modality": modality.value}


def _of_admission(event: str, admission: Admission) -> Entry:
    request = admission.request
    entry = _about(event, request.request_id, admission.record_id, request.tenant, request.modality)
    entry |= {"opened_index": admission.intent_index, "prompt_commitment": admission.prompt_commitment}
    return entry | {"inputs": list(admission.input_digests)} | given(subject=admission.subject)
