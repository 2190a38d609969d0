"""The text stack for callers that have text rather than a request: words read in an image, a transcript, a subtitle."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

from gensafe.core import plugins
from gensafe.core.errors import SafetyUnavailable
from gensafe.core.ports import Classifier
from gensafe.core.types import Action, Assessment, ClassifierId, Finding, Stage, Text, Verdict

DEFAULT_STACK: Final = ("text_rules", "text_encoder")
"""Without ``text_language``: a caption or a transcript of a few words is too short to tell its language."""

REDACTED: Final = "█"


class TextStack:
    """A fixed set of text classifiers run one after the other.

    Args:
        options: Handed to each classifier; ``custom`` (JSON) carries the operator's categories.
        names: Entry points to load, ``DEFAULT_STACK`` if empty.

    Raises:
        PluginError, SafetyUnavailable: one cannot be loaded.
    """

    def __init__(self, options: Mapping[str, str] | None = None, names: tuple[str, ...] = ()) -> None:
        passed = {k: v for k, v in (options or {}).items() if k == "custom"}
        self._classifiers: tuple[Classifier, ...] = tuple(
            plugins.load("gensafe.classifiers", name, passed) for name in names or DEFAULT_STACK
        )

    def assess(self, text: str, stage: Stage) -> Assessment:
        """Findings and coverage of all classifiers; spans are offsets in ``text``.

        Raises:
            SafetyUnavailable: one of them failed.
        """
        parts = [c.assess(Text(text), stage) for c in self._classifiers]
        return Assessment(
            tuple(f for p in parts for f in p.findings),
            tuple(c for p in parts for c in p.coverage),
        )

    def identities(self) -> tuple[ClassifierId, ...]:
        """Which classifiers, with which weights."""
        return tuple(c.identity() for c in self._classifiers)


_lock = threading.Lock()
_default: list[TextStack] = []


def default_stack() -> TextStack:
    """The shared stack without options, made on first use."""
    with _lock:
        if not _default:
            _default.append(TextStack())
        return _default[0]


def assess_text(text: str, stage: Stage, stack: TextStack | None = None) -> tuple[Finding, ...]:
    """Findings of the text stack for ``text`` found inside another medium.

    Raises:
        SafetyUnavailable: a classifier failed; treat as a block.
    """
    return (stack or default_stack()).assess(text, stage).findings


def classify_text(text: str) -> dict[str, float]:
    """Category -> score in 0..1 for every category the installed text classifiers cover, 0.0 where nothing was found.

    Names are those of ``gensafe.core.hazards.CATEGORIES`` (MLCommons AILuminate codes and GenSafe's additions). A score
    is a screen's opinion: its card in docs/cards says how often it is right.

    Raises:
        SafetyUnavailable: a classifier failed.
    """
    stack = _full_stack()
    scores = {category: 0.0 for classifier in stack for category in classifier.card().categories}
    for classifier in stack:
        for finding in classifier.assess(Text(text), Stage.STANDALONE).findings:
            scores[finding.category] = max(scores.get(finding.category, 0.0), finding.score)
    return scores


_full: list[tuple[Classifier, ...]] = []


def _full_stack() -> tuple[Classifier, ...]:
    from gensafe.core.types import Modality
    from gensafe.safety.policy import load_policy

    with _lock:
        if not _full:
            names = load_policy().classifiers.get(Modality.TEXT, ())
            if not names:
                raise SafetyUnavailable("the default policy names no text classifier")
            _full.append(tuple(plugins.load("gensafe.classifiers", name) for name in names))
        return _full[0]


def redact(text: str, verdict: Verdict) -> str:
    """``text`` with every span that a REDACT decision names painted over, same length, white space kept.

    Spans of stricter decisions are painted too; a verdict that blocks has no business here and changes nothing more.
    """
    chars = list(text)
    for decision in verdict.decisions:
        if decision.action in (Action.REDACT, Action.REVIEW, Action.BLOCK):
            for span in decision.finding.spans:
                for i in range(max(0, span.start), min(len(chars), span.end)):
                    if not chars[i].isspace():
                        chars[i] = REDACTED
    return "".join(chars)
