"""``gensafe drill``: give the installation what it must stop, and see that nothing leaves.

Exit status: 0 everything held · 1 something failed · 64 usage · 69 the server or the log cannot be reached.
"""

from __future__ import annotations

import argparse
from typing import Any, Final

from gensafe.cli.common import Commands, Exit, add_config_arguments, print_json, read_config, say
from gensafe.cli.desk import actor_of, add_desk_arguments, fields, open_server

_WAIT_S: Final = 600.0  # one generation for each modality, by the slowest engines in the box; a round number


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "drill",
        help="give the installation what it must stop, and see that nothing leaves",
        description="Harmful prompts, a harmful output, a classifier that fails, forged files, the log's own signature "
        "and clock, and the time-stamp authorities where there are any. The requests are those of the tenant "
        "gensafe-drill; what serves others is not touched. The result is logged (drill.performed). Run it on a "
        "schedule. Exit codes: 0 everything held, 1 something failed, 64 usage error, 69 the server or the log cannot "
        "be reached.",
    )
    parser.add_argument("--actor", metavar="NAME", help="who; the log gets a pseudonym; default: the user's name here")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_config_arguments(parser)
    add_desk_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Drill the server, or this data directory where no server runs."""
    done = _there(args) if args.server else _here(args)
    if args.json:
        print_json(done)
    else:
        for step in done["steps"]:
            say(f"{step['outcome'].upper():<15}{step['step']}: {step['said']}")
        say(f"{'everything held' if done['passed'] else 'FAILED'}; logged as entry {done['log_index']}")
    return Exit.OK if done["passed"] else Exit.FAILED


def _there(args: argparse.Namespace) -> dict[str, Any]:
    from gensafe.v1 import admin_pb2 as pb

    with open_server(args) as client:
        request = pb.PerformDrillRequest(actor=actor_of(args))
        return fields(client.unary(client.admin.PerformDrill, request, timeout_s=_WAIT_S))


def _here(args: argparse.Namespace) -> dict[str, Any]:
    from gensafe.installation import Installation
    from gensafe.pipeline import open_chain
    from gensafe.pipeline.drill import perform
    from gensafe.verify import open_context, verify_bytes

    config = read_config(args)
    home = Installation(config).existing()
    with open_chain(config) as chain, home.read_log() as log:
        context = open_context(
            chain.keys, registry=chain.registry, log=log, tokenizers=home.tokenizers, lists=home.trust_lists()
        )
        who = chain.registry.pseudonym(f"operator:{actor_of(args)}")
        done = perform(chain, lambda data: verify_bytes(data, name="", context=context).conclusion, actor=who)
    steps = [{"step": one.name, "outcome": one.outcome.value, "said": one.said} for one in done.steps]
    return {"passed": done.passed, "steps": steps, "log_index": done.log_index}
