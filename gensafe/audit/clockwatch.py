"""Times of entries where the machine's clock jumps.

Entry times do not run backwards, with one exception: when the clock was ahead and was put right, the log says so in a
``clock.corrected`` entry, and times go on from the true time. What tells a clock that was put right from one that went
wrong backwards: the log has a gap as wide as the jump just where the clock now is (docs/adr/0007).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from gensafe.core.clock import iso

log = logging.getLogger("gensafe.audit")

TOLERANCE_MS: Final = 60_000  # slewing and leap seconds stay far below; below it times wait for the clock
DAY_MS: Final = 86_400_000  # 24 h
RETRY_MS: Final = 60_000  # how often a clock that is behind the log is compared with it again


class ClockWatch:
    """Compares the clock with the machine's monotonic time. For the one thread that stamps entries.

    Args:
        newest_ms: Time of the newest entry when the log was opened; -1 for none.
        now_ms: The clock then.
        monotonic: Seconds of a clock that never jumps.
    """

    def __init__(self, newest_ms: int, now_ms: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._opened_newest_ms = newest_ms
        self._opened_at = monotonic()
        self._last = (now_ms, self._opened_at)
        self._retry_at = 0.0
        if newest_ms > now_ms + TOLERANCE_MS:
            log.warning(
                "the newest log entry is dated %s, the clock says %s: one is wrong", iso(newest_ms), iso(now_ms)
            )

    def look(self, now_ms: int) -> None:
        """Warn in the server's log if the clock jumped since the last look."""
        then_ms, then = self._last
        passed = self._monotonic()
        jumped = now_ms - then_ms - int((passed - then) * 1000)
        if abs(jumped) > TOLERANCE_MS:
            way = "ahead" if jumped > 0 else "back"
            log.warning("the clock jumped %s by %d s, to %s", way, abs(jumped) // 1000, iso(now_ms))
        self._last = (now_ms, passed)

    def behind(self, now_ms: int, newest_ms: int) -> bool:
        """Whether the clock is so far behind the newest entry that it is worth asking why (once a minute)."""
        if now_ms >= newest_ms - TOLERANCE_MS or self._monotonic() < self._retry_at:
            return False
        self._retry_at = self._monotonic() + RETRY_MS / 1000
        return True

    def corrected(self, now_ms: int, newest_ms: int) -> None:
        """The log goes back to the clock."""
        self._retry_at = 0.0
        log.warning("the clock was put right: log times go back from %s to %s", iso(newest_ms), iso(now_ms))

    def latest_plausible_ms(self, now_ms: int) -> int:
        """``now_ms``, but at most a day after the newest entry found at the opening plus the time since.

        For what cannot be undone: a clock that is years ahead must not make everything old.
        """
        if self._opened_newest_ms < 0:
            return now_ms
        passed = int((self._monotonic() - self._opened_at) * 1000)
        return min(now_ms, self._opened_newest_ms + passed + DAY_MS)


def is_correction(now_ms: int, newest_ms: int, gap_ms: int) -> bool:
    """Whether a clock that is behind the newest entry was put right, rather than having gone wrong.

    Args:
        now_ms: The clock.
        newest_ms: The newest entry.
        gap_ms: The widest gap between neighbours from the last entry that is not after ``now_ms`` on. A jump ahead
            leaves one as wide as itself; half of that still counts, so that a jump after a jump is seen through.
    """
    return 2 * gap_ms >= newest_ms - now_ms
