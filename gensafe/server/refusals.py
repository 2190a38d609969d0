"""Refused calls, for the log: counted, and written as one entry a minute and tenant.

Whoever is refused could fill the log with entries; so the first refusal is written at the next look (two seconds), and
what follows within a minute is one entry at its end. A process that is killed loses at most that minute.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from gensafe.audit import entries
from gensafe.core.ports import Clock

EVERY_S: Final = 60.0  # one entry a minute and tenant: 1,440 a day at worst. Chosen
CODES: Final = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED", "401", "403"})  # gRPC's and HTTP's


class Refusals:
    """Refused calls of one process. Safe between threads.

    Args:
        clock: Dates them.
        now: Seconds, monotonic.
    """

    def __init__(self, clock: Clock, now: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._now = clock, now
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[str]] = {}  # by tenant; "" = nobody knows whose
        self._since_ms: dict[str, int] = {}
        self._written: dict[str, float] = {}

    def note(self, tenant: str, method: str, code: str) -> None:
        """Count a call that ended with ``code``, if that is a refusal. ``method``: as served, never as written."""
        if code not in CODES:
            return
        with self._lock:
            if tenant not in self._counts:
                self._counts[tenant] = Counter()
                self._since_ms[tenant] = self._clock.now_ms()
            self._counts[tenant][f"{code} {method}"] += 1

    def write(self, append: Callable[[entries.Entry], Any], *, everything: bool = False) -> int:
        """Log what is due, or ``everything``; returns how many entries. What cannot be written is due again.

        Raises:
            LogUnavailable: not logged yet.
        """
        count = 0
        for tenant in list(self._counts):
            now = self._now()
            if not everything and now - self._written.get(tenant, -EVERY_S) < EVERY_S:
                continue
            with self._lock:
                refused, since_ms = self._counts.pop(tenant), self._since_ms.pop(tenant)
            try:
                append(entries.access_refused(refused=refused, since_ms=since_ms, tenant=tenant))
            except BaseException:
                with self._lock:
                    self._counts[tenant] = refused + self._counts.get(tenant, Counter())
                    self._since_ms[tenant] = since_ms
                raise
            self._written[tenant] = now
            count += 1
        return count
