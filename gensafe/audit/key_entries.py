"""Entries about watermark keys that are committed to and, long after, published (docs/disclosure.md)."""

from __future__ import annotations

from gensafe.audit import entries
from gensafe.audit.entry_parts import Entry


def key_committed(*, key_id: str, epoch: int, commitment: str, disclose_days: int) -> Entry:
    """Before the first mark of an epoch: a hash of its key, and how long after its end the key may be published."""
    about = {
        "schema": entries.SCHEMA,
        "event": entries.KEY_COMMITTED,
        "role": "watermark",
        "key_id": key_id,
        "epoch": epoch,
    }
    return about | {"commitment": commitment, "disclose_days": disclose_days}


def key_disclosed(*, key_id: str, epoch: int, key: str, committed_index: int) -> Entry:
    """The key itself, 64 hex digits: whoever reads this can find the epoch's marks, and write them."""
    about = {
        "schema": entries.SCHEMA,
        "event": entries.KEY_DISCLOSED,
        "role": "watermark",
        "key_id": key_id,
        "epoch": epoch,
    }
    return about | {"key": key, "committed_index": committed_index}
