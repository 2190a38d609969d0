"""The key ring's index on disk, and the lock that keeps two processes from making keys at once."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gensafe.core.errors import KeyError_
from gensafe.keys.index import Index, parse_index


def read_index(path: Path) -> Index:
    """Read ``keyring.json``.

    Raises:
        KeyError_: missing or damaged.
    """
    try:
        return parse_index(path.read_bytes())
    except OSError as error:
        raise KeyError_(f"there is no key ring at {path.parent}: {error.strerror}", fix="gensafe keys init") from None


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the ring's lock, so that two first runs do not make two sets of keys."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chmod(directory, 0o700)
        handle = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise KeyError_(f"cannot use key directory {directory}: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
