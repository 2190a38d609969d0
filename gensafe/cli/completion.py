"""``gensafe completion``: a script with which a shell completes commands, options and file names."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any, Final

from gensafe.cli.common import Commands, Exit, names_a_file, say

SHELLS: Final = ("bash", "zsh", "tcsh")
_FOLDERS: Final = ("DIR",)  # how help calls an argument that is a folder


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "completion",
        help="print what makes a shell complete gensafe's commands",
        description="Print a completion script. For bash: source <(gensafe completion bash). For zsh: gensafe "
        "completion zsh > DIR/_gensafe, with DIR in fpath before compinit. Exit code: 0.",
    )
    parser.add_argument("shell", choices=SHELLS)


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    from gensafe.cli import whole_parser

    parser = whole_parser()
    for action in _actions(parser):
        if names_a_file(action) and not action.choices:
            setattr(action, "complete", shtab.DIRECTORY if action.metavar in _FOLDERS else shtab.FILE)  # noqa: B010 - where shtab looks for it
    say(shtab.complete(parser, args.shell))
    return Exit.OK


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every option and argument, those of sub-commands too."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public list of them
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            choices: dict[str, Any] = dict(action.choices or {})
            for below in choices.values():
                yield from _actions(below)
