"""A folder that appears whole or not at all, with the digests of what was written into it."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from gensafe.core.errors import ExportInvalid

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,98}[A-Za-z0-9_-]")  # docs/audit-format.md: names of files


@contextmanager
def staged(directory: Path, last: str) -> Iterator[Path]:
    """A folder to write into, which becomes ``directory`` on success and is removed on failure.

    A target that is absent gets it by one rename. In an empty folder that exists (a mount, perhaps) the files are moved
    up one by one, ``last`` at the end: without that file it is no bundle.

    Raises:
        ExportInvalid: the target is not empty or not a folder; its ``field`` is "directory".
        OSError: it cannot be written.
    """
    target = Path(os.path.realpath(directory))
    exists = _check_free(target, directory)
    mark = f".{secrets.token_hex(4)}.partial"
    partial = target / mark if exists else target.with_name(f".{target.name[:100]}{mark}")
    partial.mkdir(parents=not exists)
    try:
        yield partial
        if exists:
            _move_up(partial, target, last)
        else:
            _check_free(target, directory)  # an empty folder that came meanwhile would be replaced
            partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _check_free(target: Path, named: Path) -> bool:
    """Whether the target exists as an empty folder; False = there is nothing."""
    try:
        with os.scandir(target) as found:
            if any(found):
                raise ExportInvalid(f"{str(named)!r} is not empty", field="directory", fix="export into a new folder")
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        raise ExportInvalid(
            f"{str(named)!r} is not a folder", field="directory", fix="export into a new folder"
        ) from None
    return True


def _move_up(partial: Path, target: Path, last: str) -> None:
    moved: list[Path] = []
    try:
        for path in sorted(partial.iterdir(), key=lambda p: p.name == last):
            if (target / path.name).exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target / path.name))
            path.rename(target / path.name)
            moved.append(target / path.name)
        partial.rmdir()
    except BaseException:
        for path in moved:
            with suppress(OSError):
                path.unlink()
        raise


class Files:
    """Buffered files of a folder with their digests; closed together."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: dict[str, tuple[Any, Any]] = {}
        self.digests: dict[str, str] = {}

    def write(self, name: str, data: bytes) -> None:
        """Append to the file ``name``, which is made."""
        pair = self._open.get(name)
        if pair is None:
            pair = ((self._directory / name).open("xb", buffering=1 << 20), hashlib.sha256())
            self._open[name] = pair
        pair[0].write(data)
        pair[1].update(data)

    def __enter__(self) -> Files:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for name, (file, digest) in self._open.items():
                file.close()
                self.digests[name] = "sha256:" + digest.hexdigest()
        finally:
            for file, _ in self._open.values():
                with suppress(OSError):
                    file.close()


def digest_file(path: Path) -> str:
    """``sha256:<hex>`` of a file."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
