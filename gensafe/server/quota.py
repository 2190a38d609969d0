"""What a caller may spend: requests a minute, and bytes that all callers share."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from gensafe.core.errors import Overloaded

_MAX_CLIENTS: Final = 10_000  # callers remembered; beyond it the idlest are forgotten. Chosen, not measured
_RETRY_S: Final = 2.0  # as _RETRY_AFTER_S of server.status


class RateLimiter:
    """A token bucket per client: ``per_minute`` requests a minute, as many at once.

    Args:
        per_minute: 0 = no limit.
        clock: Seconds, monotonic.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admit(self, client: str, cost: int = 1) -> float:
        """Take ``cost`` tokens; more than the bucket holds make a debt. 0 = admitted, else seconds to wait."""
        if self._per_minute <= 0:
            return 0.0
        now = self._clock()
        tokens = self._tokens(client, now)
        self._buckets.pop(client, None)
        needed = min(cost, self._per_minute)
        wait = 0.0 if tokens >= needed else (needed - tokens) * 60 / self._per_minute
        self._buckets[client] = (tokens - cost if wait == 0.0 else tokens, now)
        if len(self._buckets) > _MAX_CLIENTS:  # forget who was idle longest
            self._buckets.popitem(last=False)
        return wait

    def _tokens(self, client: str, now: float) -> float:
        tokens, then = self._buckets.get(client, (float(self._per_minute), now))
        return min(float(self._per_minute), tokens + (now - then) * self._per_minute / 60)

    def check(self, client: str, what: str) -> None:
        """Take nothing.

        Raises:
            Overloaded: one more would be too many; says how long to wait.
        """
        if self._per_minute > 0 and (lack := 1.0 - self._tokens(client, self._clock())) > 0:
            wait = lack * 60 / self._per_minute
            raise Overloaded(f"more than {self._per_minute} {what} a minute", retry_after_s=wait, subject=client)

    def take(self, client: str, what: str, cost: int = 1) -> None:
        """As ``admit``.

        Raises:
            Overloaded: the client must wait; says how long.
        """
        wait = self.admit(client, cost)
        if wait:
            raise Overloaded(f"more than {self._per_minute} {what} a minute", retry_after_s=wait, subject=client)


class ByteBudget:
    """Memory that all unfinished transfers of one kind share."""

    def __init__(self, limit: int, what: str) -> None:
        self._limit, self._what = limit, what
        self.used = 0

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """A part of the budget that grows as bytes arrive, given back at the end."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            self.used -= lease.held

    def claim(self, count: int) -> None:
        """Use ``count`` bytes more.

        Raises:
            Overloaded: there are not that many left.
        """
        if self.used + count > self._limit:
            raise Overloaded(f"too many {self._what} at a time", retry_after_s=_RETRY_S, subject="server")
        self.used += count


class Lease:
    """One transfer's part of a budget."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self.held = 0

    def grow(self, count: int) -> None:
        """Use ``count`` bytes more.

        Raises:
            Overloaded: as ``ByteBudget.claim``.
        """
        self._budget.claim(count)
        self.held += count
