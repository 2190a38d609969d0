"""Whether the log and the registry of a data folder belong together, and what to do where one is older.

Both are in one folder, and a backup may bring back one without the other:
- an older log beside a newer registry: the log would go on as a fork of the one that was handed out. Refused.
- an older registry beside a newer log: the log is the truth, so what the registry lost is restored from it.
"""

from __future__ import annotations

from typing import Final

from gensafe.audit import LogReader, entries
from gensafe.audit.log import AuditLog
from gensafe.core import ids
from gensafe.core.errors import LogCorrupt
from gensafe.core.types import RequestKey
from gensafe.registry import Intent, IntentState, Registry

RESTORED: Final = "restored from the log"  # in place of a request digest, which the log does not have
_FIX: Final = "put back the newer log, or the registry and the log of one backup"


def disagreements(log: LogReader, registry: Registry, *, newest_only: bool = False) -> list[str]:
    """What the registry says about the log and the log does not confirm; works beside a running server.

    Args:
        log: Of the data folder.
        registry: Of the same data folder.
        newest_only: Compare the newest record only, not every record.
    """
    newest, leaves = registry.newest_index(), registry.leaves(newest_only=newest_only)
    size = log.size  # read after the registry: a running server appends first
    if newest >= size:
        return [f"the registry points to log entry {newest}, the log has {size} entries: an older log was put back"]
    return [
        f"the registry names another leaf for log entry {index}: the log was replaced or rewritten"
        for index, leaf in leaves
        if index >= 0 and log.leaf_hash(index).hex() != leaf
    ]


def check_agreement(log: LogReader, registry: Registry) -> None:
    """Refuse to go on with a log that is older than the registry.

    Raises:
        LogCorrupt: it is, or it is another log.
    """
    found = disagreements(log, registry, newest_only=True)
    if found:
        raise LogCorrupt(found[0], fix=_FIX)


def restore_lost_intents(log: AuditLog, registry: Registry) -> int:
    """Make an open intent of every request that the log has behind what the registry knows; returns how many.

    Recovery then finds how each ended: it rebuilds released records and held outputs and closes the rest.
    """
    count = 0
    for logged in log.entries(registry.newest_index() + 1):
        entry = logged.entry
        if entry["event"] not in (entries.OPENED, entries.HELD, *entries.FINAL_STATES):
            continue
        key, record_id = RequestKey(entry["tenant"], entry["request_id"]), ids.parse_record_id(entry["record_id"])
        known = registry.intent(key)
        if known is not None and (known.record_id == record_id or known.final_index >= logged.index):
            continue
        opened = logged.index if entry["event"] == entries.OPENED else int(entry.get("opened_index", -1))
        registry.restore_intent(
            Intent(
                request_id=key.request_id,
                request_digest=RESTORED if known is None else known.request_digest,
                tenant=key.tenant,
                record_id=record_id,
                modality=entry["modality"],
                opened_index=opened if opened >= 0 else logged.index,
                state=IntentState.OPEN,
                final_index=-1,
                created_ms=logged.time_ms,
            )
        )
        count += 1
    return count
