"""kill -9 of a process that appends, at every named point of a commit: nothing acknowledged is lost, nothing forks.

The harness is ``benchmarks.audit.crash``, which runs 50 rounds a point; here ``TEST_CRASH_ROUNDS`` (default 4).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from benchmarks.audit.crash import KEY, LOG_POINTS, ORIGIN, PUBLISH_POINTS, crash, log_rounds, pipeline_rounds
from gensafe.audit import AuditLog, fsck
from gensafe.audit.checkpoint import parse_checkpoint
from gensafe.audit.publish import publish, read_published
from gensafe.core.errors import LogUnavailable

ROUNDS = int(os.environ.get("TEST_CRASH_ROUNDS", "4"))


@pytest.mark.parametrize("point", LOG_POINTS)
def test_no_acknowledged_entry_is_lost_and_the_checkpoint_never_goes_back(tmp_path: Path, point: str):
    outcome = log_rounds(tmp_path, point, ROUNDS)
    assert outcome.held, outcome
    assert outcome.rounds == ROUNDS


@pytest.mark.parametrize("point", ["admitted", "stored", "recorded"])
def test_an_installation_recovers_from_kill_after_kill(tmp_path: Path, point: str):
    """``test_crash.py`` does every point once over the wire; here the same installation is killed again and again."""
    outcome = pipeline_rounds(tmp_path, point, min(ROUNDS, 3))
    assert outcome.held, outcome
    assert (outcome.closed_by_recovery > 0) == (point != "recorded")


@pytest.mark.parametrize("point", PUBLISH_POINTS)
def test_a_published_checkpoint_always_has_its_tiles(tmp_path: Path, point: str):
    for round_ in range(min(ROUNDS, 10)):
        crash(tmp_path, point, 2 + round_, 150, 10_000 * round_)
        if (tmp_path / "site" / "checkpoint").exists():
            published = parse_checkpoint((tmp_path / "site" / "checkpoint").read_bytes())
            assert read_published(tmp_path / "site") == published.root
        with AuditLog.open(tmp_path / "log", origin=ORIGIN, key=KEY) as log:
            publish(log, tmp_path / "site")
            assert read_published(tmp_path / "site") == log.root()


def test_a_torn_write_ahead_log_is_cut_back_to_the_last_commit(tmp_path: Path):
    """Bytes of the last commit that never reached the medium: SQLite's checksums must drop the whole batch."""
    crash(tmp_path, "committed", 4, 60, 0)
    wal = tmp_path / "log" / "log.db-wal"
    whole = wal.read_bytes()
    backup = tmp_path / "backup"
    shutil.copytree(tmp_path / "log", backup)
    sizes = set()
    for cut in range(0, len(whole), max(1, len(whole) // 12)):
        shutil.rmtree(tmp_path / "log")
        shutil.copytree(backup, tmp_path / "log")
        wal.write_bytes(whole[:cut] + bytes(min(97, len(whole) - cut)))
        with AuditLog.open(tmp_path / "log", origin=ORIGIN, key=KEY) as log:
            sizes.add(log.size)
            # entries and the checkpoint over them are one transaction: either all of a batch is there or none of it
            assert sum(1 for _ in log.entries()) == log.size == parse_checkpoint(log.checkpoint()).size
        assert fsck(tmp_path / "log", keys=[KEY.public_key()]).ok
    assert len(sizes) > 1


def test_a_full_disk_fails_the_append_and_the_log_goes_on(tmp_path: Path):
    """A real size limit (RLIMIT_FSIZE) in a child: writes fail with EFBIG as they do with ENOSPC."""
    script = """
    import os, resource, signal, sys
    from pathlib import Path
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from gensafe.audit import AuditLog
    from gensafe.core.errors import LogUnavailable

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    log = AuditLog.open(Path(sys.argv[1]), origin="example.com/crash",
                        key=Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    log.append({"n": 0})
    limit = (Path(sys.argv[1]) / "log.db-wal").stat().st_size + 200_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    acknowledged, refused = 1, 0
    for n in range(200):
        try:
            log.append({"n": n, "pad": "x" * 20_000})
            acknowledged += 1
        except LogUnavailable:
            refused += 1
            if refused == 5:
                break
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    last = log.append({"n": "after"}).index
    print(acknowledged, refused, last)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "log")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    acknowledged, refused, last = map(int, done.stdout.split())
    assert refused == 5
    assert last == acknowledged
    assert fsck(tmp_path / "log", keys=[KEY.public_key()]).ok


def test_the_lock_dies_with_its_process(tmp_path: Path):
    crash(tmp_path, "committed", 1, 1, 0)
    AuditLog.open(tmp_path / "log", origin=ORIGIN, key=KEY).close()
    with AuditLog.open(tmp_path / "log", origin=ORIGIN, key=KEY):
        script = (
            "import sys; from pathlib import Path; from gensafe.audit.store import open_store;"
            "open_store(Path(sys.argv[1]), writer=True)"
        )
        command = [sys.executable, "-c", script, str(tmp_path / "log")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert LogUnavailable.__name__ in done.stderr
