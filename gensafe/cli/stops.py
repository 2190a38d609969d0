"""``gensafe keys stop``, ``restore`` and ``stops``: the kill switch of a tenant.

A stop is in force before it is logged, a restoration is logged before it is in force.
"""

from __future__ import annotations

import argparse
import getpass
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from gensafe.cli.common import Exit, add_config_arguments, print_json, say
from gensafe.core.clock import iso
from gensafe.core.errors import InvalidRequest

if TYPE_CHECKING:
    from gensafe.installation import Installation
    from gensafe.keys import KeyRing

VERBS: Final = ("stop", "restore", "stops")
LONGEST: Final = 500  # characters of a tenant's name, an operator's name and a reason. A round number


def add_parsers(verbs: Any) -> None:  # noqa: ANN401 - argparse's sub-parser action is generic over a private type
    """Declare the three verbs."""
    for name, summary in (
        ("stop", "stop generation for a tenant at once, also what is under way"),
        ("restore", "let a stopped tenant generate again"),
    ):
        verb = verbs.add_parser(name, help=summary)
        verb.add_argument("tenant", metavar="TENANT")
        verb.add_argument("--reason", required=True, help="stays here; the log gets a keyed digest")
        verb.add_argument("--actor", default="", help="who; the log gets a pseudonym; default: the user's name here")
        add_config_arguments(verb)
        verb.add_argument("--json", action="store_true")
    listed = verbs.add_parser("stops", help="list the stopped tenants")
    add_config_arguments(listed)
    listed.add_argument("--json", action="store_true")


def run(args: argparse.Namespace, home: Installation, ring: KeyRing) -> int:
    """Run one of the three."""
    if args.verb == "stops":
        stops = ring.stops.all()
        if args.json:
            print_json([asdict(stop) for stop in stops])
        for stop in () if args.json else stops:
            say(f"{stop.tenant}  stopped {iso(stop.since_ms)}  {stop.reason}")
        return Exit.OK
    for field, words in (("TENANT", args.tenant), ("--reason", args.reason), ("--actor", args.actor or "-")):
        if not words.strip() or len(words) > LONGEST:
            raise InvalidRequest("is empty or too long", field=field, fix=f"at most {LONGEST} characters")
    index = _stop(args, home, ring) if args.verb == "stop" else _restore(args, home, ring)
    event = "stopped" if args.verb == "stop" else "restored"
    if args.json:
        print_json({"event": event, "tenant": args.tenant, "log_index": index})
    else:
        say(f"{event} {args.tenant}; logged as entry {index}; in force, also in a running server")
    return Exit.OK


def _stop(args: argparse.Namespace, home: Installation, ring: KeyRing) -> int:
    from gensafe.keys.stops import Stop
    from gensafe.registry import OrderKind

    ring.stops.add(Stop(args.tenant, int(time.time() * 1000), args.reason))
    return _log(args, home, ring, OrderKind.STOP)


def _restore(args: argparse.Namespace, home: Installation, ring: KeyRing) -> int:
    from gensafe.registry import OrderKind

    if args.tenant not in {stop.tenant for stop in ring.stops.all()}:
        raise InvalidRequest(f"{args.tenant} is not stopped", field="TENANT", fix="gensafe keys stops")
    index = _log(args, home, ring, OrderKind.RESTORE)
    ring.stops.remove(args.tenant)
    return index


def _log(args: argparse.Namespace, home: Installation, ring: KeyRing, kind: Any) -> int:  # noqa: ANN401 - loaded late
    from gensafe.cli.orders import have_done

    if not home.has_log:
        home.open_log(ring).close()
    with home.open_registry(ring) as registry:
        body = {
            "tenant": args.tenant,
            "actor": registry.pseudonym(f"operator:{args.actor or getpass.getuser()}"),
            "reason": registry.keyed_digest("reason", args.reason.encode()),
        }
        return int(have_done(registry, home, ring, kind, body)["log_index"])
