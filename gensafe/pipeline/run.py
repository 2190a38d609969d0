"""One request from prompt to released bytes.

1.  check the request                         -> Checked
2.  claim the request id                      -> Claimed, or replay what was released under it
3.  judge prompt and inputs
4.  durable intent in the log                 -> Admission
5.  generate                                  -> Draft
6.  judge the output                          -> Judged, or Held for a person (see ``review``)
7.  mark, encode, detect on the encoded bytes -> Marked
8.  sign, verify on the signed bytes          -> Signed
9.  store, durable leaf in the log            -> Recorded
10. release                                   -> Released

There is no way around a step: each takes the type that only the step before it makes. Whatever goes wrong
after 4 is closed in the log as blocked, cancelled or failed, and nothing leaves.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from gensafe.audit import entries
from gensafe.core.errors import Cancelled, DeadlineExceeded, GensafeError, SafetyBlocked
from gensafe.core.types import Admission, GenerationRequest, Judged, Progress, Text
from gensafe.pipeline.admit import Claimed, admit, check, claim
from gensafe.pipeline.chain import Chain
from gensafe.pipeline.events import Accepted, CallControl, Judgement, PipelineEvent, ReleasedText, Stopped
from gensafe.pipeline.finish import record, release, sign
from gensafe.pipeline.produce import ForReview, produce
from gensafe.pipeline.replay import replay
from gensafe.pipeline.review import held_event, hold
from gensafe.registry import Intent, IntentState

log = logging.getLogger("gensafe.pipeline")


def run(chain: Chain, request: GenerationRequest, control: CallControl) -> Iterator[PipelineEvent]:
    """Serve one request. Blocking; run it in a worker thread.

    Raises:
        GensafeError: see the steps. A policy stop is not an error: it ends the run with ``Stopped``.
    """
    checked = check(chain, request)  # 1.
    claimed = claim(chain, request, checked)  # 2.
    if isinstance(claimed, Intent):
        held = chain.registry.reviews.of_request(claimed.key) if claimed.state is IntentState.HELD else None
        yield held_event(held) if held else replay(chain, claimed)
        return
    safety = chain.safety(request.tenant)
    admission: Admission | None = None
    streamed = 0
    stage = "admit"
    try:
        admission = admit(chain, claimed, safety)  # 3. 4.
        yield Accepted(request.request_id, admission.record_id, admission.intent_index, checked.job.seed)
        stage = "generate"
        judged: Judged | None = None
        for event in produce(chain, admission, safety, control):  # 5. 6.
            if isinstance(event, Judged):
                judged = event
            elif isinstance(event, ForReview):
                stage = "hold"
                retract = event.retract_from if streamed else -1
                yield hold(chain, event.judged, retract_from=retract, bytes_released=streamed)
                return
            else:
                streamed += len(event.text.encode()) if isinstance(event, ReleasedText) else 0
                yield event
        if judged is None:
            raise AssertionError("produce ends with Judged")
        yield Judgement(judged.verdict)
        yield Progress(0, 1, "mark")
        stage = "mark"
        marked = chain.marker.mark(judged, chain.backends[request.model or chain.default_model])  # 7.
        if isinstance(marked.judged.draft.media, Text) and isinstance(judged.draft.media, Text):
            notice = marked.judged.draft.media.text[len(judged.draft.media.text) :]
            if notice:  # a visible label is part of the signed text, so it is part of the streamed text
                yield ReleasedText(notice)
        chain.at("marked")
        control.check()
        yield Progress(0, 1, "sign")
        stage = "sign"
        signed = sign(chain, marked)  # 8.
        chain.at("signed")
        control.check()
        stage = "record"
        recorded = record(chain, signed)  # 9.
    except SafetyBlocked as blocked:
        yield _blocked(chain, claimed, admission, blocked, streamed)
        return
    except GeneratorExit:
        _close(chain, claimed, admission, entries.CANCELLED, "CANCELLED", stage, streamed)
        raise
    except Exception as error:
        reason = error.reason if isinstance(error, GensafeError) else "INTERNAL"
        gone = isinstance(error, Cancelled | DeadlineExceeded)
        _close(chain, claimed, admission, entries.CANCELLED if gone else entries.FAILED, reason, stage, streamed)
        raise
    yield release(chain, recorded)  # 10.


def _blocked(
    chain: Chain, claimed: Claimed, admission: Admission | None, blocked: SafetyBlocked, streamed: int
) -> Stopped:
    """Log a policy stop: categories and digests, never content."""
    request = claimed.request
    appended = chain.log.append(
        entries.blocked(
            request_id=request.request_id,
            record_id=claimed.record_id,
            tenant=request.tenant,
            modality=request.modality,
            stage=blocked.verdict.stage,
            verdict_=blocked.verdict,
            opened_index=admission.intent_index if admission else -1,
        )
    )
    chain.registry.close_intent(request.key, IntentState.BLOCKED, appended.index)
    retract = blocked.offset if streamed and blocked.offset is not None else -1
    return Stopped(request.request_id, blocked.verdict, appended.index, retract)


def _close(
    chain: Chain, claimed: Claimed, admission: Admission | None, event: str, reason: str, stage: str, streamed: int
) -> None:
    """Log how a request ended without output. Must not hide the error that ended it."""
    request = claimed.request
    try:
        appended = chain.log.append(
            entries.ended(
                event,
                request_id=request.request_id,
                record_id=claimed.record_id,
                tenant=request.tenant,
                modality=request.modality,
                reason=reason,
                opened_index=admission.intent_index if admission else -1,
                stage=stage,
                bytes_released=streamed,
            )
        )
        state = IntentState.CANCELLED if event == entries.CANCELLED else IntentState.FAILED
        chain.registry.close_intent(request.key, state, appended.index)
    except GensafeError:
        # The intent stays open: recovery closes it as aborted at the next start.
        log.exception("request %s could not be closed in the log", request.request_id)
