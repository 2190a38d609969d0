"""Classifiers on trial: asked after the verdict, their scores logged, without any effect on it.

``[shadow] text = ["text_guard"]`` in a policy. One JSON line for each item on the logger ``gensafe.safety.shadow``: the
classifier, the scores, and what the policy would have done with them; never content. A classifier that is slow, busy or
broken loses lines, never a request: there are few threads and no queue.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence

from gensafe.core.ports import Classifier
from gensafe.core.types import Action, Media, Modality, Stage, Verdict
from gensafe.safety.policy import Policy

log = logging.getLogger("gensafe.safety.shadow")


class Shadow:
    """The classifiers of one policy that are only watched.

    Args:
        policy: What it would have done is logged.
        classifiers: Per modality.
    """

    def __init__(self, policy: Policy, classifiers: Mapping[Modality, Sequence[Classifier]]) -> None:
        self._policy = policy
        self._classifiers = {m: tuple(found) for m, found in classifiers.items()}

    def of(self, modality: Modality) -> tuple[Classifier, ...]:
        """Those that read ``modality``."""
        return self._classifiers.get(modality, ())

    def under(self, policy: Policy) -> Shadow:
        """The same classifiers, under another policy."""
        return Shadow(policy, self._classifiers)

    def look(self, classifier: Classifier, item: Media, stage: Stage, verdict: Verdict, *, streaming: bool) -> None:
        """Ask ``classifier`` and log; never raises."""
        line: dict[str, object] = {"classifier": classifier.name, "modality": item.modality.value, "stage": stage.value}
        line["verdict"] = verdict.action.value
        try:
            findings = classifier.assess(item, stage).findings
            decisions = self._policy.decide(findings, item.modality, stage, streaming=streaming)
            line["would"] = (decisions[0].action if decisions else Action.ALLOW).value
            line["scores"] = {f.category: round(float(f.score), 4) for f in findings}
        except BaseException as error:  # its message may quote the content: keep its type only
            line["failed"] = type(error).__name__
        log.info("%s", json.dumps(line, sort_keys=True))
