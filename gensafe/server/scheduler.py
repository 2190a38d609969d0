"""Admission of work: bounded concurrency, a bounded queue, a rate per tenant, and a bridge from threads to asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gensafe.core.config import ServerConfig
from gensafe.core.errors import BackendUnavailable, GensafeError, Overloaded
from gensafe.pipeline import CallControl

T = TypeVar("T")


@dataclass(slots=True)
class _Bucket:
    """Token bucket of one tenant."""

    tokens: float
    at: float


@dataclass(slots=True)
class Scheduler:
    """Who may work now, who waits, who is turned away."""

    config: ServerConfig
    pool: ThreadPoolExecutor = field(init=False)
    _slots: asyncio.Semaphore = field(init=False)
    _waiting: int = 0
    _buckets: dict[str, _Bucket] = field(default_factory=dict)
    draining: bool = False

    def __post_init__(self) -> None:
        self.pool = ThreadPoolExecutor(self.config.max_concurrent, thread_name_prefix="generate")
        self._slots = asyncio.Semaphore(self.config.max_concurrent)

    @asynccontextmanager
    async def slot(self, tenant: str) -> AsyncIterator[None]:
        """Hold one of the ``max_concurrent`` slots.

        Raises:
            Overloaded: the queue is full or the tenant's rate is spent.
            BackendUnavailable: the server is shutting down.
        """
        if self.draining:
            raise BackendUnavailable("the server is shutting down", fix="retry on another instance")
        self._take_token(tenant)
        if self._slots.locked() and self._waiting >= self.config.max_queued:
            raise Overloaded("the queue is full", retry_after_s=2.0, subject="server")
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    def _take_token(self, tenant: str) -> None:
        rate = self.config.requests_per_minute
        if not rate:
            return
        now = time.monotonic()
        bucket = self._buckets.setdefault(tenant, _Bucket(float(rate), now))
        bucket.tokens = min(float(rate), bucket.tokens + (now - bucket.at) * rate / 60)
        bucket.at = now
        if bucket.tokens < 1:
            raise Overloaded(
                f"more than {rate} requests a minute", retry_after_s=(1 - bucket.tokens) * 60 / rate, subject=tenant
            )
        bucket.tokens -= 1

    def bridge(self, make: Callable[[], Iterator[T]], control: CallControl) -> Bridge[T]:
        """Run the blocking iterator in a worker thread and hand its items to the event loop."""
        return Bridge(self.pool, make, control)


class Bridge(Generic[T]):
    """An async iterator over a blocking one. Leaving it early cancels the work and waits until it has stopped."""

    def __init__(self, pool: ThreadPoolExecutor, make: Callable[[], Iterator[T]], control: CallControl) -> None:
        loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[T | BaseException | None] = asyncio.Queue()
        self._control = control

        def put(item: T | BaseException | None) -> None:
            loop.call_soon_threadsafe(self._queue.put_nowait, item)

        def work() -> None:
            try:
                for item in make():
                    put(item)
                put(None)
            except GensafeError as error:
                put(error)
            except BaseException as error:
                put(error)
                raise

        self._done = loop.run_in_executor(pool, work)

    async def __aenter__(self) -> Bridge[T]:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._control.cancel()
        # Shielded: the worker must finish its log entry even when this task is being cancelled.
        await asyncio.shield(asyncio.gather(self._done, return_exceptions=True))

    async def items(self) -> AsyncIterator[T]:
        """Yield items until the work ends; raises what the work raised."""
        while True:
            item = await self._queue.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
