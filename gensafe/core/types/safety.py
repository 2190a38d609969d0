"""What classifiers find and what policy makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gensafe.core.types.media import Modality


class Action(StrEnum):
    """What policy does with a finding, from mild to strict. ``max`` by ``ACTION_ORDER`` wins."""

    ALLOW = "allow"
    ANNOTATE = "annotate"
    REDACT = "redact"
    REVIEW = "review"
    BLOCK = "block"


ACTION_ORDER: tuple[Action, ...] = (Action.ALLOW, Action.ANNOTATE, Action.REDACT, Action.REVIEW, Action.BLOCK)


class Stage(StrEnum):
    """Where in a request a verdict was taken."""

    PROMPT = "prompt"
    INPUT = "input"
    OUTPUT = "output"
    STANDALONE = "standalone"  # SafetyService.Classify


@dataclass(frozen=True, slots=True)
class Span:
    """Character offsets [start, end) in the text that was given in."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Box:
    """Pixel rectangle, top-left inclusive, bottom-right exclusive."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Seconds [start, end) from the start of the medium."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One classifier's score for one category, with where it was seen. ``score`` in 0..1; rules use 1.0."""

    category: str  # a key of hazards.CATEGORIES or a policy's custom category
    score: float
    classifier: str  # plugin name
    detail: str = ""  # a short reason; never the offending content itself
    spans: tuple[Span, ...] = ()
    boxes: tuple[Box, ...] = ()
    times: tuple[TimeRange, ...] = ()


@dataclass(frozen=True, slots=True)
class Coverage:
    """What one classifier examined, e.g. ("text.screen", "characters", 512, 512). ``examined < total`` is a gap."""

    classifier: str
    unit: str  # characters | pixels | frames | samples | channels | streams
    examined: int
    total: int


@dataclass(frozen=True, slots=True)
class Assessment:
    """What one classifier returns for one item."""

    findings: tuple[Finding, ...]
    coverage: tuple[Coverage, ...]


@dataclass(frozen=True, slots=True)
class ClassifierId:
    """Which classifier, of which version, with which weights. ``weights_digest`` "" = rules without weights."""

    name: str
    version: str
    weights_digest: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A finding after policy: the threshold that applied and the action it led to. ``severity`` is 0, 2, 4 or 6."""

    finding: Finding
    threshold: float
    severity: int
    action: Action


@dataclass(frozen=True, slots=True)
class Verdict:
    """The policy's answer about one item. ``action`` is the strictest of the decisions; errors make it BLOCK."""

    stage: Stage
    modality: Modality
    action: Action
    decisions: tuple[Decision, ...]
    coverage: tuple[Coverage, ...]
    classifiers: tuple[ClassifierId, ...]
    policy_id: str
    policy_digest: str  # "sha256:<hex>"
    errors: tuple[str, ...] = ()  # classifiers that failed, with the reason
    monitor_only: bool = False  # the policy ran in monitor mode: `action` is what enforce mode would have done
    elapsed_ms: int = 0

    @property
    def releasable(self) -> bool:
        """Whether the item may go on: no error, and not held or blocked (or the policy only monitors)."""
        if self.errors and not self.monitor_only:
            return False
        return self.monitor_only or self.action not in (Action.BLOCK, Action.REVIEW)

    @property
    def for_review(self) -> bool:
        """Whether a person decides: policy holds the item, and no classifier failed on it."""
        return self.action is Action.REVIEW and not self.errors and not self.monitor_only

    @property
    def categories(self) -> tuple[str, ...]:
        """Categories that led to the verdict's action, strictest first, without repeats."""
        hits = [d.finding.category for d in self.decisions if d.action is self.action]
        return tuple(dict.fromkeys(hits))
