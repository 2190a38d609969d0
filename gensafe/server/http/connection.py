"""HTTP connections with bounds that uvicorn does not have: how many there are, and how long headers may take."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


def bounded_protocol(connections: int, header_timeout_s: float) -> type[asyncio.Protocol]:
    """The protocol class for ``uvicorn.Config(http=...)``.

    Args:
        connections: More than these are closed as they come.
        header_timeout_s: Seconds from the connection, or from the last answer, until a request's headers are complete.
    """

    class BoundedProtocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Refuse what is too many, and wait for a request."""
            super().connection_made(transport)
            if len(self.connections) > connections:
                transport.abort()
                return
            self._expect_headers()

        def handle_events(self) -> None:
            """A request that has begun is the app's to time."""
            super().handle_events()
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_timer()

        def on_response_complete(self) -> None:
            """Wait for the next request."""
            super().on_response_complete()
            if self.cycle is None or self.cycle.response_complete:
                self._stop_timer()
                self._expect_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            """Nothing is waited for any more."""
            self._stop_timer()
            super().connection_lost(exc)

        def _expect_headers(self) -> None:
            self._timer = self.loop.call_later(header_timeout_s, self._close)

        def _close(self) -> None:
            if not self.transport.is_closing():
                self.transport.abort()

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return BoundedProtocol
