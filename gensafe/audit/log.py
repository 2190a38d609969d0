"""The append-only log: one sequencer thread, group commit, signed checkpoints, proofs.

A leaf is the canonical JSON ``{"entry": <what the caller logged>, "index": <position>, "time_ms": <clock>}``. Index and
time are stamped by the sequencer: a leaf says where it belongs, and times run backwards only where a
``clock.corrected`` entry says so.

1. A caller's entry is checked and made canonical in the caller's thread.
2. The sequencer takes everything that is waiting (at most ``max_batch``), stamps it and extends the frontier.
3. It signs the checkpoint of the new size and commits entries, tiles, frontier and checkpoint in one transaction.
4. Only after the commit is durable do callers get their ``Appended`` and readers the new checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gensafe.audit import entries, merkle, tiles
from gensafe.audit.checkpoint import Checkpoint, parse_checkpoint
from gensafe.audit.clockwatch import ClockWatch, is_correction
from gensafe.audit.note import NoteKey, check_name
from gensafe.audit.reader import LoggedEntry, LogReader, decode_leaf
from gensafe.audit.store import Batch, LogStore, StoredState, open_store
from gensafe.core.canonical import canonical_json
from gensafe.core.clock import SystemClock
from gensafe.core.errors import AuditError, GensafeError, LogCorrupt, LogUnavailable
from gensafe.core.ports import Clock

MAX_BATCH: Final = 1024  # entries under one checkpoint; bounds the longest transaction. A round number, not measured
# room that is kept in a leaf for what the log adds around an entry; a round number above it
_ENVELOPE_BYTES: Final = 80


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an entry went: its index and the hex of its RFC 6962 leaf hash. It is durable."""

    index: int
    leaf_hash: str


