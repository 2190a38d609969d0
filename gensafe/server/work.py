"""Blocking work beside the event loop: in threads that are counted, fairly shared, and left behind when they hang.

A thread cannot be stopped. One that passes its time limit gives its slot up and is counted as abandoned; with too many
of those, new work of its kind is refused instead of piling up. The threads are daemons: none keeps the process alive.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from gensafe.core.errors import BackendUnavailable, DeadlineExceeded
from gensafe.server.slots import FairSlots, Ticket

P = ParamSpec("P")
T = TypeVar("T")
ABANDONED_PER_SLOT = 2  # bounds the memory of hung threads without letting the first hang stop a service


class WorkPool:
    """Threads for one kind of work.

    Args:
        name: For messages and thread names.
        slots: How many at a time, and for whom.
        timeout_s: Seconds that one piece may run.
    """

    def __init__(self, name: str, slots: FairSlots, timeout_s: float) -> None:
        self.name, self.slots, self.timeout_s = name, slots, timeout_s
        self.abandoned = 0
        self.draining = False

    def enter(self, tenant: str) -> Ticket:
        """Ask for a slot.

        Raises:
            Overloaded: as ``FairSlots.enter``.
            BackendUnavailable: the server is shutting down, or too many threads hang.
        """
        if self.draining:
            raise BackendUnavailable("the server is shutting down", fix="retry on another instance")
        if self.abandoned >= ABANDONED_PER_SLOT * self.slots.total:
            raise BackendUnavailable(f"{self.abandoned} {self.name} steps hang", fix="the server must be restarted")
        return self.slots.enter(tenant)

    async def run(self, tenant: str, function: Callable[[], T]) -> T:
        """Run ``function`` in a thread once it is the tenant's turn.

        Raises:
            DeadlineExceeded: it took longer than ``timeout_s``.
            GensafeError: as ``enter``, and what the function raises.
        """
        ticket = self.enter(tenant)
        await ticket.wait()
        return await asyncio.shield(self.begin(ticket, function, self.timeout_s))

    def begin(self, ticket: Ticket, function: Callable[[], T], limit_s: float) -> asyncio.Future[T]:
        """Start ``function`` in a thread; the ticket is released when it ends or its time is over."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        result.add_done_callback(lambda f: f.cancelled() or f.exception())  # the caller may be gone
        late = False

        def expire() -> None:
            nonlocal late
            late = True
            self.abandoned += 1
            ticket.release()
            if not result.done():
                result.set_exception(DeadlineExceeded(f"{self.name} took longer than {limit_s:g} s"))

        timer = loop.call_later(limit_s, expire)

        def settle(value: T | None, error: BaseException | None) -> None:
            if late:
                self.abandoned -= 1
                return
            timer.cancel()
            ticket.release()
            if error is not None:
                result.set_exception(error)
            else:
                result.set_result(value)  # type: ignore[arg-type] # None only where T allows it

        def work() -> None:
            value, error = None, None
            try:
                value = function()
            except BaseException as caught:
                error = caught
            with suppress(RuntimeError):  # the loop is closed: the process is ending
                loop.call_soon_threadsafe(settle, value, error)

        context = copy_context()
        threading.Thread(target=lambda: context.run(work), name=self.name, daemon=True).start()
        return result


_current: ContextVar[tuple[WorkPool, str] | None] = ContextVar("pool", default=None)


def use_pool(pool: WorkPool, tenant: str) -> None:
    """Everything that this call offloads goes to ``pool``."""
    _current.set((pool, tenant))


async def offload(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in the pool of the call being served; in the loop's own threads outside of a call."""
    work = partial(function, *args, **kwargs)
    found = _current.get()
    if found is None:
        return await asyncio.to_thread(work)
    pool, tenant = found
    return await pool.run(tenant, work)
