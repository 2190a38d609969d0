"""Where the log lives: SQLite in a folder by default, PostgreSQL by URL. SQLAlchemy Core, one schema for both.

| table       | holds                                                                                              |
|-------------|----------------------------------------------------------------------------------------------------|
| entries     | leaf data by index; ``body`` is NULL once retention pruned it                                       |
| tiles       | hash tiles of C2SP tlog-tiles; level 0 only when full, higher levels as they grow                   |
| state       | one row: size, frontier, newest signed checkpoint                                                  |
| corrections | indices of the ``clock.corrected`` entries: only there may times go back                      |
| checkpoints | signed checkpoints that were handed out as evidence (exports, witness cosignatures), by size        |

One writer: it holds an exclusive lock (a second SQLite file, or a PostgreSQL advisory lock) for as long as it lives.
Every batch is one transaction: entries, tiles, frontier and checkpoint become durable together or not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from gensafe.audit.store_lock import AdvisoryLock, FileLock, Lock, unavailable
from gensafe.core.errors import LogCorrupt, LogUnavailable
from gensafe.core.postgres import is_postgres, parse_postgres
from gensafe.core.storage import make_private_file, make_private_folder

FORMAT: Final = 1  # of the database; raised when older programs could misread it
DATABASE: Final = "log.db"
LOCK: Final = "writer.lock"
_CHUNK: Final = 2048  # rows read at a time; bounds memory. A round number, not measured

_meta = sa.MetaData()
_entries = sa.Table(
    "entries",
    _meta,
    sa.Column("idx", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary),
)
_tiles = sa.Table(
    "tiles",
    _meta,
    sa.Column("level", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("idx", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("hashes", sa.LargeBinary, nullable=False),
)
_state = sa.Table(
    "state",
    _meta,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("format", sa.SmallInteger, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("frontier", sa.LargeBinary, nullable=False),
    sa.Column("checkpoint", sa.LargeBinary, nullable=False),
)
_checkpoints = sa.Table(
    "checkpoints",
    _meta,
    sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("note", sa.LargeBinary, nullable=False),
)


_corrections = sa.Table(  # a reader of a log from before this table was made finds none
    "corrections",
    _meta,
    sa.Column("idx", sa.BigInteger, primary_key=True, autoincrement=False),
)


@dataclass(frozen=True, slots=True)
class StoredState:
    """The log's head as stored: ``frontier`` is the concatenated hashes, ``time_ms`` that of the newest entry."""

    origin: str
    size: int
    time_ms: int
    frontier: bytes
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """One transaction: ``entries`` are (index, time_ms, leaf data), ``tiles`` are (level, index, hashes).

    ``correction``: index of a ``clock.corrected`` entry among them; None = none.
    """

    entries: Sequence[tuple[int, int, bytes]]
    tiles: Sequence[tuple[int, int, bytes]]
    state: StoredState
    correction: int | None = None


