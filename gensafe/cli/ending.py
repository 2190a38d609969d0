"""How every command ends: which failure leads to which exit code, and output streams that cannot turn one into another.

1. Standard streams that are closed or cannot show a character are made safe before anything is printed.
2. A command's answer is its exit code (0 to 5). Whatever stops it before an answer has a code from 64 up.
3. Standard output is flushed here, not by the interpreter, so that a full disk is seen and said.

See docs/exit-codes.md.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import traceback
from collections.abc import Callable
from typing import Final, TextIO

from gensafe.cli.common import Exit, Leave, note, report_error
from gensafe.core import errors, roles

DEBUG: Final = "GENSAFE_DEBUG"
_GONE: Final = (errno.EPIPE, errno.ESHUTDOWN)  # the reader closed its end: it knows, so nothing is said

# The first kind that fits decides; what fits none is 1 (failed), but for the commands in ``ANSWERS``.
CODES: Final[tuple[tuple[tuple[type[errors.GensafeError], ...], Exit], ...]] = (
    ((errors.ConfigError, errors.InvalidRequest), Exit.USAGE),
    ((errors.OutputFailed,), Exit.IO_ERROR),
    ((errors.SafetyBlocked,), Exit.BLOCKED),
    (
        (errors.BackendUnavailable, errors.Overloaded, errors.DeadlineExceeded, errors.AccessError),
        Exit.UNAVAILABLE,
    ),
)
ANSWERS: Final = (
    "verify",
    "audit verify",
    "audit fsck",
    "audit check-report",
    "doctor",
    "drill",
    "policy",
    "classify",
    "demo",
)  # 1 is a finding there
_ELSEWHERE: Final[tuple[tuple[tuple[type[errors.GensafeError], ...], Exit], ...]] = (
    ((errors.MediaError,), Exit.UNREADABLE),
    ((errors.KeyError_, errors.PluginError), Exit.USAGE),  # of this installation: its owner can mend them
    ((errors.AuditError, errors.RegistryError, errors.SafetyUnavailable, errors.Cancelled), Exit.UNAVAILABLE),
)


def guarded(run: Callable[[], int], command: str = "") -> int:
    """Run a command and turn whatever it raises into one line and an exit code.

    Args:
        run: The command; returns its exit code.
        command: Its name and sub-command, which decide whether 1 is an answer.
    """
    try:
        return int(run())
    except Leave as end:  # our own argument parser
        return int(end.status)
    except errors.GensafeError as error:
        report_error(error)
        return code_of(error, command)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except ModuleNotFoundError as error:  # a smaller part than the whole is installed here
        lacking = roles.lacking(error, f"gensafe {command}".strip())
        if lacking is None:
            return _fault(type(error).__name__, str(error))
        report_error(lacking)
        return code_of(lacking, command)
    except SystemExit as end:
        return _fault("SystemExit", f"a library ended the program with status {end.code!r}")
    except OSError as error:
        return _io_error(error)
    except BaseException as error:
        return _fault(type(error).__name__, str(error))


def code_of(error: errors.GensafeError, command: str = "") -> Exit:
    """The exit code for an error that kept ``command`` from its answer."""
    for kinds, code in CODES:
        if isinstance(error, kinds):
            return code
    if not f"{command} ".startswith(tuple(f"{name} " for name in ANSWERS)):
        return Exit.FAILED
    return next((code for kinds, code in _ELSEWHERE if isinstance(error, kinds)), Exit.INTERNAL)


def _io_error(error: OSError) -> Exit:
    _debug()
    if error.errno in _GONE:
        return Exit.IO_ERROR
    if isinstance(error, ConnectionError | TimeoutError) or type(error).__module__ not in ("builtins", "io"):
        note(f"gensafe: {_one_line(error.strerror or str(error))}")
        return Exit.UNAVAILABLE
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    note(f"gensafe: {where}{_one_line(error.strerror or str(error) or type(error).__name__)}")
    return Exit.IO_ERROR


def _fault(kind: str, message: str) -> Exit:
    _debug()
    said = f"{kind}: {_one_line(message)}" if message else kind
    note(f"gensafe: internal fault: {said} (set {DEBUG}=1 for the traceback)")
    return Exit.INTERNAL


def _one_line(text: str, longest: int = 500) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= longest else flat[:longest] + "..."


def _debug() -> None:
    if os.environ.get(DEBUG):
        with contextlib.suppress(OSError):
            traceback.print_exc()


class _Closed(io.TextIOBase):
    """In place of a standard stream that the caller closed; what is written to it fails, or is dropped."""

    def __init__(self, *, refuse: bool) -> None:
        self._refuse = refuse

    @property
    def buffer(self) -> io.RawIOBase:
        raise OSError(errno.EBADF, "standard output is closed")

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self._refuse and text:
            raise OSError(errno.EBADF, "standard output is closed")
        return len(text)


def prepare_streams() -> None:
    """Make the standard streams safe to print to: characters that they cannot show become escapes.

    A closed one (``>&-``) is replaced, and its number occupied: otherwise the next file opened would become it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                _occupy(number)
    if sys.stdout is None:
        sys.stdout = _Closed(refuse=True)
    if sys.stderr is None:
        sys.stderr = _Closed(refuse=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _occupy(number: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)  # the lowest free number, so usually this one
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)


def close_streams(status: int) -> int:
    """Flush what is still to be written. Returns ``status``, or 74 where the output did not reach its place."""
    code = status
    try:
        _flush(sys.stdout)
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except (OSError, ValueError) as error:
        code = _io_error(error) if isinstance(error, OSError) else Exit.IO_ERROR
        _abandon(sys.stdout, 1)
    try:
        _flush(sys.stderr)
    except (OSError, ValueError):
        _abandon(sys.stderr, 2)
    return int(code)


def _flush(stream: TextIO) -> None:
    if not stream.closed:
        stream.flush()


def _abandon(stream: TextIO, number: int) -> None:
    """What is left in the buffer goes nowhere; else the interpreter would try again and complain."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
        stream.flush()
