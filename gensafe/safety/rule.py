"""A rule of the policy: thresholds and actions of one category in one scope, and how two rules combine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gensafe.core.types import ACTION_ORDER, Action

RULE_KEYS: Final = ("review", "block", "review_action", "block_action", "severe")
# Scores lie in 0..1, so 1.01 is a threshold that no score reaches.
MILDEST: Final[Mapping[str, Any]] = {"review": 1.01, "block": 1.01, "review_action": "allow", "block_action": "allow"}


@dataclass(frozen=True, slots=True)
class Rule:
    """Thresholds (scores in 0..1) and actions of one category in one scope."""

    review: float
    block: float
    severe: float  # from here on the severity is 6
    review_action: Action
    block_action: Action

    def decide(self, score: float) -> tuple[float, int, Action]:
        """(threshold that applied, severity 0/2/4/6, action) for ``score``."""
        if score >= self.block:
            return self.block, 6 if score >= self.severe else 4, self.block_action
        if score >= self.review:
            return self.review, 2, self.review_action
        return self.review, 0, Action.ALLOW


@dataclass(frozen=True, slots=True)
class StreamParameters:
    """How a text stream is held back; see ``gensafe.safety.streaming``. ``hold_back_words`` 0 = hold the whole text."""

    window_words: int = 120
    hold_back_words: int = 60
    step_words: int = 10
    hold_back_sentences: int = 1

    @property
    def shortest_window(self) -> int:
        """Words a window has at least once it no longer begins at the beginning of the text."""
        return self.window_words - self.window_words // 4


def make_rule(values: Mapping[str, Any]) -> Rule:
    """A rule from a complete table of values."""
    block = float(values["block"])
    return Rule(
        review=min(float(values["review"]), block),
        block=block,
        severe=float(values.get("severe", (1.0 + block) / 2)),
        review_action=Action(values["review_action"]),
        block_action=Action(values["block_action"]),
    )


def stricter(a: Rule, b: Rule) -> Rule:
    """The lower threshold and the stricter action of the two, each by itself."""

    def strict(x: Action, y: Action) -> Action:
        return max(x, y, key=ACTION_ORDER.index)

    block = min(a.block, b.block)
    return Rule(
        review=min(a.review, b.review, block),
        block=block,
        severe=min(a.severe, b.severe),
        review_action=strict(a.review_action, b.review_action),
        block_action=strict(a.block_action, b.block_action),
    )


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``over``, tables merged one level deep."""
    merged = dict(base)
    for key, value in over.items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, Mapping) else value
    return merged
