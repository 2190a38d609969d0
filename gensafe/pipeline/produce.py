"""Steps 5 and 6: generate a draft and judge it. Text streams out only behind the gate; media not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gensafe.core.errors import BackendError, GensafeError, SafetyBlocked, UnsupportedMedia
from gensafe.core.types import (
    Action,
    Admission,
    Draft,
    Judged,
    Media,
    Modality,
    Progress,
    Stage,
    Text,
    TextDelta,
    Verdict,
)
from gensafe.media.redaction import redact
from gensafe.pipeline.chain import Chain
from gensafe.pipeline.events import CallControl, ReleasedText
from gensafe.safety import SafetyRunner, StreamGate


def produce(
    chain: Chain, admission: Admission, safety: SafetyRunner, control: CallControl
) -> Iterator[Progress | ReleasedText | Judged]:
    """5. Drive the backend; 6. judge the output. Ends with exactly one Judged.

    Raises:
        SafetyBlocked: policy refuses the output.
        PromptNotUnderstood: the prompt is outside the model's world.
        Cancelled, DeadlineExceeded: the caller is gone or out of patience.
        BackendError: generation failed, also by anything a backend should not have raised.
    """
    draft: Draft | None = None
    streamed = ""
    gate = StreamGate(safety, stage=Stage.OUTPUT)
    for event in _events(chain, admission, control):
        control.check()
        match event:
            case Progress():
                yield event
            case TextDelta():
                streamed += event.text
                yield from _released(gate.push(event.text))
            case Draft():
                draft = event
    if draft is None or draft.media.modality is not admission.request.modality:
        raise BackendError("the backend ended without the output that was asked for")
    chain.at("generated")
    if isinstance(draft.media, Text):
        # A backend may stream nothing, or end with more than it streamed, but never with something else.
        if not draft.media.text.startswith(streamed):
            raise BackendError("the backend's final text is not the text it streamed")
        yield from _released(gate.push(draft.media.text[len(streamed) :]))
        rest, verdict = gate.finish()
        yield from _released(rest)
        # Policy may have painted redactions over parts; the signed text is the text that left.
        draft = replace(draft, media=Text(gate.text))
    else:
        yield Progress(0, 1, "judge")
        verdict = safety.judge(draft.media, Stage.OUTPUT)
        if verdict.releasable and verdict.action is Action.REDACT and not verdict.monitor_only:
            draft = replace(draft, media=_redacted(draft.media, verdict))
            verdict = safety.judge(draft.media, Stage.OUTPUT)
            if verdict.action is Action.REDACT:  # what was to be painted over is still there
                raise SafetyBlocked("redaction did not remove what policy wants removed", verdict)
        if not verdict.releasable:
            raise SafetyBlocked(f"blocked at the {verdict.stage}", verdict)
    control.check()
    chain.at("judged")
    yield Judged(admission, draft, verdict)


def _events(chain: Chain, admission: Admission, control: CallControl) -> Iterator[Progress | TextDelta | Draft]:
    """The backend's events, with strays converted at the port."""
    backend = chain.backends[admission.request.model or chain.default_model]
    wants_mark = admission.request.modality is Modality.TEXT and backend.capabilities().sampling_marks
    mark = chain.marker.sampling_mark() if wants_mark else None
    try:
        yield from backend.generate(admission.job, mark, control.cancelled)
    except GensafeError:
        control.check()  # a backend's Cancelled for a passed deadline becomes DeadlineExceeded
        raise
    except Exception as error:
        raise BackendError(f"the backend failed: {type(error).__name__}") from error


def _redacted(media: Media, verdict: Verdict) -> Media:
    try:
        return redact(media, verdict)
    except UnsupportedMedia:  # a finding without a place cannot be painted over
        raise SafetyBlocked("policy wants a part removed that cannot be located", verdict) from None


def _released(text: str) -> Iterator[ReleasedText]:
    if text:
        yield ReleasedText(text)
