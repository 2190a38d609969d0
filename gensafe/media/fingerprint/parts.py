"""A part of a medium, as a share of the picture or in seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a medium that is not alike: shares 0..1 of width and height, or seconds.

    ``what`` is "area", "sound", "picture" or "time"; unused fields are 0.
    """

    what: str
    left: float = 0.0
    top: float = 0.0
    right: float = 0.0
    bottom: float = 0.0
    start_s: float = 0.0
    end_s: float = 0.0

    def __str__(self) -> str:
        """In words, for a report."""
        when = f"{self.start_s:.2f} to {self.end_s:.2f} s" if self.end_s else ""
        if self.what == "area":
            across = f"{100 * self.left:.0f} to {100 * self.right:.0f} % of the width"
            down = f"{100 * self.top:.0f} to {100 * self.bottom:.0f} % of the height"
            return ", ".join(filter(None, (across, down, when)))
        return f"the {self.what}, {when}" if when else f"the {self.what} as a whole"


def spans(what: str, odd: Iterable[bool], step_s: float) -> list[Part]:
    """Runs of odd steps as parts of ``step_s`` seconds each."""
    found: list[Part] = []
    for index, wrong in enumerate(odd):
        if not wrong:
            continue
        if found and abs(found[-1].end_s - index * step_s) < 1e-6:
            found[-1] = Part(what, start_s=found[-1].start_s, end_s=(index + 1) * step_s)
        else:
            found.append(Part(what, start_s=index * step_s, end_s=(index + 1) * step_s))
    return found
