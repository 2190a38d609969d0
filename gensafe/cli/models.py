"""``gensafe models``: the models of the configured engines, with the digests of their weights."""

from __future__ import annotations

import argparse
from typing import Any

from gensafe.cli.common import Commands, Exit, add_config_arguments, print_json, read_config, say


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "models",
        help="list models of the configured engines",
        description="List models: which engine serves each, what it takes and gives, and which mark its texts carry. "
        "Exit codes: 0 success, 1 an engine is unusable.",
    )
    add_config_arguments(parser)
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """List."""
    from gensafe.engines import open_engines

    rows: list[dict[str, Any]] = [
        {
            "model": model,
            "engine": engine.name,
            "backend": engine.backend.name,
            "version": engine.backend.version,
            "weights": digest,
            "inputs": sorted(engine.can.inputs),
            "outputs": sorted(engine.can.outputs),
            "parameters": sorted(engine.can.parameters),
            "sampling_marks": engine.can.sampling_marks,
            "description": engine.can.description,
        }
        for engine in open_engines(read_config(args), isolated=False)
        for model, digest in engine.models.items()
    ]
    if args.json:
        print_json(rows)
        return Exit.OK
    for row in rows:
        say(f"{row['model']} (engine {row['engine']}: {row['backend']} {row['version']})")
        say(f"  {row['description']}")
        say(f"  in: {', '.join(row['inputs']) or 'prompt only'}; out: {', '.join(row['outputs'])}")
        say(f"  weights: {row['weights'] or 'not pinned'}")
        say(f"  parameters: {', '.join(row['parameters']) or 'none'}")
        if "text" in row["outputs"]:
            say(f"  text marked while it is sampled: {'yes' if row['sampling_marks'] else 'no'}")
    return Exit.OK
