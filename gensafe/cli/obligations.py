"""``gensafe obligations list`` and ``diff``: the duties that reports know, by the day on which they apply.

Exit status: 0 shown · 64 usage.
"""

from __future__ import annotations

import argparse
from datetime import date
from typing import TYPE_CHECKING, Any

from gensafe.cli.common import Commands, Exit, day_of, print_json, say

if TYPE_CHECKING:
    from gensafe.compliance.duty import Duty


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "obligations",
        help="list the duties of laws that reports know",
        description="List what laws ask of a generating service, as far as GenSafe keeps evidence for it "
        "(audit report), with the day from which each applies. Read from sources on the days that are named; "
        "not legal advice. "
        "Exit codes: 0 shown, 64 usage error.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listed = verbs.add_parser("list", help="every duty, and how it stands on a day")
    listed.add_argument("--as-of", type=day_of, metavar="DATE", help="YYYY-MM-DD; default: today")
    listed.add_argument("--regime", metavar="NAME", help="only this regime's")
    listed.add_argument("--json", action="store_true")
    diff = verbs.add_parser("diff", help="duties that begin or end between two days")
    diff.add_argument("first", type=day_of, metavar="DATE", help="YYYY-MM-DD, not included")
    diff.add_argument("last", type=day_of, metavar="DATE", help="YYYY-MM-DD, included")
    diff.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Show the duties."""
    if args.verb == "diff":
        _diff(args.first, args.last, args.json)
    else:
        _list(args.as_of, args.regime, args.json)
    return Exit.OK


def _list(as_of: date | None, regime: str | None, as_json: bool) -> None:
    from gensafe.compliance.law import regimes, watched
    from gensafe.compliance.report import last_day
    from gensafe.core.errors import InvalidRequest

    day = as_of or last_day(None)
    known = regimes()
    if regime is not None and regime not in known:
        raise InvalidRequest(f"no regime {regime!r}", field="--regime", fix=f"one of: {', '.join(known)}")
    chosen = [known[regime]] if regime else list(known.values())
    watch = [] if regime else watched()
    if as_json:
        duties = [_row(r.key, r.title, d) | {"standing": d.standing(day).value} for r in chosen for d in r.duties]
        kept = [{"key": w.key, "title": w.title, "state": w.state, "read": w.read.isoformat()} for w in watch]
        print_json({"as_of": day.isoformat(), "duties": duties, "watched": kept})
        return
    say(f"as of {day}; not legal advice")
    for law in chosen:
        say(f"\n{law.title} [{law.key}], stated {law.dated}\n  {law.standing}")
        for duty in law.duties:
            say(f"  {duty.standing(day).value}: {duty.title}")
            say(f"      {duty.basis}; {duty.period}; carried by the {duty.carried_by}")
            if duty.unconfirmed:
                say(f"      unconfirmed: {duty.unconfirmed}")
    if watch:
        say("\nWatched, nothing is reported about it:")
        for item in watch:
            say(f"  {item.title}: {item.state} (read {item.read})")


def _diff(first: date, last: date, as_json: bool) -> None:
    from gensafe.compliance.law import changes
    from gensafe.core.errors import InvalidRequest

    if last < first:
        raise InvalidRequest("the second day is before the first", field="DATE", fix="give the earlier day first")
    found = changes(first, last)
    if as_json:
        rows = [
            _row(c.regime.key, c.regime.title, c.duty) | {"day": c.day.isoformat(), "begins": c.begins} for c in found
        ]
        print_json({"first": first.isoformat(), "last": last.isoformat(), "changes": rows})
        return
    for change in found:
        what = "begins" if change.begins else "ends"
        say(f"{change.day} {what}: {change.duty.title}\n    {change.regime.title}; {change.duty.basis}")
    if not found:
        say(f"no duty begins or ends after {first} and up to {last}")


def _row(regime: str, title: str, duty: Duty) -> dict[str, Any]:
    return {
        "regime": regime,
        "regime_title": title,
        "key": duty.key,
        "title": duty.title,
        "basis": duty.basis,
        "from": duty.start.isoformat() if duty.start else None,
        "until": duty.end.isoformat() if duty.end else None,
        "carried_by": duty.carried_by,
        "unconfirmed": duty.unconfirmed,
        "source_read": duty.read.isoformat() if duty.read else None,
    }
