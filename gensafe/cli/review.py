"""``gensafe review``: list, show, release and reject outputs that policy held for a person."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from gensafe.cli.common import Commands, Exit, note, print_json, say
from gensafe.core.clock import SystemClock, iso
from gensafe.core.errors import KeyError_


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "review",
        help="list and decide held outputs",
        description="Decisions print the event that belongs into the audit log. "
        "Exit: 0 done, 1 failed, 64 usage, unknown id or already decided.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="items that wait for a decision")
    listing.add_argument("--all", action="store_true", help="decided ones as well")
    show = actions.add_parser("show", help="metadata; with -o the content")
    show.add_argument("-o", "--out", metavar="FILE", help="write the content there (- = standard output)")
    release = actions.add_parser("release", help="let an item out")
    reject = actions.add_parser("reject", help="keep an item in and remove its content")
    for each in (show, release, reject):
        each.add_argument("id", metavar="ID")
    for each in (release, reject):
        each.add_argument("--reviewer", required=True, metavar="NAME")
        each.add_argument("--reason", required=True, metavar="TEXT")
    for each in (listing, show, release, reject):
        each.add_argument("--queue", required=True, metavar="DIR", help="the review folder")
        each.add_argument("--key", required=True, metavar="FILE", help="32 bytes, raw or as hex")
        each.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Dispatch."""
    from gensafe.safety.review import ReviewQueue

    queue = ReviewQueue(Path(args.queue), read_key(Path(args.key)), SystemClock())
    if args.action == "list":
        items = queue.items(waiting=not args.all)
        if args.json:
            print_json([asdict(i) for i in items])
        for i in items if not args.json else ():
            state = i.decision["decision"] if i.decision else "waiting"
            causes = ", ".join(dict.fromkeys(d["category"] for d in i.verdict["decisions"] if d["action"] != "allow"))
            say(f"{i.id}  {iso(i.held_ms)}  {i.tenant}  {i.media_type}  {state}  {causes}")
        return Exit.OK
    if args.action == "show":
        item = queue.item(args.id)
        if args.out:
            content = queue.open(args.id)
            if args.out == "-":
                sys.stdout.buffer.write(content)
                return Exit.OK
            Path(args.out).write_bytes(content)
            note(f"written to {args.out}")
        print_json(asdict(item))
        return Exit.OK
    decide = queue.release if args.action == "release" else queue.reject
    print_json(decide(args.id, args.reviewer, args.reason))
    return Exit.OK


def read_key(path: Path) -> bytes:
    """A key file: 32 raw bytes or 64 hex digits.

    Raises:
        KeyError_: unreadable or of another length.
    """
    try:
        data = path.read_bytes()
        return data if len(data) == 32 else bytes.fromhex(data.decode("ascii").strip())
    except (OSError, ValueError) as error:
        raise KeyError_("not a review key", field="--key", fix="32 bytes, raw or as hex") from error
