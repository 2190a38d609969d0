"""One request from prompt to released bytes.

1.  check the request                         -> Checked
2.  claim the request id, reserve its use     -> Claimed, or replay what was released under it
3.  judge prompt and inputs
4.  durable intent in the log                 -> Admission
5.  generate                                  -> Draft
6.  judge the output                          -> Judged, or Held for a person (see ``review``); count what was used
7.  mark, encode, detect on the encoded bytes -> Marked
8.  sign, verify on the signed bytes          -> Signed
9.  store, durable leaf in the log            -> Recorded
10. release                                   -> Released

There is no way around a step: each takes the type that only the step before it makes. Whatever goes wrong
after 4 is closed in the log as blocked, cancelled or failed, and nothing leaves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from gensafe.audit import entries
from gensafe.core.errors import Cancelled, DeadlineExceeded, GensafeError, SafetyBlocked
from gensafe.core.observer import Stopwatch, timed
from gensafe.core.types import Admission, GenerationRequest, Judged, Marked, Progress, Text
from gensafe.core.types.usage import Usage
from gensafe.pipeline.admit import Claimed, admit, check, claim
from gensafe.pipeline.chain import Chain
from gensafe.pipeline.events import Accepted, CallControl, Judgement, PipelineEvent, ReleasedText, Stopped
from gensafe.pipeline.finish import discard_signatures, record, release, sign, tokenizer_of
from gensafe.pipeline.ledger import Attempt, Step
from gensafe.pipeline.produce import ForReview, produce
from gensafe.pipeline.replay import replay
from gensafe.pipeline.review import held_event, hold
from gensafe.pipeline.spending import settle, usage_of
from gensafe.pipeline.watched import watched
from gensafe.registry import Intent, IntentState

log = logging.getLogger("gensafe.pipeline")


@dataclass(slots=True)
class _Course:
    """How far a request came, for the entry that closes it."""

    step: Step = Step.ADMIT
    admission: Admission | None = None
    streamed: int = 0  # bytes of text that left
    engine: Stopwatch = field(default_factory=Stopwatch)
    usage: Usage | None = None  # once it is counted


def run(chain: Chain, request: GenerationRequest, control: CallControl) -> Iterator[PipelineEvent]:
    """Serve one request. Blocking; run it in a worker thread.

    Raises:
        GensafeError: see the steps. A policy stop is not an error: it ends the run with ``Stopped``.
    """
    with chain.ledger.running():
        yield from watched(chain.observe, request, _run(chain, request, control))


def _run(chain: Chain, request: GenerationRequest, control: CallControl) -> Generator[PipelineEvent, None, None]:
    chain.keys.stops.refuse(request.tenant)
    checked = check(chain, request)  # 1.
    chain.ledger.settle(request.key)  # an earlier attempt may have ended in the log only
    claimed = claim(chain, request, checked)  # 2.
    if isinstance(claimed, Intent):
        held = chain.registry.reviews.of_request(claimed.key) if claimed.state is IntentState.HELD else None
        again = held_event(held) if held else replay(chain, claimed)
        yield replace(again, usage=usage_of(chain, claimed.record_id))
        return
    safety = chain.safety(request.tenant)
    course = _Course()
    stage = partial(timed, chain.observe, modality=request.modality.value)
    try:
        chain.fault_point("claimed")
        with stage("admit"):
            admission = course.admission = admit(chain, claimed, safety)  # 3. 4.
        may_use = Usage(claimed.forecast, claimed.forecast, chain.config.usage.currency)
        yield Accepted(request.request_id, admission.record_id, admission.intent_index, checked.job.seed, may_use)
        course.step = Step.GENERATE
        made = produce(chain, admission, safety, control, course.engine)  # 5. 6.
        ended = yield from _counted(made, course, partial(chain.keys.stops.refuse, request.tenant))
        draft = ended.judged.draft if isinstance(ended, ForReview) else ended.draft
        course.usage = settle(chain, claimed, chain.meter.measured(checked.job, draft, course.engine.seconds))
        if isinstance(ended, ForReview):
            course.step = Step.HOLD
            retract = ended.retract_from if course.streamed else -1
            waits = hold(chain, ended.judged, retract_from=retract, bytes_released=course.streamed)
            yield replace(waits, usage=course.usage)
            return
        yield Judgement(ended.verdict)
        yield Progress(0, 1, "mark")
        course.step = Step.MARK
        with stage("mark"):
            marked = chain.marker.mark(ended, tokenizer_of(chain, ended))  # 7.
        if notice := _notice(ended, marked):
            course.streamed += len(notice.encode())
            yield ReleasedText(notice)
        chain.fault_point("marked")
        control.check()
        yield Progress(0, 1, "sign")
        course.step = Step.SIGN
        with stage("sign"):
            signed = sign(chain, marked)  # 8.
        chain.fault_point("signed")
        control.check()
        course.step = Step.RECORD
        with stage("record"):
            recorded = record(chain, signed)  # 9.
    except SafetyBlocked as blocked:
        done = chain.ledger.blocked(_attempt(claimed, course), blocked.verdict)
        retract = blocked.offset if course.streamed and blocked.offset is not None else -1
        usage = course.usage = course.usage or _settle_unfinished(chain, claimed, course)
        yield Stopped(request.request_id, blocked.verdict, done.index, retract, usage)
        return
    except GeneratorExit:
        _close(chain, claimed, course, entries.CANCELLED, "CANCELLED")
        raise
    except Exception as error:
        reason = error.reason if isinstance(error, GensafeError) else "INTERNAL"
        gone = isinstance(error, Cancelled | DeadlineExceeded)
        _close(chain, claimed, course, entries.CANCELLED if gone else entries.FAILED, reason)
        raise
    finally:
        if course.usage is None:
            _settle_unfinished(chain, claimed, course)
        discard_signatures(chain, claimed.record_id, "ended")
    yield replace(release(chain, recorded), usage=course.usage)  # 10.


def _counted(
    events: Generator[Progress | ReleasedText, None, Judged | ForReview], course: _Course, check: Callable[[], None]
) -> Generator[PipelineEvent, None, Judged | ForReview]:
    """Pass ``events`` on while ``check`` lets them, count the text among them, and return what they return."""
    try:
        while True:
            event = next(events)
            check()
            course.streamed += len(event.text.encode()) if isinstance(event, ReleasedText) else 0
            yield event
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        events.close()


def _settle_unfinished(chain: Chain, claimed: Claimed, course: _Course) -> Usage | None:
    """Count what a request used that came to no draft. Must not hide the error that ended it."""
    try:
        return settle(chain, claimed, chain.meter.unfinished(claimed.checked.job, course.engine.seconds))
    except GensafeError:  # what was reserved counts until the next start
        log.exception("what request %s used could not be counted", claimed.request.request_id)
        return None


def _notice(judged: Judged, marked: Marked) -> str:
    """What marking appended to a text: a visible label is part of the signed text, so it is streamed too."""
    whole, streamed = marked.judged.draft.media, judged.draft.media
    return whole.text[len(streamed.text) :] if isinstance(whole, Text) and isinstance(streamed, Text) else ""


def _attempt(claimed: Claimed, course: _Course) -> Attempt:
    opened_index = course.admission.intent_index if course.admission else -1
    modality, subject = claimed.request.modality, claimed.subject
    return Attempt(claimed.request.key, claimed.record_id, modality, opened_index, subject)


def _close(chain: Chain, claimed: Claimed, course: _Course, event: str, reason: str) -> None:
    """Log how a request ended without output. Must not hide the error that ended it."""
    try:
        chain.ledger.ended(
            _attempt(claimed, course), event, reason=reason, step=course.step, bytes_released=course.streamed
        )
    except GensafeError:  # the ledger keeps it and tries again; after a crash, recovery closes it as aborted
        log.exception("request %s could not be closed in the log", claimed.request.request_id)
