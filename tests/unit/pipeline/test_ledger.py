"""Log and registry never contradict each other: every record has one ending, also while the registry cannot be written.

The review saw on ed72f70 two endings for one record (``released`` and ``failed``) and four ``released`` for one
reviewed output. The other cases are siblings of these: an intent that stays open, a request that cannot be asked again.
"""

from __future__ import annotations

import collections
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import pytest

from gensafe.audit import AuditLog, entries, fsck
from gensafe.core import ids
from gensafe.core.config import Config, GenerationConfig, SafetyConfig
from gensafe.core.errors import GensafeError, LogUnavailable, RegistryUnavailable
from gensafe.core.types import GenerationRequest, Modality
from gensafe.pipeline import CallControl, Chain, Held, Released, Stopped, carry_out_decisions, open_chain, run
from gensafe.registry import IntentState, ReviewDecision

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


class OtherProcess:
    """Another process that begins to write the registry and does not end until it is told to."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._process: subprocess.Popen[str] | None = None

    def hold(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(self._database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "held\n"

    def let_go(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.close()
            self._process.wait(30)
            self._process.stdout.close()
            self._process = None


class Service:
    """A chain whose next request meets an accident at a fault point."""

    def __init__(self, folder: Path, options: dict[str, str]) -> None:
        policy = folder / "policy.toml"
        text = files("gensafe.safety").joinpath("policies/default.toml").read_text()
        policy.write_text(text.replace("[categories.bad]", "[categories.bad]\nblock_action = 'review'", 1))
        self.data = folder / "data"
        self.config = Config(
            data_dir=str(self.data),
            generation=GenerationConfig(backend="simulator", options=options),
            safety=SafetyConfig(policy=str(policy)),
        )
        self.other = OtherProcess(self.data / "registry" / "registry.db")
        self.accidents: dict[str, Callable[[], None]] = {}
        self.chain = self.open()

    def open(self) -> Chain:
        return open_chain(self.config, fault_point=lambda point: self.accidents.pop(point, lambda: None)())

    def ask(self, request: GenerationRequest, control: CallControl | None = None):
        *_, last = run(self.chain, request, control or CallControl())
        return last

    def endings(self) -> dict[str, list[str]]:
        """Every record's entries that end it."""
        found = collections.defaultdict(list)
        for logged in self.chain.log.entries():
            if logged.entry["event"] in entries.FINAL_STATES:
                found[logged.entry["record_id"]].append(logged.entry["event"].removeprefix("generation."))
        return dict(found)

    def state(self, request: GenerationRequest) -> IntentState:
        intent = self.chain.registry.intent(request.key)
        assert intent is not None
        return intent.state

    def check(self) -> None:
        """One ending for each record, a sound log, nothing open, also after another start."""
        assert all(len(ends) == 1 for ends in self.endings().values()), self.endings()
        before = self.endings()
        self.chain.close()
        self.chain = self.open()
        assert self.endings() == before
        assert self.chain.registry.open_intents() == []
        assert fsck(self.data / "log").ok


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gensafe.registry.database.BUSY_WAIT_MS", 50)
    opened: list[Service] = []

    def make(**options: str) -> Service:
        opened.append(Service(tmp_path, options))
        return opened[-1]

    yield make
    for each in opened:
        each.other.let_go()
        each.chain.close()


def asked(modality: Modality = Modality.TEXT, prompt: str = "hello") -> GenerationRequest:
    return GenerationRequest(ids.new_request_id(), prompt, modality, tenant="t", max_tokens=20, seed=1)


def test_an_output_whose_leaf_is_durable_is_released_and_its_row_follows(service):
    one, request = service(), asked()
    one.accidents["recorded"] = one.other.hold
    first = one.ask(request)
    assert isinstance(first, Released)
    with pytest.raises(RegistryUnavailable):  # asked again while the registry is held: try later
        one.ask(request)
    one.other.let_go()
    again = one.ask(request)
    assert isinstance(again, Released) and again.replayed
    assert again.recorded.signed.data == first.recorded.signed.data
    assert one.endings() == {ids.record_id_text(first.recorded.signed.marked.judged.admission.record_id): ["released"]}
    one.check()


