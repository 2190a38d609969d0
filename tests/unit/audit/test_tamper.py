"""The tamper matrix: somebody with write access to the database edits it; fsck and opening name what was done."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gensafe.audit import AuditLog, fsck, merkle
from gensafe.audit.checkpoint import Checkpoint
from gensafe.core.clock import FixedClock
from gensafe.core.errors import LogCorrupt

ORIGIN = "example.com/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
SIZE = 700


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    clock = FixedClock(1_000)
    with AuditLog.open(tmp_path / "log", origin=ORIGIN, key=KEY, clock=clock) as log:
        for batch in range(7):
            clock.advance(1_000)
            for future in [log.submit({"event": "test", "n": 100 * batch + n}) for n in range(100)]:
                future.result()
            if batch == 3:
                log.keep_checkpoint(log.checkpoint())
    return tmp_path / "log"


def sql(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / "log.db")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def leaf(n: int, index: int, time_ms: int) -> str:
    text = f'{{"entry":{{"event":"test","n":{n}}},"index":{index},"time_ms":{time_ms}}}'
    return "X'" + text.encode().hex() + "'"


def rewrite(folder: Path, *, key: Ed25519PrivateKey | None) -> None:
    """Edit an entry and recompute everything that follows from it; sign with ``key`` (None: keep the old note)."""
    sql(folder, f"UPDATE entries SET body = {leaf(9999, 5, 2000)} WHERE idx = 5")
    connection = sqlite3.connect(folder / "log.db")
    bodies = [row[0] for row in connection.execute("SELECT body FROM entries ORDER BY idx")]
    leaves = [merkle.leaf_hash(body) for body in bodies]
    frontier = merkle.Frontier()
    for digest in leaves:
        frontier.append(digest)
    level_one = []
    with connection:
        for tile in range(len(leaves) // 256):
            part = leaves[256 * tile : 256 * tile + 256]
            level_one.append(merkle.root_of(part))
            connection.execute("UPDATE tiles SET hashes = ? WHERE level = 0 AND idx = ?", (b"".join(part), tile))
        connection.execute("UPDATE tiles SET hashes = ? WHERE level = 1 AND idx = 0", (b"".join(level_one),))
        connection.execute("UPDATE state SET frontier = ?", (b"".join(frontier.hashes),))
        if key is not None:
            note = Checkpoint(ORIGIN, len(leaves), frontier.root()).signed(key).raw
            connection.execute("UPDATE state SET checkpoint = ?", (note,))
    connection.close()


def fork(folder: Path) -> None:
    rewrite(folder, key=KEY)


CASES: dict[str, tuple[Callable[[Path], None], str, bool]] = {
    # name: (what is done, what fsck says, whether opening for writing must notice it too)
    "edit": (lambda f: sql(f, f"UPDATE entries SET body = {leaf(9, 300, 4000)} WHERE idx = 300"), "altered", False),
    "edit the tail": (
        lambda f: sql(f, f"UPDATE entries SET body = {leaf(9, 699, 8000)} WHERE idx = 699"),
        "root",
        True,
    ),
    "delete": (lambda f: sql(f, "DELETE FROM entries WHERE idx = 300"), "entry 300 is missing", False),
    "delete the last": (lambda f: sql(f, "DELETE FROM entries WHERE idx = 699"), "truncated", True),
    "insert": (
        lambda f: sql(f, f"INSERT INTO entries VALUES (700, 9000, {leaf(1, 700, 9000)})"),
        "",
        True,
    ),
    "reorder": (
        lambda f: sql(
            f,
            "UPDATE entries SET idx = -1 WHERE idx = 10",
            "UPDATE entries SET idx = 10 WHERE idx = 11",
            "UPDATE entries SET idx = 11 WHERE idx = -1",
        ),
        "says it is entry",
        False,
    ),
    "truncate": (lambda f: sql(f, "DELETE FROM entries WHERE idx >= 512"), "truncated", True),
    "truncate with the head": (
        lambda f: sql(f, "DELETE FROM entries WHERE idx >= 600", "UPDATE state SET size = 600"),
        "checkpoint is of size",
        True,
    ),
    "swap the checkpoint": (
        lambda f: sql(f, "UPDATE state SET checkpoint = (SELECT note FROM checkpoints WHERE size = 400)"),
        "checkpoint is of size 400",
        True,
    ),
    "back-date": (
        lambda f: sql(f, f"UPDATE entries SET time_ms = 2000, body = {leaf(650, 650, 2000)} WHERE idx = 650"),
        "dated before",
        True,
    ),
    "file under another time": (
        lambda f: sql(f, "UPDATE entries SET time_ms = 8001 WHERE idx = 690"),
        "another time",
        False,
    ),
    "edit a tile": (
        lambda f: sql(f, "UPDATE tiles SET hashes = zeroblob(8192) WHERE level = 0 AND idx = 0"),
        "altered",
        False,
    ),
    "edit an inner tile": (
        lambda f: sql(f, "UPDATE tiles SET hashes = zeroblob(64) WHERE level = 1"),
        "tile 1/0",
        True,
    ),
    "drop a tile": (lambda f: sql(f, "DELETE FROM tiles WHERE level = 0 AND idx = 1"), "tile 0/1 is missing", False),
    "edit the frontier": (lambda f: sql(f, "UPDATE state SET frontier = zeroblob(length(frontier))"), "frontier", True),
    "rewrite without the key": (lambda f: rewrite(f, key=None), "rewritten or forked", True),
    "rewrite with another key": (lambda f: rewrite(f, key=STRANGER), "not signed by a known key", True),
    "fork with the key": (fork, "kept checkpoint of size 400 has another root", False),
    "rename the log": (lambda f: sql(f, "UPDATE state SET origin = 'example.com/other'"), "another log", True),
    "prune without a hash": (
        lambda f: sql(f, "UPDATE entries SET body = NULL WHERE idx = 600"),
        "pruned and its hash is not kept",
        True,
    ),
}


def test_the_log_is_sound_before(folder: Path):
    assert fsck(folder, keys=[KEY.public_key()]).findings == ()


@pytest.mark.parametrize("name", sorted(CASES))
def test_tampering_is_named(folder: Path, name: str):
    do, says, opening = CASES[name]
    do(folder)
    report = fsck(folder, keys=[KEY.public_key()])
    if says:
        assert any(says in finding for finding in report.findings), report.findings
    if opening:
        with pytest.raises(LogCorrupt):
            AuditLog.open(folder, origin=ORIGIN, key=KEY)


def test_entries_beyond_the_head_are_named(folder: Path):
    sql(folder, f"INSERT INTO entries VALUES (700, 9000, {leaf(1, 700, 9000)})")
    assert any("beyond the head" in finding for finding in fsck(folder).findings)
