"""How long one verification may take after its file was parsed (the parser has limits of its own).

Each step asks before it begins, and long ones between their parts. What was not begun in time is a finding: it counts
against a proof, never for one.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

VERIFY_SECONDS: Final = 300.0
"""A video of the default limits is searched in less on one core (docs/watermark-image.md); a server gives less."""
OUT_OF_TIME: Final = "not examined: out of time"


class Budget:
    """Time that runs from now.

    Args:
        seconds: How long.
        clock: Seconds, monotonic.
    """

    def __init__(self, seconds: float = VERIFY_SECONDS, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    @property
    def spent(self) -> bool:
        """Whether nothing more may begin."""
        return self._clock() >= self._end
