"""The command line. One module per command, imported only when it runs; exit codes are API (``common.Exit``)."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from gensafe import __version__
from gensafe.cli.common import Commands, Parser
from gensafe.cli.ending import close_streams, guarded, prepare_streams
from gensafe.core.roles import need
from gensafe.core.threads import one_thread_a_product

COMMANDS = {
    "demo": "everything on embedded defaults, end to end",
    "serve": "run the gRPC server",
    "generate": "generate one output, checked, marked, signed and logged",
    "batch": "generate an output for each line of a file",
    "verify": "say what can be proved about files",
    "inspect": "show what is in a file's manifest, labels and container",
    "classify": "judge a file or a text under the policy",
    "redteam": "try known attacks on a policy or a server",
    "hashlist": "add files to a block list",
    "concept": "register something to look for, from words and a few examples",
    "watermark": "embed or detect a watermark",
    "audit": "export, prove and check the log",
    "receipt": "check a moderation receipt",
    "obligations": "list the duties of laws that reports know",
    "privacy": "erase what is stored about a subject",
    "misuse": "take in reports of misuse, and decide them",
    "policy": "check, compare and explain safety policies",
    "review": "list and decide outputs held for review",
    "trust": "import and list trust anchors",
    "keys": "make, list, rotate and revoke keys",
    "config": "write, check and show the configuration",
    "usage": "who used how much, by day, and what it cost",
    "plugins": "list plugins without loading them",
    "models": "list models of the configured backend",
    "probe": "test the guard of a gateway from outside",
    "drill": "give the installation what it must stop, and see that nothing leaves",
    "conformance": "make the documents and samples for the C2PA conformance programme",
    "doctor": "look for gaps in this installation",
    "completion": "print what makes a shell complete gensafe's commands",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; see ``gensafe.cli.ending`` for what may go wrong."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    words = [a for a in arguments if not a.startswith("-")]
    return guarded(lambda: _run(arguments, words[0] if words else ""), " ".join(words[:2]))


def _run(arguments: list[str], chosen: str) -> int:
    parser, commands = _empty_parser()
    for name, summary in COMMANDS.items():
        module = f"gensafe.cli.{name}"
        if name == chosen:
            if name == "serve":
                one_thread_a_product()
            need(module, f"gensafe {name}")
            importlib.import_module(module).add_parser(commands)
        elif importlib.util.find_spec(module) is not None:  # the verifier alone has five of them
            commands.add_parser(name, help=summary)
    args = parser.parse_args(arguments)
    return int(importlib.import_module(f"gensafe.cli.{args.command}").run(args))


def whole_parser() -> Parser:
    """A parser that knows the arguments of every command that is installed; ``main`` imports only the one it runs."""
    parser, commands = _empty_parser()
    for name in COMMANDS:
        module = f"gensafe.cli.{name}"
        if importlib.util.find_spec(module) is not None:
            importlib.import_module(module).add_parser(commands)
    return parser


def _empty_parser() -> tuple[Parser, Commands]:
    parser = Parser(prog="gensafe", description="Generated media that is checked, watermarked, signed and logged.")
    parser.add_argument("--version", action="version", version=f"gensafe {__version__}")
    return parser, parser.add_subparsers(dest="command", metavar="COMMAND", required=True)


def program() -> NoReturn:
    """The console script: run ``main`` and leave with its exit code.

    A classifier that ran out of time may still be inside native code; the interpreter's shutdown would abort in it and
    lose the exit code, so then the process leaves at once.
    """
    prepare_streams()
    status = close_streams(main())
    workers = sys.modules.get("gensafe.safety.workers")
    if workers is not None and workers.stuck_threads():
        os._exit(status)
    sys.exit(status)


__all__ = ["COMMANDS", "main", "program", "whole_parser"]
