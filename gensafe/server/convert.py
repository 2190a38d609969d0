"""Core values to protobuf and back. The only module that knows both sides."""

from __future__ import annotations

import json

from gensafe.core import ids
from gensafe.core.errors import InvalidRequest
from gensafe.core.hazards import CATEGORIES
from gensafe.core.languages import ENGLISH, Words
from gensafe.core.stopped import held_sentence, stopped_sentence
from gensafe.core.types import (
    Action,
    Decision,
    GenerationRequest,
    InputMedia,
    Message,
    Modality,
    Outcome,
    Parameters,
    Progress,
    Recorded,
    Role,
    Stage,
    Text,
    Verdict,
    VerificationReport,
    read_parameters,
)
from gensafe.core.types.usage import Amounts, Usage
from gensafe.pipeline.events import Accepted, Held, Judgement, PipelineEvent, Released, ReleasedText, Stopped
from gensafe.safety import verdict_digest
from gensafe.v1 import common_pb2, generation_pb2, provenance_pb2

MODALITIES = {
    Modality.TEXT: common_pb2.MODALITY_TEXT,
    Modality.IMAGE: common_pb2.MODALITY_IMAGE,
    Modality.AUDIO: common_pb2.MODALITY_AUDIO,
    Modality.VIDEO: common_pb2.MODALITY_VIDEO,
}
_FROM_MODALITY: dict[int, Modality] = {v: k for k, v in MODALITIES.items()}
_ACTIONS = {
    Action.ALLOW: common_pb2.ACTION_ALLOW,
    Action.ANNOTATE: common_pb2.ACTION_ANNOTATE,
    Action.REDACT: common_pb2.ACTION_REDACT,
    Action.REVIEW: common_pb2.ACTION_REVIEW,
    Action.BLOCK: common_pb2.ACTION_BLOCK,
}
_STAGES = {
    Stage.PROMPT: common_pb2.STAGE_PROMPT,
    Stage.INPUT: common_pb2.STAGE_INPUT,
    Stage.OUTPUT: common_pb2.STAGE_OUTPUT,
    Stage.STANDALONE: common_pb2.STAGE_STANDALONE,
}
_ROLES = {
    generation_pb2.CHAT_ROLE_SYSTEM: Role.SYSTEM,
    generation_pb2.CHAT_ROLE_USER: Role.USER,
    generation_pb2.CHAT_ROLE_ASSISTANT: Role.ASSISTANT,
}
_OUTCOMES = {
    Outcome.PASS: provenance_pb2.OUTCOME_PASS,
    Outcome.FAIL: provenance_pb2.OUTCOME_FAIL,
    Outcome.ABSENT: provenance_pb2.OUTCOME_ABSENT,
    Outcome.UNSUPPORTED: provenance_pb2.OUTCOME_UNSUPPORTED,
    Outcome.ERROR: provenance_pb2.OUTCOME_ERROR,
}


def request_from_pb(message: generation_pb2.GenerateRequest, tenant: str) -> GenerationRequest:
    """Read a request; the tenant comes from the caller's identity, never from the message.

    Raises:
        InvalidRequest: no or unknown modality, or a request id that is no UUID.
    """
    modality = modality_from_pb(message.modality)
    return GenerationRequest(
        request_id=ids.check_request_id(message.request_id) if message.request_id else ids.new_request_id(),
        prompt=message.prompt,
        modality=modality,
        inputs=tuple(InputMedia(m.data, m.media_type, m.name) for m in message.inputs),
        model=message.model,
        seed=message.seed if message.HasField("seed") else None,
        media_type=message.media_type,
        max_tokens=message.max_tokens,
        tenant=tenant,
        visible_label=message.visible_label,
        label_profile=message.label_profile,
        messages=tuple(_message(m, number) for number, m in enumerate(message.messages)),
        parameters=parameters_from_pb(message.parameters),
        subject=ids.check_subject(message.subject),
    )


