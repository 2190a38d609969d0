"""``gensafe review``: list, show, release and reject outputs that policy withholds for a person's decision.

Exit status: 0 done · 1 failed, or decided but not carried out yet · 64 usage, unknown id or already decided.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gensafe.cli.common import Commands, Exit, add_config_arguments, note, print_json, read_config, say
from gensafe.core import ids
from gensafe.core.clock import iso
from gensafe.core.config import Config
from gensafe.core.errors import InvalidRequest, LogUnavailable, NotFound
from gensafe.core.hazards import named
from gensafe.core.types import Modality
from gensafe.installation import Installation
from gensafe.keys import KeyRing
from gensafe.registry import HeldOutput, OrderKind, Registry, ReviewDecision

POLL_S = 0.2  # as cli.orders.POLL_S


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "review",
        help="list and decide outputs held for review",
        description="A released output is marked, signed and logged like any other: by the running server within "
        "seconds, or by this command if none runs. A rejected one is destroyed. Both decisions are logged. "
        "Exit codes: 0 done, 1 failed or not carried out yet, 64 usage error, unknown id or already decided.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list outputs with a pending decision")
    listing.add_argument("--all", action="store_true", help="decided ones as well")
    show = actions.add_parser("show", help="what is known about one; with -o a marked copy, which is logged")
    release = actions.add_parser("release", help="release an output")
    reject = actions.add_parser("reject", help="withhold an output and destroy it")
    for each in (show, release, reject):
        each.add_argument("id", metavar="ID")
    for each in (release, reject):
        each.add_argument("--reviewer", required=True, metavar="NAME")
        each.add_argument("--reason", required=True, metavar="TEXT")
        each.add_argument("--wait", type=float, default=30.0, metavar="SECONDS", help="for a server (default 30)")
    show.add_argument("-o", "--out", metavar="FILE", help="write a marked copy there (- = standard output)")
    show.add_argument("--reviewer", metavar="NAME", help="who takes the copy; needed with -o, logged as a pseudonym")
    release.add_argument("-o", "--out", metavar="FILE", help="write the finished output there")
    for each in (listing, show, release, reject):
        each.add_argument("--json", action="store_true", help="print JSON")
        add_config_arguments(each)


def run(args: argparse.Namespace) -> int:
    """Dispatch."""
    config = read_config(args)
    home = Installation(config).existing()
    keys = home.open_keys()
    with home.open_registry(keys) as registry:
        if args.action == "list":
            return _list(args, registry)
        if args.action == "show":
            return _show(args, home, keys, registry)
        return _decide(args, config, registry)


def _list(args: argparse.Namespace, registry: Registry) -> int:
    items = registry.reviews.all() if args.all else registry.reviews.waiting()
    if args.json:
        print_json([_known(item) for item in items])
        return Exit.OK
    for item in items:
        state = item.decision or "waiting"
        say(f"{item.review_id}  {iso(item.held_ms)}  {item.tenant}  {item.modality}  {state}  {_causes(item)}")
    if not items:
        note("no pending outputs")
    return Exit.OK


def _show(args: argparse.Namespace, home: Installation, keys: KeyRing, registry: Registry) -> int:
    """Describe a held output; with -o, log who takes a copy, then write it, marked with the copy's own id."""
    from gensafe.cli.orders import have_done
    from gensafe.pipeline.copies import review_copy
    from gensafe.pipeline.held import unpack

    item = registry.reviews.get(args.id)
    if not args.out:
        print_json(_known(item))
        return Exit.OK
    if not (args.reviewer or "").strip():
        raise InvalidRequest("say who looks at it: it is logged", field="--reviewer")
    sealed = registry.get_blob(item.draft)
    if sealed is None:
        raise NotFound("the output is not kept any more", field="id")
    copy_id = ids.new_record_id()
    copy = review_copy(home.config, keys, unpack(sealed), item.review_id, copy_id)
    body = {
        "review_id": item.review_id,
        "record_id": item.record_id,
        "tenant": item.tenant,
        "reviewer": registry.pseudonym(f"reviewer:{args.reviewer}"),
        "copy_id": copy_id,
        "marked": copy.marked,
    }
    done = have_done(registry, home, keys, OrderKind.SHOW, body)
    if args.out == "-":
        sys.stdout.buffer.write(copy.data)
        sys.stdout.buffer.flush()
    else:
        _write_private(Path(args.out), copy.data)
        mark = "marked with its id" if copy.marked else f"not marked: {copy.note or 'the mark was not found again'}"
        name = ids.record_id_text(copy_id)
        note(f"copy {name} written to {args.out}, {mark}; logged as entry {done['log_index']}; not for passing on")
    return Exit.OK


def _write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, also where one of that name was readable before."""
    try:
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        raise InvalidRequest(f"cannot write {path}: {error.strerror}", field="--out") from None


def _decide(args: argparse.Namespace, config: Config, registry: Registry) -> int:
    if args.wait < 0:
        raise InvalidRequest("must not be negative", field="--wait")
    release = args.action == "release"
    item = registry.reviews.get(args.id)
    if release and registry.get_blob(item.draft) is None and item.decision is None:
        raise NotFound("the output is not kept any more", field="id", fix="reject it")
    decision = ReviewDecision.RELEASED if release else ReviewDecision.REJECTED
    item = registry.reviews.decide(args.id, decision, args.reviewer, args.reason)
    item = _carried_out(config, registry, item, args.wait)
    record = registry.by_record_id(item.record_id)
    if args.json:
        print_json(_known(item) | {"log_index": record.log_index if record else None})
    elif not item.done:
        note("decided; the server carries it out as soon as it can")
    elif record is not None:
        say(f"released as record {ids.record_id_text(item.record_id)}, log entry {record.log_index}")
    else:
        say("rejected and destroyed" if not release else "it could not be finished; the log says why")
    if release and record is not None and getattr(args, "out", None):
        data = registry.get_blob(record.digest)
        if data is not None:
            Path(args.out).write_bytes(data)
    return Exit.OK if item.done and (record is not None) is release else Exit.FAILED


def _carried_out(config: Config, registry: Registry, item: HeldOutput, wait_s: float) -> HeldOutput:
    """Carry the decision out here, or wait for the server that has the log open."""
    from gensafe.pipeline import open_chain

    try:
        open_chain(config).close()  # opening a chain carries out what was decided
    except LogUnavailable:
        end = time.monotonic() + wait_s
        while not registry.reviews.get(item.review_id).done and time.monotonic() < end:
            time.sleep(POLL_S)
    return registry.reviews.get(item.review_id)


def _known(item: HeldOutput) -> dict[str, Any]:
    return asdict(item) | {"record_id": ids.record_id_text(item.record_id), "modality": Modality(item.modality).value}


def _causes(item: HeldOutput) -> str:
    hits = (d["category"] for d in item.verdict["decisions"] if d["action"] != "allow")
    return named(dict.fromkeys(hits))
