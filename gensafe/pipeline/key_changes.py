"""Take over what ``gensafe keys`` changed on disk, in the one process that has the log open.

Claim, time-stamp and watermark keys are taken from the key ring at each use (see ``signing``, ``marking``). Two are in
use all the time: the log's, which signs the next checkpoint, and the key-encryption key, under which the registry keeps
every subject's key. Both change here, at an order of ``gensafe keys`` and whenever the watcher finds another ring.
"""

from __future__ import annotations

from gensafe.audit import AuditLog
from gensafe.keys import KeyRing
from gensafe.registry import Registry


def take_over(keys: KeyRing, log: AuditLog, registry: Registry, *, rewrap: bool = False) -> None:
    """Use the keys that are active on disk now.

    1. Read the ring. 2. The next checkpoint is signed by the active key. 3. Subjects' keys are wrapped under the active
    key-encryption key, so that the one before can be revoked.

    Args:
        keys: The ring, refreshed here.
        log: Open for writing.
        registry: Whose subjects' keys are wrapped.
        rewrap: Do 3 also where this process has the active key already: rows may be older than it.

    Raises:
        KeyError_: the ring cannot be read; what was in use stays in use.
        RegistryUnavailable: as ``Registry.rewrap``.
    """
    keys.refresh()  # 1.
    if log.public_key.public_bytes_raw() != keys.checkpoint_public_key().public_bytes_raw():
        log.sign_with(keys.checkpoint_private_key())  # 2.
    if rewrap or registry.kek_id != keys.kek_id:
        registry.rewrap(keys.kek())  # 3.
