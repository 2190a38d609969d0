"""``gensafe redteam``: put the red-team corpus before a policy or a running server and report by kind."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from gensafe.cli.common import Commands, Exit, print_json, say
from gensafe.cli.remote import add_server_arguments, client_options
from gensafe.core.errors import InvalidRequest
from gensafe.safety.redteam import KINDS, PER_KIND, Trial, corpus

BATCH = 16  # items a call: well under the server's limit
Judge = Callable[[Sequence[str]], list[str]]  # texts -> "stopped", "passed" or "not judged"


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "redteam",
        help="try known attacks on a policy or a server",
        description="Judge a fixed corpus of injections and takeovers, plain, inside documents and in codings, with "
        "harmless controls in the same wrappings. Exit codes: 0 done, 1 below --at-least or above --at-most, "
        "64 usage error.",
    )
    parser.add_argument("--policy", metavar="FILE", help="TOML policy, or strict, balanced (default), permissive")
    add_server_arguments(parser, help="ask a running server, under its own policy, instead")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only this kind (may be repeated)")
    parser.add_argument("--per-kind", type=int, default=PER_KIND, metavar="N", help=f"attacks a kind ({PER_KIND})")
    parser.add_argument("--at-least", type=float, metavar="SHARE", help="share of attacks to be stopped, 0 to 1")
    parser.add_argument("--at-most", type=float, metavar="SHARE", help="share of controls that may be stopped, 0 to 1")
    parser.add_argument("--passed", action="store_true", help="print the attacks that passed")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Judge, count, report."""
    if args.per_kind < 1 or args.per_kind > 1000:
        raise InvalidRequest("must be from 1 to 1000", field="--per-kind")
    for name in ("at_least", "at_most"):
        share = getattr(args, name)
        if share is not None and not 0 <= share <= 1:
            raise InvalidRequest("must be from 0 to 1", field="--" + name.replace("_", "-"))
    if args.server and args.policy:
        raise InvalidRequest("a server judges under its own policy", field="--policy", fix="leave out one of both")
    trials = list(corpus(tuple(args.kind or KINDS), args.per_kind))
    outcomes = _server(args, trials) if args.server else _policy(args.policy, trials)
    table = _table(trials, outcomes)
    if args.json:
        print_json({"kinds": table, "passed": _passed(trials, outcomes) if args.passed else []})
    else:
        _show(table)
        for text in _passed(trials, outcomes) if args.passed else ():
            say(f"passed: {text!r}")
    total = table["all"]
    low = args.at_least is not None and total["stopped"] < args.at_least * total["attacks"]
    high = args.at_most is not None and total["controls_stopped"] > args.at_most * total["controls"]
    return Exit.FAILED if low or high else Exit.OK


def _policy(name: str | None, trials: Sequence[Trial]) -> list[str]:
    from gensafe.core.types import Action, Stage, Text
    from gensafe.safety import SafetyRunner, load_policy

    runner = SafetyRunner.from_policy(load_policy(name))
    found = []
    for trial in trials:
        verdict = runner.judge(Text(trial.text), Stage.PROMPT)
        stopped = verdict.action in (Action.BLOCK, Action.REVIEW)
        found.append("not judged" if verdict.errors else "stopped" if stopped else "passed")
    return found


def _server(args: argparse.Namespace, trials: Sequence[Trial]) -> list[str]:
    from gensafe.client import Client
    from gensafe.core.types import Action

    stops = (Action.BLOCK, Action.REVIEW)
    found = []
    with Client(client_options(args)) as client:
        for start in range(0, len(trials), BATCH):
            for result in client.classify(*(t.text for t in trials[start : start + BATCH])):
                judged = None if result.error_reason else result.verdict
                found.append("not judged" if judged is None else "stopped" if judged.action in stops else "passed")
    return found


def _table(trials: Sequence[Trial], outcomes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Per kind and for all: attacks, those stopped, controls, those stopped, texts that were not judged."""
    keys = ("attacks", "stopped", "controls", "controls_stopped", "not_judged")
    table = {kind: dict.fromkeys(keys, 0) for kind in (*dict.fromkeys(t.kind for t in trials), "all")}
    for trial, outcome in zip(trials, outcomes, strict=True):
        for row in (table[trial.kind], table["all"]):
            row["attacks" if trial.attack else "controls"] += 1
            row["stopped" if trial.attack else "controls_stopped"] += outcome == "stopped"
            row["not_judged"] += outcome == "not judged"
    return table


def _passed(trials: Sequence[Trial], outcomes: Sequence[str]) -> list[str]:
    return [t.text for t, o in zip(trials, outcomes, strict=True) if t.attack and o == "passed"]


def _show(table: dict[str, dict[str, int]]) -> None:
    say(f"{'kind':16} {'attacks stopped':>18} {'controls stopped':>18}")
    for kind, row in table.items():
        attacks, controls = f"{row['stopped']} of {row['attacks']}", f"{row['controls_stopped']} of {row['controls']}"
        unknown = f"  {row['not_judged']} not judged" if row["not_judged"] else ""
        say(f"{kind:16} {attacks:>18} {controls:>18}{unknown}")
