"""Read files that a person named: bounded, regular files only, and text whose encoding is said, never guessed."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path
from typing import Final

from gensafe.core.errors import ConfigError, GensafeError

MAX_TEXT_BYTES: Final = 64 << 20  # half a million PDQ hashes as JSON lines; a policy has kilobytes
MAX_SECRET_BYTES: Final = 64 << 10  # a key, a certificate chain, a password
_MARKS: Final = (  # the longer marks first: UTF-32 LE starts with the mark of UTF-16 LE
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_SAVE: Final = "save it as UTF-8"


def read_bytes(
    path: str | Path,
    field: str | None,
    *,
    largest: int,
    error: type[GensafeError] = ConfigError,
    named: bool = True,
) -> bytes:
    """All bytes of a regular file.

    Args:
        path: The file, as it was named.
        field: Option or key that named it, for the message; None = the message has the path alone.
        largest: Upper bound of its size in bytes. The file is not read beyond it.
        error: Kind of error to raise.
        named: Whether the message names the path; else its caller does.

    Raises:
        GensafeError: of kind ``error``: no such file, a folder, device or pipe, larger than ``largest``, unreadable.
    """

    def refuse(reason: str, fix: str | None = None) -> GensafeError:
        return error(f"cannot read {path}: {reason}" if named else reason, field=field, fix=fix)

    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes waits without end.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            about = os.fstat(handle)
            if stat.S_ISDIR(about.st_mode):
                raise refuse("it is a folder")
            if not stat.S_ISREG(about.st_mode):
                raise refuse("it is a device or a pipe, not a file", "copy its contents to a file")
            with open(handle, "rb", closefd=False) as file:
                data = b"" if about.st_size > largest else file.read(largest + 1)
        finally:
            os.close(handle)
    except OSError as problem:
        raise refuse(problem.strerror or type(problem).__name__) from None
    except ValueError:  # a zero byte in the name
        raise refuse("no such file") from None
    if about.st_size > largest or len(data) > largest:
        raise refuse(f"it has {max(about.st_size, len(data))} bytes, and {largest} are allowed")
    return data


def read_text(
    path: str | Path,
    field: str | None,
    *,
    largest: int = MAX_TEXT_BYTES,
    error: type[GensafeError] = ConfigError,
) -> str:
    """The text of a UTF-8 file, without the mark that some editors put at its start.

    Args:
        path: The file, as it was named.
        field: Option or key that named it.
        largest: Upper bound of its size in bytes.
        error: Kind of error to raise.

    Returns:
        Text whose lines end with a line feed, whatever the file has.

    Raises:
        GensafeError: of kind ``error``: as ``read_bytes``, or the file is in another encoding, which is named.
    """
    return text_of(read_bytes(path, field, largest=largest, error=error), str(path), field, error=error)


def read_secret(path: str | Path, field: str | None, *, error: type[GensafeError] = ConfigError) -> str:
    """The one line of a key file, ready for an HTTP header; the key itself is in no message.

    Raises:
        GensafeError: of kind ``error``: as ``read_text``, or it is not one line of printable ASCII.
    """
    key = read_text(path, field, largest=MAX_SECRET_BYTES, error=error).strip()
    if not key or not key.isascii() or not key.isprintable():
        reason = "is empty" if not key else "contains more than one line of printable ASCII characters"
        raise error(f"the key file {path} {reason}", field=field)
    return key


def text_of(data: bytes, name: str, field: str | None, *, error: type[GensafeError] = ConfigError) -> str:
    """The text in ``data``, which came from the file called ``name``; see ``read_text``.

    Raises:
        GensafeError: of kind ``error``: not UTF-8.
    """
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "")
    if not encoding and 3 * max(data[0::2].count(0), data[1::2].count(0)) > len(data):
        encoding = "UTF-16"  # without a mark; in Latin text every second byte is zero
    if encoding:
        raise error(f"{name} is {encoding}", field=field, fix=_SAVE)
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        byte = f"byte 0x{data[problem.start]:02x} in line {line}"
        raise error(f"{name} is not UTF-8 ({byte})", field=field, fix=_SAVE) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise error(f"{name} is not a text: zero byte in line {line}", field=field)
    return text.replace("\r\n", "\n").replace("\r", "\n")
