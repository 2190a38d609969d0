"""Write a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from gensafe.core.errors import OutputFailed

PRIVATE: Final = 0o600  # secrets, and content that nobody has released
PUBLIC: Final = 0o666  # less the user's umask, as any program's files


def write_file(path: str | Path, data: bytes, field: str | None, *, mode: int = PUBLIC) -> None:
    """Write ``data`` to ``path``: all of it, or the old file stays as it was.

    A device or a pipe (``/dev/stdout``, ``/dev/full``) is written in place.

    Args:
        path: The file; replaced where it exists.
        data: Its new contents.
        field: Option that named it, for the message.
        mode: Permissions of the file, also where it replaces one with others; ``PRIVATE`` or ``PUBLIC``.

    Raises:
        OutputFailed: no such folder, no right, a full disk.
    """
    target = Path(path)
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        target = target.resolve()  # a symbolic link stays one: its target is replaced
        _replace(target, data, mode)
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a possible file name"
        raise OutputFailed(f"cannot write {path}: {reason}", field=field) from None


def _replace(target: Path, data: bytes, mode: int) -> None:
    partial = target.with_name(f".{secrets.token_hex(4)}.part")  # a fixed length: the target's name may be the longest
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
