"""The bytes of a file, read where they are needed: a file of any size without its size in memory."""

from __future__ import annotations

import io
import os
import stat
from abc import ABC, abstractmethod
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

from gensafe.core.errors import UnreadableMedia

BLOCK: Final = 256 << 10  # bytes read at once; large against the price of a request, small against a film
_BLOCKS: Final = 16  # blocks remembered: 4 MiB, more than a demuxer jumps between


class Source(ABC):
    """Bytes at offsets. Safe to read from several threads."""

    length: int

    @abstractmethod
    def read_at(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset`` on, fewer only at the end.

        Raises:
            UnreadableMedia: the file cannot be read.
        """


class BytesSource(Source):
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def read_at(self, offset: int, size: int) -> bytes:
        """See ``Source``."""
        return self._data[offset : offset + size]


class FileSource(Source):
    """A regular file, open for as long as this object lives.

    Raises:
        UnreadableMedia: no such file, a folder, a device or a pipe, or not readable. The caller names the file.
    """

    def __init__(self, path: str | Path) -> None:
        self._handle = -1
        try:
            # without O_NONBLOCK, opening a pipe that nobody writes waits without end
            self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
            about = os.fstat(self._handle)
        except OSError as error:
            raise UnreadableMedia(error.strerror or type(error).__name__) from None
        except ValueError:  # a zero byte in the name
            raise UnreadableMedia("no such file") from None
        if stat.S_ISDIR(about.st_mode):
            raise UnreadableMedia("it is a folder")
        if not stat.S_ISREG(about.st_mode):
            raise UnreadableMedia("it is a device or a pipe, not a file", fix="copy its contents to a file")
        self.length = about.st_size

    def read_at(self, offset: int, size: int) -> bytes:
        """See ``Source``."""
        try:
            return os.pread(self._handle, size, offset)
        except OSError as error:
            raise UnreadableMedia(f"cannot be read: {error.strerror}") from None

    def __del__(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)


class View:
    """As much of ``bytes`` as readers of headers use, over a source; blocks are remembered, not the file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def __len__(self) -> int:
        return self._source.length

    def __getitem__(self, at: int | slice) -> Any:  # noqa: ANN401 - int or bytes, as of bytes
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            return self._read(start, max(start, stop))[:: step if step > 0 else 1] if step > 0 else b""
        index = at + len(self) if at < 0 else at
        if not 0 <= index < len(self):
            raise IndexError("index out of range")
        return self._read(index, index + 1)[0]

    def startswith(self, head: bytes | tuple[bytes, ...]) -> bool:
        """As ``bytes.startswith``."""
        heads = head if isinstance(head, tuple) else (head,)
        return bytes(self[: max(map(len, heads))]).startswith(heads)

    def find(self, part: bytes, start: int = 0, end: int | None = None) -> int:
        """As ``bytes.find``, block by block."""
        at, stop = max(0, start), len(self) if end is None else min(end, len(self))
        while at < stop:
            piece = self._read(at, min(stop, at + BLOCK + len(part) - 1))
            found = piece.find(part)
            if found >= 0:
                return at + found
            at += BLOCK
        return -1

    def rfind(self, part: bytes) -> int:
        """As ``bytes.rfind``, block by block from the end."""
        stop = len(self)
        while stop > 0:
            start = max(0, stop - BLOCK)
            found = self._read(start, min(len(self), stop + len(part) - 1)).rfind(part)
            if found >= 0:
                return start + found
            stop = start
        return -1

    def __contains__(self, part: bytes) -> bool:
        return self.find(part) >= 0

    def _read(self, start: int, stop: int) -> bytes:
        stop = min(stop, len(self))
        if stop - start > _BLOCKS * BLOCK:
            return self._source.read_at(start, stop - start)
        parts = [self._block(number) for number in range(start // BLOCK, -(-stop // BLOCK))]
        first = start // BLOCK * BLOCK
        return b"".join(parts)[start - first : stop - first]

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._blocks[number] = self._source.read_at(number * BLOCK, BLOCK)
            if len(self._blocks) > _BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]


class SourceFile(io.RawIOBase):
    """A source as a seekable file, for libraries that read files."""

    def __init__(self, source: Source, start: int = 0) -> None:
        super().__init__()
        self._source, self._start, self._at = source, start, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - the base's signature
        """Fill as much of ``buffer`` as there is."""
        data = self._source.read_at(self._start + self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset."""
        end = self._source.length - self._start
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: end}[whence])
        return self._at

    def tell(self) -> int:
        """The offset of the next read."""
        return self._at