class AuditLog(LogReader):
    """The one writer of a log. Open with ``AuditLog.open``; ``append`` may be called from any thread."""

    def __init__(self, store: LogStore, key: Ed25519PrivateKey, clock: Clock, fault: Callable[[str], None]) -> None:
        super().__init__(store)
        self._key = key
        self._clock = clock
        self._fault = fault
        self._current = self._head_from_store()
        self._frontier = _frontier(self._current)
        self._watch = ClockWatch(self._current.time_ms if self._current.size else -1, clock.now_ms())
        self._stale = False
        self._closed = False
        self._gate = Lock()
        self._queue: SimpleQueue[tuple[bytes, Future[Appended]] | None] = SimpleQueue()
        self._thread = Thread(target=self._sequence, name="gensafe-audit", daemon=True)
        self._thread.start()

    @staticmethod
    def open(
        path: Path | str,
        *,
        origin: str,
        key: Ed25519PrivateKey,
        clock: Clock | None = None,
        previous_keys: tuple[Ed25519PublicKey, ...] = (),
        fault: Callable[[str], None] | None = None,
    ) -> AuditLog:
        """Open the log in folder ``path`` (or at a PostgreSQL URL) for writing; make it if there is none.

        Args:
            path: Folder of the SQLite store, or a ``postgresql+pg8000://`` URL.
            origin: The log's name, a schema-less URL; must be that of an existing log.
            key: Signs checkpoints.
            clock: Source of entry times.
            previous_keys: Keys that may have signed the stored checkpoint, before a rotation or a revocation.
            fault: Called at named points of every commit; for crash tests only.

        Raises:
            LogCorrupt: head, tiles, tail or checkpoint do not agree.
            LogUnavailable: the store cannot be opened, or another writer holds it.
        """
        check_name(origin)
        store = open_store(path, writer=True)
        try:
            if store.state() is None:
                if store.highest():
                    raise LogCorrupt("the log has entries but no head")
                empty = Checkpoint(origin, 0, merkle.EMPTY_ROOT).signed(key)
                store.initialise(StoredState(origin, 0, 0, b"", empty.raw))
            keys = [NoteKey(origin, k) for k in (key.public_key(), *previous_keys)]
            check_head(store, origin, keys)
            return AuditLog(store, key, clock or SystemClock(), fault or _no_fault)
        except BaseException:
            store.close()
            raise

    @staticmethod
    def open_readonly(path: Path | str) -> LogReader:
        """Open for reading, without a key, also while a writer holds the log.

        Raises:
            LogUnavailable: there is no log.
        """
        store = open_store(path, writer=False)
        try:
            return LogReader(store)
        except BaseException:
            store.close()
            raise

    @property
    def verifier_key(self) -> str:
        """The log's public key as a vkey, to be given to auditors separately from the export."""
        return NoteKey(self._origin, self._key.public_key()).vkey

    @property
    def public_key(self) -> Ed25519PublicKey:
        """Of the key that signs the next checkpoint."""
        return self._key.public_key()

    def sign_with(self, key: Ed25519PrivateKey) -> None:
        """Sign the next checkpoint, and those after it, with ``key``: the key was rotated."""
        self._key = key

    def append(self, entry: Mapping[str, object]) -> Appended:
        """Log ``entry`` and wait until it is durable.

        Raises:
            AuditError: the entry is outside the canonical profile or too large.
            LogUnavailable: it did not become durable.
        """
        return self.submit(entry).result()

    def submit(self, entry: Mapping[str, object]) -> Future[Appended]:
        """Queue ``entry``; the future is done when it is durable (or failed). Entries keep the order of submission."""
        body = encode_entry(entry)
        future: Future[Appended] = Future()
        future.set_running_or_notify_cancel()  # a caller that gives up must not take the entry back
        with self._gate:
            if self._closed:
                raise LogUnavailable("the log is closed")
            self._queue.put((body, future))
        return future

    def keep_checkpoint(self, note: bytes) -> None:
        """Keep a checkpoint as evidence of what was handed out.

        Raises:
            AuditError: not a checkpoint of this log's own tree.
        """
        parsed = parse_checkpoint(note)
        if parsed.origin != self._origin or parsed.root != self.root(parsed.size):
            raise AuditError("the checkpoint is not one of this log")
        self._store.keep_checkpoint(parsed.size, note)

    def ask(self) -> None:
        """Ask the store for the head, to see that it answers.

        Raises:
            LogUnavailable: it does not.
        """
        self._store.state()

    def latest_plausible_ms(self, now_ms: int) -> int:
        """``now_ms`` without a jump ahead (see ``ClockWatch``): the time to go by for what cannot be undone."""
        return self._watch.latest_plausible_ms(now_ms)

    def prune(self, before_index: int) -> int:
        """Forget leaf data before ``before_index`` (rounded down to whole bundles); hashes and proofs stay."""
        stop = min(before_index, self.size) // tiles.WIDTH * tiles.WIDTH
        return self._store.prune(0, stop) if stop > 0 else 0

    def unpruned(self, stop: int) -> int:
        """How many entries before ``stop`` still have their data."""
        return self._store.unpruned(stop)

    def close(self) -> None:
        """Commit what is queued, stop the sequencer and let go of the lock."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._store.close()

    def __enter__(self) -> AuditLog:
        return self

    def _head(self) -> StoredState:
        # after a failed commit only the store knows whether it kept the batch
        return self._head_from_store() if self._stale else self._current

    def _head_from_store(self) -> StoredState:
        return super()._head()

    def _sequence(self) -> None:
        open_ = True
        while open_:
            item = self._queue.get()
            batch: list[tuple[bytes, Future[Appended]]] = []
            while item is not None:
                batch.append(item)
                if len(batch) == MAX_BATCH:
                    break
                try:
                    item = self._queue.get_nowait()
                except Empty:
                    break
            open_ = item is not None
            if batch:
                self._commit(batch)

    def _commit(self, batch: list[tuple[bytes, Future[Appended]]]) -> None:
        try:
            done = self._write([body for body, _ in batch])
        except GensafeError as error:
            self._stale = True  # the database may have kept the batch although it reported a failure
            _fail(batch, error)
        except Exception as error:
            self._stale = True
            _fail(batch, LogUnavailable(f"the sequencer failed: {error}"))
        else:
            self._fault("before-acknowledge")
            for (_, future), appended in zip(batch, done, strict=True):
                future.set_result(appended)

    def _write(self, bodies: list[bytes]) -> list[Appended]:
        if self._stale:
            self._current = self._head_from_store()
            self._frontier = _frontier(self._current)
            self._stale = False
        self._fault("batch-taken")
        head, frontier = self._current, self._frontier.copy()
        now_ms = self._clock.now_ms()
        self._watch.look(now_ms)
        correction = self._correction(now_ms, head)
        if correction is not None:
            bodies = [correction, *bodies]
        time_ms = now_ms if correction is not None else max(now_ms, head.time_ms)
        rows: list[tuple[int, int, bytes]] = []
        done: list[Appended] = []
        leaves: list[bytes] = []
        for body in bodies:
            index = frontier.size
            data = b'{"entry":%b,"index":%d,"time_ms":%d}' % (body, index, time_ms)
            digest = merkle.leaf_hash(data)
            frontier.append(digest)
            leaves.append(digest)
            rows.append((index, time_ms, data))
            done.append(Appended(index, digest.hex()))
        sealed = self._sealed_tiles(head.size, leaves)
        signed = Checkpoint(self._origin, frontier.size, frontier.root()).signed(self._key)
        state = StoredState(self._origin, frontier.size, time_ms, b"".join(frontier.hashes), signed.raw)
        self._fault("checkpoint-signed")
        self._store.commit(Batch(rows, sealed, state, None if correction is None else head.size), self._fault)
        self._fault("committed")
        self._frontier, self._current = frontier, state
        if correction is None:
            return done
        self._watch.corrected(now_ms, head.time_ms)
        return done[1:]

    def _correction(self, now_ms: int, head: StoredState) -> bytes | None:
        """The entry that says that the clock was put right; None if it was not (see ``clockwatch``)."""
        if not head.size or not self._watch.behind(now_ms, head.time_ms):
            return None
        first_ahead = self.index_at(now_ms + 1)
        if not first_ahead:
            return None  # the clock is behind every entry
        if not is_correction(now_ms, head.time_ms, self._store.widest_gap(first_ahead - 1)):
            return None
        return encode_entry(entries.clock_corrected(from_ms=head.time_ms, to_ms=now_ms))

    def _sealed_tiles(self, start: int, leaves: list[bytes]) -> list[tuple[int, int, bytes]]:
        """Tiles that appending ``leaves`` at ``start`` completes (level 0) or extends (above)."""
        out: list[tuple[int, int, bytes]] = []
        level, hashes, first = 0, leaves, start
        while hashes:
            offset = first % tiles.WIDTH
            if offset:
                known = tiles.split_hashes(self._load_tile(level, first // tiles.WIDTH, offset))[:offset]
                hashes, first = known + hashes, first - offset
            parents: list[bytes] = []
            for i in range(0, len(hashes), tiles.WIDTH):
                part = hashes[i : i + tiles.WIDTH]
                full = len(part) == tiles.WIDTH
                if full:
                    parents.append(merkle.complete_levels(part)[-1][0])
                if full or level:
                    out.append((level, (first + i) // tiles.WIDTH, b"".join(part)))
            level, hashes, first = level + 1, parents, first // tiles.WIDTH
        return out


def encode_entry(entry: Mapping[str, object]) -> bytes:
    """Canonical JSON of an entry.

    Raises:
        AuditError: outside the canonical profile, or too large for an entry bundle.
    """
    try:
        body = canonical_json(entry)
    except (TypeError, ValueError) as error:
        raise AuditError(f"the entry cannot be logged: {error}") from None
    if len(body) > tiles.MAX_ENTRY_BYTES - _ENVELOPE_BYTES:
        raise AuditError(f"the entry has {len(body)} bytes, more than a bundle can carry")
    return body


def check_head(store: LogStore, origin: str, keys: list[NoteKey]) -> None:
    """Check that head, tail, tiles and checkpoint of a store agree; reads one bundle and the right edge of the tiles.

    Raises:
        LogCorrupt: they do not.
    """
    head = store.state()
    if head is None:
        raise LogCorrupt("the log's head is gone")
    if head.origin != origin:
        raise LogCorrupt(f"this log is {head.origin!r}, not {origin!r}")
    if store.highest() != head.size:
        raise LogCorrupt(f"the head says {head.size} entries, {store.highest()} are stored")
    reader = LogReader(store)
    frontier = _frontier(head)
    edge = [reader._tree.node(*node) for node in merkle.cover(0, head.size)]  # noqa: SLF001 - same module
    if tuple(edge) != frontier.hashes:
        raise LogCorrupt("the stored frontier does not follow from the entries")
    start = max(0, head.size - 1) // tiles.WIDTH * tiles.WIDTH
    for index, _, body in reader.raw(start, head.size):
        if body is not None and merkle.leaf_hash(decode_leaf(body, index).data) != reader.leaf_hash(index):
            raise LogCorrupt(f"entry {index} does not hash to its leaf")
    try:
        checkpoint = parse_checkpoint(head.checkpoint)
        signed = checkpoint.verified_by(keys)
    except LogCorrupt:
        raise
    except AuditError as error:
        raise LogCorrupt(f"the stored checkpoint is not valid: {error.message}") from None
    if not signed:
        fix = "put back the key ring that belongs to this log"
        raise LogCorrupt("the stored checkpoint is not signed by any key of this key ring", fix=fix)
    if (checkpoint.origin, checkpoint.size, checkpoint.root) != (origin, head.size, frontier.root()):
        raise LogCorrupt("the stored checkpoint is not that of the stored entries")


def _frontier(head: StoredState) -> merkle.Frontier:
    try:
        return merkle.Frontier(head.size, [head.frontier[i : i + 32] for i in range(0, len(head.frontier), 32)])
    except ValueError:
        raise LogCorrupt("the stored frontier does not fit the stored size") from None


def _fail(batch: list[tuple[bytes, Future[Appended]]], error: GensafeError) -> None:
    for _, future in batch:
        future.set_exception(error)


def _no_fault(_: str) -> None:
    return None


__all__ = ["Appended", "AuditLog", "LogReader", "LoggedEntry", "check_head", "decode_leaf", "encode_entry"]
