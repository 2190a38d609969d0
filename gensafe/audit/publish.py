"""Write a log as static files in the tlog-tiles layout: for a web server, a CDN, or write-once storage."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gensafe.audit import merkle, tiles
from gensafe.audit.checkpoint import Checkpoint, parse_checkpoint
from gensafe.audit.note import MAX_NOTE_BYTES
from gensafe.audit.reader import LogReader
from gensafe.core.errors import AuditError, LogCorrupt, LogUnavailable

CHECKPOINT = "checkpoint"


def publish(log: LogReader, directory: Path, *, fault: Callable[[str], None] | None = None) -> int:
    """Bring ``directory`` up to the log's newest checkpoint; return how many files were written.

    1. Read the checkpoint published before and refuse to go back or fork.
    2. Write all tiles and bundles the new checkpoint needs; full ones are never rewritten.
    3. Only then replace the checkpoint, atomically.

    Raises:
        LogCorrupt: what was published before is not a prefix of the log.
        LogUnavailable: the files could not be written.
    """
    at = fault or (lambda _: None)
    head = parse_checkpoint(log.checkpoint())
    published = _published(directory)
    if published is not None:
        if published.origin != log.origin or published.size > head.size:
            raise LogCorrupt("the published checkpoint is not one of this log's past")
        if log.root(published.size) != published.root:
            raise LogCorrupt("the published tree is not a prefix of the log: one of them was rewritten")
        if published.size == head.size and published.raw == head.raw:
            return 0
    start = published.size if published else 0
    written = 0
    try:
        for tile in tiles.tiles_for(head.size, start):
            try:
                data = log.resource(tile.path)
            except AuditError:
                if tile.level >= 0:
                    raise
                continue  # a pruned entry bundle
            _write(directory / tile.path, data)
            written += 1
            at("tile-published")
        at("before-publish-checkpoint")
        _write(directory / CHECKPOINT, head.raw)
    except OSError as error:
        raise LogUnavailable(f"could not publish the log: {error.strerror}") from error
    at("checkpoint-published")
    return written + 1


def read_published(directory: Path) -> bytes:
    """Root recomputed from the published level-0 tiles, for checking a static copy.

    Raises:
        LogCorrupt: a tile is missing.
    """
    head = _published(directory)
    if head is None:
        raise LogCorrupt("nothing is published here")
    frontier = merkle.Frontier()
    for tile in tiles.tiles_for(head.size):
        if tile.level == 0:
            try:
                data = (directory / tile.path).read_bytes()
            except OSError:
                raise LogCorrupt(f"{tile.path} is missing") from None
            for digest in tiles.split_hashes(data):
                frontier.append(digest)
    return frontier.root()


def _published(directory: Path) -> Checkpoint | None:
    with suppress(FileNotFoundError):
        with (directory / CHECKPOINT).open("rb") as file:
            return parse_checkpoint(file.read(MAX_NOTE_BYTES + 1))
    return None


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
