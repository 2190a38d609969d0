"""The gRPC methods called from inside this process, behind the interceptors that calls over gRPC pass.

Whoever the caller is, whatever he may use and how long it may take is decided by the same objects: another front that
reaches these methods has no rules of its own. See ``http.connect``.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2

Write = Callable[[Message], Awaitable[None]]
_DETAILS: Final = "grpc-status-details-bin"


class Aborted(grpc.aio.AbortError):
    """A method ended with an error."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__()
        self.status = status


class Interceptor(Protocol):
    """Of ``grpc.aio.ServerInterceptor`` what is used here."""

    async def intercept_service(self, continuation: Any, details: Any) -> Any:  # noqa: ANN401 - grpc's own types
        """Wrap a handler."""


@dataclass(frozen=True, slots=True)
class _Details:
    """As ``grpc.HandlerCallDetails``."""

    method: str
    invocation_metadata: Sequence[tuple[str, str]]


class _Context:
    """Of ``grpc.aio.ServicerContext`` what our methods and interceptors use."""

    def __init__(self, write: Write | None, timeout_s: float | None, metadata: Sequence[tuple[str, str]] = ()) -> None:
        self._write, self._metadata = write, metadata
        self._end = None if timeout_s is None else time.monotonic() + timeout_s

    def time_remaining(self) -> float | None:
        """Seconds until the caller's deadline; None = it named none."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        """Headers of the call."""
        return self._metadata

    def auth_context(self) -> Mapping[str, Any]:
        """Nothing: a client certificate is presented to gRPC only."""
        return {}

    async def write(self, message: Message) -> None:
        """Hand over one message of a stream."""
        assert self._write is not None
        await self._write(message)

    async def abort_with_status(self, status: Any) -> None:  # noqa: ANN401 - grpc.Status
        """End the call."""
        packed = dict(status.trailing_metadata or ()).get(_DETAILS)
        code = status_pb2.Status.FromString(packed) if packed else status_pb2.Status()
        if not packed:
            code.code, code.message = status.code.value[0], status.details
        raise Aborted(code)


class Methods:
    """The methods of the servicers that are added to it, as to a gRPC server.

    Args:
        interceptors: Outermost first.
    """

    def __init__(self, interceptors: Sequence[Interceptor]) -> None:
        self._interceptors = tuple(interceptors)
        self._handlers: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Sequence[object]) -> None:
        """Called by generated code, which registers each method by name too."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Called by generated code."""
        self._handlers |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

    async def call(
        self,
        path: str,
        metadata: Sequence[tuple[str, str]],
        request: Message,
        *,
        write: Write | None = None,
        timeout_s: float | None = None,
    ) -> Message | None:
        """Call a method that takes one message.

        Args:
            path: "/SERVICE/METHOD", one that was added.
            metadata: The caller's, names in lower case.
            request: Its message.
            write: Takes the messages of a method that answers with a stream; it may wait.
            timeout_s: The caller's deadline from now; None = it named none.

        Returns:
            The answer; None from a stream.

        Raises:
            Aborted: the method ended with an error.
        """
        continuation: Callable[[Any], Awaitable[Any]] = self._find
        for interceptor in reversed(self._interceptors):
            continuation = _behind(interceptor, continuation)
        handler = await continuation(_Details(path, metadata))
        context = _Context(write, timeout_s, metadata)
        method = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        answer: Message | None = await method(request, context)
        return answer

    async def _find(self, details: _Details) -> Any:  # noqa: ANN401 - grpc's handler is an untyped tuple
        return self._handlers[details.method]


def _behind(interceptor: Interceptor, inner: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    async def intercepted(details: Any) -> Any:  # noqa: ANN401
        return await interceptor.intercept_service(inner, details)

    return intercepted
