"""At start-up: close what a crash left open. Idempotent; run before the first request.

For every intent that is still open:
1. find the entry that closed it in the log, if the crash came between the leaf and the registry row
2. released: rebuild the registry row from the entry and the stored bytes, so that the output can be fetched
3. held: rebuild its place in the queue from the entry and the sealed draft
4. closed otherwise: take over that state
5. not closed at all: log ``generation.aborted``; no media of it left (text may have streamed before the crash)

What was reserved for those that were cut off counts no more (``gensafe.registry.usage``).
Then, 6., log the claim signatures that no entry accounts for as discarded.

A held intent stays held, unless its decision was being carried out: then 1, 2 and 4 apply, and what is not closed is
carried out anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gensafe import media as codecs
from gensafe.audit import entries
from gensafe.audit.log import LoggedEntry
from gensafe.core import ids
from gensafe.core.errors import RegistryError, RegistryUnavailable
from gensafe.core.types import Modality
from gensafe.media.fingerprint import fingerprint
from gensafe.pipeline.chain import Chain
from gensafe.pipeline.finish import discard_signatures
from gensafe.pipeline.held import unpack
from gensafe.pipeline.ledger import STATES, Attempt
from gensafe.pipeline.spending import settle_what_is_left
from gensafe.registry import Intent, IntentState, Record
from gensafe.safety.receipt import verdict_dict

CLOCK_SLACK_MS = 60_000  # an intent and its log entry are stamped by two reads of one clock


def recover(chain: Chain) -> int:
    """Close every open intent; returns how many there were.

    Raises:
        LogUnavailable, RegistryError: start-up must fail rather than serve over an unclean state.
    """
    pending = chain.registry.open_intents()
    for item in chain.registry.reviews.decided():
        held = chain.registry.intent(item.key)
        if held is not None and held.state is IntentState.HELD:
            pending.append(held)
    for intent in pending:
        found = _last_entry(chain, intent)  # 1.
        event = "" if found is None else found.entry["event"]
        if found is not None and event == entries.RELEASED:
            chain.registry.put_released(_record(chain, found, intent))  # 2.
        elif found is not None and event in STATES:
            chain.registry.close_intent(intent.key, STATES[event], found.index)  # 4.
        elif intent.state is IntentState.OPEN and not (found is not None and _hold_again(chain, intent, found)):  # 3.
            attempt = Attempt(intent.key, intent.record_id, Modality(intent.modality), intent.opened_index)
            chain.ledger.aborted(attempt)  # 5.
    settle_what_is_left(chain)
    discard_signatures(chain, None, "crash")  # 6.
    if chain.ledger.settle():
        raise RegistryUnavailable("could not close what a crash left open", fix="see the messages above")
    return len(pending)


def _last_entry(chain: Chain, intent: Intent) -> LoggedEntry | None:
    """The entry that closed a record, or else the one that held its output."""
    start = intent.opened_index if intent.opened_index >= 0 else chain.log.index_at(intent.created_ms - CLOCK_SLACK_MS)
    wanted = ids.record_id_text(intent.record_id)
    held = None
    for logged in chain.log.entries(start):
        if logged.entry.get("record_id") == wanted:
            if logged.entry["event"] in entries.FINAL_STATES:
                return logged
            if logged.entry["event"] == entries.HELD:
                held = logged
    return held


def _hold_again(chain: Chain, intent: Intent, held: LoggedEntry) -> bool:
    """Queue an output whose entry is durable and whose queue row is not; False if its draft cannot be opened."""
    entry = held.entry
    data = _copy(chain, entry["draft"])
    if data is None:
        return False
    judged = unpack(data)
    chain.registry.reviews.hold(
        review_id=entry["review_id"],
        key=intent.key,
        record_id=intent.record_id,
        modality=Modality(intent.modality),
        draft=entry["draft"],
        verdict=verdict_dict(judged.verdict),
        held_index=held.index,
        retract_from=0 if entry["bytes_released"] else -1,  # where exactly is not logged: all of it
    )
    return True


def _copy(chain: Chain, digest: str) -> bytes | None:
    """The stored output; None if it is not kept or cannot be opened: the registry that had its key may be lost."""
    try:
        return chain.registry.get_blob(digest)
    except RegistryUnavailable:
        raise
    except RegistryError:
        return None


def _record(chain: Chain, logged: LoggedEntry, intent: Intent) -> Record:
    entry: Mapping[str, Any] = logged.entry
    data = _copy(chain, entry["output"]["digest"])
    media_type = entry["output"]["media_type"]
    return Record(
        record_id=intent.record_id,
        request_id=intent.request_id,
        tenant=intent.tenant,
        modality=Modality(entry["modality"]),
        media_type=media_type,
        digest=entry["output"]["digest"],
        manifest_digest=entry["manifest"]["digest"],
        manifest_label=entry["manifest"]["label"],
        watermark_scheme=entry["watermark"]["scheme"],
        watermark_payload=bytes.fromhex(entry["watermark"]["payload"]),
        key_epoch=ids.watermark_epoch(entry["watermark"]["key_id"]),
        fingerprint=fingerprint(codecs.decode(data, media_type)) if data is not None else {},
        log_index=logged.index,
        leaf_hash=logged.leaf_hash,
        created_ms=logged.time_ms,
        subject=entry.get("subject", ""),
    )
