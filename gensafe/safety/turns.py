"""Turns at judging: as many items at a time as there are cores, first come, first served.

Two hundred text streams had six hundred classifier threads at work at once. Judged in turns the work takes no longer in
all, each item waits only for those before it, and fewer are held in memory at a time (200 streams, one run each: the
server grew by 47 MiB instead of 127). It does not make the processor faster: where streams ask for more than it has,
they stall with turns and without.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """A bound on how many hold a turn, in the order in which they asked. Thread-safe.

    Args:
        most: Turns at a time.
        longest_s: Seconds after which a holder should let others go on (``Turn.left``).
    """

    def __init__(self, most: int, longest_s: float) -> None:
        self._free = most
        self._longest_s = longest_s
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Wait for a turn and hold it."""
        mine = threading.Event()
        with self._lock:
            if self._free > 0:
                self._free -= 1
                mine.set()
            else:
                self._waiting.append(mine)
        mine.wait()
        turn = Turn(self, time.monotonic() + self._longest_s)
        try:
            yield turn
        finally:
            turn.give_up()

    def next(self) -> None:
        """Give a turn that has ended to whoever waits longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1


class Turn:
    """One turn that is held."""

    def __init__(self, turns: Turns, until: float) -> None:
        self._turns: Turns | None = turns
        self._until = until

    @property
    def left(self) -> float:
        """Seconds until others should go on."""
        return max(0.0, self._until - time.monotonic())

    def give_up(self) -> None:
        """Let the next one go on; a second time does nothing."""
        turns, self._turns = self._turns, None
        if turns is not None:
            turns.next()
