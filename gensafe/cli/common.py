"""What the commands share: exit codes, argument errors, terminal-safe output, progress, and opening an installation."""

from __future__ import annotations

import argparse
import json
import os
import sys
import unicodedata
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any, NoReturn

from gensafe.core.config import Config, load_config
from gensafe.core.errors import GensafeError


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


class Parser(argparse.ArgumentParser):
    """An argument parser whose usage errors exit with 64, so that 2 keeps its meaning of "blocked"."""

    def error(self, message: str) -> NoReturn:
        """Print usage and the error; exit 64."""
        self.print_usage(sys.stderr)
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n")


Commands = Any  # argparse's sub-parser action is generic over a private type


def safe(text: str) -> str:
    """``text`` with control, bidi and other format characters shown as escapes: nothing in a file steers a terminal."""
    return "".join(
        c if unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp") else f"\\u{ord(c):04x}" for c in text
    )


def say(text: str = "") -> None:
    """Print a line of output, made safe for terminals."""
    print("\n".join(safe(line) for line in text.split("\n")))


def note(text: str) -> None:
    """Print a line to standard error."""
    print(safe(text), file=sys.stderr)


def print_json(value: Any) -> None:  # noqa: ANN401
    """Print ``value`` as indented JSON, ASCII only."""
    print(json.dumps(value, indent=2, sort_keys=True, default=str))


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
