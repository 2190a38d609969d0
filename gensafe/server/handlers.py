"""Rebuild a method handler: run a check first, and turn whatever a handler should not have raised into INTERNAL.

A stray exception is logged here with its traceback and an id; the caller gets a code, that id and a request to report
it, nothing else. A request that is not the method's message is INVALID_ARGUMENT (grpc alone would say UNKNOWN).
"""

from __future__ import annotations

import inspect
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from gensafe.core.errors import GensafeError, InvalidRequest
from gensafe.server import status

log = logging.getLogger("gensafe.server")

KINDS = ("unary_unary", "stream_unary", "unary_stream", "stream_stream")


class Malformed:
    """Stands for a request that could not be decoded."""


def rebuild(handler: Any, before: Callable[[Any], None]) -> Any:  # noqa: ANN401 - grpc's handler is an untyped tuple
    """Wrap ``handler``, whatever the call's shape, so that ``before(context)`` runs first (it may raise)."""
    for kind in KINDS:
        method = getattr(handler, kind)
        if method is not None:
            make = getattr(grpc, f"{kind}_rpc_method_handler")
            wrapped = _streaming(method, before) if inspect.isasyncgenfunction(method) else _single(method, before)
            return make(wrapped, _decoder(handler.request_deserializer), handler.response_serializer)
    return handler


def refusing(handler: Any, error: GensafeError) -> Any:  # noqa: ANN401
    """A handler that answers ``error`` and reads nothing: a body that is not read stays with its sender.

    For grpc a call with one message is a stream of one, so every shape is served as a stream that nobody reads.
    """
    make = grpc.stream_stream_rpc_method_handler if handler.response_streaming else grpc.stream_unary_rpc_method_handler

    async def call(_: Any, context: Any) -> None:  # noqa: ANN401
        await _end(context, error)

    return make(call, None, handler.response_serializer)


def _decoder(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def decoded(data: bytes) -> Any:  # noqa: ANN401
        try:
            return decode(data)
        except (DecodeError, ValueError):
            return Malformed()

    return decoded


def _read(request: Any) -> Any:  # noqa: ANN401
    if isinstance(request, Malformed):
        raise InvalidRequest("the request is not this method's message", field="request")
    return request if hasattr(request, "DESCRIPTOR") else _read_each(request)


async def _read_each(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _read(request)


def _single(method: Any, before: Callable[[Any], None]) -> Any:  # noqa: ANN401
    async def call(request: Any, context: Any) -> Any:  # noqa: ANN401
        try:
            before(context)
            return await method(_read(request), context)
        except Exception as error:
            await _end(context, error)

    return call


def _streaming(method: Any, before: Callable[[Any], None]) -> Any:  # noqa: ANN401
    async def call(request: Any, context: Any) -> Any:  # noqa: ANN401
        try:
            before(context)
            async for item in method(_read(request), context):
                yield item
        except Exception as error:
            await _end(context, error)

    return call


async def _end(context: Any, error: Exception) -> None:  # noqa: ANN401
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, GensafeError):
        name = secrets.token_hex(4)
        log.error("unexpected error %s in a call", name, exc_info=error)
        error = GensafeError(f"internal error {name}", fix="the server's log says more; please report it")
    try:
        await status.abort(context, error)
    except TimeoutError:
        log.warning("a caller does not take its answer; the call is dropped")
