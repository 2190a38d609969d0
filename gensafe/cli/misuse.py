"""``gensafe misuse``: take in reports that an output was misused, list the cases, decide them.

Exit status: 0 done · 1 failed, or the file cannot be read · 64 usage, no such record or case, or already decided.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gensafe.cli.common import Commands, Exit, add_config_arguments, note, print_json, read_config, read_medium, say
from gensafe.cli.desk import actor_of, add_desk_arguments, fields, open_desk, open_server
from gensafe.core import ids
from gensafe.core.clock import iso
from gensafe.core.errors import InvalidRequest

if TYPE_CHECKING:
    from gensafe.client import Client
    from gensafe.pipeline.desk import CaseWords, Desk
    from gensafe.registry import Case

CATEGORIES = ("takedown", "intimate-image", "child-safety", "impersonation", "deception", "privacy", "rights", "other")
"""As ``pipeline.desk.CATEGORIES``."""


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "misuse",
        help="take in reports of misuse, and decide them",
        description="A report of misuse opens a case with a deadline: 2 or 3 hours for takedown, intimate-image and "
        "child-safety, else 72, or as --within says. The words of both sides are kept sealed under a key of their own "
        "and can be erased (privacy erase --subject misuse:TICKET); the log gets commitments to them. "
        "Exit codes: 0 done, 1 failed or the file cannot be read, 64 usage error, no such record or case, or already "
        "decided.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    report = verbs.add_parser("report", help="open a case about an output")
    report.add_argument(
        "output",
        metavar="FILE|RECORD_ID",
        help="the output, a screenshot, a cut or another encoding of it; or its record",
    )
    report.add_argument("--reason", required=True, metavar="TEXT", help="what the reporter says")
    report.add_argument("--category", choices=CATEGORIES, default="other")
    report.add_argument("--within", type=int, default=0, metavar="HOURS", help="to be decided within this time")
    listing = verbs.add_parser("list", help="list open cases, the most urgent first")
    listing.add_argument("--all", action="store_true", help="decided ones as well")
    show = verbs.add_parser("show", help="one case, with what was said about it")
    decide = verbs.add_parser("decide", help="decide a case, and say what the reporter is told")
    for each in (show, decide):
        each.add_argument("ticket", metavar="TICKET")
    decide.add_argument("decision", choices=("upheld", "dismissed"))
    decide.add_argument("--reason", required=True, metavar="TEXT", help="why, for the file")
    decide.add_argument("--answer", required=True, metavar="TEXT", help="what the reporter is told")
    for each in (report, decide):
        each.add_argument(
            "--actor", metavar="NAME", help="who; the log gets a pseudonym; default: the user's name here"
        )
    for each in verbs.choices.values():
        each.add_argument("--json", action="store_true")
        add_config_arguments(each)
        add_desk_arguments(each)


def run(args: argparse.Namespace) -> int:
    """Dispatch."""
    verb = {"report": _report, "list": _list, "show": _show, "decide": _decide}[args.verb]
    if args.server:
        with open_server(args) as client:
            return verb(args, client, None)
    with open_desk(args) as desk:
        return verb(args, None, desk)


def _report(args: argparse.Namespace, client: Client | None, desk: Desk | None) -> int:
    if not args.reason.strip():
        raise InvalidRequest("say what is reported", field="--reason")
    path = Path(args.output)
    if client is not None:
        from gensafe.v1 import admin_pb2 as pb

        request = pb.ReportMisuseRequest(
            words=args.reason, category=args.category, within_hours=args.within, actor=actor_of(args)
        )
        if path.is_file():
            request.file = read_medium(path)
        else:
            request.record_id = args.output
        case = _told(client.unary(client.admin.ReportMisuse, request).case)
    else:
        case = _reported(args, path, desk)
    if args.json:
        print_json(case | {"log_index": case["reported_index"]})
    else:
        found = f"record {case['record_id']}, found by {case['found_by']}"
        say(f"ticket {case['ticket']} about {found}; to be decided by {case['due']}; entry {case['reported_index']}")
        if case["found_by"] == "resemblance":
            note("a resemblance proves nothing: look at the record before you act on it")
    return Exit.OK


def _reported(args: argparse.Namespace, path: Path, desk: Desk | None) -> dict[str, Any]:
    from gensafe.pipeline.desk import Person, report_misuse

    assert desk is not None
    record_id, found_by = (
        _found(args, path, desk) if path.is_file() else (ids.parse_record_id(args.output), "record id")
    )
    person = Person(actor_of(args))
    options = {"category": args.category, "found_by": found_by, "within_h": args.within}
    return _known(report_misuse(desk, person, record_id, args.reason, **options))


def _found(args: argparse.Namespace, path: Path, desk: Desk) -> tuple[int, str]:
    """The record that a file leads to, and how."""
    from gensafe.installation import Installation
    from gensafe.verify import open_context
    from gensafe.verify.find import find_output

    home = Installation(read_config(args))
    with ExitStack() as stack:
        log = stack.enter_context(home.read_log()) if home.has_log else None
        context = open_context(
            desk.keys, registry=desk.registry, log=log, tokenizers=home.tokenizers, lists=home.trust_lists()
        )
        lead = find_output(read_medium(path), context)
    if lead is None:
        raise InvalidRequest(
            "is no output of this service that can be found again", field="FILE", fix="give its record"
        )
    return lead.record_id, lead.found_by


def _list(args: argparse.Namespace, client: Client | None, desk: Desk | None) -> int:
    if client is not None:
        from gensafe.v1 import admin_pb2 as pb

        found = [_told(one) for one in client.unary(client.admin.ListCases, pb.ListCasesRequest(all=args.all)).cases]
    else:
        from gensafe.pipeline.desk import Person, cases

        assert desk is not None
        found = [_known(one) for one in cases(desk, Person(""), decided=args.all)]
    if args.json:
        print_json(found)
        return Exit.OK
    for one in found:
        state = one["decision"] or "open"
        late = " LATE" if one["late"] else ""
        say(f"{one['ticket']}  {one['due']}  {state}{late}  {one['category']}  {one['record_id']}")
    if not found:
        note("no open cases")
    return Exit.OK


def _show(args: argparse.Namespace, client: Client | None, desk: Desk | None) -> int:
    if client is not None:
        from gensafe.v1 import admin_pb2 as pb

        got = client.unary(client.admin.GetCase, pb.GetCaseRequest(ticket=args.ticket))
        words = {name: getattr(got, name) for name in ("report", "actor", "reason", "answer")}
        print_json(_told(got.case) | words)
    else:
        from gensafe.pipeline.desk import Person, case

        assert desk is not None
        print_json(_known(*case(desk, Person(""), args.ticket)))
    return Exit.OK


def _decide(args: argparse.Namespace, client: Client | None, desk: Desk | None) -> int:
    if client is not None:
        from gensafe.v1 import admin_pb2 as pb

        decision = pb.CaseDecision.Value(f"CASE_DECISION_{args.decision.upper()}")
        request = pb.DecideCaseRequest(
            ticket=args.ticket, decision=decision, reason=args.reason, answer=args.answer, actor=actor_of(args)
        )
        done = _told(client.unary(client.admin.DecideCase, request).case)
    else:
        from gensafe.pipeline.desk import Person, decide_case
        from gensafe.registry import CaseDecision

        assert desk is not None
        person, decided = Person(actor_of(args)), CaseDecision(args.decision)
        done = _known(*decide_case(desk, person, args.ticket, decided, reason=args.reason, answer=args.answer))
    if args.json:
        print_json(done | {"log_index": done["decided_index"]})
    else:
        late = ", late" if done["late"] else ""
        say(f"case {done['ticket']} {done['decision']}{late}; logged as entry {done['decided_index']}")
    return Exit.OK


def _told(case: Any) -> dict[str, Any]:  # noqa: ANN401 - a protobuf message
    return fields(case)


def _known(case: Case, words: CaseWords | None = None) -> dict[str, Any]:
    """A case as ``_told`` gives it."""
    from gensafe.core.clock import SystemClock

    said = (
        {"report": words.report, "actor": words.actor, "reason": words.reason, "answer": words.answer} if words else {}
    )
    return {
        "ticket": case.ticket,
        "record_id": ids.record_id_text(case.record_id),
        "tenant": case.tenant,
        "category": case.category,
        "found_by": case.found_by,
        "reported": iso(case.reported_ms),
        "due": iso(case.due_ms),
        "late": case.late(SystemClock().now_ms()),
        "reported_index": case.reported_index,
        "decision": case.decision.value if case.decision else "",
        "decided": iso(case.decided_ms) if case.decision else "",
        "decided_index": case.decided_index,
    } | said
