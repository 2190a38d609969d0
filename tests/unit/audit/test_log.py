"""The log: appends, proofs, checkpoints, tiles, reopening, locking, pruning."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gensafe.audit import AuditLog, fsck, merkle
from gensafe.audit.checkpoint import parse_checkpoint, parse_tlog_proof
from gensafe.audit.note import NoteKey
from gensafe.audit.tiles import decode_bundle, parse_path, tiles_for
from gensafe.core.clock import FixedClock
from gensafe.core.errors import AuditError, LogCorrupt, LogUnavailable

ORIGIN = "example.com/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NOTE_KEY = NoteKey(ORIGIN, KEY.public_key())


def open_log(folder: Path, **more: object) -> AuditLog:
    return AuditLog.open(folder, origin=ORIGIN, key=KEY, **more)  # type: ignore[arg-type]


@pytest.fixture
def log(tmp_path: Path):
    with open_log(tmp_path / "log", clock=FixedClock(1_000)) as opened:
        yield opened


def fill(log: AuditLog, count: int) -> None:
    for future in [log.submit({"event": "test", "n": n}) for n in range(count)]:
        future.result()


def test_an_acknowledged_entry_is_read_back_and_proved(log: AuditLog):
    appended = log.append({"event": "test", "text": "Grüße"})
    assert appended.index == 0
    logged = log.entry(0)
    assert logged.entry == {"event": "test", "text": "Grüße"}
    assert logged.time_ms == 1_000
    assert logged.leaf_hash == appended.leaf_hash == log.leaf_hash(0).hex()
    assert json.loads(logged.data) == {"entry": logged.entry, "index": 0, "time_ms": 1_000}
    parse_tlog_proof(log.tlog_proof(0)).verify(bytes.fromhex(appended.leaf_hash), [NOTE_KEY])


@pytest.mark.parametrize("bad", [{"x": 1.5}, {"x": b"bytes"}, {"x": 2**60}, {"ü": 1}, {"x": "y" * 70_000}])
def test_what_cannot_be_logged_is_refused_before_it_takes_an_index(log: AuditLog, bad: dict[str, object]):
    with pytest.raises(AuditError):
        log.append(bad)
    assert log.append({"event": "next"}).index == 0


def test_proofs_hold_at_every_size_around_a_tile_border(log: AuditLog):
    fill(log, 600)
    leaves = [log.leaf_hash(i) for i in range(600)]
    for size in (1, 2, 3, 255, 256, 257, 511, 512, 513, 600):
        root = merkle.root_of(leaves[:size])
        assert log.root(size) == root
        for index in {0, size // 2, size - 1}:
            assert merkle.verify_inclusion(leaves[index], index, size, log.inclusion(index, size), root)
        assert merkle.verify_consistency(size, root, 600, log.root(), log.consistency(size))
        left, right = log.range_proof(size // 3, size)
        assert merkle.verify_range(leaves[size // 3 : size], size // 3, 600, left, right, log.root())
        assert not merkle.verify_range(leaves[size // 3 : size - 1], size // 3, 600, left, right, log.root())


def test_the_checkpoint_covers_every_acknowledged_entry_and_never_goes_back(log: AuditLog):
    sizes = []
    for n in range(5):
        log.append({"n": n})
        checkpoint = parse_checkpoint(log.checkpoint())
        assert checkpoint.verified_by([NOTE_KEY]) == (NOTE_KEY,)
        assert checkpoint.root == log.root()
        sizes.append(checkpoint.size)
    assert sizes == [1, 2, 3, 4, 5]


def test_many_threads_get_distinct_indexes_and_every_entry_is_theirs(log: AuditLog):
    seen: dict[int, tuple[int, int]] = {}

    def work(thread: int) -> None:
        for n in range(40):
            seen[log.append({"thread": thread, "n": n}).index] = (thread, n)

    threads = [threading.Thread(target=work, args=(t,)) for t in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(320))
    for index, (thread_id, n) in seen.items():
        assert log.entry(index).entry == {"thread": thread_id, "n": n}


def test_times_never_run_backwards(tmp_path: Path):
    clock = FixedClock(5_000)
    with open_log(tmp_path, clock=clock) as log:
        log.append({})
        clock.ms = 1_000
        log.append({})
        clock.ms = 6_000
        log.append({})
        assert [e.time_ms for e in log.entries()] == [5_000, 5_000, 6_000]
        assert [log.index_at(t) for t in (0, 5_000, 5_001, 6_000, 6_001)] == [0, 0, 2, 2, 3]


def test_reopening_continues_the_same_tree(tmp_path: Path):
    with open_log(tmp_path) as log:
        fill(log, 300)
        old = parse_checkpoint(log.checkpoint())
    with open_log(tmp_path) as log:
        assert parse_checkpoint(log.checkpoint()).raw == old.raw
        fill(log, 300)
        assert merkle.verify_consistency(300, old.root, 600, log.root(), log.consistency(300))
    assert fsck(tmp_path, keys=[KEY.public_key()]).ok


def test_there_is_one_writer_and_readers_see_what_it_commits(tmp_path: Path):
    with open_log(tmp_path) as log:
        with pytest.raises(LogUnavailable, match="another process"):
            open_log(tmp_path)
        with AuditLog.open_readonly(tmp_path) as reader:
            assert reader.size == 0
            fill(log, 10)
            assert reader.size == 10
            parse_tlog_proof(reader.tlog_proof(4)).verify(reader.leaf_hash(4), [NOTE_KEY])
    open_log(tmp_path).close()


def test_a_reader_needs_a_log(tmp_path: Path):
    with pytest.raises(LogUnavailable):
        AuditLog.open_readonly(tmp_path)
    with pytest.raises(LogUnavailable):
        fsck(tmp_path)


def test_a_closed_log_takes_nothing(tmp_path: Path):
    log = open_log(tmp_path)
    pending = log.submit({"event": "last"})
    log.close()
    assert pending.result().index == 0
    with pytest.raises(LogUnavailable):
        log.append({})


def test_another_origin_or_key_does_not_open_the_log(tmp_path: Path):
    with open_log(tmp_path) as log:
        log.append({})
    with pytest.raises(LogCorrupt, match="not 'example"):
        AuditLog.open(tmp_path, origin="example.com/other", key=KEY)
    new = Ed25519PrivateKey.generate()
    with pytest.raises(LogCorrupt, match="not signed by any key of this key ring"):
        AuditLog.open(tmp_path, origin=ORIGIN, key=new)
    with AuditLog.open(tmp_path, origin=ORIGIN, key=new, previous_keys=(KEY.public_key(),)) as log:
        log.append({"event": "key.rotated"})
        assert parse_checkpoint(log.checkpoint()).verified_by([NoteKey(ORIGIN, new.public_key())])


def test_tiles_rebuild_the_root(log: AuditLog):
    fill(log, 700)
    paths = [t.path for t in tiles_for(700)]
    assert "tile/0/001" in paths
    assert "tile/0/002.p/188" in paths
    assert "tile/1/000.p/2" in paths
    assert "tile/entries/002.p/188" in paths
    leaves: list[bytes] = []
    for path in paths:
        assert parse_path(path).path == path
        data = log.resource(path)
        if path.startswith("tile/entries"):
            leaves += [merkle.leaf_hash(e) for e in decode_bundle(data)]
    assert merkle.root_of(leaves) == log.root()
    halves = merkle.root_of(leaves[:256]) + merkle.root_of(leaves[256:512])
    assert log.resource("tile/1/000.p/2") == halves
    for wrong in ("tile/0/003", "tile/0/002.p/189", "tile/2/000.p/1", "tile/0/2", "tile/entries/x000/000", "../log.db"):
        with pytest.raises(AuditError):
            log.resource(wrong)


def test_pruned_entries_keep_their_hashes_and_proofs(tmp_path: Path):
    with open_log(tmp_path) as log:
        fill(log, 600)
        root, leaf = log.root(), log.leaf_hash(10)
        assert log.prune(300) == 256
        with pytest.raises(AuditError, match="pruned"):
            log.entry(10)
        with pytest.raises(AuditError, match="pruned"):
            log.resource("tile/entries/000")
        assert merkle.verify_inclusion(leaf, 10, 600, log.inclusion(10), root)
        assert next(iter(log.entries())).index == 256
    report = fsck(tmp_path, keys=[KEY.public_key()])
    assert report.ok
    assert report.pruned == 256
    open_log(tmp_path).close()


def test_kept_checkpoints_must_be_of_this_tree(log: AuditLog):
    fill(log, 3)
    log.keep_checkpoint(log.checkpoint())
    assert [size for size, _ in log.kept_checkpoints()] == [3]
    from gensafe.audit.checkpoint import Checkpoint

    with pytest.raises(AuditError):
        log.keep_checkpoint(Checkpoint(ORIGIN, 3, bytes(32)).signed(KEY).raw)


def test_a_failed_commit_fails_its_callers_and_the_log_goes_on(tmp_path: Path):
    boom: list[str] = []

    def fault(point: str) -> None:
        if boom and point == boom[0]:
            boom.clear()
            raise LogUnavailable("the disk is full")

    with open_log(tmp_path, fault=fault) as log:
        fill(log, 3)
        for point in ("batch-taken", "transaction-open", "entries-written", "state-written", "committed"):
            boom.append(point)
            with pytest.raises(LogUnavailable, match="full"):
                log.append({"point": point})
        # "committed" failed after the commit: the entry is there although its caller was told otherwise
        assert log.append({"event": "after"}).index == 4
    assert fsck(tmp_path, keys=[KEY.public_key()]).ok


def test_a_caller_that_gives_up_does_not_stop_the_sequencer(log: AuditLog):
    future = log.submit({"event": "given up"})
    assert not future.cancel()
    assert log.append({"event": "next"}).index == 1
    assert future.result().index == 0
