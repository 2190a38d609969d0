"""What stands before every route: limits of rate, size, time and memory, and security headers. Plain ASGI."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import time
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gensafe.core.errors import Overloaded
from gensafe.server.http.problems import answer
from gensafe.server.limits import Limits
from gensafe.server.quota import RateLimiter
from gensafe.server.work import use_pool

log = logging.getLogger("gensafe.server")

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
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
# a service behind one address has many users: its tenant's quota counts
_BY_TENANT: Final = ("/v1/", "/gensafe/v1/", "/beta/", "/gensafe.v1.")
_V6_NETWORK: Final = 64  # bits: one customer has at least that many addresses of IPv6


class TooLarge(Exception):
    """The body is larger than allowed; raised inside ``receive``."""


class TooSlow(Exception):
    """The body does not arrive, or the answer is not read; raised inside ``receive`` and ``send``."""


class Guard:
    """The middleware.

    Args:
        app: What it guards.
        max_bytes: Largest request body.
        limiter: Applied to everything that costs work (POST, PUT, DELETE and queries), not to pages and health.
        limits: The server's.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, limiter: RateLimiter, limits: Limits) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._limiter = limiter
        self._limits = limits

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

        client = _client(scope)
        if _costs_work(scope):
            wait = self._limiter.admit(client)
            if wait:
                headers = {"Retry-After": str(int(wait) + 1)}
                refused = JSONResponse({"error": "too many requests"}, 429, headers)
                await refused(scope, receive, guarded_send)
                return
        config = self._limits.config
        patience = float(config.delivery_timeout_s)
        end = time.monotonic() + config.upload_timeout_s
        received = 0
        complete = False

        async def patient_send(message: Message) -> None:
            nonlocal patience
            begin = time.monotonic()
            try:
                await asyncio.wait_for(guarded_send(message), max(0.0, patience))
            except TimeoutError:
                raise TooSlow from None
            patience -= time.monotonic() - begin

        with self._limits.uploads.lease() as lease:

            async def guarded_receive() -> Message:
                nonlocal received, complete
                if complete:  # the app waits for the client to go away
                    return await receive()
                left = min(config.upload_idle_s, end - time.monotonic())
                try:
                    message = await asyncio.wait_for(receive(), max(0.0, left))
                except TimeoutError:
                    raise TooSlow from None
                complete = not message.get("more_body", False)
                received += len(message.get("body", b""))
                if received > self._max_bytes:
                    raise TooLarge
                if received > lease.held:
                    lease.grow(received - lease.held)
                return message

            try:
                declared = _declared(scope)
                if declared > self._max_bytes:
                    raise TooLarge
                lease.grow(declared)  # memory for all of it, or for none
                use_pool(self._limits.verify, f"http:{client}")
                await self._app(scope, guarded_receive, patient_send)
                return
            except TooLarge:
                problem: Response = JSONResponse({"error": f"larger than {self._max_bytes} bytes"}, 413)
            except TooSlow:
                problem = JSONResponse({"error": "the request took too long to arrive"}, 408)
            except Overloaded as error:
                problem = answer(error)
            except Exception as error:
                name = secrets.token_hex(4)
                log.error("unexpected error %s in %s", name, scope["path"], exc_info=error)
                problem = JSONResponse({"error": f"internal error {name}", "reason": "INTERNAL"}, 500)
        if not started:
            problem.headers["Connection"] = "close"  # the rest of the body is not wanted
            await problem(scope, receive, guarded_send)


def _client(scope: Scope) -> str:
    """Whom a request counts for: an address, of IPv6 its network."""
    address = str((scope.get("client") or ("unknown",))[0])
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if known.version == 6 and known.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(known) >> _V6_NETWORK << _V6_NETWORK, _V6_NETWORK)))
    return str(known)


def _costs_work(scope: Scope) -> bool:
    path = str(scope["path"])
    if path.startswith(_BY_TENANT):
        return False
    return scope["method"] not in ("GET", "HEAD") or path.startswith(_COSTLY)


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value[:19]) if value.isdigit() else 0  # 19 digits are too large anyway
    return 0
