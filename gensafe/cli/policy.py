"""``gensafe policy``: check a policy file, compare two, explain what one does."""

from __future__ import annotations

import argparse

from gensafe.cli.common import Commands, Exit, print_json, say
from gensafe.core.types import Modality, Stage


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "policy",
        help="check, compare and explain safety policies",
        description="Exit codes: check 0 good, 1 it has weaknesses; diff 0 the same, 1 different; 64 not a policy.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="read a policy, load its classifiers, list weaknesses")
    check.add_argument("file", nargs="?", metavar="FILE", help="default: the built-in policy")
    diff = actions.add_parser("diff", help="what changes from one policy to another")
    diff.add_argument("old", metavar="OLD")
    diff.add_argument("new", metavar="NEW")
    explain = actions.add_parser("explain", help="which score leads to which action")
    explain.add_argument("file", nargs="?", metavar="FILE", help="default: the built-in policy")
    explain.add_argument("--modality", choices=[m.value for m in Modality], default="text")
    explain.add_argument("--stage", choices=[s.value for s in Stage], default="output")
    explain.add_argument("--category", default="", metavar="NAME")
    explain.add_argument("--tenant", default="", metavar="NAME")
    actions.add_parser("show", help="print the built-in policy file, to copy and change")
    for each in (check, diff, explain):
        each.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Dispatch."""
    from gensafe.safety.explain import check, diff, explain
    from gensafe.safety.policy import DEFAULT_POLICY, load_policy

    if args.action == "show":
        say(DEFAULT_POLICY.read_text("utf-8").rstrip("\n"))
        return Exit.OK
    if args.action == "diff":
        old, new = load_policy(args.old), load_policy(args.new)
        lines = list(diff(old, new))
        if args.json:
            print_json({"old": old.digest, "new": new.digest, "changes": lines})
        else:
            say("\n".join(lines) if lines else "the same")
        return Exit.FAILED if lines else Exit.OK
    policy = load_policy(args.file or None)
    if args.action == "check":
        problems = check(policy)
        if args.json:
            print_json({"id": policy.id, "version": policy.version, "digest": policy.digest, "problems": problems})
        else:
            say(f"{policy.id}@{policy.version} {policy.digest}")
            say("good" if not problems else f"{len(problems)} weaknesses:" if len(problems) > 1 else "1 weakness:")
            for problem in problems:
                say(f"  {problem}")
        return Exit.FAILED if problems else Exit.OK
    policy = policy.for_tenant(args.tenant) if args.tenant else policy
    lines = list(explain(policy, Modality(args.modality), Stage(args.stage), args.category))
    if args.json:
        print_json({"digest": policy.digest, "rules": lines})
    else:
        say("\n".join(lines))
    return Exit.OK
