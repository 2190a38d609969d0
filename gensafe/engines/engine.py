"""One engine: a backend with its own bound on work at a time, its own queue, and what is known of its health."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition
from typing import Final

from gensafe.core.errors import BackendError, BackendUnavailable, Cancelled, GensafeError, Overloaded
from gensafe.core.ports import Backend, CancelCheck, SamplingMark
from gensafe.core.types import BackendCapabilities, BackendEvent, Draft, GenerationJob, Text, TextDelta

log = logging.getLogger("gensafe.engines")

POLL_S: Final = 0.1  # how soon a caller that waits for a place is noticed to be gone
RETRY_S: Final = 2.0  # what a caller is told to wait when the queue is full


@dataclass(frozen=True, slots=True)
class Health:
    """``ok``: the last thing that is known of an engine is that it works. ``reason``: why not.

    ``since``: when it failed, on ``time.monotonic``.
    """

    ok: bool = True
    reason: str = ""
    since: float = 0.0


@dataclass(slots=True)
class Engine:
    """A backend as the server uses it.

    Args:
        name: As configured; unique in a server.
        backend: The plugin.
        models: Model name -> weights digest, as far as this server offers them.
        can: What the backend said that it can do.
        max_concurrent: Jobs at a time; 0 = as many as the server runs.
        max_queued: Jobs that may wait for a place.
        fallback: Name of the engine that takes over before the first piece of output; "" = none.
    """

    name: str
    backend: Backend
    models: Mapping[str, str]
    can: BackendCapabilities
    max_concurrent: int = 0
    max_queued: int = 16
    fallback: str = ""
    health: Health = field(default_factory=Health)
    _running: int = 0
    _waiting: int = 0
    _freed: Condition = field(default_factory=Condition)

    def generate(self, job: GenerationJob, mark: SamplingMark | None, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        """Run a job. What a backend should not have raised, and text that is not Unicode, become BackendError.

        Raises:
            Overloaded: too many jobs wait for this engine.
            GensafeError: as ``Backend.generate``.
        """
        with self._place(cancelled):
            try:
                for event in self.backend.generate(job, mark, cancelled):
                    yield _whole(event)
                self.health = Health()
            except BackendUnavailable as error:
                self.health = Health(False, error.message, time.monotonic())
                raise
            except GensafeError:
                raise
            except Exception as error:
                log.exception("engine %s failed", self.name)
                raise BackendError(f"the engine failed: {type(error).__name__}") from error

    @contextmanager
    def _place(self, cancelled: CancelCheck) -> Iterator[None]:
        with self._freed:
            if self.max_concurrent and self._running >= self.max_concurrent:
                if self._waiting >= self.max_queued:
                    raise Overloaded(
                        f"the queue of engine {self.name} is full", retry_after_s=RETRY_S, subject="engine"
                    )
                self._waiting += 1
                try:
                    while self._running >= self.max_concurrent:
                        if cancelled():
                            raise Cancelled("the request was cancelled while it waited for its engine")
                        self._freed.wait(POLL_S)
                finally:
                    self._waiting -= 1
            self._running += 1
        try:
            yield
        finally:
            with self._freed:
                self._running -= 1
                self._freed.notify()


def _whole(event: BackendEvent) -> BackendEvent:
    """The event, if its text is Unicode that can be written down (no half characters).

    Raises:
        BackendError: it is not.
    """
    text = event.text if isinstance(event, TextDelta) else ""
    if isinstance(event, Draft):
        text = (event.media.text if isinstance(event.media, Text) else "") + event.script
    if not text.isascii() and any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise BackendError("the engine's text holds half a character")
    return event
