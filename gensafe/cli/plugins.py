"""``gensafe plugins``: what is installed, read from package metadata without importing any of it."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from gensafe.cli.common import Commands, Exit, print_json, say
from gensafe.core.plugins import GROUPS, list_plugins


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "plugins", help="list plugins without loading them", description="List installed plugins. Exit code: 0."
    )
    parser.add_argument("--group", choices=GROUPS)
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """List."""
    found = list_plugins(args.group)
    if args.json:
        print_json([asdict(p) for p in found])
        return Exit.OK
    for plugin in found:
        say(f"{plugin.group:22} {plugin.name:16} {plugin.target}  ({plugin.distribution} {plugin.version})")
    return Exit.OK
