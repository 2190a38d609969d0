"""A clock that jumps: noticed, not permanent in the log, and never a reason to forget what is not old."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gensafe.audit import AuditLog, entries, fsck
from gensafe.audit.clockwatch import ClockWatch
from gensafe.audit.export import export_jsonl
from gensafe.audit.retention import DAY_MS, expire
from gensafe.core.clock import FixedClock

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
START = 1_790_000_000_000
HOUR = 3_600_000
YEARS = 50 * 365 * DAY_MS


def opened(folder: Path, clock: FixedClock) -> AuditLog:
    return AuditLog.open(folder / "log", origin="example.com/log", key=KEY, clock=clock)


def times(log: AuditLog) -> list[tuple[str, int]]:
    return [(e.entry["event"], e.time_ms) for e in log.entries()]


def append(log: AuditLog, *names: str) -> None:
    for name in names:
        log.append({"event": name})


@pytest.mark.parametrize("restart", [False, True])
def test_a_clock_that_was_ahead_and_is_right_again_does_not_stay_ahead(tmp_path: Path, restart: bool):
    """Seen on commit a634fb2: every later entry, also after a restart, was stamped 50 years ahead."""
    clock = FixedClock(START)
    log = opened(tmp_path, clock)
    append(log, "a")
    clock.ms += YEARS
    append(log, "ahead", "ahead")
    clock.ms = START + HOUR
    if restart:
        log.close()
        log = opened(tmp_path, clock)
    append(log, "b")
    clock.ms += HOUR
    append(log, "c")
    assert times(log) == [
        ("a", START),
        ("ahead", START + YEARS),
        ("ahead", START + YEARS),
        (entries.CLOCK_CORRECTED, START + HOUR),
        ("b", START + HOUR),
        ("c", START + 2 * HOUR),
    ]
    assert log.entry(3).entry["from_ms"] == START + YEARS
    assert log.entry(3).entry["to_ms"] == START + HOUR
    # periods: what was stamped ahead counts as made before the correction
    assert [log.index_at(START + t) for t in (0, 1, HOUR, HOUR + 1, 2 * HOUR, 2 * HOUR + 1)] == [0, 1, 1, 5, 5, 6]
    assert log.index_at(START + 2 * YEARS) == 6
    log.close()
    report = fsck(tmp_path / "log", keys=[KEY.public_key()])
    assert (report.findings, report.corrections) == ((), (3,))


def test_a_jump_after_a_jump_is_seen_through(tmp_path: Path):
    clock = FixedClock(START)
    with opened(tmp_path, clock) as log:
        append(log, "a")
        for ahead in (DAY_MS, YEARS):
            clock.ms = START + ahead
            append(log, "ahead")
        clock.ms = START + HOUR
        append(log, "b")
        assert times(log)[-1] == ("b", START + HOUR)
    assert fsck(tmp_path / "log").ok


@pytest.mark.parametrize("wrong", [0, START - YEARS, START - 30 * DAY_MS])
def test_a_clock_that_went_wrong_backwards_does_not_move_the_log(tmp_path: Path, wrong: int):
    """Else one wrong second would make everything in front of it look new, or old enough to be forgotten."""
    clock = FixedClock(START - 60 * DAY_MS)
    with opened(tmp_path, clock) as log:
        while clock.ms < START:
            append(log, "a")
            clock.ms += DAY_MS
        newest = log.entry(log.size - 1).time_ms
        clock.ms = wrong
        append(log, "b", "c")
        assert times(log)[-2:] == [("b", newest), ("c", newest)]
    assert fsck(tmp_path / "log").ok


def test_retention_does_not_believe_a_clock_that_is_years_ahead(tmp_path: Path):
    """Before: one start with the clock ahead forgot every entry."""
    clock = FixedClock(START)
    with opened(tmp_path, clock) as log:
        append(log, *["a"] * 300)
    clock.ms = START + YEARS
    with opened(tmp_path, clock) as log:
        append(log, "start")
        assert expire(log, 180, clock.now_ms(), held=False).entries == 0
        assert log.unpruned(log.size) == 301


def test_an_export_over_a_correction_holds(tmp_path: Path):
    from gensafe.audit import standalone

    clock = FixedClock(START)
    with opened(tmp_path, clock) as log:
        append(log, "a")
        clock.ms += YEARS
        append(log, "ahead")
        clock.ms = START + HOUR
        append(log, "b")
        export_jsonl(log, tmp_path / "bundle", key=KEY)
        export_jsonl(log, tmp_path / "period", key=KEY, start_ms=START, end_ms=START + DAY_MS)
        (tmp_path / "vkey").write_text(log.verifier_key)
    for bundle in ("bundle", "period"):
        assert standalone.main([str(tmp_path / bundle), "--log-key", str(tmp_path / "vkey")]) == 0


def test_what_is_noted_as_a_correction_must_be_one(tmp_path: Path):
    import sqlite3

    clock = FixedClock(START)
    with opened(tmp_path, clock) as log:
        append(log, "a", "b")
    with sqlite3.connect(tmp_path / "log" / "log.db") as database:
        database.execute("INSERT INTO corrections VALUES (1)")
    database.close()
    assert any("correction" in finding for finding in fsck(tmp_path / "log").findings)


def test_a_log_from_before_there_were_corrections_is_read(tmp_path: Path):
    import sqlite3

    with opened(tmp_path, FixedClock(START)) as log:
        append(log, "a", "b")
    with sqlite3.connect(tmp_path / "log" / "log.db") as database:
        database.execute("DROP TABLE corrections")
    database.close()
    with AuditLog.open_readonly(tmp_path / "log") as log:
        assert log.index_at(START + 1) == 2
    assert fsck(tmp_path / "log").ok


def test_a_jump_is_said_in_the_servers_log(caplog: pytest.LogCaptureFixture):
    passed = 0.0
    watch = ClockWatch(START, START, lambda: passed)
    with caplog.at_level(logging.WARNING, "gensafe.audit"):
        passed = 10_000.0
        watch.look(START + 10_000_000)
        assert caplog.messages == []
        watch.look(START + 10_000_000 + DAY_MS)
        watch.look(START + 10_000_000)
    assert ["ahead by 86400 s" in caplog.messages[0], "back by 86400 s" in caplog.messages[1]] == [True, True]
    ClockWatch(START + DAY_MS, START, lambda: 0.0)
    assert "one is wrong" in caplog.messages[2]
