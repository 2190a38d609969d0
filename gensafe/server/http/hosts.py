"""Which names the HTTP app answers under.

A page of another site can point its own name at 127.0.0.1 (DNS rebinding) and then read what this server answers to its
visitor. The name in the ``Host`` header gives that away, so names nobody configured are refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gensafe.core.config_check import is_loopback_host


class KnownHosts:
    """The middleware: 421 (RFC 9110, 15.5.20) for requests under another name.

    Args:
        app: What it guards.
        hosts: Names, without port, as in ``server.http_hosts``. Loopback addresses and ``localhost`` always pass.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = {host.lower().rstrip(".") for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] == "http":
            named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            if len(named) != 1 or not self._knows(named[0]):
                answer = PlainTextResponse("this server is not known under that name (server.http_hosts)", 421)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _knows(self, header: str) -> bool:
        host = header.lower()
        if host.startswith("["):
            host, _, port = host[1:].partition("]")
            port = port.removeprefix(":")
        else:
            host, _, port = host.partition(":")
        if port and not (port.isascii() and port.isdigit()):
            return False
        host = host.rstrip(".")
        return host in self._hosts or is_loopback_host(host)
