"""Threads for classifiers. Work never waits for a free one; what is counted are those that hang."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Final

from gensafe.safety.film_calls import Call, Job


class Workers:
    """Daemon threads made on demand, as many as there is work at a time: callers bound that by their own number.

    A thread that is still in a classifier when its item's time is over is left behind and counted until it comes back.

    Args:
        most: Threads that may hang before new work is refused; for ``offer``, threads at all.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._queue: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._threads = 0
        self._running: set[int] = set()  # ids of calls that have not come back
        self._hanging: set[int] = set()  # those of them that nobody waits for any more
        _ALL.add(self)

    @property
    def busy(self) -> int:
        """Threads that are inside a classifier."""
        with self._lock:
            return self._threads - self._idle

    def submit(self, call: Call) -> None:
        """Run ``call`` now, unless too many hang."""
        with self._lock:
            hang = len(self._hanging) >= self._most
            if not hang:
                self._running.add(id(call))
                self._start(partial(self._run, call))
        if hang:
            call.refuse("too many classifiers hang")

    def gave_up(self, job: Job) -> None:
        """Nobody waits for this job any more: its thread hangs until it comes back."""
        with self._lock:
            if id(job.call) in self._running:
                self._hanging.add(id(job.call))

    def offer(self, work: Callable[[], None]) -> bool:
        """Run ``work``, which must not raise, if fewer than ``most`` threads are at work; whether it will run."""
        with self._lock:
            if self._threads - self._idle >= self._most:
                return False
            self._start(work)
        return True

    def _start(self, work: Callable[[], None]) -> None:
        """Give ``work`` to an idle thread or a new one. Under the lock."""
        if self._idle > 0:
            self._idle -= 1
        else:
            self._threads += 1
            threading.Thread(target=self._loop, name="gensafe-classifier", daemon=True).start()
        self._queue.put(work)

    def _run(self, call: Call) -> None:
        call.run()
        with self._lock:
            self._running.discard(id(call))
            self._hanging.discard(id(call))

    def _loop(self) -> None:
        while True:
            self._queue.get()()
            with self._lock:
                self._idle += 1


_ALL: Final[weakref.WeakSet[Workers]] = weakref.WeakSet()


def stuck_threads() -> int:
    """Classifiers that are still running in this process, mostly because they ran out of time."""
    return sum(workers.busy for workers in _ALL)
