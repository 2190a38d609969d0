"""API keys that ``gensafe keys api`` makes, as one process knows them: read again every two seconds by the watcher.

A key that was revoked, replaced or made elsewhere counts here after the next look; one that expires, at that moment.
"""

from __future__ import annotations

import hashlib
import threading
import time
from typing import Final

from gensafe.core.errors import IdentityUnavailable, Unauthenticated
from gensafe.core.ports import Clock
from gensafe.registry import ApiKey, ApiKeyTable, KeyState
from gensafe.registry.api_keys import DAY_MS
from gensafe.server.api_keys import Keys
from gensafe.server.identity import Identity

# without a look for so long nobody knows which keys were revoked: 30 looks of server.watch. Chosen
STALE_S: Final = 60.0
_REFUSALS: Final = {
    KeyState.EXPIRED: "the API key has expired",
    KeyState.REVOKED: "the API key was revoked",
    KeyState.PENDING: "the API key is not in force yet: the log does not have it",
}


class ManagedKeys(Keys):
    """The keys of one registry. Safe between threads.

    Args:
        table: Where they are.
        clock: Says which have expired.

    Raises:
        RegistryUnavailable: they cannot be read now.
    """

    def __init__(self, table: ApiKeyTable, clock: Clock) -> None:
        self._table, self._clock = table, clock
        self._lock = threading.Lock()
        self._used: set[str] = set()
        self._noted: set[tuple[str, int]] = set()
        self._keys: dict[str, ApiKey] = {}
        self._read_at = 0.0
        self.refresh()

    def identify(self, key: str) -> Identity | None:
        """As ``server.api_keys.Keys``."""
        found = self._keys.get("sha256:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest())
        if time.monotonic() - self._read_at > STALE_S:
            raise IdentityUnavailable("API keys cannot be checked now", fix="try again")
        if found is None:
            return None
        state = found.state(self._clock.now_ms())
        if state is not KeyState.ACTIVE:
            raise Unauthenticated(_REFUSALS[state], fix="ask the operator for another")
        with self._lock:
            self._used.add(found.key_id)
        return Identity(found.tenant, found.roles, key_id=found.key_id, models=found.models)

    def refresh(self) -> None:
        """Read the keys, and note the day on which those that were presented were used.

        Raises:
            RegistryUnavailable: not read; those read before count for ``STALE_S``.
        """
        began = time.monotonic()
        self._keys = {key.digest: key for key in self._table.all()}
        self._read_at = began
        day = self._clock.now_ms() // DAY_MS
        with self._lock:
            used = {key_id for key_id in self._used if (key_id, day) not in self._noted}
            self._used.clear()
        if used:
            self._table.used(frozenset(used), day)
            self._noted = {(key_id, at) for key_id, at in self._noted if at == day} | {(key, day) for key in used}
