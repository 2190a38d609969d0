"""Every bound of one server in one place, and the interceptor that holds calls to them.

What a call may use goes by its method: a quota a minute and tenant, a pool for its blocking work, and, for streams of
requests, time and memory. Delivery is bounded for all: the server waits ``delivery_timeout_s`` for its reader.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from gensafe.core.clock import SystemClock
from gensafe.core.config import ServerConfig
from gensafe.core.errors import BackendUnavailable, DeadlineExceeded, LogUnavailable, RegistryUnavailable
from gensafe.server.handlers import KINDS
from gensafe.server.health import Health
from gensafe.server.identity import caller
from gensafe.server.quota import ByteBudget, Lease, RateLimiter
from gensafe.server.refusals import Refusals
from gensafe.server.slots import FairSlots
from gensafe.server.work import WorkPool, use_pool

_QUOTA = {
    "Generate": "",  # both count what they begin, as the HTTP front does
    "StartGeneration": "",
    "Verify": "verifications",
    "Resolve": "verifications",
    "Export": "exports",
    "Classify": "",  # counts items itself
    "ClassifyStream": "",
}
WAITING_PER_SLOT = 8  # short work: waiting longer than for eight others is worse than being told to come back


class Limits:
    """Pools, quotas and memory of one server."""

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        # one tenant alone cannot take from others
        share = config.tenant_share if config.knows_callers else 1.0
        self.generate = WorkPool("generation", FairSlots(config.max_concurrent, config.max_queued, share), 0)
        self.verify = _pool("verification", config.max_verifying, config.tenant_share, config.verify_timeout_s)
        self.classify = _pool("classification", config.max_classifying, share, config.classify_timeout_s)
        self.read = _pool("reading", config.max_reading, config.tenant_share, config.read_timeout_s)
        self.uploads = ByteBudget(config.upload_memory_bytes, "bytes are being uploaded")
        self.deliveries = ByteBudget(config.delivery_memory_bytes, "bytes are being delivered")
        self.health = Health()
        self.refusals = Refusals(SystemClock())
        self.rates = {
            "generations": RateLimiter(config.requests_per_minute),
            "verifications": RateLimiter(config.verify_per_minute),
            "classifications": RateLimiter(config.classify_per_minute),
            "exports": RateLimiter(config.export_per_minute),
            "queries": RateLimiter(config.query_per_minute),
        }

    @property
    def pools(self) -> tuple[WorkPool, ...]:
        """All of them."""
        return (self.generate, self.verify, self.classify, self.read)

    @property
    def busy(self) -> bool:
        """Whether any of them works, or anything is being handed in or out."""
        moving = self.uploads.used + self.deliveries.used
        return moving > 0 or any(pool.slots.running for pool in self.pools)

    def take(self, what: str, tenant: str, cost: int = 1) -> None:
        """Spend from a tenant's quota.

        Raises:
            Overloaded: it is spent; says when to try again.
        """
        self.rates[what].take(tenant, what, cost)

    def check(self, what: str, tenant: str) -> None:
        """Spend nothing.

        Raises:
            Overloaded: the quota is spent.
        """
        self.rates[what].check(tenant, what)

    def spend(self, what: str, tenant: str) -> None:
        """Spend from a tenant's quota what has been used already, as far as there is any."""
        self.rates[what].admit(tenant)

    def drain(self) -> None:
        """Admit nothing more, and turn away everyone who waits."""
        for pool in self.pools:
            pool.draining = True
            pool.slots.withdraw_all(BackendUnavailable("the server is shutting down", fix="retry on another instance"))

    async def uploaded(self, parts: AsyncIterator[Any], lease: Lease) -> AsyncIterator[Any]:
        """The messages of an upload, within its time and the memory that all uploads share.

        Raises:
            DeadlineExceeded: silence, or too slow in all.
            Overloaded: no memory left for it.
        """
        end = time.monotonic() + self.config.upload_timeout_s
        source = aiter(parts)
        while True:
            left = min(end - time.monotonic(), self.config.upload_idle_s)
            try:
                part = await asyncio.wait_for(anext(source), max(0.0, left))
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise DeadlineExceeded("the upload took too long", fix="send it without pauses") from None
            lease.grow(part.ByteSize())
            yield part


def _pool(name: str, total: int, share: float, timeout_s: float) -> WorkPool:
    return WorkPool(name, FairSlots(total, total * WAITING_PER_SLOT, share), timeout_s)


class LimitsInterceptor(grpc.aio.ServerInterceptor):
    """Holds every GenSafe call to the limits. Stands behind the access check, which says who is calling."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:  # noqa: ANN401
        """Wrap the handler of a GenSafe method."""
        handler = await continuation(details)
        service, _, method = details.method.rpartition("/")
        if handler is None or not service.startswith("/gensafe.v1."):
            return handler
        for kind in KINDS:
            inner = getattr(handler, kind)
            if inner is not None:
                make = getattr(grpc, f"{kind}_rpc_method_handler")
                wrapped = self._wrap(method, inner, *(part == "stream" for part in kind.split("_")))
                return make(wrapped, handler.request_deserializer, handler.response_serializer)
        return handler

    def _wrap(self, method: str, inner: Any, uploads: bool, streams: bool) -> Any:  # noqa: ANN401
        limits = self._limits
        pool = {"Verify": limits.verify, "Classify": limits.classify, "ClassifyStream": limits.classify}.get(
            method, limits.read
        )
        quota = _QUOTA.get(method, "queries")

        async def call(request: Any, context: Any) -> Any:  # noqa: ANN401
            tenant = caller().tenant
            try:
                if quota:
                    limits.take(quota, tenant)
                use_pool(pool, tenant)
                with limits.uploads.lease() as lease:
                    received = limits.uploaded(request, lease) if uploads else request
                    if not streams:
                        return await inner(received, context)
                    await self._deliver(inner(received, context), context)
            except (LogUnavailable, RegistryUnavailable) as error:
                limits.health.failed(error)
                raise

        return call

    async def _deliver(self, items: AsyncIterator[Any], context: Any) -> None:  # noqa: ANN401
        patience = float(self._limits.config.delivery_timeout_s)
        try:
            async for item in items:
                begin = time.monotonic()
                try:
                    await asyncio.wait_for(context.write(item), max(0.0, patience))
                except TimeoutError:
                    late = DeadlineExceeded(
                        f"nobody read the answer for {self._limits.config.delivery_timeout_s} s",
                        fix="an output that was released is fetched by its record id",
                    )
                    await items.athrow(late)  # type: ignore[attr-defined] # every method of ours is a generator
                    raise late from None
                patience -= time.monotonic() - begin
        finally:
            await items.aclose()  # type: ignore[attr-defined]
