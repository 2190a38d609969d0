"""The registry's database: many readers, one writer with group commit.

SQLite lets one connection write at a time, and a second one that asks waits or fails. So all writes of a process go
through ``write``: whoever comes first commits its own work together with that of everybody who came meanwhile, in one
transaction; each piece has a savepoint of its own, so that one that fails takes nothing else with it. Readers have
connections of their own and never wait for the writer (WAL). PostgreSQL is used the same way.

Another process (``gensafe review``, a backup) may hold the file: a write waits ``BUSY_WAIT_MS`` for it, at most twice
(once behind the batch in front), and then fails with ``RegistryUnavailable``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from gensafe.core.errors import RegistryError, RegistryUnavailable
from gensafe.core.postgres import parse_postgres
from gensafe.core.storage import cause_of, make_private_file, make_private_folder
from gensafe.registry.migrate import bring_forward, is_current
from gensafe.registry.tables import records

DATABASE: Final = "registry.db"
BUSY_WAIT_MS = 5000  # longer than any write of our own commands, shorter than a caller's patience
_READERS: Final = 8  # connections kept open; more are made while more threads read

T = TypeVar("T")


@dataclass(slots=True)
class _Write:
    """One piece of work in the queue."""

    work: Callable[[sa.Connection], Any]
    result: Any = None
    error: BaseException | None = None
    done: bool = False


class Database:
    """Connections to one registry. Safe between threads.

    Args:
        reader: For reading.
        writer: For writing, one connection; None = opened read-only.
        path: The file, None for PostgreSQL.
    """

    def __init__(self, reader: sa.Engine, writer: sa.Engine | None, path: Path | None) -> None:
        self._reader = reader
        self._writer = writer
        self._path = path
        self._queue: list[_Write] = []
        self._gate = Lock()  # guards the queue
        self._turn = Lock()  # held by the thread that commits

    @contextmanager
    def reading(self, doing: str) -> Iterator[sa.Connection]:
        """A connection that reads.

        Raises:
            RegistryUnavailable: the database cannot be read now.
        """
        with self._named(doing), self._reader.connect() as connection:
            yield connection

    def write(self, doing: str, work: Callable[[sa.Connection], T]) -> T:
        """Run ``work`` in a transaction and return its result when it is durable. What it raises is raised here.

        ``work`` may run in another caller's thread; it must not call ``write``.

        Raises:
            RegistryUnavailable: nothing was written: another process holds the database, or the disk is full.
            IntegrityError: as raised by ``work``; its callers know what it means.
        """
        job = _Write(work)
        with self._gate:
            self._queue.append(job)
        with self._turn:
            if not job.done:
                with self._gate:
                    batch, self._queue = self._queue, []
                self._commit(batch)
        if job.error is None:
            return job.result  # type: ignore[no-any-return]
        with self._named(doing):
            raise job.error

    def truncate_journal(self) -> None:
        """Remove old pages, with what was erased from them, from SQLite's write-ahead log."""
        if self._path is None:
            return
        with self._turn, self._named("empty the journal"):
            connection = self._writable().raw_connection()
            try:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                connection.close()

    def close(self) -> None:
        """Let go of the database."""
        self._reader.dispose()
        if self._writer is not None:
            self._writer.dispose()

    def _commit(self, batch: list[_Write]) -> None:
        try:
            with self._writable().begin() as connection:
                for job in batch:
                    self._try(connection, job)
        except BaseException as error:
            for job in batch:
                job.error = job.error or error
            if not isinstance(error, Exception):
                raise
        finally:
            for job in batch:
                job.done = True

    def _try(self, connection: sa.Connection, job: _Write) -> None:
        try:
            with connection.begin_nested():
                job.result = job.work(connection)
        except DBAPIError as error:
            job.error = error
            if not isinstance(error, IntegrityError):
                raise  # a full disk or a lost connection ends the whole transaction
        except Exception as error:
            job.error = error

    def _writable(self) -> sa.Engine:
        if self._writer is None:
            raise RegistryError("the registry was opened read-only")
        return self._writer

    @contextmanager
    def _named(self, doing: str) -> Iterator[None]:
        """Turn database errors into ``RegistryUnavailable`` with their true cause."""
        try:
            yield
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            raise unavailable(doing, error, self._path) from error


def unavailable(doing: str, error: BaseException, path: Path | None) -> RegistryUnavailable:
    """The error for a database that cannot be used now."""
    return RegistryUnavailable(f"could not {doing}: {cause_of(getattr(error, 'orig', None) or error, path)}")


def open_database(directory: Path, *, url: str, readonly: bool) -> Database:
    """Open (and unless ``readonly`` create) the registry's database.

    Raises:
        RegistryError: there is none to read, or no driver.
        RegistryUnavailable: it cannot be opened.
    """
    database = _postgres(url, readonly=readonly) if url else _sqlite(directory, readonly=readonly)
    if not readonly:
        try:
            with database.reading("open the registry") as connection:
                current = is_current(connection)
            if not current:
                database.write("open the registry", bring_forward)
        except BaseException:
            database.close()
            raise
    return database


def _postgres(url: str, *, readonly: bool) -> Database:
    address = parse_postgres(url, "store.registry")
    try:
        engine = sa.create_engine(
            address.driver_url,
            connect_args=dict(address.connect),
            pool_pre_ping=True,
            pool_size=_READERS,
            max_overflow=-1,
        )
    except (ImportError, SQLAlchemyError) as error:
        raise RegistryError(f"no driver for {url.partition(':')[0]}", fix="pip install 'gensafe[postgres]'") from error
    database = Database(engine, None if readonly else engine, None)
    if readonly:
        try:
            with database.reading("open the registry") as connection:
                if not sa.inspect(connection).has_table(records.name):
                    raise RegistryError(
                        "there is no registry in this database yet", fix="the first gensafe serve makes it"
                    )
        except BaseException:
            database.close()
            raise
    return database


def _sqlite(directory: Path, *, readonly: bool) -> Database:
    path = directory / DATABASE
    if readonly:
        if not path.is_file():
            raise RegistryError(f"there is no registry in {directory.name!r}")
        return Database(_engine(path, "ro"), None, path)
    try:
        make_private_folder(directory)
        make_private_file(path)
    except OSError as error:
        raise unavailable("make the registry's folder", error, path) from error
    return Database(_engine(path, "rw"), _engine(path, "rw", writer=True), path)


def _engine(path: Path, mode: str, *, writer: bool = False) -> sa.Engine:
    engine = sa.create_engine(
        f"sqlite:///file:{path.resolve().as_posix()}?mode={mode}&uri=true",
        poolclass=QueuePool,
        pool_size=1 if writer else _READERS,
        max_overflow=0 if writer else -1,
    )

    @sa.event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves; the module's own would come too late for savepoints
        connection.execute(f"PRAGMA busy_timeout={BUSY_WAIT_MS}")
        if mode != "ro":
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA fullfsync=1")  # macOS: plain fsync does not reach the medium
            connection.execute("PRAGMA secure_delete=ON")  # erased prompts and keys leave no page behind

    if writer:

        @sa.event.listens_for(engine, "begin")
        def _begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # wait for the lock here, where waiting works

    return engine
