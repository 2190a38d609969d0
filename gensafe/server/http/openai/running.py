"""Drive one generation for one HTTP request, and stop it when its client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from gensafe.pipeline import Accepted, CallControl, Held, PipelineEvent, Released, ReleasedText, Stopped

End = Released | Held | Stopped


@asynccontextmanager
async def until_gone(receive: Receive, control: CallControl) -> AsyncIterator[None]:
    """Cancel what runs inside when the client goes away.

    Raises:
        ClientDisconnect: it did.
    """
    task = asyncio.current_task()
    assert task is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        control.cancel()
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not gone:
            raise
        task.uncancel()
        raise ClientDisconnect from None
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher


class Run:
    """One generation: ``start`` waits for the first event that shows, iteration gives it and the others.

    Args:
        events: Of the pipeline.
        control: Of the pipeline.
    """

    def __init__(self, events: AsyncGenerator[PipelineEvent, None], control: CallControl) -> None:
        self.control = control
        self.accepted: Accepted | None = None
        self.end: End | None = None
        self._events = events
        self._first: ReleasedText | None = None

    async def start(self) -> None:
        """Go on to the first text that may leave, or to the end.

        Raises:
            GensafeError: as the pipeline.
        """
        async for event in self._events:
            self._note(event)
            if isinstance(event, ReleasedText):
                self._first = event
                return

    async def texts(self) -> AsyncGenerator[str, None]:
        """The released text, piece by piece; then ``end`` is set.

        Raises:
            GensafeError: as the pipeline.
        """
        if self._first is not None:
            yield self._first.text
        async for event in self._events:
            self._note(event)
            if isinstance(event, ReleasedText):
                yield event.text

    def _note(self, event: PipelineEvent) -> None:
        if isinstance(event, Accepted):
            self.accepted = event
        elif isinstance(event, Released | Held | Stopped):
            self.end = event

    async def __aenter__(self) -> Run:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._events.aclose()