class LogStore:
    """Durable rows, no tree arithmetic. Safe between threads for reading; one thread writes.

    Args:
        engine: Where to.
        lock: Held while this store may write; None = reader.
        path: The file; None for PostgreSQL.
    """

    def __init__(self, engine: sa.Engine, lock: Lock | None = None, path: Path | None = None) -> None:
        self._engine = engine
        self._path = path
        self._lock = lock
        self._postgres = engine.dialect.name == "postgresql"

    @property
    def writable(self) -> bool:
        """Whether this store holds the writer's lock."""
        return self._lock is not None

    def state(self) -> StoredState | None:
        """The head, or None for a store that holds no log yet.

        Raises:
            LogUnavailable: the store cannot be read.
            LogCorrupt: written by another format.
        """
        with self._named("read the log's head"), self._engine.connect() as connection:
            row = connection.execute(sa.select(_state)).first()
        if row is None:
            return None
        if row.format != FORMAT:
            raise LogCorrupt(f"the log has format {row.format}, this version reads {FORMAT}")
        return StoredState(row.origin, row.size, row.time_ms, bytes(row.frontier), bytes(row.checkpoint))

    def initialise(self, state: StoredState) -> None:
        """Write the head of an empty log."""
        with self._named("create the log"), self._engine.begin() as connection:
            connection.execute(sa.insert(_state).values(id=1, format=FORMAT, **_columns(state)))

    def commit(self, batch: Batch, fault: Any = None) -> None:  # noqa: ANN401 - Callable[[str], None] or None
        """Make a batch durable, whole or not at all.

        Raises:
            LogUnavailable: it did not become durable as far as the database says.
        """
        at = fault or (lambda _: None)
        with self._named("append to the log"), self._engine.begin() as connection:
            at("transaction-open")
            if self._postgres:
                connection.execute(_PG_INSERT, _pg_arrays(batch.entries))
            else:
                connection.exec_driver_sql("INSERT INTO entries (idx, time_ms, body) VALUES (?, ?, ?)", batch.entries)
            at("entries-written")
            for level, idx, hashes in batch.tiles:
                row = {"level": level, "idx": idx, "hashes": hashes}
                connection.execute(self._upsert(_tiles, ["level", "idx"], row))
            at("tiles-written")
            if batch.correction is not None:
                connection.execute(sa.insert(_corrections).values(idx=batch.correction))
            connection.execute(sa.update(_state).where(_state.c.id == 1).values(**_columns(batch.state)))
            at("state-written")

    def bodies(self, start: int, stop: int) -> Iterator[tuple[int, int, bytes | None]]:
        """Rows (index, time_ms, leaf data or None if pruned) of [start, stop), ascending, read in chunks."""
        while start < stop:
            upto = min(stop, start + _CHUNK)
            query = sa.select(_entries.c.idx, _entries.c.time_ms, _entries.c.body)
            query = query.where(_entries.c.idx >= start, _entries.c.idx < upto).order_by(_entries.c.idx)
            with self._named("read entries"), self._engine.connect() as connection:
                rows = connection.execute(query).all()
            for index, time_ms, body in rows:
                yield index, time_ms, body if body is None or type(body) is bytes else bytes(body)
            start = upto

    def times(self, index: int) -> int | None:
        """Time of the entry ``index`` in milliseconds, or None if there is none."""
        with self._named("read entries"), self._engine.connect() as connection:
            found = connection.execute(sa.select(_entries.c.time_ms).where(_entries.c.idx == index)).scalar()
        return None if found is None else int(found)

    def corrections(self) -> list[int]:
        """Indices of the entries at which times go back, ascending."""
        with self._named("read entries"), self._engine.connect() as connection:
            if not sa.inspect(connection).has_table(_corrections.name):
                return []
            return list(connection.execute(sa.select(_corrections.c.idx).order_by(_corrections.c.idx)).scalars())

    def widest_gap(self, start: int) -> int:
        """The widest step in time between neighbours of [start, end), in milliseconds."""
        steps = sa.select(
            (_entries.c.time_ms - sa.func.lag(_entries.c.time_ms).over(order_by=_entries.c.idx)).label("step")
        ).where(_entries.c.idx >= start)
        with self._named("read entries"), self._engine.connect() as connection:
            return int(connection.execute(sa.select(sa.func.max(steps.subquery().c.step))).scalar() or 0)

    def highest(self) -> int:
        """One more than the highest stored index; 0 for none."""
        with self._named("read entries"), self._engine.connect() as connection:
            found = connection.execute(sa.select(sa.func.max(_entries.c.idx))).scalar()
        return 0 if found is None else int(found) + 1

    def tile(self, level: int, index: int) -> bytes | None:
        """Hashes of a stored tile."""
        query = sa.select(_tiles.c.hashes).where(_tiles.c.level == level, _tiles.c.idx == index)
        with self._named("read tiles"), self._engine.connect() as connection:
            found = connection.execute(query).scalar()
        return None if found is None else bytes(found)

    def tile_keys(self) -> Iterator[tuple[int, int, bytes]]:
        """All stored tiles (level, index, hashes), by level and index."""
        last = (-1, -1)
        while True:
            query = sa.select(_tiles).where(sa.tuple_(_tiles.c.level, _tiles.c.idx) > sa.tuple_(*map(sa.literal, last)))
            with self._named("read tiles"), self._engine.connect() as connection:
                rows = connection.execute(query.order_by(_tiles.c.level, _tiles.c.idx).limit(256)).all()
            for row in rows:
                yield row.level, row.idx, bytes(row.hashes)
            if len(rows) < 256:
                return
            last = (rows[-1].level, rows[-1].idx)

    def prune(self, start: int, stop: int) -> int:
        """Forget the leaf data of [start, stop), keeping rows and hashes; return how many were forgotten."""
        query = sa.update(_entries).where(_entries.c.idx >= start, _entries.c.idx < stop, _entries.c.body.is_not(None))
        with self._named("prune the log"), self._engine.begin() as connection:
            return int(connection.execute(query.values(body=None)).rowcount)

    def unpruned(self, stop: int) -> int:
        """How many entries of [0, stop) still have leaf data."""
        query = sa.select(sa.func.count()).where(_entries.c.idx < stop, _entries.c.body.is_not(None))
        with self._named("read entries"), self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def keep_checkpoint(self, size: int, note: bytes) -> None:
        """Keep a checkpoint that was handed out; a later note for the same size (more cosignatures) replaces it."""
        insert = self._upsert(_checkpoints, ["size"], {"size": size, "note": note})
        with self._named("keep a checkpoint"), self._engine.begin() as connection:
            connection.execute(insert)

    def checkpoints(self) -> list[tuple[int, bytes]]:
        """The kept checkpoints (size, note), smallest first."""
        with self._named("read checkpoints"), self._engine.connect() as connection:
            rows = connection.execute(sa.select(_checkpoints).order_by(_checkpoints.c.size)).all()
        return [(row.size, bytes(row.note)) for row in rows]

    def _upsert(self, table: sa.Table, keys: list[str], row: dict[str, Any]) -> sa.Insert:
        if self._postgres:
            return postgresql.insert(table).values(**row).on_conflict_do_update(index_elements=keys, set_=row)
        return sqlite.insert(table).values(**row).on_conflict_do_update(index_elements=keys, set_=row)

    def _named(self, doing: str) -> unavailable:
        return unavailable(doing, self._path)

    def close(self) -> None:
        """Give up the lock and all connections."""
        if self._lock:
            self._lock.release()  # before its connection pool goes
        self._engine.dispose()


