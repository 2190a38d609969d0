"""Steps 1 to 4: check the request, recognise repeats, judge prompt and inputs, make the intent durable."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from gensafe import media as codecs
from gensafe.audit import entries
from gensafe.core import ids
from gensafe.core.digest import digest_json, sha256
from gensafe.core.errors import Conflict, InvalidRequest, MediaError, PermissionDenied, SafetyBlocked
from gensafe.core.types import (
    Action,
    Admission,
    AudioStream,
    GenerationJob,
    GenerationRequest,
    Media,
    Modality,
    Stage,
    Text,
    Verdict,
    VideoStream,
)
from gensafe.core.types.usage import Amounts
from gensafe.pipeline.chain import Chain
from gensafe.pipeline.ledger import Attempt
from gensafe.pipeline.mask import mask_prompt
from gensafe.pipeline.wishes import check_wishes, cuts_joined, refuse_unhonoured, whole_prompt, wishes_of
from gensafe.registry import Intent, IntentState, owner_name
from gensafe.safety import SafetyRunner, judge_parts

LABEL_PROFILES = ("", "eu", "ca", "cn", "kr", "in")
SEED_BITS = 63  # a signed 64-bit integer, 0 or more
H264_TYPES = tuple(f"video/mp4;{space}codecs={codec}" for space in (" ", "") for codec in ("avc1", '"avc1"'))
"""Every spelling of an output type with parameters (RFC 6381): the type stands in the log, so it is never free text."""
INPUT_PARAMETERS = frozenset(("charset", "codecs"))
"""MIME parameters an input's type may carry; they are dropped, the bytes say what the file is."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A request in which every field is right, and every part of its inputs: tracks, subtitles, frames, covers."""

    job: GenerationJob
    inputs: tuple[tuple[codecs.Part, ...], ...]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A request that holds its id: nobody else works on it, and recovery knows of it."""

    request: GenerationRequest
    checked: Checked
    record_id: int
    input_digests: tuple[str, ...]
    subject: str = ""  # commitment to the end user
    forecast: Amounts = field(default_factory=Amounts)


def check(chain: Chain, request: GenerationRequest) -> Checked:
    """1. Check every field and decode the inputs in a worker process.

    Raises:
        InvalidRequest: names the field and the fix.
        MediaError: an input is unreadable, unsupported or over a limit.
        PermissionDenied: the caller may not use the model.
    """
    config = chain.config.generation
    if ids.check_request_id(request.request_id) != request.request_id:
        raise InvalidRequest("not a UUID in lower case with hyphens", field="request_id", fix="send a fresh UUID")
    if not request.prompt.strip():
        raise InvalidRequest("is empty", field="prompt", fix="say what to generate")
    if len(request.prompt) > config.max_prompt_chars:
        raise InvalidRequest(
            f"has {len(request.prompt)} characters", field="prompt", fix=f"at most {config.max_prompt_chars}"
        )
    if len(request.inputs) > config.max_inputs:
        raise InvalidRequest(f"{len(request.inputs)} files", field="inputs", fix=f"at most {config.max_inputs}")
    if request.max_tokens < 0:
        raise InvalidRequest("must not be negative", field="max_tokens")
    if request.seed is not None and not 0 <= request.seed < 2**SEED_BITS:
        raise InvalidRequest(f"must be below 2^{SEED_BITS}", field="seed")
    if request.label_profile not in LABEL_PROFILES:
        choices = ", ".join(p for p in LABEL_PROFILES if p)
        raise InvalidRequest(f"no profile {request.label_profile!r}", field="label_profile", fix=f"one of: {choices}")
    if request.label_profile == "cn" and not chain.config.labels.cn_producer:
        raise InvalidRequest("needs a producer code", field="label_profile", fix="configure labels.cn_producer")
    writable = writable_types(request.modality)
    if request.media_type and request.media_type not in writable:
        raise InvalidRequest(
            f"{request.modality} cannot be written as {request.media_type[:80]!r}",
            field="media_type",
            fix=f"exactly one of: {', '.join(writable)}",
        )
    ids.check_subject(request.subject)
    check_wishes(request)
    if request.model:
        chain.engines.choose(request.model, request.modality, frozenset())  # before costly inputs are read
    inputs: list[Media] = []
    parts: list[tuple[codecs.Part, ...]] = []
    for number, item in enumerate(request.inputs):
        _check_parameters(item.media_type, f"inputs[{number}].media_type")
        try:
            found = codecs.read_parts_untrusted(item.data, item.media_type or None)
        except MediaError as error:
            raise type(error)(error.message, field=f"inputs[{number}]", fix=error.fix) from error
        medium = found[0].media
        if medium is None or isinstance(medium, VideoStream | AudioStream):  # streams come from open_parts only
            raise InvalidRequest("cannot be read as a medium", field=f"inputs[{number}]")
        inputs.append(medium)
        parts.append(found)
    seed = request.seed if request.seed is not None else secrets.randbits(SEED_BITS)
    kinds = frozenset(medium.modality for medium in inputs)
    engine, model = chain.engines.choose(request.model, request.modality, kinds)
    if request.models and model not in request.models:
        raise PermissionDenied(
            f"this key may not use the model {model!r}", field="model", fix=f"one of: {', '.join(request.models)}"
        )
    refuse_unhonoured(request, engine)
    job = GenerationJob(
        prompt=request.prompt,
        modality=request.modality,
        inputs=tuple(inputs),
        seed=seed,
        max_tokens=request.max_tokens,
        model=model,
        messages=request.messages,
        parameters=request.parameters,
    )
    return Checked(chain.meter.bounded(request, job), tuple(parts))


def writable_types(modality: Modality) -> tuple[str, ...]:
    """Every ``media_type`` a request may name for an output of ``modality``, the default first."""
    return (*codecs.ENCODABLE[modality], *(H264_TYPES if modality is Modality.VIDEO else ()))


def _check_parameters(media_type: str, field: str) -> None:
    for parameter in media_type.split(";")[1:]:
        if parameter.partition("=")[0].strip().lower() not in INPUT_PARAMETERS:
            known = ", ".join(sorted(INPUT_PARAMETERS))
            raise InvalidRequest("has a parameter that is not known", field=field, fix=f"only {known}, or none")


def claim(chain: Chain, request: GenerationRequest, checked: Checked) -> Claimed | Intent:
    """2. Claim the request id, and reserve what the request may use, in one transaction.

    Returns the earlier intent when this very request was already released or is held.

    Raises:
        QuotaExceeded: a quota or budget would be exceeded.
        Conflict: the id belongs to another request, to one that is running, or to one that was blocked.
    """
    record_id = ids.new_record_id()
    subject = chain.registry.commit_end_user(request.tenant, request.subject)
    input_digests = tuple(sha256(item.data) for item in request.inputs)
    older = _request_digest(request, input_digests)
    reservation = chain.meter.reservation(request, checked.job)
    try:
        intent, fresh = chain.registry.open_intent(
            request.key,
            chain.registry.keyed_digest("request", older.encode()),
            record_id,
            modality=request.modality.value,
            older_digest=older,
            reservation=reservation,
        )
    except InvalidRequest as error:
        raise Conflict(error.message, field="request_id", fix="send a fresh UUID") from None
    if not fresh:
        if intent.state in (IntentState.RELEASED, IntentState.HELD):
            return intent
        if intent.state in (IntentState.OPEN, IntentState.BLOCKED):
            state = "is still running" if intent.state is IntentState.OPEN else "was blocked by policy"
            raise Conflict(f"this request {state}", field="request_id", fix="send a fresh UUID for a new request")
        # It failed, was cancelled or cut off without releasing anything: a retry may run.
        chain.registry.reopen_intent(request.key, record_id, reservation)
    return Claimed(request, checked, record_id, input_digests, subject, reservation.forecast)


def admit(chain: Chain, claimed: Claimed, safety: SafetyRunner) -> Admission:
    """3. Judge the prompt and every part of every input; 4. make the intent durable.

    Raises:
        SafetyBlocked: policy refuses the prompt or an input.
    """
    request = claimed.request
    prompt = whole_prompt(request)
    verdict = _require(safety.judge(Text(prompt), Stage.PROMPT))  # 3.
    readings = {request.prompt, cuts_joined(prompt)} - {prompt}  # what is last is what is asked for; words cut in two
    for reading in sorted(readings):
        _require(safety.judge(Text(reading), Stage.PROMPT))
    job = claimed.checked.job
    if verdict.action is Action.REDACT and not verdict.monitor_only:
        job = mask_prompt(safety, job)
    for parts in claimed.checked.inputs:
        _require(judge_parts(safety, parts, Stage.INPUT))
    chain.fault_point("admitted")
    owner = owner_name(request.tenant, request.subject)
    commitment = chain.registry.seal_prompt(claimed.record_id, owner, prompt)
    intent_index = chain.ledger.opened(  # 4.
        Attempt(request.key, claimed.record_id, request.modality),
        entries.opened(
            request_id=request.request_id,
            record_id=claimed.record_id,
            tenant=request.tenant,
            modality=request.modality,
            prompt_commitment=commitment,
            policy_id=verdict.policy_id,
            policy_digest=verdict.policy_digest,
            input_digests=claimed.input_digests,
            model=claimed.checked.job.model,
            label_profile=request.label_profile,
            subject=claimed.subject,
        ),
    )
    chain.fault_point("opened")
    return Admission(
        request=request,
        job=job,
        record_id=claimed.record_id,
        intent_index=intent_index,
        prompt_verdict=verdict,
        prompt_commitment=commitment,
        input_digests=claimed.input_digests,
        key_epoch=chain.marker.epoch_now(),
        subject=claimed.subject,
        owner=chain.registry.pseudonym(owner),
    )


def _require(verdict: Verdict) -> Verdict:
    if not verdict.releasable:
        raise SafetyBlocked(f"blocked at the {verdict.stage}", verdict)
    return verdict


def _request_digest(request: GenerationRequest, input_digests: tuple[str, ...]) -> str:
    """Digest of everything that makes two requests the same. Stored only under a key: short prompts can be guessed."""
    return digest_json(
        {
            "prompt": request.prompt,
            "modality": request.modality.value,
            "inputs": list(input_digests),
            "model": request.model,
            "seed": "" if request.seed is None else str(request.seed),
            "media_type": request.media_type,
            "max_tokens": request.max_tokens,
            "visible_label": request.visible_label,
            "label_profile": request.label_profile,
            **wishes_of(request),
            **({"subject": ids.check_subject(request.subject)} if request.subject else {}),
        }
    )
