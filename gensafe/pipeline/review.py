"""Outputs a person must see first: hold them sealed, and carry out what the person decided.

Held:    blob (sealed for the end user, else the tenant) -> ``generation.held`` entry -> queue row and held intent.
Decided: by ``gensafe review`` or ``Registry.reviews.decide``, in any process; durable before anything acts on it.
Done:    here, by the one process that may write the log. Released: steps 7 to 9 of ``run``, and the leaf names the
         decision. Rejected: ``generation.blocked`` with the decision. Either way the draft is destroyed.

A crash at any point leaves a decided item that is not done, and the next start carries on (see ``recovery``).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gensafe.audit import entries
from gensafe.core.errors import GensafeError, LogUnavailable, RegistryError
from gensafe.core.observer import RequestEnded
from gensafe.core.types import Judged, Modality, Review
from gensafe.pipeline.chain import Chain
from gensafe.pipeline.events import Held, Released, Stopped
from gensafe.pipeline.finish import discard_signatures, owner_of, record, sign, tokenizer_of
from gensafe.pipeline.held import pack, unpack
from gensafe.pipeline.ledger import Attempt, Step
from gensafe.pipeline.orders import carry_out_orders
from gensafe.pipeline.replay import logged_verdict, replay
from gensafe.pipeline.spending import usage_of
from gensafe.registry import HeldOutput, Intent, IntentState, ReviewDecision, new_review_id
from gensafe.safety.receipt import verdict_dict

log = logging.getLogger("gensafe.pipeline")


def hold(chain: Chain, judged: Judged, *, retract_from: int, bytes_released: int) -> Held:
    """Keep a judged draft for a person.

    Raises:
        LogUnavailable, RegistryError: not held; the caller closes the request as failed.
    """
    request = judged.admission.request
    review_id = new_review_id()
    draft = chain.registry.put_blob(pack(judged), owner=owner_of(chain, judged.admission))
    appended = chain.ledger.held(
        judged, review_id=review_id, draft=draft, retract_from=retract_from, bytes_released=bytes_released
    )
    return Held(
        request_id=request.request_id,
        record_id=judged.admission.record_id,
        review_id=review_id,
        categories=_categories(verdict_dict(judged.verdict)),
        log_index=appended.index,
        retract_from=retract_from,
    )


def held_event(item: HeldOutput) -> Held:
    """What a caller is told when it asks again under the same request id."""
    return Held(
        request_id=item.request_id,
        record_id=item.record_id,
        review_id=item.review_id,
        categories=_categories(item.verdict),
        log_index=item.held_index,
        retract_from=item.retract_from,
    )


def _categories(verdict: Mapping[str, Any]) -> tuple[str, ...]:
    hits = [d["category"] for d in verdict["decisions"] if d["action"] == verdict["action"]]
    return tuple(dict.fromkeys(hits))


def standing(chain: Chain, held: Held) -> Held | Released | Stopped | None:
    """How a held output stands by now: it waits, was released, or was rejected.

    None: it came to nothing, the log says why, and asking for it again under its request id generates anew.

    Raises:
        NotFound: it was released, and its copy was erased since.
    """
    chain.ledger.settle()
    if chain.ledger.owes(held.record_id):  # the log has it, the registry does not yet
        return held
    item = chain.registry.reviews.get(held.review_id)
    intent = chain.registry.intent(item.key)
    if intent is None or intent.record_id != held.record_id:
        return None
    return held if intent.state is IntentState.HELD else outcome(chain, intent)


def outcome(chain: Chain, intent: Intent) -> Held | Released | Stopped | None:
    """What came of a request that has ended or is held, as log and registry have it; None: nothing.

    Raises:
        NotFound: it was released, and its copy was erased since.
    """
    usage = usage_of(chain, intent.record_id)
    match intent.state:
        case IntentState.HELD:
            item = chain.registry.reviews.of_request(intent.key)
            return None if item is None else replace(held_event(item), usage=usage)
        case IntentState.RELEASED:
            return replace(replay(chain, intent), usage=usage)
        case IntentState.BLOCKED:
            logged = chain.log.entry(intent.final_index).entry["verdicts"][-1]
            verdict = logged_verdict(logged, Modality(intent.modality))
            return Stopped(intent.request_id, verdict, intent.final_index, usage=usage)
    return None


def carry_out_decisions(chain: Chain) -> int:
    """Act on every decision and order that nobody has acted on; returns how many decisions. One thread at a time.

    An output that cannot be finished is closed in the log as failed; a log or registry that cannot be written leaves
    it for the next call.

    Raises:
        LogUnavailable, RegistryError: as said.
    """
    chain.ledger.settle()
    carry_out_orders(chain.registry, chain.log, chain.keys)
    items = [item for item in chain.registry.reviews.decided() if not chain.ledger.owes(item.record_id)]
    for item in items:
        _carry_out(chain, item)
    return len(items)


def _carry_out(chain: Chain, item: HeldOutput) -> None:
    intent = chain.registry.intent(item.key)
    if intent is not None and intent.state is IntentState.HELD and intent.record_id == item.record_id:
        if item.decision is ReviewDecision.RELEASED:
            _release(chain, item)
        else:
            _reject(chain, item)
        if chain.ledger.owes(item.record_id):  # logged; the queue follows when the registry can be written
            return
    # else it was closed before, by recovery or by the ledger
    chain.registry.reviews.finish(item.review_id)
    chain.registry.drop_blob(item.draft)


def _release(chain: Chain, item: HeldOutput) -> None:
    try:
        data = chain.registry.get_blob(item.draft)
        held = None if data is None else unpack(data)
    except RegistryError as error:  # the tables answered just now, so it is the draft: it must not stop the server
        log.warning("the held output %s cannot be opened: %s", item.review_id, error)
        _fail(chain, item, error.reason)
        return
    if held is None:  # the subject was erased meanwhile
        _fail(chain, item, "ERASED")
        return
    judged = replace(held, review=_review(chain, item))
    try:
        try:
            marked = chain.marker.mark(judged, tokenizer_of(chain, judged))
            signed = sign(chain, marked)
        except (LogUnavailable, RegistryError):
            raise
        except Exception as error:
            log.exception("the released output %s could not be finished", item.review_id)
            _fail(chain, item, error.reason if isinstance(error, GensafeError) else "INTERNAL")
            return
        record(chain, signed)
    finally:
        discard_signatures(chain, item.record_id, "ended")
    _tell(chain, item, "review_released", bytes_released=len(signed.data))


def _reject(chain: Chain, item: HeldOutput) -> None:
    held = _held_entry(chain, item)
    chain.ledger.rejected(_attempt(item, held), held, _review(chain, item))
    _tell(chain, item, "review_rejected")


def _fail(chain: Chain, item: HeldOutput, reason: str) -> None:
    attempt = _attempt(item, _held_entry(chain, item))
    chain.ledger.ended(attempt, entries.FAILED, reason=reason, step=Step.REVIEW)
    _tell(chain, item, "review_failed", reason)


def _tell(chain: Chain, item: HeldOutput, outcome: str, reason: str = "", bytes_released: int = 0) -> None:
    chain.observe(RequestEnded(item.modality.value, outcome, reason, item.key.tenant, bytes_released))


def _attempt(item: HeldOutput, held: Mapping[str, Any]) -> Attempt:
    opened = int(held["opened_index"])
    return Attempt(item.key, item.record_id, item.modality, opened, str(held.get("subject", "")))


def _held_entry(chain: Chain, item: HeldOutput) -> Mapping[str, Any]:
    return chain.log.entry(item.held_index).entry


def _review(chain: Chain, item: HeldOutput) -> Review:
    return Review(
        review_id=item.review_id,
        decision=item.decision.value if item.decision else "",
        reviewer=chain.registry.pseudonym(f"reviewer:{item.reviewer}"),
        reason_digest=chain.registry.keyed_digest("review reason", item.reason.encode("utf-8", "replace")),
        decided_ms=item.decided_ms,
    )
