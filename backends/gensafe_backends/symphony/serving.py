"""Many requests on one engine: continuous batching and admission by memory.

Every request runs its own decode loop in its own thread and asks for logits when it needs them. ``SharedEngine`` puts
whatever requests ask for at the same moment (single steps of some, prompt chunks of others) into one pass over the
weights. Requests join and leave between passes; one that is cancelled simply asks no more. On the native engine the
result is bit for bit what the request would get alone, so that batching can change nothing but speed.

What prompts have in common at their beginning is read once: see ``prefix.py``.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gensafe.core.errors import BackendError, BackendUnavailable, Cancelled, GensafeError
from gensafe_backends.symphony.model.engine import Cache, TokenBatch, check_batch
from gensafe_backends.symphony.model.native.engine import NativeEngine, Row
from gensafe_backends.symphony.model.native.structs import MAX_BATCH
from gensafe_backends.symphony.vocab import vocabulary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gensafe.core.ports import CancelCheck
    from gensafe_backends.symphony.model.engine import Engine

_LOOK_S: Final = 0.05  # how often a waiting request looks whether its caller is gone


class Admission:
    """Lets requests in, first come first served, while their stated memory fits ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self._changed = threading.Condition()
        self._line: deque[object] = deque()

    @contextmanager
    def room(self, need: int, cancelled: CancelCheck) -> Iterator[None]:
        """Hold ``need`` bytes while the block runs; waits for them first.

        Raises:
            BackendUnavailable: ``need`` can never fit.
            Cancelled: the caller left while waiting.
        """
        if need > self.limit:
            raise BackendUnavailable(f"the request needs {need} bytes of memory, the limit is {self.limit}")
        place = object()
        with self._changed:
            self._line.append(place)
            try:
                while self._line[0] is not place or self.taken + need > self.limit:
                    if cancelled():
                        raise Cancelled("the request was cancelled while waiting for memory")
                    self._changed.wait(_LOOK_S)
                self.taken += need
            finally:
                self._line.remove(place)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self.taken -= need
                self._changed.notify_all()


@dataclass(slots=True, eq=False)
class _Ask:
    row: Row
    answer: NDArray[np.float32] | None = None
    error: GensafeError | None = None

    @property
    def done(self) -> bool:
        return self.answer is not None or self.error is not None


class SharedEngine:
    """An ``Engine`` for many threads that coalesces what they ask for.

    There is no worker thread: of the threads that wait, one runs the pass for all. Engines that cannot take rows of
    several sequences (all but native) run one request's rows per pass, in order of arrival.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name
        self.config = engine.config
        self.passes = 0
        self.tokens = 0
        self._state = threading.Condition()
        self._waiting: deque[_Ask] = deque()
        self._busy = False

    def new_cache(self) -> Cache:
        """An empty cache."""
        return self._engine.new_cache()

    def cache_bytes(self, tokens: int) -> int:
        """See ``Engine.cache_bytes``."""
        return self._engine.cache_bytes(tokens)

    def forward(
        self, batch: TokenBatch, cache: Cache, *, live: range | None = None, last_only: bool = True
    ) -> NDArray[np.float32]:
        """See ``Engine.forward``; blocks until a pass has run for this request."""
        check_batch(batch, self.config)  # a bad request must not spoil a pass that others share
        live = range(vocabulary(self.config).size) if live is None else live
        if live.start < 0 or live.stop > vocabulary(self.config).size or not live or live.step != 1:
            raise BackendError(f"no such vocabulary range: {live}")
        ask = _Ask(Row(batch, cache, live, last_only))
        with self._state:
            self._waiting.append(ask)
        while True:
            with self._state:
                while self._busy and not ask.done:
                    self._state.wait()
                if ask.done:
                    break
                self._busy = True
                chosen = self._choose()
            try:
                self._run(chosen)
            finally:
                with self._state:
                    self._busy = False
                    self._state.notify_all()
        if ask.error is not None:
            raise ask.error
        assert ask.answer is not None
        return ask.answer

    def _choose(self) -> list[_Ask]:
        """The asks of the next pass, oldest first, up to the engine's row limit."""
        chosen = [self._waiting.popleft()]
        total = len(chosen[0].row.batch)
        if isinstance(self._engine, NativeEngine):
            while self._waiting and total + len(self._waiting[0].row.batch) <= MAX_BATCH:
                chosen.append(self._waiting.popleft())
                total += len(chosen[-1].row.batch)
        return chosen

    def _run(self, chosen: list[_Ask]) -> None:
        self.passes += 1
        self.tokens += sum(len(a.row.batch) for a in chosen)
        try:
            if len(chosen) == 1:
                row = chosen[0].row
                answers = [self._engine.forward(row.batch, row.cache, live=row.live, last_only=row.last_only)]
            else:
                assert isinstance(self._engine, NativeEngine)
                answers = self._engine.forward_many([a.row for a in chosen])
            for ask, answer in zip(chosen, answers, strict=True):
                ask.answer = answer
        except Exception as error:
            known = error if isinstance(error, GensafeError) else BackendError(f"the engine failed: {error}")
            for ask in chosen:
                ask.error = known
