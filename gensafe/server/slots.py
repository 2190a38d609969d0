"""Slots shared fairly: a bound on all work, a share for each tenant, and turns between tenants that wait."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque

from gensafe.core.errors import DeadlineExceeded, GensafeError, Overloaded

RETRY_S = 2.0  # what a caller is told who finds the queue full: about the time of one short generation


class FairSlots:
    """``total`` slots and ``queued`` places to wait for one, of which a tenant may have ``share`` (at least one).

    Free slots go round the waiting tenants in turn, so one with a long queue does not delay one with a short one.
    For one event loop; not thread-safe.
    """

    def __init__(self, total: int, queued: int, share: float = 1.0) -> None:
        self.total, self.queued = total, queued
        self._most = max(1, int(total * share))
        self._most_queued = max(1, int(queued * share)) if queued else 0
        self._running: dict[str, int] = {}
        self._waiting: OrderedDict[str, deque[Ticket]] = OrderedDict()

    def enter(self, tenant: str) -> Ticket:
        """Ask for a slot; ``await ticket.granted_by(...)`` gets it, ``ticket.release()`` gives it back.

        Raises:
            Overloaded: nobody may wait any more, or this tenant may not.
        """
        ticket = Ticket(self, tenant)
        mine = len(self._waiting.get(tenant, ()))
        if not self._free_for(tenant) or mine:
            if self.waiting >= self.queued:
                raise Overloaded("the queue is full", retry_after_s=RETRY_S, subject="server")
            if mine >= self._most_queued:
                raise Overloaded("the tenant's share of the queue is full", retry_after_s=RETRY_S, subject=tenant)
        self._waiting.setdefault(tenant, deque()).append(ticket)
        self._grant()
        return ticket

    @property
    def running(self) -> int:
        """Slots that are taken."""
        return sum(self._running.values())

    @property
    def waiting(self) -> int:
        """Places in the queue that are taken."""
        return sum(map(len, self._waiting.values()))

    def withdraw_all(self, error: GensafeError) -> None:
        """Turn away everyone who waits."""
        for ticket in [t for queue in self._waiting.values() for t in queue]:
            ticket.withdraw(error)

    def _free_for(self, tenant: str) -> bool:
        return self.running < self.total and self._running.get(tenant, 0) < self._most

    def _grant(self) -> None:
        for tenant in list(self._waiting):
            queue = self._waiting[tenant]
            if self._free_for(tenant):
                queue.popleft().grant()
                self._running[tenant] = self._running.get(tenant, 0) + 1
                self._waiting.move_to_end(tenant)  # the next turn is another tenant's
            if not queue:
                del self._waiting[tenant]
        if any(self._free_for(tenant) for tenant in self._waiting):
            self._grant()

    def give_back(self, tenant: str) -> None:
        """One slot of the tenant is free again."""
        self._running[tenant] -= 1
        if not self._running[tenant]:
            del self._running[tenant]
        self._grant()

    def forget(self, ticket: Ticket) -> None:
        """A ticket that waited does not want its slot any more."""
        queue = self._waiting.get(ticket.tenant)
        if queue and ticket in queue:
            queue.remove(ticket)
            if not queue:
                del self._waiting[ticket.tenant]


class Ticket:
    """A place in the queue, then a slot."""

    def __init__(self, slots: FairSlots, tenant: str) -> None:
        self.tenant = tenant
        self._slots = slots
        self._granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._holds = False

    async def wait(self, deadline: float | None = None) -> None:
        """Wait for the slot.

        Args:
            deadline: On ``time.monotonic``; None = for as long as it takes.

        Raises:
            DeadlineExceeded: it came first.
            GensafeError: what ``withdraw`` was called with.
        """
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            await asyncio.wait_for(asyncio.shield(self._granted), left)
        except TimeoutError:
            self.release()
            raise DeadlineExceeded("the deadline passed while the request waited for its turn") from None
        except BaseException:
            self.release()
            raise

    def grant(self) -> None:
        """Called by the slots."""
        self._holds = True
        if not self._granted.done():
            self._granted.set_result(None)

    def withdraw(self, error: GensafeError) -> None:
        """End the waiting with ``error``; nothing happens to a ticket that has its slot."""
        if not self._granted.done():
            self._slots.forget(self)
            self._granted.set_exception(error)
            self._granted.exception()  # it may be that nobody waits

    def release(self) -> None:
        """Give the slot, or the place in the queue, back. May be called twice."""
        if self._holds:
            self._holds = False
            self._slots.give_back(self.tenant)
        else:
            self._slots.forget(self)
            self._granted.cancel()