def modality_from_pb(modality: int) -> Modality:
    """Read a modality.

    Raises:
        InvalidRequest: none of ours.
    """
    if modality not in _FROM_MODALITY:
        raise InvalidRequest("choose text, image, audio or video", field="modality")
    return _FROM_MODALITY[modality]


def _message(message: generation_pb2.ChatMessage, number: int) -> Message:
    if message.role not in _ROLES:
        raise InvalidRequest("choose system, user or assistant", field=f"messages[{number}].role")
    return Message(_ROLES[message.role], message.text)


def parameters_from_pb(message: generation_pb2.Parameters) -> Parameters:
    """Parameters as far as they were set."""
    given: dict[str, object] = {}
    for descriptor, value in message.ListFields():
        if descriptor.name == "extra":
            given |= {f"extra.{name}": text for name, text in value.items()}
        elif descriptor.name == "stop":
            given["stop"] = tuple(value)
        else:
            given[descriptor.name] = value
    return read_parameters(given)


def verdict_to_pb(verdict: Verdict) -> common_pb2.Verdict:
    """Render a verdict."""
    return common_pb2.Verdict(
        stage=_STAGES[verdict.stage],
        modality=MODALITIES[verdict.modality],
        action=_ACTIONS[verdict.action],
        findings=[_finding(d) for d in verdict.decisions],
        coverage=[
            common_pb2.Coverage(classifier=c.classifier, unit=c.unit, examined=c.examined, total=c.total)
            for c in verdict.coverage
        ],
        classifiers=[f"{c.name}@{c.version} {c.weights_digest}".strip() for c in verdict.classifiers],
        policy_id=verdict.policy_id,
        policy_digest=verdict.policy_digest,
        errors=verdict.errors,
        monitor_only=verdict.monitor_only,
        digest=verdict_digest(verdict),
    )


def _finding(decision: Decision) -> common_pb2.Finding:
    finding = decision.finding
    return common_pb2.Finding(
        category=finding.category,
        category_name=CATEGORIES.get(finding.category, finding.category),
        score=round(finding.score, 3),  # coarse on purpose: full precision is an oracle for attackers
        threshold=decision.threshold,
        severity=decision.severity,
        action=_ACTIONS[decision.action],
        classifier=finding.classifier,
        detail=finding.detail,
        spans=[common_pb2.Span(start=s.start, end=s.end) for s in finding.spans],
        boxes=[common_pb2.Box(left=b.left, top=b.top, right=b.right, bottom=b.bottom) for b in finding.boxes],
        times=[common_pb2.TimeRange(start_s=t.start_s, end_s=t.end_s) for t in finding.times],
    )


def event_to_pb(event: PipelineEvent, words: Words = ENGLISH) -> generation_pb2.GenerateResponse:
    """Render one pipeline event; a Released event becomes ``completed`` (its bytes are streamed by the caller)."""
    response = generation_pb2.GenerateResponse
    match event:
        case Accepted():
            return response(
                accepted=generation_pb2.Accepted(
                    request_id=event.request_id,
                    record_id=ids.record_id_text(event.record_id),
                    log_index=event.log_index,
                    seed=event.seed,
                    usage=usage_to_pb(event.usage),
                )
            )
        case Progress():
            return response(progress=progress_to_pb(event))
        case ReleasedText():
            return response(text_delta=generation_pb2.TextDelta(text=event.text))
        case Judgement():
            return response(verdict=verdict_to_pb(event.verdict))
        case Stopped():
            return response(blocked=blocked_to_pb(event, words))
        case Held():
            return response(held=held_to_pb(event, words))
        case Released():
            return response(completed=completed_to_pb(event))


def progress_to_pb(event: Progress) -> generation_pb2.Progress:
    """Render progress."""
    return generation_pb2.Progress(stage=event.stage, done=event.done, total=event.total)


def blocked_to_pb(event: Stopped, words: Words = ENGLISH) -> generation_pb2.Blocked:
    """Render a policy stop: categories and verdict, never content."""
    failed = bool(event.verdict.errors)
    return generation_pb2.Blocked(
        request_id=event.request_id,
        reason="SAFETY_UNAVAILABLE" if failed else "SAFETY_BLOCKED",
        categories=event.verdict.categories,
        verdict=verdict_to_pb(event.verdict),
        log_index=event.log_index,
        retract_from=event.retract_from,
        message=stopped_sentence(event.verdict, words),
        usage=usage_to_pb(event.usage),
    )


