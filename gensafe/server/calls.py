"""Every call that ends, over gRPC or HTTP: one line in the log and one observation. Never content."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

import grpc

from gensafe.core.observer import CallEnded, Observer
from gensafe.server.handlers import KINDS
from gensafe.server.identity import known_caller
from gensafe.server.refusals import Refusals

log = logging.getLogger("gensafe.access")

UNKNOWN: Final = "unknown"  # a method that is not served: what a caller wrote is no label
_QUIET: Final = (
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/livez",
    "/readyz",
    "/healthz",
    "/metrics",
)


class Calls:
    """Counts calls and writes their lines.

    Args:
        observe: Told of each.
        refusals: Told of the refused ones.
        tenants: Whether lines name the tenant.
    """

    def __init__(self, observe: Observer, refusals: Refusals, *, tenants: bool = False) -> None:
        self._observe, self._refusals, self._tenants = observe, refusals, tenants

    def ended(self, protocol: str, method: str, code: str, began: float) -> None:
        """A call that began at ``began`` (``time.perf_counter``) has ended."""
        seconds = time.perf_counter() - began
        who = known_caller()
        tenant = who.tenant if who is not None else ""
        self._observe(CallEnded(protocol, method, code, seconds, tenant))
        self._refusals.note(tenant, method, code)
        facts: dict[str, object] = {"protocol": protocol, "method": method, "code": code, "ms": round(seconds * 1000)}
        if self._tenants and tenant:
            facts["tenant"] = tenant
        level = logging.DEBUG if method.split(" ")[-1] in _QUIET else logging.INFO
        log.log(level, "%s", " ".join(f"{k}={v}" for k, v in facts.items()), extra={"facts": facts})


class CallsInterceptor(grpc.aio.ServerInterceptor):
    """The outermost interceptor: sees the code that the caller gets."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:  # noqa: ANN401
        """Wrap the handler of any method."""
        began = time.perf_counter()
        handler = await continuation(details)
        if handler is None:
            self._calls.ended("grpc", UNKNOWN, grpc.StatusCode.UNIMPLEMENTED.name, began)
            return handler
        for kind in KINDS:
            inner = getattr(handler, kind)
            if inner is not None:
                make = getattr(grpc, f"{kind}_rpc_method_handler")
                wrap = self._streaming if inspect.isasyncgenfunction(inner) else self._single
                return make(wrap(details.method, inner), handler.request_deserializer, handler.response_serializer)
        return handler

    def _single(self, method: str, inner: Any) -> Any:  # noqa: ANN401
        async def call(request: Any, context: Any) -> Any:  # noqa: ANN401
            with self._counted(method, context):
                answer = inner(request, context)
                return await answer if inspect.isawaitable(answer) else answer

        return call

    def _streaming(self, method: str, inner: Any) -> Any:  # noqa: ANN401
        async def call(request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: ANN401
            with self._counted(method, context):
                async for item in inner(request, context):
                    yield item

        return call

    @contextmanager
    def _counted(self, method: str, context: Any) -> Generator[None, None, None]:  # noqa: ANN401
        began, code = time.perf_counter(), grpc.StatusCode.UNKNOWN
        try:
            yield
            code = _code(context) or grpc.StatusCode.OK
        except (asyncio.CancelledError, GeneratorExit):
            code = grpc.StatusCode.CANCELLED
            raise
        except BaseException:
            code = _code(context) or code
            raise
        finally:
            self._calls.ended("grpc", method, code.name, began)


def _code(context: Any) -> grpc.StatusCode | None:  # noqa: ANN401
    """The status that the handler set; None = none yet."""
    code = context.code()
    return next((known for known in grpc.StatusCode if code in (known, known.value[0])), None) if code else None
