"""Judging in turns: many streams at once cost what they cost, and one that hangs delays nobody for long."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gensafe.core.types import Assessment, ClassifierId, Coverage, Modality, Stage, Text
from gensafe.safety import SafetyRunner, runner
from gensafe.safety.policy import parse_policy
from gensafe.safety.turns import Turns

MANY = 40  # judgements at once; two hundred streams had six hundred threads that wanted Python's lock


class Counting:
    """A classifier that counts how many of its calls run at once, and can be held up."""

    name, modality = "counting", Modality.TEXT

    def __init__(self, *, waits: bool = False, until: int = 0) -> None:
        self.waits, self._until = waits, until
        self.most = self._now = 0
        self._lock, self.enough = threading.Lock(), threading.Event()
        if not until:
            self.enough.set()

    def identity(self) -> ClassifierId:
        return ClassifierId(self.name, "1")

    def assess(self, item: object, stage: Stage) -> Assessment:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            if self._now >= self._until:
                self.enough.set()
        self.enough.wait(5)
        threading.Event().wait(0.002)  # so that calls overlap where they may
        with self._lock:
            self._now -= 1
        return Assessment((), (Coverage(self.name, "characters", 5, 5),))


def judged(classifier: Counting, timeout_s: float = 30.0) -> list[tuple[str, ...]]:
    """The errors of MANY judgements that are asked for at once."""
    judging = SafetyRunner(parse_policy(""), {Modality.TEXT: (classifier,)}, timeout_s)  # type: ignore[list-item]
    with ThreadPoolExecutor(MANY) as callers:
        return [v.errors for v in callers.map(lambda _: judging.judge(Text("hello"), Stage.OUTPUT), range(MANY))]


@pytest.fixture
def turns(monkeypatch):
    monkeypatch.setattr(runner, "_TURNS", {Modality.TEXT: Turns(2, 0.2)})


def test_texts_are_judged_as_many_at_a_time_as_there_are_turns(turns):
    classifier = Counting()
    assert judged(classifier) == [()] * MANY
    assert classifier.most == 2


def test_one_that_asks_another_machine_takes_no_turn(turns):
    classifier = Counting(waits=True, until=MANY)  # goes on once all of them ask at once
    assert judged(classifier) == [()] * MANY
    assert classifier.most == MANY


def test_one_that_hangs_gives_its_turn_up(turns):
    classifier = Counting(until=6)  # the first two hold both turns until six have begun
    assert judged(classifier) == [()] * MANY


def test_time_begins_at_the_turn(monkeypatch):
    monkeypatch.setattr(runner, "_TURNS", {Modality.TEXT: Turns(1, 10.0)})
    assert judged(Counting(), timeout_s=0.05) == [()] * MANY  # all of them together take longer than that


def test_turns_go_in_the_order_in_which_they_were_asked_for():
    turns, order, asked = Turns(1, 10.0), [], threading.Semaphore(0)

    def wait(number: int) -> None:
        with turns.turn():
            order.append(number)

    threads = []
    with turns.turn():
        for number in range(8):
            threads.append(threading.Thread(target=wait, args=(number,)))
            threads[-1].start()
            while len(turns._waiting) <= number:
                asked.acquire(timeout=0.001)
    for thread in threads:
        thread.join(30)
    assert order == list(range(8))