def held_to_pb(event: Held, words: Words = ENGLISH) -> generation_pb2.Held:
    """Render a hold: categories, never content."""
    return generation_pb2.Held(
        request_id=event.request_id,
        record_id=ids.record_id_text(event.record_id),
        review_id=event.review_id,
        categories=event.categories,
        log_index=event.log_index,
        retract_from=event.retract_from,
        message=held_sentence(event.categories, words),
        usage=usage_to_pb(event.usage),
    )


def usage_to_pb(usage: Usage | None) -> generation_pb2.Usage | None:
    """Render what a request may use and used; None = not known."""
    if usage is None:
        return None
    return generation_pb2.Usage(forecast=_amounts(usage.forecast), spent=_amounts(usage.spent), currency=usage.currency)


def _amounts(amounts: Amounts) -> generation_pb2.Amounts:
    return generation_pb2.Amounts(
        tokens=amounts.tokens,
        pixels=amounts.pixels,
        audio_ms=amounts.audio_ms,
        video_ms=amounts.video_ms,
        engine_ms=amounts.engine_ms,
        cost_micros=amounts.micros,
    )


def completed_to_pb(event: Released) -> generation_pb2.Completed:
    """Render the receipt of a released output."""
    recorded: Recorded = event.recorded
    signed, marked = recorded.signed, recorded.signed.marked
    admission, draft = marked.judged.admission, marked.judged.draft
    record, manifest, receipt = draft.record, signed.manifest, marked.receipt
    return generation_pb2.Completed(
        request_id=admission.request.request_id,
        record_id=ids.record_id_text(admission.record_id),
        media_type=marked.media_type,
        size=len(signed.data),
        digest=signed.digest,
        generation=generation_pb2.Generation(
            backend=record.backend,
            model=record.model,
            model_version=record.model_version,
            weights_digest=record.weights_digest,
            seed=record.seed,
            tokens=record.tokens,
            sampling_mark=record.sampling_mark,
            notes=record.notes,
            finish=record.finish,
            tokens_in=record.tokens_in,
            parameters={name: str(value) for name, value in record.parameters.items()},
        ),
        watermark=generation_pb2.Watermark(
            scheme=receipt.scheme,
            payload_hex=receipt.payload.hex(),
            key_id=receipt.key_id,
            level=receipt.level.value,
            p_value=receipt.p_value,
            note=receipt.note,
        ),
        manifest=generation_pb2.ManifestInfo(
            label=manifest.label,
            digest=manifest.digest,
            signer_fingerprint=manifest.signer_fingerprint,
            embedded=manifest.embedded,
            development=manifest.development,
            sidecar=manifest.data,
        ),
        log=generation_pb2.LogReceipt(
            origin=recorded.log_origin,
            index=recorded.log_index,
            leaf_hash=recorded.leaf_hash,
            tlog_proof=event.tlog_proof.decode(),
        ),
        prompt_verdict=verdict_to_pb(admission.prompt_verdict),
        output_verdict=verdict_to_pb(marked.judged.verdict),
        text=draft.media.text if isinstance(draft.media, Text) else "",
        usage=usage_to_pb(event.usage),
    )


def report_to_pb(report: VerificationReport) -> provenance_pb2.VerifyResponse:
    """Render a verification report."""
    return provenance_pb2.VerifyResponse(
        name=report.name,
        conclusion=report.conclusion.value,
        explanation=report.explanation,
        checks=[
            provenance_pb2.Check(
                name=c.name,
                outcome=_OUTCOMES[c.outcome],
                summary=c.summary,
                evidence_json=json.dumps(c.evidence, sort_keys=True, default=str),
            )
            for c in report.checks
        ],
        media_type=report.media_type,
        digest=report.digest,
    )
