"""Content-addressed blobs in a folder: ``blobs/ab/cdef…``, named by the SHA-256 of the bytes they stand for."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from gensafe.core.errors import RegistryError, RegistryUnavailable
from gensafe.core.storage import cause_of, make_private_folder

_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")


class BlobFolder:
    """Atomic, durable writes (temporary file, fsync, rename, fsync of the folder); reads check the digest.

    Args:
        root: The folder; made on the first write.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, digest: str) -> Path:
        """Where a blob lies.

        Raises:
            RegistryError: not a "sha256:<hex>" digest.
        """
        match = _DIGEST.fullmatch(digest)
        if not match:
            raise RegistryError("a blob is named by its sha256 digest", field="digest")
        return self._root / match[1][:2] / match[1][2:]

    def write(self, digest: str, data: bytes) -> None:
        """Store ``data`` under ``digest`` (already there: nothing to do).

        Raises:
            RegistryUnavailable: it could not be made durable.
        """
        target = self.path(digest)
        try:
            if target.exists():
                return
            make_private_folder(target.parent)
            with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".new-", delete=False) as file:
                try:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                    os.replace(file.name, target)
                except BaseException:
                    with suppress(OSError):
                        os.unlink(file.name)
                    raise
            _sync_folder(target.parent)
        except OSError as error:
            raise RegistryUnavailable(f"could not store a blob: {cause_of(error, None)}") from error

    def read(self, digest: str) -> bytes | None:
        """The stored bytes, unchecked; None if there are none."""
        try:
            return self.path(digest).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RegistryUnavailable(f"could not read a blob: {cause_of(error, None)}") from error

    def has(self, digest: str) -> bool:
        """Whether the blob is there."""
        return bool(digest) and self.path(digest).is_file()

    def delete(self, digest: str) -> bool:
        """Remove a blob; False if there was none."""
        try:
            self.path(digest).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise RegistryUnavailable(f"could not delete a blob: {cause_of(error, None)}") from error
        return True


def digest_of(data: bytes) -> str:
    """The name of a blob."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; platforms that cannot open a folder (Windows) make it so by themselves."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
