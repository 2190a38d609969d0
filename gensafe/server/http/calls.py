"""The outermost middleware: one observation and one line of the log for each HTTP request."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gensafe.server.calls import UNKNOWN, Calls

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_GONE: Final = "0"  # the caller left before there was an answer


class CountCalls:
    """The middleware; it knows a path by the route that served it, never as the caller wrote it."""

    def __init__(self, app: ASGIApp, calls: Calls, routes: Iterable[BaseRoute]) -> None:
        self._app, self._calls = app, calls
        self._paths = dict(_paths(routes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, code = time.perf_counter(), _GONE

        async def counted(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            path = self._paths.get(scope.get("endpoint"), UNKNOWN)
            method = scope["method"] if scope["method"] in _METHODS else UNKNOWN
            self._calls.ended("http", f"{method} {path}", code, began)


def _paths(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[tuple[Callable[..., Any] | None, str]]:
    """Endpoint -> its path as declared; of several, the last."""
    for route in routes:
        if isinstance(route, Mount):
            yield from _paths(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            yield route.endpoint, prefix + route.path
