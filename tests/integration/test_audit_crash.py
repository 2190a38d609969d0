"""kill -9 of a process that appends, at every named point of a commit: nothing acknowledged is lost, nothing forks.

A child appends entries in batches and writes each acknowledgement to a pipe *after* ``append`` returned; at the named
point of the n-th batch it kills itself with SIGKILL. The parent then opens the same log.
``GENSAFE_CRASH_ROUNDS`` raises the number of rounds per point (default 4; 50 in the long run).
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gensafe.audit import AuditLog, fsck, merkle
from gensafe.audit.checkpoint import parse_checkpoint
from gensafe.audit.note import NoteKey
from gensafe.audit.publish import publish, read_published
from gensafe.core.errors import LogUnavailable

ORIGIN = "example.com/crash"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ROUNDS = int(os.environ.get("GENSAFE_CRASH_ROUNDS", "4"))
POINTS = (
    "batch-taken",
    "checkpoint-signed",
    "transaction-open",
    "entries-written",
    "tiles-written",
    "state-written",
    "committed",
    "before-acknowledge",
)
PUBLISH_POINTS = ("tile-published", "before-publish-checkpoint", "checkpoint-published")

CHILD = """
import os, signal
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gensafe.audit import AuditLog
from gensafe.audit.publish import publish

folder, seen = Path(folder), 0
acknowledge = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

def fault(name):
    global seen
    if name == point:
        seen += 1
        if seen == countdown:
            os.kill(os.getpid(), signal.SIGKILL)

log = AuditLog.open(folder / "log", origin="example.com/crash",
                    key=Ed25519PrivateKey.from_private_bytes(bytes(range(32))), fault=fault)
number = first
while number < first + 4000:
    futures = [log.submit({"event": "crash", "n": number + i}) for i in range(per_batch)]
    number += per_batch
    for future in futures:
        done = future.result()
        os.write(acknowledge, f"{done.index} {done.leaf_hash}\\n".encode())
    if site:
        publish(log, folder / "site", fault=fault)
"""

PROCESSES = multiprocessing.get_context("forkserver")  # forks from a process that has the imports and no threads
PROCESSES.set_forkserver_preload(["gensafe.audit", "gensafe.audit.publish"])


def crash(folder: Path, point: str, countdown: int, per_batch: int, first: int) -> list[tuple[int, str]]:
    """Run a child until it dies by its own hand; returns what it acknowledged (the page cache outlives the process)."""
    names = {"folder": str(folder), "point": point, "countdown": countdown, "per_batch": per_batch, "first": first}
    child = PROCESSES.Process(target=exec, args=(CHILD, {**names, "site": point in PUBLISH_POINTS}))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    child.close()
    lines = (folder / "acknowledged").read_text().split("\n")[:-1]
    return [(int(index), leaf) for index, _, leaf in (line.partition(" ") for line in lines)]


@pytest.mark.parametrize("point", POINTS)
def test_no_acknowledged_entry_is_lost_and_the_checkpoint_never_goes_back(tmp_path: Path, point: str):
    acknowledged: dict[int, str] = {}
    size, root = 0, merkle.EMPTY_ROOT
    for round_ in range(ROUNDS):
        # the third batch of the first rounds, later ones across the border of a tile
        done = crash(tmp_path, point, 3 + round_ % 5, 40 + 30 * (round_ % 4), 10_000 * round_)
        assert not set(acknowledged) & {index for index, _ in done}
        acknowledged.update(done)
        assert fsck(tmp_path / "log", keys=[KEY.public_key()]).findings == ()
        with AuditLog.open(tmp_path / "log", origin=ORIGIN, key=KEY) as log:
            head = parse_checkpoint(log.checkpoint())
            assert head.verified_by([NoteKey(ORIGIN, KEY.public_key())])
            assert head.size == log.size >= max(acknowledged, default=-1) + 1
            assert merkle.verify_consistency(size, root, head.size, head.root, log.consistency(size))
            for index, leaf in done:
                assert log.leaf_hash(index).hex() == leaf
            numbers = [e.entry["n"] for e in log.entries(size) if "n" in e.entry]
            assert len(numbers) == len(set(numbers))
            log.append({"event": "reopened"})
            size, root = log.size, log.root()
    assert acknowledged


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
