"""One classifier on one item, as what a worker thread runs and the runner waits for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gensafe.core.ports import Classifier
from gensafe.core.types import Assessment, Media, Stage
from gensafe.safety.film_calls import TIMED_OUT, Call, Outcome, checked, reason_of


class ItemCall:
    """One classifier on one item; its outcome is an assessment or the reason why there is none."""

    def __init__(self, classifier: Classifier, item: Media, stage: Stage, *, unfinished: bool = False) -> None:
        self._classifier, self._item, self._stage = classifier, item, stage
        self._assess: Callable[[Media, Stage], Assessment] = classifier.assess
        if unfinished:
            self._assess = getattr(classifier, "assess_unfinished", classifier.assess)
        self.waits = bool(getattr(classifier, "waits", False))
        self._done = threading.Event()
        self._outcome: Outcome = "not run"
        self._begin = self._end = time.perf_counter()

    def run(self) -> None:
        """Assess; whatever happens, set an outcome."""
        try:
            assessment = self._assess(self._item, self._stage)
            self._outcome = (self._classifier.identity(), checked(assessment))
        except BaseException as error:
            self._outcome = reason_of(error)
        finally:
            self._end = time.perf_counter()
            self._done.set()

    @property
    def call(self) -> Call:
        """What runs: this."""
        return self

    def refuse(self, reason: str) -> None:
        """Settle without running."""
        self._outcome = reason
        self._done.set()

    @property
    def seconds(self) -> float:
        """How long it took; of one that has not ended, how long since it was asked."""
        return (self._end if self._done.is_set() else time.perf_counter()) - self._begin

    def wait(self, seconds: float) -> Outcome:
        """The outcome, or "timed out"."""
        return self._outcome if self._done.wait(seconds) else TIMED_OUT
