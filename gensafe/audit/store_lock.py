"""Who may write a log: one process, by an exclusive lock; and what a database says about failures, in our words."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from gensafe.core.errors import LogUnavailable
from gensafe.core.storage import cause_of, is_busy, make_private_file

_ADVISORY_KEY: Final = 0x47656E536166654C  # "GenSafeL"
_WRITTEN: Final = "another process writes this log"


class unavailable:  # noqa: N801 - reads as a statement
    """Turn database and disk errors into ``LogUnavailable`` with their true cause."""

    def __init__(self, doing: str, path: Path | None = None) -> None:
        self._doing = doing
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SQLAlchemyError | sqlite3.Error | OSError):
            cause = cause_of(getattr(error, "orig", None) or error, self._path)
            raise LogUnavailable(f"could not {self._doing}: {cause}") from error


class Lock(Protocol):
    """What a writer holds for as long as it lives."""

    def release(self) -> None:
        """Let another process write."""


class FileLock:
    """An exclusive transaction on a small SQLite file: portable, and gone with its process."""

    def __init__(self, path: Path) -> None:
        with unavailable("lock the log", path):
            make_private_file(path)
            self._connection = sqlite3.connect(path, timeout=0.2, isolation_level=None, check_same_thread=False)
        try:
            self._connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            self._connection.close()
            if is_busy(error):
                raise LogUnavailable(_WRITTEN, fix="stop it, or open the log read-only") from None
            raise LogUnavailable(f"could not lock the log: {cause_of(error, path)}") from error

    def release(self) -> None:
        """Give up the lock."""
        with suppress(sqlite3.Error):
            self._connection.close()


class AdvisoryLock:
    """PostgreSQL's own lock by number, gone with its connection."""

    def __init__(self, engine: sa.Engine) -> None:
        with unavailable("lock the log"):
            self._connection = engine.connect()
            taken = self._connection.execute(sa.select(sa.func.pg_try_advisory_lock(_ADVISORY_KEY))).scalar()
            self._connection.commit()
        if not taken:
            self._connection.close()
            raise LogUnavailable(_WRITTEN, fix="stop it, or open the log read-only")

    def release(self) -> None:
        """Give up the lock."""
        with suppress(SQLAlchemyError):
            self._connection.execute(sa.select(sa.func.pg_advisory_unlock(_ADVISORY_KEY)))
            self._connection.commit()
        self._connection.close()
