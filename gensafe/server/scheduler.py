"""Generation runs beside whoever reads its events: its slot ends with the work, however slow the reader is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Generic, TypeVar

from gensafe.core.errors import Cancelled, GensafeError
from gensafe.pipeline import CallControl
from gensafe.server.slots import Ticket
from gensafe.server.work import WorkPool

T = TypeVar("T")
STOP_S = 30.0  # cancelled work looks for it between steps; one that has not stopped by then hangs


class Work(Generic[T]):
    """A blocking iterator that runs in a thread of ``pool`` in its turn, and its items for the event loop.

    The items wait in memory: they are events, and the one output, whose size the pipeline bounds.

    Args:
        pool: Where it runs.
        tenant: Whose turn it takes.
        make: Makes the iterator, in the thread.
        control: Says when to stop.

    Raises:
        Overloaded, BackendUnavailable: as ``WorkPool.enter``.
    """

    def __init__(self, pool: WorkPool, tenant: str, make: Callable[[], Iterator[T]], control: CallControl) -> None:
        self._pool, self._make, self._control = pool, make, control
        self._queue: asyncio.Queue[T | BaseException | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._ticket: Ticket = pool.enter(tenant)
        self.turned_away: GensafeError | None = None  # why it never began
        self.task = asyncio.create_task(self._run())

    def cancel(self, why: GensafeError | None = None) -> None:
        """Stop: at once if it waits for its turn, and then because of ``why``; else at its next step."""
        self._control.cancel()
        self._ticket.withdraw(why or Cancelled("cancelled while it waited for its turn"))

    async def items(self) -> AsyncIterator[T]:
        """Yield items until the work ends; raises what the work raised."""
        while True:
            item = await self._queue.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    async def _run(self) -> None:
        try:
            await self._turn()
            deadline = self._control.deadline
            left = 0.0 if deadline is None else max(0.0, deadline - time.monotonic())
            await self._pool.begin(self._ticket, self._work, left + STOP_S)
        except Exception as error:
            self._queue.put_nowait(error)
        else:
            self._queue.put_nowait(None)

    async def _turn(self) -> None:
        try:
            await self._ticket.wait(self._control.deadline)
        except GensafeError as error:
            self.turned_away = error
            raise

    def _work(self) -> None:
        for item in self._make():
            try:
                self._loop.call_soon_threadsafe(self._queue.put_nowait, item)
            except RuntimeError:  # the loop is closed: the process is ending, and nobody can be told
                raise GensafeError("the server has stopped") from None
