"""Reading a log: entries, proofs, tiles. Needs no key, and works beside the one writer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gensafe.audit import merkle, tiles
from gensafe.audit.checkpoint import TlogProof, parse_checkpoint
from gensafe.audit.store import LogStore, StoredState
from gensafe.core.errors import AuditError, LogCorrupt, LogUnavailable


@dataclass(frozen=True, slots=True)
class LoggedEntry:
    """An entry as read back; ``data`` is the exact leaf data."""

    index: int
    time_ms: int
    entry: Mapping[str, Any]
    data: bytes

    @property
    def leaf_hash(self) -> str:
        """Hex of the leaf hash."""
        return merkle.leaf_hash(self.data).hex()


class LogReader:
    """Everything about a log that needs no key. Reads what is durable, also while another process writes."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._tree = tiles.TileTree(self._load_tile)
        self._edge: tuple[int, dict[int, bytes]] = (0, {})  # right-edge hashes of the last size asked for
        head = store.state()
        if head is None:
            raise LogUnavailable("there is no log here")
        self._origin = head.origin
        self._known = head.size  # a log only grows, so sizes up to here need no look at the store

    @property
    def origin(self) -> str:
        """The log's name, first line of its checkpoints."""
        return self._origin

    @property
    def size(self) -> int:
        """Durable entries."""
        return self._head().size

    def checkpoint(self) -> bytes:
        """The newest signed checkpoint; covers every acknowledged entry."""
        return self._head().checkpoint

    @property
    def checkpoint_ms(self) -> int:
        """When the newest checkpoint was made, milliseconds of Unix time."""
        return self._head().time_ms

    def raw(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int, bytes | None]]:
        """Rows (index, time_ms, leaf data) of [start, stop); data is None where retention pruned it.

        Raises:
            LogCorrupt: an index is missing.
        """
        stop = self.size if stop is None else min(stop, self.size)
        expected = start
        for index, time_ms, body in self._store.bodies(start, stop):
            if index != expected:
                raise LogCorrupt(f"entry {expected} is missing")
            expected += 1
            yield index, time_ms, body
        if expected < stop:
            raise LogCorrupt(f"entry {expected} is missing")

    def entries(self, start: int = 0, stop: int | None = None) -> Iterator[LoggedEntry]:
        """The entries of [start, stop) that have not been pruned."""
        for index, _, body in self.raw(start, stop):
            if body is not None:
                yield decode_leaf(body, index)

    def entry(self, index: int) -> LoggedEntry:
        """One entry.

        Raises:
            AuditError: there is none, or it was pruned.
        """
        if not 0 <= index < self.size:
            raise AuditError(f"the log has no entry {index}")
        for _, _, body in self.raw(index, index + 1):
            if body is not None:
                return decode_leaf(body, index)
        raise AuditError(f"entry {index} was pruned by the retention policy; its hash is kept")

    def leaf_hash(self, index: int) -> bytes:
        """The leaf hash of ``index``, also of a pruned entry."""
        return self._tree.node(0, index)

    def inclusion(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        """The audit path of entry ``index`` in the tree of ``size`` (default: now).

        Raises:
            AuditError: no such entry or size.
        """
        size = self._size_up_to(size)
        if not 0 <= index < size:
            raise AuditError(f"entry {index} is not in a tree of {size}")
        edge_size, ragged = self._edge
        if edge_size != size:
            ragged = {}
            self._edge = (size, ragged)
        return tuple(self._tree.inclusion(index, size, ragged))

    def consistency(self, old: int, new: int | None = None) -> tuple[bytes, ...]:
        """The proof that the tree of ``old`` is a prefix of the tree of ``new`` (default: now).

        Raises:
            AuditError: not 0 <= old <= new <= size.
        """
        new = self._size_up_to(new)
        if not 0 <= old <= new:
            raise AuditError(f"no consistency proof from {old} to {new}")
        return tuple(merkle.consistency_proof(self._tree.node, old, new))

    def range_proof(self, start: int, stop: int, size: int | None = None) -> tuple[list[bytes], list[bytes]]:
        """Hashes left and right of [start, stop) that complete it to the root of ``size`` (``merkle.verify_range``)."""
        size = self._size_up_to(size)
        if not 0 <= start <= stop <= size:
            raise AuditError(f"no range {start}..{stop} in a tree of {size}")
        return merkle.range_proof(self._tree.node, start, stop, size)

    def root(self, size: int | None = None) -> bytes:
        """The tree hash at ``size`` (default: now)."""
        size = self._size_up_to(size)
        return merkle.subtree_hash(self._tree.node, 0, size) if size else merkle.EMPTY_ROOT

    def tlog_proof(self, index: int) -> bytes:
        """The ``.tlog-proof`` of an entry under the newest checkpoint.

        Raises:
            AuditError: no such entry.
        """
        head = parse_checkpoint(self.checkpoint())
        return TlogProof(index, self.inclusion(index, head.size), head).encode()

    def index_at(self, time_ms: int) -> int:
        """The index behind the last entry whose time is before ``time_ms`` (0, if there is none).

        Where times never go back this is the first index whose time is not before ``time_ms``. Entries stamped by a
        clock that was ahead count as made just before the ``clock.corrected`` entry that follows them.
        """
        stop = self.size
        for start in reversed([0, *(index for index in self._store.corrections() if index < stop)]):
            found = self._first_not_before(time_ms, start, stop)
            if found > start:
                return found
            stop = start
        return 0

    def _first_not_before(self, time_ms: int, low: int, high: int) -> int:
        while low < high:
            middle = (low + high) // 2
            found = self._store.times(middle)
            if found is None:
                raise LogCorrupt(f"entry {middle} is missing")
            if found < time_ms:
                low = middle + 1
            else:
                high = middle
        return low

    def resource(self, path: str) -> bytes:
        """What a tlog-tiles server answers for ``checkpoint`` or ``tile/...``.

        Raises:
            AuditError: no such resource (also for pruned bundles and tiles beyond the checkpoint).
        """
        if path == "checkpoint":
            return self.checkpoint()
        tile, size = tiles.parse_path(path), self.size
        level = max(tile.level, 0)
        if tile.index * tiles.WIDTH + tile.width > size >> (8 * level):
            raise AuditError("the tree has no such tile")
        if tile.level >= 0:
            return self._load_tile(tile.level, tile.index, tile.width)[: tile.width * merkle.HASH_BYTES]
        start = tile.index * tiles.WIDTH
        bodies = [body for _, _, body in self.raw(start, start + tile.width)]
        if any(body is None for body in bodies):
            raise AuditError("the entry bundle was pruned")
        return tiles.encode_bundle(body for body in bodies if body is not None)

    def kept_checkpoints(self) -> list[tuple[int, bytes]]:
        """Checkpoints handed out as evidence (size, note)."""
        return self._store.checkpoints()

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

    def __enter__(self) -> LogReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _head(self) -> StoredState:
        head = self._store.state()
        if head is None:
            raise LogCorrupt("the log's head is gone")
        self._known = max(self._known, head.size)
        return head

    def _size_up_to(self, size: int | None) -> int:
        if size is not None and 0 <= size <= self._known:
            return size
        now = self.size
        if size is None:
            return now
        if not 0 <= size <= now:
            raise AuditError(f"the log has {now} entries, not {size}")
        return size

    def _load_tile(self, level: int, index: int, width: int) -> bytes:
        stored = self._store.tile(level, index)
        if stored is None and level == 0:  # the one level-0 tile that is still growing
            start = index * tiles.WIDTH
            rows = self._store.bodies(start, start + tiles.WIDTH)
            stored = b"".join(merkle.leaf_hash(body) for _, _, body in rows if body is not None)
        if stored is None or len(stored) < width * merkle.HASH_BYTES:
            raise LogCorrupt(f"tile {level}/{index} is missing")
        return stored


def decode_leaf(data: bytes, index: int) -> LoggedEntry:
    """Read leaf data back.

    Raises:
        LogCorrupt: not a leaf of position ``index``.
    """
    try:
        leaf = json.loads(data)
        entry, stated, time_ms = leaf["entry"], leaf["index"], leaf["time_ms"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise LogCorrupt(f"entry {index} is not a leaf") from None
    if stated != index or not isinstance(entry, dict) or not isinstance(time_ms, int):
        raise LogCorrupt(f"the leaf at {index} says it is entry {stated!r}")
    return LoggedEntry(index, time_ms, entry, data)
