"""The registry under load and beside other processes: one writer, true causes, private files."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gensafe.core.clock import FixedClock
from gensafe.core.errors import Conflict, GensafeError, RegistryError
from gensafe.core.types import RequestKey
from gensafe.keys import KeyEncryptionKey
from gensafe.registry import IntentState, Registry

ID = "0123456789abcdef"
KEK = KeyEncryptionKey(ID, {ID: bytes(range(32))})
HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_another_process(database: Path) -> Iterator[None]:
    """Another process has begun to write and does not end."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None and other.stdin is not None
    assert other.stdout.readline() == "held\n"
    try:
        yield
    finally:
        other.stdin.close()
        other.wait(30)
        other.stdout.close()


@pytest.fixture
def registry(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("gensafe.registry.database.BUSY_WAIT_MS", 100)
    with Registry.open(tmp_path / "registry", kek=KEK, clock=FixedClock(5_000)) as opened:
        yield opened


def at_once(count: int, work) -> list[BaseException]:
    """Run ``work(n)`` in ``count`` threads that start together; returns what was raised."""
    start, raised = threading.Barrier(count), list[BaseException]()

    def one(n: int) -> None:
        start.wait()
        try:
            work(n)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_hundreds_of_writers_at_once_wait_for_each_other(registry: Registry):
    """Passed before too, given 5 s of waiting each; with one writer it passes with waits of 100 ms."""

    def one(n: int) -> None:
        registry.open_intent(RequestKey("t", f"r{n}"), "d", n)
        registry.seal_prompt(n, f"t{n % 7}", "p")
        registry.put_blob(b"%d" % n, owner=registry.pseudonym(f"t{n % 7}"))
        registry.close_intent(RequestKey("t", f"r{n}"), IntentState.FAILED, n)

    assert at_once(200, one) == []
    assert registry.open_intents() == []
    assert registry.open_prompt(199) is not None


def test_one_piece_of_work_that_fails_takes_no_other_with_it(registry: Registry):
    for n in range(8):
        registry.open_intent(RequestKey("t", f"r{n}"), "d", n)
    raised = at_once(64, lambda n: registry.close_intent(RequestKey("t", f"r{n % 8}"), IntentState.FAILED, n))
    assert len(raised) == 56
    assert all(type(error) is RegistryError and "no open intent" in str(error) for error in raised)
    assert registry.open_intents() == []


def test_two_retries_of_a_failed_request_one_runs_the_other_is_told_so(registry: Registry):
    """Before: the later one got RegistryError "cannot run again", which callers saw as INTERNAL."""
    registry.open_intent(RequestKey("t", "r"), "d", 1)
    registry.close_intent(RequestKey("t", "r"), IntentState.FAILED, 1)
    raised = at_once(2, lambda n: registry.reopen_intent(RequestKey("t", "r"), 2 + n))
    assert [type(error) for error in raised] == [Conflict]


def test_a_registry_that_another_process_holds_is_unavailable_and_can_be_read(registry: Registry, tmp_path: Path):
    """Before: RegistryError REGISTRY_FAILED, INTERNAL to callers, "database is locked"."""
    registry.open_intent(RequestKey("t", "r"), "d", 1)
    with held_by_another_process(tmp_path / "registry" / "registry.db"):
        with pytest.raises(GensafeError) as caught:
            registry.open_intent(RequestKey("t", "s"), "d", 2)
        assert caught.value.reason == "REGISTRY_UNAVAILABLE"
        assert "another process" in str(caught.value)
        assert registry.intent(RequestKey("t", "r")) is not None
    assert registry.open_intent(RequestKey("t", "s"), "d", 2)[1]


def test_the_registry_is_for_its_owner_only(registry: Registry, tmp_path: Path):
    """Before: folders 0755, files 0644 - reviewers' names and reasons for every user of the machine."""
    registry.put_blob(b"x" * 100)
    registry.seal_prompt(1, "t", "p")
    inside = [tmp_path / "registry", *(tmp_path / "registry").rglob("*")]
    assert len(inside) > 5
    assert {(p.name, oct(p.stat().st_mode & 0o077)) for p in inside if p.stat().st_mode & 0o077} == set()
