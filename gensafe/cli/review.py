"""``gensafe review``: list, show, release and reject outputs that policy withholds for a person's decision.

Exit status: 0 done · 1 failed, or decided but not carried out yet · 64 usage, unknown id or already decided.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gensafe.cli.common import Commands, Exit, add_config_arguments, note, print_json, say
from gensafe.cli.desk import add_desk_arguments, open_desk, open_server, write_private
from gensafe.core import ids
from gensafe.core.clock import iso
from gensafe.core.errors import InvalidRequest
from gensafe.core.hazards import in_words
from gensafe.core.types import Modality
from gensafe.registry import HeldOutput, ReviewDecision

if TYPE_CHECKING:
    from gensafe.client import Client
    from gensafe.pipeline.desk import Copy, Desk


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "review",
        help="list and decide outputs held for review",
        description="A released output is marked, signed and logged like any other: by the running server within "
        "seconds, or by this command if none runs. A rejected one is destroyed. Both decisions are logged. With "
        "--server a key with the role review decides about its tenant's outputs, one with the role admin about all. "
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
        each.add_argument("--reviewer", metavar="NAME", help="who decides; needed unless the server's key says it")
        each.add_argument("--reason", required=True, metavar="TEXT")
        each.add_argument("--wait", type=float, default=30.0, metavar="SECONDS", help="for a server (default 30)")
    show.add_argument("-o", "--out", metavar="FILE", help="write a marked copy there (- = standard output)")
    show.add_argument("--reviewer", metavar="NAME", help="who takes the copy; needed with -o, logged as a pseudonym")
    release.add_argument("-o", "--out", metavar="FILE", help="write the finished output there; not with --server")
    for each in (listing, show, release, reject):
        each.add_argument("--json", action="store_true", help="print JSON")
        add_config_arguments(each)
        add_desk_arguments(each)


def run(args: argparse.Namespace) -> int:
    """Dispatch."""
    wait_s = getattr(args, "wait", 0.0)
    if wait_s < 0:
        raise InvalidRequest("must not be negative", field="--wait")
    if args.server:
        with open_server(args) as client:
            return {"list": _list_there, "show": _show_there}.get(args.action, _decide_there)(args, client)
    with open_desk(args, wait_s=wait_s) as desk:
        return {"list": _list, "show": _show}.get(args.action, _decide)(args, desk)


# --- beside the data directory ---------------------------------------------------------------------------------------


def _list(args: argparse.Namespace, desk: Desk) -> int:
    from gensafe.pipeline.desk import Person, reviews

    return _listed(args, [_known(item) for item in reviews(desk, Person(""), decided=args.all)])


def _show(args: argparse.Namespace, desk: Desk) -> int:
    """Describe a held output; with -o, log who takes a copy, then write it, marked with the copy's own id."""
    from gensafe.pipeline.desk import Person, copy_review, review

    if not args.out:
        print_json(_known(review(desk, Person(""), args.id)))
        return Exit.OK
    return _write_copy(args, copy_review(desk, Person(args.reviewer or ""), args.id))


def _decide(args: argparse.Namespace, desk: Desk) -> int:
    from gensafe.pipeline.desk import Person, decide_review

    release = args.action == "release"
    decision = ReviewDecision.RELEASED if release else ReviewDecision.REJECTED
    item = decide_review(desk, Person(args.reviewer or ""), args.id, decision, args.reason)
    record = desk.registry.by_record_id(item.record_id)
    status = _decided(args, _known(item), record.log_index if record else None)
    if release and record is not None and args.out:
        data = desk.registry.get_blob(record.digest)
        if data is not None:
            Path(args.out).write_bytes(data)
    return status


def _known(item: HeldOutput) -> dict[str, Any]:
    hits = (d["category"] for d in item.verdict["decisions"] if d["action"] != "allow")
    known: dict[str, Any] = {"record_id": ids.record_id_text(item.record_id), "modality": Modality(item.modality).value}
    known |= {"held": iso(item.held_ms), "categories": [in_words(one) for one in dict.fromkeys(hits)]}
    return asdict(item) | known


# --- through a server ------------------------------------------------------------------------------------------------


def _list_there(args: argparse.Namespace, client: Client) -> int:
    from gensafe.v1 import admin_pb2 as pb

    found = client.unary(client.admin.ListReviews, pb.ListReviewsRequest(all=args.all))
    return _listed(args, [_told(item) for item in found.reviews])


def _show_there(args: argparse.Namespace, client: Client) -> int:
    from gensafe.v1 import admin_pb2 as pb

    if args.out:
        return _write_copy(args, client.review_copy(args.id, actor=args.reviewer or ""))
    request = pb.GetReviewRequest(review_id=args.id, without_preview=True)
    print_json(_told(client.unary(client.admin.GetReview, request).review))
    return Exit.OK


def _decide_there(args: argparse.Namespace, client: Client) -> int:
    from gensafe.v1 import admin_pb2 as pb

    if getattr(args, "out", None):
        fix = "fetch it with the key that asked for it, under its request id"
        raise InvalidRequest("a released output goes to who asked for it", field="--out", fix=fix)
    decision = pb.REVIEW_DECISION_RELEASED if args.action == "release" else pb.REVIEW_DECISION_REJECTED
    request = pb.DecideReviewRequest(
        review_id=args.id, decision=decision, reason=args.reason, actor=args.reviewer or ""
    )
    done = client.unary(client.admin.DecideReview, request)
    return _decided(args, _told(done.review), done.log_index if done.log_index >= 0 else None)


def _told(item: Any) -> dict[str, Any]:  # noqa: ANN401 - a protobuf message
    from gensafe.cli.desk import fields
    from gensafe.v1 import common_pb2

    return fields(item) | {"modality": common_pb2.Modality.Name(item.modality).removeprefix("MODALITY_").lower()}


# --- what is printed -------------------------------------------------------------------------------------------------


def _listed(args: argparse.Namespace, items: list[dict[str, Any]]) -> int:
    if args.json:
        print_json(items)
        return Exit.OK
    for item in items:
        state, causes = item["decision"] or "waiting", "; ".join(item["categories"])
        say(f"{item['review_id']}  {item['held']}  {item['tenant']}  {item['modality']}  {state}  {causes}")
    if not items:
        note("no pending outputs")
    return Exit.OK


def _write_copy(args: argparse.Namespace, copy: Copy | Any) -> int:  # noqa: ANN401 - or a client's, of the same fields
    if args.out == "-":
        sys.stdout.buffer.write(copy.data)
        sys.stdout.buffer.flush()
        return Exit.OK
    write_private(Path(args.out), copy.data)
    mark = "marked with its id" if copy.marked else f"not marked: {copy.note or 'the mark was not found again'}"
    note(f"copy {copy.copy_id} written to {args.out}, {mark}; logged as entry {copy.log_index}; not for passing on")
    return Exit.OK


def _decided(args: argparse.Namespace, item: dict[str, Any], log_index: int | None) -> int:
    release = args.action == "release"
    if args.json:
        print_json(item | {"log_index": log_index})
    elif not item["done"]:
        note("decided; the server carries it out as soon as it can")
    elif log_index is not None:
        say(f"released as record {item['record_id']}, log entry {log_index}")
    else:
        say("rejected and destroyed" if not release else "it could not be finished; the log says why")
    return Exit.OK if item["done"] and (log_index is not None) is release else Exit.FAILED
