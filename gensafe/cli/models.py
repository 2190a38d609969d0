"""``gensafe models``: the models of the configured backend, with the digests of their weights."""

from __future__ import annotations

import argparse
from typing import Any

from gensafe.cli.common import Commands, Exit, add_config_arguments, print_json, read_config, say


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "models", help="list models of the configured backend", description="List models. Exit: 0, 1 backend unusable."
    )
    add_config_arguments(parser)
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """List."""
    from gensafe.pipeline.assemble import open_backend

    backend = open_backend(read_config(args))
    can = backend.capabilities()
    rows: list[dict[str, Any]] = [
        {
            "model": name,
            "backend": backend.name,
            "version": backend.version,
            "weights": digest,
            "inputs": sorted(can.inputs),
            "outputs": sorted(can.outputs),
            "sampling_marks": can.sampling_marks,
        }
        for name, digest in backend.models().items()
    ]
    if args.json:
        print_json(rows)
        return Exit.OK
    for row in rows:
        say(f"{row['model']} ({row['backend']} {row['version']}) {row['weights']}")
        say(f"  in: {', '.join(row['inputs']) or 'prompt only'}; out: {', '.join(row['outputs'])}")
    if can.description:
        say(can.description)
    return Exit.OK
