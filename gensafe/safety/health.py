"""Which classifiers are down: the first failure of each and its first success after that are reported, once each.

A report must never hold up or fail the judgement that caused it, so it is handed on and not waited for; what could not
be handed on, or did not become durable, is reported again with the next judgement.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from gensafe.core.errors import GensafeError
from gensafe.core.observer import ClassifierRan, Observer, unobserved
from gensafe.core.ports import Clock
from gensafe.core.types import ClassifierId, Modality

REMOVED: Final = "REMOVED_FROM_POLICY"  # an outage also ends when nobody asks the classifier any more
CARRIED_OVER: Final = "NOT_SEEN_WORKING_BEFORE_RESTART"


@dataclass(frozen=True, slots=True)
class FilterChange:
    """A classifier went down or came back.

    ``reason`` is a stable code or the name of an exception's type, never its message; ``refused`` counts the judgements
    that failed since ``since_ms``.
    """

    down: bool
    classifier: ClassifierId
    modality: Modality
    reason: str
    since_ms: int
    refused: int


Report = Callable[[FilterChange], "Future[Any]"]
"""Hands a change to the log without waiting; may raise a GensafeError."""


@dataclass(slots=True)
class _State:
    classifier: ClassifierId
    modality: Modality
    reason: str
    since_ms: int
    refused: int = 0
    down: bool = True
    said: bool = False  # the event of the present phase was handed on and did not fail since
    phase: int = 0  # tells a late failure of an older report from one of the present phase


class FilterHealth:
    """The state of every classifier of one process, across policies and tenants. Thread-safe."""

    def __init__(self, clock: Clock, report: Report | None = None) -> None:
        self._clock = clock
        self.report = report  # set once the log is open
        self.observe: Observer = unobserved  # set by whoever assembles the parts
        self._lock = threading.RLock()  # a report that failed at once calls back in the same thread
        self._states: dict[tuple[str, Modality], _State] = {}

    def ran(self, run: ClassifierRan) -> None:
        """A classifier was asked; for whoever measures."""
        self.observe(run)

    def failed(self, classifier: ClassifierId, modality: Modality, reason: str) -> None:
        """A classifier gave no answer."""
        key = (classifier.name, modality)
        with self._lock:
            state = self._states.get(key)
            if state is None:
                state = self._states[key] = _State(classifier, modality, reason, self._clock.now_ms())
            elif not state.down and state.said:
                self._turn(state, down=True)
                state.classifier, state.reason = classifier, reason
                state.since_ms, state.refused = self._clock.now_ms(), 0
            elif not state.down:  # its recovery never reached the log: the log still says that it is down
                self._turn(state, down=True)
                state.said = True
            state.refused += 1
            self._say(state)

    def worked(self, classifier: ClassifierId, modality: Modality) -> None:
        """A classifier gave an answer."""
        key = (classifier.name, modality)
        if key not in self._states:  # nearly always; no lock
            return
        with self._lock:
            state = self._states[key]
            if state.down:
                self._say(state)
                if not state.said:
                    return
                self._turn(state, down=False)
                state.classifier, state.reason = classifier, ""
            self._say(state)

    def carry_over(self, classifier: ClassifierId, modality: Modality, since_ms: int) -> None:
        """An earlier process left this classifier down, and nothing shows that it works again."""
        with self._lock:
            state = self._states[classifier.name, modality] = _State(classifier, modality, CARRIED_OVER, since_ms)
            self._say(state)

    def keep(self, asked: Iterable[tuple[str, Modality]]) -> None:
        """End the outages of classifiers that no policy in force asks any more."""
        wanted = set(asked)
        with self._lock:
            for key, state in self._states.items():
                if key not in wanted and state.down and state.said:
                    self._turn(state, down=False)
                    state.reason = REMOVED
                    self._say(state)

    def _turn(self, state: _State, *, down: bool) -> None:
        state.down, state.said, state.phase = down, False, state.phase + 1

    def _say(self, state: _State) -> None:
        if state.said or self.report is None:
            return
        change = FilterChange(state.down, state.classifier, state.modality, state.reason, state.since_ms, state.refused)
        try:
            future = self.report(change)
        except GensafeError:
            return
        state.said = True
        phase = state.phase
        future.add_done_callback(lambda done: self._unsay(state, phase) if done.exception() else None)

    def _unsay(self, state: _State, phase: int) -> None:
        with self._lock:
            if state.phase == phase:
                state.said = False
