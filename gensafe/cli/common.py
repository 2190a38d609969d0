"""What the commands share: exit codes, argument errors, terminal-safe output, progress, and opening an installation."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import unicodedata
from collections.abc import Callable
from datetime import date
from enum import IntEnum
from pathlib import Path
from typing import Any, NoReturn

from gensafe.core.config import Config, load_config
from gensafe.core.errors import GensafeError, MediaError
from gensafe.core.textfile import read_bytes


class Exit(IntEnum):
    """Exit codes. 1 to 5 are answers, whose meaning each command's help states; the others are the same everywhere.

    A code below 64 is given only where the command reached an answer; 64 to 74 follow BSD ``sysexits.h``.
    """

    OK = 0
    FAILED = 1
    BLOCKED = 2
    UNREADABLE = 3
    UNKNOWN_SIGNER = 4  # verify
    DERIVED = 5  # verify: made from an output of ours, not shown to be unchanged
    USAGE = 64
    UNAVAILABLE = 69  # a server or service could not be asked
    INTERNAL = 70  # a fault of ours
    IO_ERROR = 74  # an output could not be written: full disk, closed pipe
    INTERRUPTED = 130


class Leave(SystemExit):
    """Our own parser ends the program, after --help or a usage error; any other ``SystemExit`` is a library's."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


# What an argument that names a file is called in the help; the part before a dot counts ("OUT.png").
PATHS = frozenset({"FILE", "DIR", "PEM", "IN", "OUT", "LIST", "OLD", "NEW", "MEDIUM", "PATH"})


class Parser(argparse.ArgumentParser):
    """An argument parser with the rules that hold for every command.

    - Usage errors exit with 64, so that 2 keeps its meaning of "blocked"; the usage shown is the sub-command's.
    - An argument is text in UTF-8, unless it names a file (its metavar says so): file names may have any bytes.
    - An argument that names a file is not empty: "" would be the current folder.
    """

    def error(self, message: str) -> NoReturn:
        """Print usage and the error; exit 64."""
        self._print_message(self.format_usage(), sys.stderr)
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End the program. Raises ``Leave``."""
        if message:
            self._print_message(message, sys.stderr)
        raise Leave(int(status))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401 - argparse's signature
        """Parse; refuse what is unknown here, where the sub-command is known, and check what was given."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:  # noqa: ANN401 - argparse's signature
        """Convert one string; every argument and every default passes here."""
        given = arg_string != action.default and not isinstance(action, argparse._SubParsersAction)  # noqa: SLF001
        if given and names_a_file(action):
            if not arg_string:
                raise argparse.ArgumentError(action, "is empty; name a file or folder")
        elif given and any(unicodedata.category(c) == "Cs" for c in arg_string):
            raise argparse.ArgumentError(action, f"is not valid UTF-8 text: {arg_string!a}")
        return super()._get_value(action, arg_string)

    def _print_message(self, message: str, file: Any = None) -> None:  # noqa: ANN401 - argparse's signature
        """Print; argparse's own hides that standard output cannot be written."""
        stream = file or sys.stderr
        text = "\n".join(safe(line) for line in message.split("\n"))
        if stream is sys.stderr:
            with contextlib.suppress(OSError):
                stream.write(text)
        else:
            stream.write(text)


def names_a_file(action: argparse.Action) -> bool:
    """Whether the argument is a path, as its type or its metavar says."""
    if action.type is Path:
        return True
    metavar = action.metavar[0] if isinstance(action.metavar, tuple) else action.metavar
    return any(each.split(".")[0] in PATHS for each in (metavar or "").split("|"))  # FILE|RECORD_ID is one too


Commands = Any  # argparse's sub-parser action is generic over a private type


def safe(text: str) -> str:
    """``text`` with control, bidi and other format characters shown as escapes: nothing in a file steers a terminal."""
    return "".join(
        c if unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp") else f"\\u{ord(c):04x}" for c in text
    )


def day_of(text: str) -> date:
    """An argument that is a day.

    Raises:
        argparse.ArgumentTypeError: it is not one.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day; write it as 2026-12-02") from None


def say(text: str = "") -> None:
    """Print a line of output, made safe for terminals."""
    print("\n".join(safe(line) for line in text.split("\n")))


def note(text: str) -> None:
    """Print a line to standard error."""
    with contextlib.suppress(OSError):  # a closed or full standard error does not change what is answered
        print(safe(text), file=sys.stderr)


def print_json(value: Any) -> None:  # noqa: ANN401
    """Print ``value`` as indented JSON, ASCII only."""
    print(json.dumps(value, indent=2, sort_keys=True, default=str))


def read_medium(path: str | Path) -> bytes:
    """A file that is to be examined, of any size that a medium may have.

    Raises:
        MediaError: missing, a folder, device or pipe, too large or not readable: it cannot be examined (exit 3).
            The caller names the file.
    """
    from gensafe.media.limits import LIMITS

    return read_bytes(path, None, largest=LIMITS.max_bytes, error=MediaError, named=False)


def report_error(error: GensafeError) -> None:
    """Print an error the way every command does."""
    note(f"gensafe: {error}")


def progress() -> Callable[[str, int, int], None]:
    """A progress line on a terminal; nothing in a pipe.

    Call it with (stage, done, total); total 0 = unknown; ("", 0, 0) clears the line.
    """
    if not sys.stderr.isatty():
        return lambda _stage, _done, _total: None

    def show(stage: str, done: int, total: int) -> None:
        line = f"{stage} {done}/{total}" if total else (f"{stage} {done}" if stage else "")
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()

    return show


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --config and --data-dir."""
    parser.add_argument("--config", metavar="FILE", help="TOML configuration")
    parser.add_argument("--data-dir", metavar="DIR", help="keys, log and records (default: gensafe-data)")


def read_config(args: argparse.Namespace, **server: Any) -> Config:  # noqa: ANN401
    """Read the configuration, then apply --data-dir and ``server`` overrides.

    Raises:
        ConfigError: as ``load_config``.
    """
    path = Path(args.config) if getattr(args, "config", None) else None
    changes = {k: v for k, v in server.items() if v is not None}
    return load_config(path, os.environ, data_dir=getattr(args, "data_dir", None), server=changes)