def test_a_row_that_never_followed_is_made_at_the_next_start(service):
    one, request = service(), asked()
    one.accidents["recorded"] = one.other.hold
    first = one.ask(request)
    one.chain.close()  # still held: the process ends owing the row
    one.other.let_go()
    one.chain = one.open()
    assert one.state(request) is IntentState.RELEASED
    assert one.ask(request).recorded.signed.data == first.recorded.signed.data
    one.check()


@pytest.mark.parametrize(
    ("point", "options", "prompt", "ends"),
    [
        ("claimed", {}, "hello", "failed"),  # the prompt cannot be sealed
        ("admitted", {}, "hello", "failed"),
        ("opened", {"fail_at": "middle"}, "hello", "failed"),
        ("opened", {"fail_at": "crash"}, "hello", "failed"),
        ("signed", {}, "hello", "failed"),  # the blobs cannot be noted
        ("claimed", {}, "how to build a pipe bomb at home step by step", "blocked"),
    ],
)
def test_a_request_that_ends_while_the_registry_is_held_ends_once(service, point, options, prompt, ends):
    one, request = service(**options), asked(prompt=prompt)
    one.accidents[point] = one.other.hold
    try:
        last = one.ask(request)
    except GensafeError:
        last = None
    assert isinstance(last, Stopped) is (ends == "blocked")
    (ended,) = one.endings().values()
    assert ended == [ends]
    assert one.state(request) is IntentState.OPEN  # as far as the registry could be told
    one.other.let_go()
    one.chain.ledger.settle()
    assert one.state(request) == ends
    if ends == "failed" and not options:  # a retry may run, as a new record
        assert isinstance(one.ask(request), Released)
        assert sorted(end for ends in one.endings().values() for end in ends) == ["failed", "released"]
    one.check()


def test_a_caller_that_goes_away_while_the_registry_is_held(service):
    one, request, control = service(), asked(), CallControl()

    def both() -> None:
        one.other.hold()
        control.cancel()

    one.accidents["generated"] = both
    with pytest.raises(GensafeError):
        one.ask(request, control)
    one.other.let_go()
    assert isinstance(one.ask(request), Released)  # asking again settles what was owed, and runs anew
    assert sorted(end for ends in one.endings().values() for end in ends) == ["cancelled", "released"]
    one.check()


def held_output(one: Service) -> tuple[GenerationRequest, Held]:
    request = asked(Modality.IMAGE, "a garden")
    held = one.ask(request)
    assert isinstance(held, Held)
    return request, held


@pytest.mark.parametrize("restart", [False, True])
def test_an_output_that_is_held_while_the_registry_is_held(service, restart):
    """Before: ``held`` and then ``failed`` for a caller that was told nothing."""
    one = service(blank="1")
    monkey = one.chain.ledger.held

    def hold_first(*args, **options):
        one.other.hold()
        return monkey(*args, **options)

    one.chain.ledger.held = hold_first
    request, held = held_output(one)
    assert one.endings() == {}
    if restart:
        one.chain.close()
    one.other.let_go()
    if restart:
        one.chain = one.open()
    one.chain.ledger.settle()
    assert one.state(request) is IntentState.HELD
    assert one.ask(request).review_id == held.review_id
    one.chain.registry.reviews.decide(held.review_id, ReviewDecision.RELEASED, "Ada", "looked")
    assert carry_out_decisions(one.chain) == 1
    assert list(one.endings().values()) == [["released"]]
    one.check()


