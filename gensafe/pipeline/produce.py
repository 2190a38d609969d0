"""Steps 5 and 6: generate a draft and judge it. Text streams out only behind the gate; media not at all."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

from gensafe.core.errors import (
    BackendError,
    BackendUnavailable,
    GensafeError,
    InvalidRequest,
    SafetyBlocked,
    UnsupportedMedia,
)
from gensafe.core.observer import EngineRan, StageRan, Stopwatch
from gensafe.core.types import (
    Action,
    Admission,
    Draft,
    GenerationJob,
    Judged,
    Media,
    Modality,
    Progress,
    Stage,
    Text,
    TextDelta,
    Verdict,
)
from gensafe.engines import Engine
from gensafe.media.redaction import redact
from gensafe.pipeline.chain import Chain
from gensafe.pipeline.events import CallControl, ReleasedText
from gensafe.pipeline.wishes import refuse_unhonoured
from gensafe.safety import SafetyRunner, StreamGate
from gensafe.safety.text import redact as redact_text

log = logging.getLogger("gensafe.pipeline")


@dataclass(frozen=True, slots=True)
class ForReview:
    """An output that policy wants a person to see before it may go on.

    ``retract_from``: the character from which streamed text is to be taken back; -1 = media, nothing streamed.
    """

    judged: Judged
    retract_from: int = -1


def produce(
    chain: Chain, admission: Admission, safety: SafetyRunner, control: CallControl, generating: Stopwatch
) -> Generator[Progress | ReleasedText, None, Judged | ForReview]:
    """5. Drive the backend, on the watch ``generating``; 6. judge the output. Returns what became of it.

    Raises:
        SafetyBlocked: policy refuses the output.
        PromptNotUnderstood: the prompt is outside the model's world.
        Cancelled, DeadlineExceeded: the caller is gone or out of patience.
        BackendError: generation failed, also by anything a backend should not have raised.
    """
    begin = time.perf_counter()
    try:
        return (yield from _produce(chain, admission, safety, control, generating))
    finally:
        modality, all_of_it = admission.request.modality.value, time.perf_counter() - begin
        chain.observe(StageRan("generate", modality, generating.seconds))
        chain.observe(StageRan("judge", modality, max(0.0, all_of_it - generating.seconds)))


def _produce(
    chain: Chain, admission: Admission, safety: SafetyRunner, control: CallControl, generating: Stopwatch
) -> Generator[Progress | ReleasedText, None, Judged | ForReview]:
    draft: Draft | None = None
    text = _GatedText(StreamGate(safety, stage=Stage.OUTPUT))
    for event in generating.over(_events(chain, admission, control)):
        control.check()
        match event:
            case Progress():
                yield event
            case TextDelta():
                yield from text.push(event.text)
            case Draft():
                draft = event
    if draft is None or draft.media.modality is not admission.request.modality:
        raise BackendError("the backend ended without the output that was asked for")
    chain.fault_point("generated")
    ended: Judged | ForReview
    if isinstance(draft.media, Text):
        yield from text.end(draft.media.text)
        ended = text.judged(admission, draft, safety)
    else:
        yield Progress(0, 1, "judge")
        ended = _judged_media(admission, draft, safety)
    control.check()
    chain.fault_point("judged")
    return ended


def _judged_media(admission: Admission, draft: Draft, safety: SafetyRunner) -> Judged | ForReview:
    if draft.script:  # the words of the audio, as the engine knows them: no recogniser hears them better
        said = safety.judge(Text(draft.script), Stage.OUTPUT)
        if said.for_review:
            return ForReview(Judged(admission, draft, said))
        if not said.releasable or said.action is Action.REDACT:  # words cannot be taken out of finished audio
            raise SafetyBlocked("the words of the audio were stopped", said)
    verdict = safety.judge(draft.media, Stage.OUTPUT)
    if verdict.releasable and verdict.action is Action.REDACT and not verdict.monitor_only:
        answer = draft.answer and replace(draft.answer, dropped="parts of the content were removed")
        draft = replace(draft, media=_redacted(draft.media, verdict), answer=answer)
        verdict = safety.judge(draft.media, Stage.OUTPUT)
        if verdict.action is Action.REDACT:  # what was to be painted over is still there
            raise SafetyBlocked("redaction did not remove what policy wants removed", verdict)
    if verdict.for_review:
        return ForReview(Judged(admission, draft, verdict))
    if not verdict.releasable:
        raise SafetyBlocked(f"blocked at the {verdict.stage}", verdict)
    return Judged(admission, draft, verdict)


class _GatedText:
    """The text of one output on its way through the gate; once a person must see it, nothing more of it leaves."""

    def __init__(self, gate: StreamGate) -> None:
        self._gate = gate
        self._streamed = ""
        self._stop: SafetyBlocked | None = None  # the review verdict that closed the gate
        self._verdict: Verdict | None = None

    def push(self, delta: str) -> Iterator[ReleasedText]:
        """Add a piece from the backend."""
        self._streamed += delta
        if self._stop is None:
            try:
                yield from _released(self._gate.push(delta))
            except SafetyBlocked as stop:
                self._keep(stop)

    def end(self, whole: str) -> Iterator[ReleasedText]:
        """The backend's final text. It may stream nothing, or end with more than it streamed, never something else."""
        if not whole.startswith(self._streamed):
            raise BackendError("the backend's final text is not the text it streamed")
        yield from self.push(whole[len(self._streamed) :])
        if self._stop is None:
            try:
                rest, self._verdict = self._gate.finish()
                yield from _released(rest)
            except SafetyBlocked as stop:
                self._keep(stop)

    def judged(self, admission: Admission, draft: Draft, safety: SafetyRunner) -> Judged | ForReview:
        """What becomes of the whole."""
        if self._verdict is not None:
            # Policy may have painted redactions over parts; the signed text is the text that left.
            return Judged(admission, replace(draft, media=Text(self._gate.text)), self._verdict)
        if self._stop is None:
            raise AssertionError("judged comes after end")
        verdict = safety.judge(Text(self._streamed), Stage.OUTPUT)
        if not verdict.for_review and not verdict.releasable:
            raise SafetyBlocked("the text was stopped by the safety gate", verdict, offset=self._stop.offset)
        if verdict.releasable:  # a window gave cause that the whole does not: the window's verdict stands
            verdict = self._stop.verdict
        painted = tuple(d for d in verdict.decisions if d.action is Action.REDACT)  # the rest is for the person to see
        held = replace(draft, media=Text(redact_text(self._streamed, replace(verdict, decisions=painted))))
        offset = self._stop.offset
        return ForReview(Judged(admission, held, verdict), -1 if offset is None else offset)

    def _keep(self, stop: SafetyBlocked) -> None:
        if not stop.verdict.for_review:
            raise stop
        self._stop = stop


