"""Delayed disclosure of watermark keys: the commitment before an epoch's first mark, the key after its last.

An epoch's marks can be read by whoever has its key, and written too. So the key is committed to in the log before it is
used, and published there when the epoch has been retired for as long as the commitment says: from then on anybody finds
its marks without us, and a mark counts only where its record was logged between the two (docs/disclosure.md).
"""

from __future__ import annotations

from threading import Lock
from typing import Any, Final

from gensafe.audit import AuditLog, LogReader, entries, key_entries
from gensafe.core.clock import SystemClock, iso
from gensafe.core.errors import AuditError, KeyError_
from gensafe.keys import KeyInfo, KeyRing, State
from gensafe.keys.epochs import commitment_to

DAY_MS: Final = 86_400_000  # 24 h


class Epochs:
    """Which watermark epoch is in use; none is before the log holds the commitment to its key.

    Args:
        keys: The ring, refreshed by whoever follows rotations.
        log: Open for writing.
        days: After its end, an epoch's key may be disclosed this much later; 0 = no commitments are logged.
    """

    def __init__(self, keys: KeyRing, log: AuditLog, days: int) -> None:
        self._keys, self._log, self._days = keys, log, days
        self._committed: set[int] = set()
        self._lock = Lock()

    def current(self) -> int:
        """The epoch that new marks carry, 0..15.

        Raises:
            LogUnavailable: its commitment cannot be logged, so nothing may be marked under it.
        """
        epoch = self._keys.current_epoch
        if self._days and epoch not in self._committed:
            with self._lock:
                if epoch not in self._committed:
                    self._commit(epoch)
                    self._committed.add(epoch)
        return epoch

    def _commit(self, epoch: int) -> None:
        info, commitment = self._keys.watermark_info(epoch), commitment_to(self._keys.watermark_master(epoch))
        if _committed(self._log, info, commitment) is None:
            entry = key_entries.key_committed(
                key_id=info.key_id, epoch=epoch, commitment=commitment, disclose_days=self._days
            )
            self._keys.note_committed(epoch, self._log.append(entry).index)


def disclosure_due(keys: KeyRing, log: LogReader, epoch: int) -> int:
    """From when on (ms) an epoch's key may be disclosed: it is retired, and a commitment to it was logged.

    Raises:
        KeyError_: it cannot be disclosed at all, or is not retired yet; says why.
    """
    info = keys.watermark_info(epoch)
    if info.state is not State.RETIRED:
        raise KeyError_(
            f"epoch {epoch} is in use: whoever has its key can write its marks",
            field="epoch",
            fix="gensafe keys rotate watermark, and disclose it when the time has come",
        )
    entry = _committed(log, info, commitment_to(keys.watermark_master(epoch)))
    if entry is None:
        raise KeyError_(
            f"the log holds no commitment to the key of epoch {epoch}, so publishing it would prove nothing",
            field="epoch",
            fix="commitments are logged from the first start with [watermark] disclose_days above 0",
        )
    return info.changed_ms + int(entry["disclose_days"]) * DAY_MS


def disclose(keys: KeyRing, log: AuditLog, epoch: int) -> dict[str, Any]:
    """Publish the key of a retired epoch in the log. Asked again, it says where it stands.

    Raises:
        KeyError_: the epoch cannot be disclosed, or not yet.
        LogUnavailable: not published.
    """
    keys.refresh()
    due = disclosure_due(keys, log, epoch)
    info = keys.watermark_info(epoch)
    found = next((e.index for e in log.entries(info.committed) if _discloses(e.entry, info)), None)
    if found is None:
        now = log.latest_plausible_ms(SystemClock().now_ms())
        if now < due:
            raise KeyError_(f"the key of epoch {epoch} may be disclosed from {iso(due)} on", field="epoch")
        entry = key_entries.key_disclosed(
            key_id=info.key_id, epoch=epoch, key=keys.watermark_master(epoch).hex(), committed_index=info.committed
        )
        found = log.append(entry).index
    if not info.disclosed_ms:
        keys.note_disclosed(epoch, log.entry(found).time_ms)
    return {"epoch": epoch, "key_id": info.key_id, "log_index": found, "committed_index": info.committed}


def _discloses(entry: Any, info: KeyInfo) -> bool:  # noqa: ANN401 - an entry of the log
    return bool(entry.get("event") == entries.KEY_DISCLOSED and entry.get("key_id") == info.key_id)


def _committed(log: LogReader, info: KeyInfo, commitment: str) -> dict[str, Any] | None:
    """The entry that commits to a key; None where there is none, or its content is not kept any more."""
    if not 0 <= info.committed < log.size:
        return None
    try:
        entry = dict(log.entry(info.committed).entry)
    except AuditError:  # pruned
        return None
    return entry if entry.get("commitment") == commitment else None