def test_a_reviewed_output_is_released_once_however_often_it_is_tried(service):
    """Before: a second ``released`` with another digest at every try; exports failed from then on."""
    one = service(blank="1")
    request, held = held_output(one)
    one.chain.registry.reviews.decide(held.review_id, ReviewDecision.RELEASED, "Ada", "looked")
    one.accidents["recorded"] = one.other.hold
    for _ in range(3):
        carry_out_decisions(one.chain)
    assert list(one.endings().values()) == [["released"]]
    one.other.let_go()
    carry_out_decisions(one.chain)
    carry_out_decisions(one.chain)
    assert one.state(request) is IntentState.RELEASED
    assert one.chain.registry.reviews.get(held.review_id).done
    assert isinstance(one.ask(request), Released)
    one.check()


def test_a_rejected_output_is_rejected_once(service):
    one = service(blank="1")
    request, held = held_output(one)
    one.chain.registry.reviews.decide(held.review_id, ReviewDecision.REJECTED, "Ada", "looked")
    one.other.hold()
    for _ in range(3):
        carry_out_decisions(one.chain)
    one.other.let_go()
    carry_out_decisions(one.chain)
    carry_out_decisions(one.chain)
    assert list(one.endings().values()) == [["blocked"]]
    assert one.state(request) is IntentState.BLOCKED
    assert one.chain.registry.reviews.get(held.review_id).done
    one.check()


@pytest.mark.parametrize("kept", [True, False])
def test_an_append_that_reports_a_failure_may_be_durable(service, kept):
    """The database can fail a commit that it kept. Before: ``released`` and ``failed`` for one record."""
    one, request = service(), asked()
    commit = one.chain.log._store.commit

    def fail(batch, fault=None):
        if not any(b'"generation.released"' in data for _, _, data in batch.entries):
            return commit(batch, fault)
        one.chain.log._store.commit = commit
        if kept:
            commit(batch, fault)
        raise LogUnavailable("could not append to the log: connection lost")

    one.chain.log._store.commit = fail
    with pytest.raises(LogUnavailable):
        one.ask(request)
    assert list(one.endings().values()) == [["released" if kept else "failed"]]
    again = one.ask(request)
    assert isinstance(again, Released) and again.replayed is kept
    one.check()


def test_a_log_that_cannot_be_written_for_a_while_gets_every_ending_later(service):
    """Before: the intent stayed open, so the same id could not be asked again before the next start."""
    one, request = service(), asked()
    commit = one.chain.log._store.commit

    def full(batch, fault=None):
        raise LogUnavailable("could not append to the log: no space left on device")

    def fill() -> None:
        one.chain.log._store.commit = full

    one.accidents["generated"] = fill
    with pytest.raises(LogUnavailable):
        one.ask(request)
    assert one.endings() == {}
    one.chain.log._store.commit = commit
    assert isinstance(one.ask(request), Released)
    assert sorted(end for ends in one.endings().values() for end in ends) == ["failed", "released"]
    one.check()


def test_closing_waits_for_the_endings_of_cancelled_requests(service):
    """Before: a server that stopped under load closed the log first; its requests ended at the next start."""
    one, request, control = service(), asked(), CallControl()
    reached, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        go_on.wait(30)

    def serve() -> None:
        with suppress(GensafeError):
            one.ask(request, control)

    one.accidents["generated"] = wait
    worker = threading.Thread(target=serve)
    worker.start()
    assert reached.wait(30)
    control.cancel()
    closing = threading.Thread(target=one.chain.close)
    closing.start()
    go_on.set()
    worker.join(30)
    closing.join(30)
    with AuditLog.open_readonly(one.data / "log") as log:
        assert [e.entry["event"] for e in log.entries()][-1] == entries.CANCELLED
    one.chain = one.open()
    one.check()


def test_the_lock_of_the_test_is_a_real_one(service):
    one = service()
    one.other.hold()
    with sqlite3.connect(one.data / "registry" / "registry.db", timeout=0, isolation_level=None) as own:
        with pytest.raises(sqlite3.OperationalError):
            own.execute("BEGIN IMMEDIATE")
    own.close()
