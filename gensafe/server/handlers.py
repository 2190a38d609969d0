"""Rebuild a method handler: run a check first, and turn whatever a handler should not have raised into INTERNAL.

A stray exception is logged here with its traceback; the caller gets a code and a request to report it, nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import grpc

from gensafe.core.errors import GensafeError
from gensafe.server import status

log = logging.getLogger("gensafe.server")

KINDS = (("unary_unary", False), ("stream_unary", False), ("unary_stream", True), ("stream_stream", True))


def rebuild(handler: Any, before: Callable[[Any], None]) -> Any:  # noqa: ANN401 - grpc's handler is an untyped tuple
    """Wrap ``handler``, whatever the call's shape, so that ``before(context)`` runs first (it may raise)."""
    for kind, streams in KINDS:
        method = getattr(handler, kind)
        if method is not None:
            make = getattr(grpc, f"{kind}_rpc_method_handler")
            wrapped = _streaming(method, before) if streams else _single(method, before)
            return make(wrapped, handler.request_deserializer, handler.response_serializer)
    return handler


def _single(method: Any, before: Callable[[Any], None]) -> Any:  # noqa: ANN401
    async def call(request: Any, context: Any) -> Any:  # noqa: ANN401
        try:
            before(context)
            return await method(request, context)
        except Exception as error:
            await _end(context, error)

    return call


def _streaming(method: Any, before: Callable[[Any], None]) -> Any:  # noqa: ANN401
    async def call(request: Any, context: Any) -> Any:  # noqa: ANN401
        try:
            before(context)
            async for item in method(request, context):
                yield item
        except Exception as error:
            await _end(context, error)

    return call


async def _end(context: Any, error: Exception) -> None:  # noqa: ANN401
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, GensafeError):
        log.error("unexpected error in a call", exc_info=error)
        error = GensafeError("internal error", fix="the server's log says more; please report it")
    await status.abort(context, error)