def _events(chain: Chain, admission: Admission, control: CallControl) -> Iterator[Progress | TextDelta | Draft]:
    """The engine's events. Its fallback, if it has one, takes over before the first piece of output and never after."""
    engine, job = chain.engines.of(admission.job.model), admission.job
    started = False
    try:
        try:
            for event in _run(chain, engine, job, admission, control):
                started = started or not isinstance(event, Progress)
                yield event
        except BackendUnavailable as error:
            other = chain.engines.fallback(engine)
            if started or other is None or not _can_serve(other, admission):
                raise
            job = replace(job, model=next(iter(other.models)))
            log.warning("engine %s takes over for %s: %s", other.name, engine.name, error)
            note = f"made by engine {other.name}, since {engine.name} was unavailable"
            for event in _run(chain, other, job, admission, control):
                yield _noted(event, note) if isinstance(event, Draft) else event
    except GensafeError:
        control.check()  # a backend's Cancelled for a passed deadline becomes DeadlineExceeded
        raise


def _run(
    chain: Chain, engine: Engine, job: GenerationJob, admission: Admission, control: CallControl
) -> Iterator[Progress | TextDelta | Draft]:
    wants_mark = job.modality is Modality.TEXT and engine.can.sampling_marks
    mark = chain.marker.sampling_mark(admission.key_epoch) if wants_mark else None
    watch, result = Stopwatch(), "cancelled"
    try:
        yield from watch.over(engine.generate(job, mark, control.cancelled))
        result = "ok"
    except GensafeError as error:
        result = "cancelled" if control.cancelled() else error.reason
        raise
    finally:
        chain.observe(EngineRan(engine.name, result, watch.seconds))


def _can_serve(engine: Engine, admission: Admission) -> bool:
    job = admission.job
    try:
        refuse_unhonoured(admission.request, engine)
    except InvalidRequest:
        return False
    return job.modality in engine.can.outputs and {m.modality for m in job.inputs} <= engine.can.inputs


def _noted(draft: Draft, note: str) -> Draft:
    return replace(draft, record=replace(draft.record, notes=(*draft.record.notes, note)))


def _redacted(media: Media, verdict: Verdict) -> Media:
    try:
        return redact(media, verdict)
    except UnsupportedMedia:  # a finding without a place cannot be painted over
        raise SafetyBlocked("policy wants a part removed that cannot be located", verdict) from None


def _released(text: str) -> Iterator[ReleasedText]:
    if text:
        yield ReleasedText(text)
