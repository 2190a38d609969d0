"""Change keys so that whoever uses them follows: the running server, or this command where none runs.

A change is an order (see ``gensafe.pipeline.orders``): the process that has the log open uses the new keys first, then
logs the change. What a key still protects moves to its successor before the key is revoked: the log's head is signed
anew, subjects' keys are wrapped anew.
"""

from __future__ import annotations

from typing import Any

from gensafe.cli.orders import have_done
from gensafe.installation import Installation
from gensafe.keys import KeyInfo, KeyRing, Role, State
from gensafe.registry import OrderKind

_MOVES_FIRST = (Role.CHECKPOINT, Role.KEK)


class Changes:
    """Changes of one ring; ``log_index`` is the entry of the last one.

    Args:
        home: The installation.
        ring: Its keys, open for writing.
    """

    def __init__(self, home: Installation, ring: KeyRing) -> None:
        self._home, self._ring = home, ring
        self._registry = home.open_registry(ring)
        self.log_index = -1

    def rotate(self, role: Role) -> KeyInfo:
        """Make a new active key.

        Raises:
            KeyError_, LogUnavailable: not made; or made and not logged yet, which the message says.
        """
        old = self._ring.active(role)
        new = self._ring.rotate(role)
        self._log(role, old.key_id if old else "", new.key_id, "rotated")
        return new

    def revoke(self, key_id: str, reason: str) -> KeyInfo:
        """Withdraw a key permanently.

        1. Where something still depends on it, that moves to its successor. 2. The key is revoked. 3. Log it.

        Raises:
            KeyError_, LogUnavailable: not revoked; or revoked and not logged yet.
        """
        info = next((k for k in self._ring.keys() if k.key_id == key_id and k.state is not State.REVOKED), None)
        if info is not None and info.role in _MOVES_FIRST:  # 1.
            if info.state is State.ACTIVE:
                self.rotate(info.role)
            elif info.role is Role.KEK:
                self._log(info.role, key_id, self._ring.kek_id, "wrapped anew")
        revoked = self._ring.revoke(key_id, reason)  # 2.
        successor = self._ring.active(revoked.role)
        self._log(revoked.role, key_id, successor.key_id if successor else "", "revoked")  # 3.
        return revoked

    def take_in(self, key_pem: bytes | None, chain_pem: bytes, root_pem: bytes) -> KeyInfo:
        """Install a claim key from outside (``KeyRing.import_claim``)."""
        old = self._ring.active(Role.CLAIM)
        new = self._ring.import_claim(key_pem, chain_pem, root_pem)
        self._log(Role.CLAIM, old.key_id if old else "", new.key_id, "imported")
        return new

    def disclose(self, epoch: int) -> dict[str, Any]:
        """Publish the key of a retired watermark epoch; returns where it stands in the log.

        Raises:
            RegistryError, LogUnavailable: it cannot be disclosed, or not yet; or the running server did not answer.
        """
        return have_done(self._registry, self._home, self._ring, OrderKind.DISCLOSE, {"epoch": epoch})

    def _log(self, role: Role, old: str, new: str, reason: str) -> None:
        if not self._home.has_log:
            self._home.open_log(self._ring).close()
        body = {"role": role.value, "old": old, "new": new, "reason": reason}
        self.log_index = int(have_done(self._registry, self._home, self._ring, OrderKind.KEY, body)["log_index"])

    def __enter__(self) -> Changes:
        return self

    def __exit__(self, *_: object) -> None:
        self._registry.close()
