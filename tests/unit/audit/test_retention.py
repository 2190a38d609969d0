"""Old entries are forgotten in whole bundles, on schedule, never under a hold, and never without a tombstone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gensafe.audit import AuditLog, fsck
from gensafe.audit.retention import DAY_MS, expire, prune_before
from gensafe.core.clock import FixedClock
from gensafe.core.config import AuditConfig, Config, check_config
from gensafe.core.errors import ConfigError
from gensafe.keys import KeyRing
from gensafe.registry import Registry
from gensafe.server import watch

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
START = 1_790_000_000_000


class Clock(FixedClock):
    """A clock that a test moves."""

    def __init__(self, now_ms: int) -> None:
        self.now = now_ms

    def now_ms(self) -> int:
        return self.now


@pytest.fixture
def log(tmp_path: Path):
    """300 entries of day 0, 300 of day 10, 5 of day 20."""
    clock = Clock(START)
    with AuditLog.open(tmp_path / "log", origin="example.com/log", key=KEY, clock=clock) as log:
        for day, count in ((0, 300), (10, 300), (20, 5)):
            clock.now = START + day * DAY_MS
            for future in [log.submit({"event": "test", "day": day}) for _ in range(count)]:
                future.result()
        yield log


def days(log: AuditLog) -> list[int]:
    return sorted({e.entry["day"] for e in log.entries() if "day" in e.entry})


def test_whole_bundles_go_and_a_tombstone_says_so(log: AuditLog, tmp_path: Path):
    root = log.root()
    # 44 entries of day 0 share a bundle with day 10 and stay
    done = expire(log, 15, START + 20 * DAY_MS, held=False)
    assert (done.entries, done.before_index, done.log_index) == (
        256,
        256,
        605,
    )
    last = log.entry(605).entry
    assert last["event"] == "log.tombstone" and last["erased"] == {"entries": 256, "before_index": 256}
    assert last["reason"] == "older than 15 days"
    assert log.root(605) == root and len(log.inclusion(3)) > 0
    report = fsck(tmp_path / "log", keys=[KEY.public_key()])
    assert report.ok and report.pruned == 256
    assert expire(log, 15, START + 20 * DAY_MS, held=False).log_index == -1  # nothing left to do, nothing logged
    assert log.size == 606


def test_nothing_goes_under_a_hold_or_without_a_period(log: AuditLog):
    for keep_days, held in ((15, True), (0, False), (30, False)):
        assert expire(log, keep_days, START + 20 * DAY_MS, held=held).entries == 0
    assert log.size == 605 and days(log) == [0, 10, 20]


def test_a_crash_after_the_tombstone_is_finished_by_the_next_run(log: AuditLog, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr(AuditLog, "prune", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prune_before(log, START + 20 * DAY_MS, "test")
    assert log.unpruned(512) == 512 and log.entry(605).entry["event"] == "log.tombstone"
    assert prune_before(log, START + 20 * DAY_MS, "test").entries == 512
    assert log.unpruned(512) == 0


def test_the_server_does_it_unless_something_is_on_hold(log: AuditLog, tmp_path: Path):
    """The step that ``gensafe.server.watch`` runs at start and once a day."""
    kek = KeyRing.open(tmp_path / "keys").kek()
    with Registry.open(tmp_path / "registry", kek=kek) as registry:
        config = Config(audit=AuditConfig(keep_days=5))
        chain = SimpleNamespace(log=log, registry=registry, config=config, clock=Clock(START + 40 * DAY_MS))
        registry.set_hold("a", "all")
        watch._retention(chain)
        assert log.unpruned(log.size) == 605
        registry.release_hold("a")
        watch._retention(chain)
        assert log.unpruned(log.size) == 605 - 512 + 1


def test_a_negative_period_is_refused():
    with pytest.raises(ConfigError, match="keep_days"):
        check_config(Config(audit=AuditConfig(keep_days=-1)))
