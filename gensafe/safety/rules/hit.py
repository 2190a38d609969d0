"""What a rule reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hit:
    """One match: ``kind`` names the rule ("card", "aws-key"), offsets are [start, end) in the given text."""

    category: str
    kind: str
    start: int
    end: int
    score: float = 1.0
