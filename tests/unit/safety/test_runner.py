"""The verdict runner fails closed: every way a classifier can go wrong is a block with a reason."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gensafe.core.canonical import canonical_json
from gensafe.core.errors import SafetyUnavailable
from gensafe.core.types import (
    Action,
    Assessment,
    Audio,
    ClassifierId,
    Coverage,
    Finding,
    Image,
    Modality,
    Span,
    Stage,
    Text,
)
from gensafe.safety import SafetyRunner, redact, verdict_dict, verdict_digest
from gensafe.safety.policy import parse_policy
from gensafe.safety.runner import MAX_STUCK

POLICY = """
[default]
review = 0.5
block = 0.8
[categories.pii]
review = 0.5
block = 0.5
review_action = "redact"
block_action = "redact"
[floors.cse]
block = 0.5
"""


class Fixed:
    """A classifier that says what it was told to."""

    modality = Modality.TEXT

    def __init__(self, *findings, coverage=1.0, error=None, wait=None, name="fixed"):
        self.findings, self.coverage, self.error, self.wait, self.name = findings, coverage, error, wait, name

    def identity(self):
        return ClassifierId(self.name, "1", "sha256:" + "0" * 64)

    def card(self):
        raise NotImplementedError

    def assess(self, item, stage):
        if self.wait is not None:
            self.wait.wait(30)
        if self.error is not None:
            raise self.error
        return Assessment(tuple(self.findings), (Coverage(self.name, "characters", int(100 * self.coverage), 100),))


def judge(*classifiers, policy=POLICY, item=None, timeout_s=10.0):
    runner = SafetyRunner(parse_policy(policy), {Modality.TEXT: classifiers}, timeout_s)
    return runner.judge(item or Text("hello"), Stage.OUTPUT)


def test_nothing_found_is_allowed_and_names_what_looked():
    verdict = judge(Fixed())
    assert verdict.action is Action.ALLOW and verdict.releasable and not verdict.errors
    assert verdict.classifiers == (ClassifierId("fixed", "1", "sha256:" + "0" * 64),)
    assert verdict.coverage == (Coverage("fixed", "characters", 100, 100),)
    assert verdict.policy_digest.startswith("sha256:")


@pytest.mark.parametrize(
    ("score", "action"), [(0.1, Action.ALLOW), (0.5, Action.REVIEW), (0.8, Action.BLOCK), (1.0, Action.BLOCK)]
)
def test_the_strictest_finding_decides(score, action):
    verdict = judge(Fixed(Finding("tox", score, "fixed"), Finding("hte", 0.05, "fixed")))
    assert verdict.action is action
    assert verdict.releasable == (action is Action.ALLOW)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (Fixed(error=SafetyUnavailable("no model")), "fixed: SAFETY_UNAVAILABLE: no model"),
        (Fixed(error=ZeroDivisionError("secret words")), "fixed: ZeroDivisionError"),
        (Fixed(error=MemoryError()), "fixed: MemoryError"),
        (Fixed(Finding("tox", float("nan"), "fixed")), "fixed: SAFETY_UNAVAILABLE: score out of range for tox"),
        (Fixed(Finding("tox", 1.5, "fixed")), "fixed: SAFETY_UNAVAILABLE: score out of range for tox"),
        (Fixed(coverage=0.5), "coverage: 50 of 100 characters examined"),
    ],
)
def test_whatever_goes_wrong_blocks(broken, reason):
    verdict = judge(broken)
    assert verdict.errors == (reason,)
    assert verdict.action is Action.BLOCK and not verdict.releasable


def test_a_gap_is_closed_by_another_classifier_that_saw_all():
    assert judge(Fixed(coverage=0.5), Fixed(name="second")).releasable


def test_too_slow_is_a_block_and_does_not_wait():
    gate = threading.Event()
    try:
        verdict = judge(Fixed(wait=gate), Fixed(name="quick"), timeout_s=0.05)
    finally:
        gate.set()
    assert verdict.errors == ("fixed: timed out",)
    assert verdict.action is Action.BLOCK


def test_work_beside_other_work_is_not_refused():
    """Sixteen images at a time, six classifiers each: two of 32 were blocked, "all classifier threads are busy"."""
    gate = threading.Event()
    runner = SafetyRunner(parse_policy(POLICY), {Modality.TEXT: (Fixed(wait=gate),)}, timeout_s=30)
    with ThreadPoolExecutor(MAX_STUCK + 10) as callers:
        verdicts = [callers.submit(runner.judge, Text("hello"), Stage.OUTPUT) for _ in range(MAX_STUCK + 10)]
        gate.set()
    assert all(v.result().errors == () for v in verdicts)


def test_a_sound_that_waits_for_its_turn_is_not_late(monkeypatch):
    """Sixteen recognitions of .25 s on one core, with two seconds of time: half were blocked as late."""
    core = threading.Lock()

    class Recogniser(Fixed):
        def assess(self, item, stage):
            with core:
                threading.Event().wait(0.25)
            return super().assess(item, stage)

    monkeypatch.setattr("gensafe.safety.runner._SOUNDS", threading.BoundedSemaphore(2))
    runner = SafetyRunner(parse_policy(POLICY), {Modality.AUDIO: (Recogniser(),)}, timeout_s=2.0)
    sound = Audio(np.zeros((1, 16), np.float32), 16_000)
    with ThreadPoolExecutor(16) as callers:
        verdicts = list(callers.map(lambda _: runner.judge(sound, Stage.OUTPUT), range(16)))
    assert all(v.errors == () for v in verdicts)


def test_when_too_many_hang_new_work_is_refused_until_they_come_back():
    gate, finished = threading.Event(), threading.Semaphore(0)
    hangs = Fixed(wait=gate)
    hangs.assess = lambda item, stage, assess=hangs.assess: (assess(item, stage), finished.release())[0]
    runner = SafetyRunner(parse_policy(POLICY), {Modality.TEXT: (hangs,) * MAX_STUCK}, timeout_s=0.2)
    assert set(runner.judge(Text("hello"), Stage.OUTPUT).errors) == {"fixed: timed out"}
    assert set(runner.judge(Text("hello"), Stage.OUTPUT).errors) == {"fixed: too many classifiers hang"}
    gate.set()
    for _ in range(MAX_STUCK):
        assert finished.acquire(timeout=30)
    while runner.judge(Text("hello"), Stage.OUTPUT).errors:  # the last of them is still being counted out
        pass


@pytest.mark.parametrize("seconds", [5, 50], ids=["judged at once", "judged in windows"])
def test_a_sound_is_given_time_by_its_length(seconds):
    """A recogniser takes 1.4 s for a second of music: 26 s of speech and any music were blocked as "timed out"."""
    sound, gate = Audio(np.zeros((1, 100 * seconds), np.float32), 100), threading.Event()
    runner = SafetyRunner(parse_policy(POLICY), {Modality.AUDIO: (Fixed(wait=gate),)}, timeout_s=0.05)
    threading.Timer(0.5, gate.set).start()  # ten times the policy's time
    assert runner.judge(sound, Stage.OUTPUT).errors == ()


def test_a_modality_without_classifiers_is_blocked():
    runner = SafetyRunner(parse_policy(POLICY), {Modality.TEXT: (Fixed(),)})
    verdict = runner.judge(Image(np.zeros((4, 4, 3), np.uint8)), Stage.INPUT)
    assert verdict.errors == ("no classifier for image",) and not verdict.releasable


def test_a_missing_plugin_stops_the_start():
    with pytest.raises(SafetyUnavailable, match="no plugin named"):
        SafetyRunner.from_policy(parse_policy('[classifiers]\ntext = ["no_such_classifier"]'))
    with pytest.raises(SafetyUnavailable, match="reads text, not image"):
        SafetyRunner.from_policy(parse_policy('[classifiers]\nimage = ["text_rules"]'))


def test_monitor_mode_watches_but_not_floors_nor_failures():
    monitor = 'mode = "monitor"\n' + POLICY
    watched = judge(Fixed(Finding("tox", 0.9, "f")), policy=monitor)
    assert watched.action is Action.BLOCK and watched.monitor_only and watched.releasable
    floor = judge(Fixed(Finding("cse", 0.9, "f")), policy=monitor)
    assert not floor.monitor_only and not floor.releasable
    failed = judge(Fixed(error=MemoryError()), policy=monitor)
    assert not failed.releasable
    opened = judge(Fixed(error=MemoryError()), policy='on_error = "open"\n' + monitor)
    assert opened.releasable and opened.errors


def test_many_threads_share_one_runner():
    runner = SafetyRunner(parse_policy(POLICY), {Modality.TEXT: (Fixed(Finding("tox", 0.9, "f")), Fixed(name="b"))})
    seen = []

    def work():
        seen.extend(runner.judge(Text(str(i)), Stage.OUTPUT).action for i in range(50))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert seen == [Action.BLOCK] * 400


def test_custom_categories_reach_every_text_classifier():
    policy = parse_policy(
        '[classifiers]\ntext = ["text_rules"]\n[custom.project_x]\nkeywords = ["blue heron"]\n'
        'patterns = ["PX-[0-9]{4}"]\n[categories.project_x]\nreview = 0.5\nblock = 0.6\n'
    )
    runner = SafetyRunner.from_policy(policy)
    verdict = runner.judge(Text("the Blue  Her\u200bon flies, see PX-1234"), Stage.OUTPUT)
    assert verdict.action is Action.BLOCK and verdict.categories == ("project_x",)
    (decision,) = (d for d in verdict.decisions if d.finding.category == "project_x")
    assert decision.finding.spans == (Span(4, 16), Span(28, 35))
    assert runner.judge(Text("a grey heron"), Stage.OUTPUT).releasable


def test_redaction_paints_the_spans_only():
    verdict = judge(Fixed(Finding("pii", 1.0, "f", spans=(Span(5, 12),))), item=Text("mail a@b.org now"))
    assert verdict.action is Action.REDACT and verdict.releasable
    assert redact("mail a@b.org now", verdict) == "mail ███████ now"


def test_the_receipt_is_canonical_and_bound_to_what_was_decided():
    one = judge(Fixed(Finding("tox", 0.912, "f", spans=(Span(0, 5),))))
    body = verdict_dict(one)
    assert canonical_json(body)
    assert body["decisions"][0] | {} == {
        "category": "tox", "score": 912, "threshold": 800, "severity": 6, "action": "block", "classifier": "f",
        "spans": [[0, 5]],
    }  # fmt: skip
    other = judge(Fixed(Finding("tox", 0.950, "f", spans=(Span(0, 5),))))
    assert verdict_digest(one).startswith("sha256:") and verdict_digest(one) != verdict_digest(other)