def open_store(target: Path | str, *, writer: bool) -> LogStore:
    """Open the store at a folder (SQLite) or a ``postgresql+pg8000://`` URL.

    Raises:
        LogUnavailable: it cannot be opened, there is no log to read, or another writer holds it.
    """
    if isinstance(target, str) and is_postgres(target):
        return _open_postgres(target, writer=writer)
    folder = Path(target)
    path = folder / DATABASE
    if not writer:
        if not path.is_file():
            raise LogUnavailable(f"there is no log in {folder.name!r}")
        return LogStore(_sqlite_engine(path, writer=False), path=path)
    with unavailable("create the log's folder", path):
        make_private_folder(folder)
    lock = FileLock(folder / LOCK)
    try:
        with unavailable("open the log", path):
            make_private_file(path)
            engine = _sqlite_engine(path, writer=True)
            _meta.create_all(engine)
    except BaseException:
        lock.release()
        raise
    return LogStore(engine, lock, path)


def _sqlite_engine(path: Path, *, writer: bool) -> sa.Engine:
    mode = "rwc" if writer else "ro"
    engine = sa.create_engine(
        f"sqlite:///file:{path.resolve().as_posix()}?mode={mode}&uri=true", poolclass=QueuePool, pool_size=4
    )

    @sa.event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA busy_timeout=5000")
        if writer:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA fullfsync=1")  # macOS: plain fsync does not reach the medium
            connection.execute("PRAGMA checkpoint_fullfsync=1")

    return engine


_PG_INSERT = sa.text(
    "INSERT INTO entries (idx, time_ms, body) SELECT * FROM unnest("
    "CAST(:idx AS bigint[]), CAST(:time_ms AS bigint[]), CAST(:body AS bytea[]))"
)


def _pg_arrays(rows: Sequence[tuple[int, int, bytes]]) -> dict[str, list[Any]]:
    return {"idx": [r[0] for r in rows], "time_ms": [r[1] for r in rows], "body": [r[2] for r in rows]}


def _open_postgres(url: str, *, writer: bool) -> LogStore:
    address = parse_postgres(url, "store.log")
    try:
        engine = sa.create_engine(address.driver_url, connect_args=dict(address.connect), pool_pre_ping=True)
    except (ImportError, SQLAlchemyError) as error:
        raise LogUnavailable(f"no driver for PostgreSQL: {error}", fix="pip install 'gensafe[postgres]'") from error
    if not writer:
        try:
            with unavailable("open the log"), engine.connect() as connection:
                if not sa.inspect(connection).has_table(_state.name):
                    raise LogUnavailable("there is no log in this database yet", fix="the first gensafe serve makes it")
        except BaseException:
            engine.dispose()
            raise
        return LogStore(engine)
    try:
        lock = AdvisoryLock(engine)
    except BaseException:
        engine.dispose()
        raise
    try:
        with unavailable("open the log"):
            _meta.create_all(engine)
    except BaseException:
        lock.release()
        engine.dispose()
        raise
    return LogStore(engine, lock)


def _columns(state: StoredState) -> dict[str, Any]:
    return {
        "origin": state.origin,
        "size": state.size,
        "time_ms": state.time_ms,
        "frontier": state.frontier,
        "checkpoint": state.checkpoint,
    }
