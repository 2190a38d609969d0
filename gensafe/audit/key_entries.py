"""Entries about watermark keys that are committed to and published (docs/disclosure.md), and about stopped tenants."""

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


def tenant_switched(event: str, *, tenant: str, actor: str, reason: str) -> Entry:
    """Generation was stopped for a tenant, or goes on (docs/keys.md).

    Args:
        event: ``TENANT_STOPPED`` or ``TENANT_RESTORED``.
        tenant: Which.
        actor: A pseudonym.
        reason: Keyed digest of the operator's words.
    """
    return {"schema": entries.SCHEMA, "event": event, "tenant": tenant, "actor": actor, "reason": reason}
