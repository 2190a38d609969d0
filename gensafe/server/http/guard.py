"""What stands before every route: body limit, rate limit per client, security headers. Plain ASGI."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
_COSTLY: Final = ("/softbinding/v1/matches", "/softbinding/v1/manifests", "/classify")
_BY_TENANT: Final = ("/v1/", "/gensafe/v1/")  # a service behind one address has many users: its tenant's quota counts
_MAX_CLIENTS: Final = 10_000


class TooLarge(Exception):
    """The body is larger than allowed; raised inside ``receive``."""


class RateLimiter:
    """A token bucket per client: ``per_minute`` requests a minute, as many at once.

    Args:
        per_minute: 0 = no limit.
        clock: Seconds, monotonic.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admit(self, client: str) -> float:
        """Take a token. 0 = admitted, else seconds until the next one."""
        if self._per_minute <= 0:
            return 0.0
        now = self._clock()
        tokens, then = self._buckets.pop(client, (float(self._per_minute), now))
        tokens = min(float(self._per_minute), tokens + (now - then) * self._per_minute / 60)
        wait = 0.0 if tokens >= 1 else (1 - tokens) * 60 / self._per_minute
        self._buckets[client] = (tokens - 1 if wait == 0.0 else tokens, now)
        if len(self._buckets) > _MAX_CLIENTS:  # forget who was idle longest
            self._buckets.popitem(last=False)
        return wait


class Guard:
    """The middleware.

    Args:
        app: What it guards.
        max_bytes: Largest request body.
        limiter: Applied to everything that costs work (POST, PUT, DELETE and queries), not to pages and health.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, limiter: RateLimiter) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if _costs_work(scope):
            client = scope.get("client")
            wait = self._limiter.admit(client[0] if client else "unknown")
            if wait:
                headers = {"Retry-After": str(int(wait) + 1)}
                refused = JSONResponse({"error": "too many requests"}, 429, headers)
                await refused(scope, receive, guarded_send)
                return
        received = 0

        async def guarded_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise TooLarge
            return message

        try:
            if _declared(scope) > self._max_bytes:
                raise TooLarge
            await self._app(scope, guarded_receive, guarded_send)
        except TooLarge:
            if not started:
                body = {"error": f"larger than {self._max_bytes} bytes"}
                await JSONResponse(body, 413)(scope, receive, guarded_send)


def _costs_work(scope: Scope) -> bool:
    path = str(scope["path"])
    if path.startswith(_BY_TENANT):
        return False
    return scope["method"] not in ("GET", "HEAD") or path.startswith(_COSTLY)


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
