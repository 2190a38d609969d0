"""At start-up: close what a crash left open. Idempotent; run before the first request.

For every intent that is still open:
1. find the entry that closed it in the log, if the crash came between the leaf and the registry row
2. released: rebuild the registry row from the entry and the stored bytes, so that the output can be fetched
3. closed otherwise: take over that state
4. not closed at all: log ``generation.aborted``; no media of it left (text may have streamed before the crash)

A held intent stays held, unless its decision was being carried out: then 1 to 3 apply, and what is not closed is
carried out anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gensafe import media as codecs
from gensafe.audit import entries
from gensafe.audit.log import LoggedEntry
from gensafe.core import ids
from gensafe.core.types import Modality
from gensafe.media.fingerprint import fingerprint
from gensafe.pipeline.chain import Chain
from gensafe.registry import Intent, IntentState, Record

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
        found = _closing_entry(chain, intent)  # 1.
        if found is None:
            if intent.state is IntentState.OPEN:
                _abort(chain, intent)  # 4.
            continue
        event = found.entry["event"]
        if event == entries.RELEASED and chain.registry.by_record_id(intent.record_id) is None:
            chain.registry.put(_record(chain, found, intent))  # 2.
        state = IntentState(event.removeprefix("generation."))
        chain.registry.close_intent(intent.key, state, found.index)  # 3.
    return len(pending)


def _closing_entry(chain: Chain, intent: Intent) -> LoggedEntry | None:
    start = intent.opened_index if intent.opened_index >= 0 else chain.log.index_at(intent.created_ms - CLOCK_SLACK_MS)
    wanted = ids.record_id_text(intent.record_id)
    for logged in chain.log.entries(start):
        if logged.entry.get("record_id") == wanted and logged.entry["event"] in entries.FINAL_STATES:
            return logged
    return None


def _abort(chain: Chain, intent: Intent) -> None:
    appended = chain.log.append(
        entries.ended(
            entries.ABORTED,
            request_id=intent.request_id,
            record_id=intent.record_id,
            tenant=intent.tenant,
            modality=Modality(intent.modality),
            reason="CRASH",
            opened_index=intent.opened_index,
        )
    )
    chain.registry.close_intent(intent.key, IntentState.ABORTED, appended.index)


def _record(chain: Chain, logged: LoggedEntry, intent: Intent) -> Record:
    entry: Mapping[str, Any] = logged.entry
    data = chain.registry.get_blob(entry["output"]["digest"])
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
    )
