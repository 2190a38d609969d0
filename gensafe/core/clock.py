"""Clocks. Procedures take a ``Clock``; only the shells make a ``SystemClock``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime


class SystemClock:
    """The machine's own time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000_000


@dataclass(slots=True)
class FixedClock:
    """A clock for tests: stands still until ``advance``."""

    ms: int

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return self.ms

    def advance(self, ms: int) -> None:
        """Move forward by ``ms``."""
        self.ms += ms


def iso(ms: int) -> str:
    """Render milliseconds since the epoch as RFC 3339 UTC with millisecond precision."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
