"""What the local stores share: private folders and files, and the true cause of a failed write.

SQLite folds most causes into "disk I/O error" or "unable to open database file". Only SQLITE_BUSY means that another
process is using the file; for everything else the folder itself is asked, by writing to it.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

PRIVATE_FOLDER: Final = 0o700  # owner only: prompts' commitments, reviewers and their reasons lie inside
PRIVATE_FILE: Final = 0o600  # read and written by its owner alone
BUSY: Final = "another process is using it"
_PROBE_BYTES: Final = 64 * 1024  # more than one page of SQLite (4 KiB) and one block of any usual file system
_BUSY_CODES: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_PRIMARY: Final = 0xFF  # the primary code of an extended SQLite result code


def make_private_folder(folder: Path) -> None:
    """Make ``folder`` and what is missing above it, for the owner only. A folder that exists keeps its mode.

    Raises:
        OSError: it cannot be made.
    """
    missing = [folder, *folder.parents]
    for path in reversed(missing[: next((i for i, p in enumerate(missing) if p.is_dir()), len(missing))]):
        path.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


def make_private_file(path: Path) -> None:
    """Make an empty file for the owner only, unless it exists. SQLite gives its journals the mode of the database.

    Raises:
        OSError: it cannot be made.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))


def is_busy(error: BaseException | None) -> bool:
    """Whether a SQLite error says that another connection holds the file (SQLITE_BUSY, SQLITE_LOCKED)."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & _PRIMARY in _BUSY_CODES


def cause_of(error: BaseException, path: Path | None) -> str:
    """Why a store failed, in words of the operating system where it knows them: "no space left on device".

    Args:
        error: From ``sqlite3``, the operating system or a database driver.
        path: The file that could not be used; None for a store that is not a file here.
    """
    if is_busy(error):
        return BUSY
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & _PRIMARY == sqlite3.SQLITE_FULL:
        return "no space left on device"
    if path is not None and isinstance(error, sqlite3.Error):
        return _probe(path) or str(error)
    return str(error)


def _probe(path: Path) -> str:
    """What the operating system says about writing beside and into ``path``; "" if it has nothing against it."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".probe-") as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.close(os.open(path, os.O_RDWR))
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""
