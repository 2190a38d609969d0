"""Tell the observer how a request ended."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace

from gensafe.core.errors import Cancelled, DeadlineExceeded, GensafeError, QuotaExceeded
from gensafe.core.observer import Observer, QuotaRefused, RequestEnded
from gensafe.core.types import Action, GenerationRequest, Verdict
from gensafe.pipeline.events import Held, PipelineEvent, Released, Stopped

UNEXAMINED = "unexamined"  # stopped because something could not be examined, not for a category


def watched(
    observe: Observer, request: GenerationRequest, events: Generator[PipelineEvent, None, None]
) -> Iterator[PipelineEvent]:
    """Pass the events of one request on, then report its end."""
    ending = RequestEnded(request.modality.value, "failed", "INTERNAL", request.tenant)
    try:
        with closing(events):
            for event in events:
                ending = _ending(ending, event)
                yield event
    except GeneratorExit:
        if ending.reason == "INTERNAL":
            ending = replace(ending, outcome="cancelled", reason=Cancelled.reason)
        raise
    except GensafeError as error:
        ending = ended_by(request, error)
        if isinstance(error, QuotaExceeded):
            observe(QuotaRefused(request.modality.value, request.tenant, error.budget))
        raise
    finally:
        observe(ending)


def ended_by(request: GenerationRequest, error: GensafeError) -> RequestEnded:
    """How a request ended that an error ended."""
    outcome = "cancelled" if isinstance(error, Cancelled | DeadlineExceeded) else "failed"
    return RequestEnded(request.modality.value, outcome, error.reason, request.tenant)


def _ending(so_far: RequestEnded, event: PipelineEvent) -> RequestEnded:
    match event:
        case Released():
            size = len(event.recorded.signed.data)
            outcome = "replayed" if event.replayed else "completed"
            return replace(so_far, outcome=outcome, reason="", bytes_released=size)
        case Held():
            return replace(so_far, outcome="held", reason=event.categories[0] if event.categories else UNEXAMINED)
        case Stopped():
            return replace(so_far, outcome="blocked", reason=_category(event.verdict))
    return so_far


def _category(verdict: Verdict) -> str:
    """The category that weighed most; decisions come in that order."""
    stopping = (d.finding.category for d in verdict.decisions if d.action is not Action.ALLOW)
    return next(stopping, UNEXAMINED)
