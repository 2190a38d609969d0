"""HTTP connections with bounds that uvicorn does not have: how many there are, and how long headers may take."""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

# A timer that fires later than this was held up with the whole loop, and what the client sent meanwhile may not have
# been read yet. Far above a turn of a loop that runs, far below any limit of ours; chosen, not measured
LATE_S: Final = 0.2


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

        def timeout_keep_alive_handler(self) -> None:
            """An idle connection ends, unless it was this server that did not look."""
            timer = self.timeout_keep_alive_task
            if timer is not None and self._late(timer):
                again = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
                self.timeout_keep_alive_task = again
            else:
                super().timeout_keep_alive_handler()

        def _expect_headers(self) -> None:
            self._timer = self.loop.call_later(header_timeout_s, self._close)

        def _close(self) -> None:
            if self._timer is not None and self._late(self._timer):
                self._expect_headers()
            elif not self.transport.is_closing():
                self.transport.abort()

        def _late(self, timer: asyncio.TimerHandle) -> bool:
            return self.loop.time() - timer.when() > LATE_S

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return BoundedProtocol
