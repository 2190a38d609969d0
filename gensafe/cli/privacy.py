"""``gensafe privacy``: erase what is stored about a subject, prune old entries, legal holds; each leaves an entry.

Exit status: 0 done · 1 failed or refused because of a legal hold · 64 usage.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gensafe.audit import AuditLog
from gensafe.audit.retention import prune_before
from gensafe.cli.common import Commands, Exit, add_config_arguments, print_json, read_config, say
from gensafe.cli.desk import (
    actor_of,
    add_actor_arguments,
    add_desk_arguments,
    fields,
    open_desk,
    open_server,
)
from gensafe.core.clock import iso
from gensafe.core.errors import LogUnavailable, RegistryError
from gensafe.installation import Installation
from gensafe.registry import Registry

if TYPE_CHECKING:
    from gensafe.client import Client
    from gensafe.pipeline.desk import Desk, HoldWords

REASONS = ("request of the subject", "retention", "end of contract", "order of an authority", "correction")
"""As ``pipeline.desk.REASONS``."""


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "privacy",
        help="erase what is stored about a subject; legal holds",
        description="Erase a tenant's or an end user's prompts, commitment keys and sealed copies by destroying its "
        "key. Each act is logged: by the running server within seconds, or by this command if none runs; only prune "
        "needs the server stopped. With --server a key with the role admin acts through the server. "
        "Exit codes: 0 done, 1 failed, nothing found or refused because of a legal hold, 64 usage error.",
    )
    verbs = parser.add_subparsers(dest="privacy_command", required=True, metavar="COMMAND")
    erase = verbs.add_parser("erase", help="destroy a subject's key and everything sealed under it")
    erase.add_argument("--tenant", default="", help="a tenant, with all its end users; with --subject only that one")
    erase.add_argument("--subject", default="", help="an end user of --tenant; without it a tenant or misuse:TICKET")
    erase.add_argument("--reason", choices=REASONS, default=REASONS[0], help="is logged for good: no words of your own")
    erase.add_argument("--dry-run", action="store_true", help="say what would be erased, and erase nothing")
    prune = verbs.add_parser("prune", help="delete the contents of old log entries; hashes and proofs remain")
    prune.add_argument("--before", required=True, metavar="TIME", help="e.g. 2026-01-01 (UTC)")
    prune.add_argument("--reason", choices=REASONS, default="retention", help="is logged for good")
    place_hold = verbs.add_parser("hold", help="place a legal hold: nothing in its scope is erased or pruned")
    place_hold.add_argument("hold_id", metavar="HOLD", help="a name for the legal hold; the log gets a pseudonym of it")
    place_hold.add_argument("--scope", required=True, help="all, tenant:<tenant> or subject:<subject>")
    place_hold.add_argument("--tenant", default="", help="whose end user the subject of --scope is")
    lift = verbs.add_parser("release", help="lift a legal hold")
    lift.add_argument("hold_id", metavar="HOLD", help="as gensafe privacy holds shows it")
    listing = verbs.add_parser("holds", help="list the legal holds in force")
    erase.add_argument("--actor", metavar="NAME", help="who; the log gets a pseudonym; default: the user's name here")
    for each in (place_hold, lift):
        add_actor_arguments(each)
    for each in verbs.choices.values():
        add_config_arguments(each)
        each.add_argument("--json", action="store_true", help="print one JSON object")
    for each in (erase, place_hold, lift, listing):
        add_desk_arguments(each)


def run(args: argparse.Namespace) -> int:
    """Run one verb; returns the exit status."""
    if args.privacy_command == "prune":
        return _prune(args)
    verb = {"erase": _erase, "hold": _place, "release": _lift, "holds": _holds}[args.privacy_command]
    if args.server:
        with open_server(args) as client:
            return verb(args, Remote(client))
    with open_desk(args) as desk:
        return verb(args, desk)


def _holds(args: argparse.Namespace, at: Desk | Remote) -> int:
    from gensafe.pipeline.desk import Person, holds

    held = at.holds() if isinstance(at, Remote) else [_known(each) for each in holds(at, Person(""))]
    lines = [f"{one['hold_id']}  {one['scope']}  {one['logged_as']}  {one['reason']}".rstrip() for one in held]
    _say(args, {"holds": held}, "\n".join(lines) or "no legal holds")
    return Exit.OK


def _known(each: HoldWords) -> dict[str, Any]:
    placed = each.placed
    words = {"actor": placed.actor if placed else "", "reason": placed.reason if placed else ""}
    return {
        "hold_id": each.hold.hold_id,
        "scope": each.hold.scope,
        "created_ms": each.hold.created_ms,
        "placed": iso(each.hold.created_ms),
        "logged_as": each.logged_as,
    } | words


def _place(args: argparse.Namespace, at: Desk | Remote) -> int:
    from gensafe.pipeline.desk import Person, place_hold

    actor, words = actor_of(args), (args.hold_id, args.scope, args.reason)
    if isinstance(at, Remote):
        done = at.place(*words, tenant=args.tenant, actor=actor)
    else:
        done = place_hold(at, Person(actor), *words, tenant=args.tenant, needed=False)
    return _held(args, "hold.set", done)


def _lift(args: argparse.Namespace, at: Desk | Remote) -> int:
    from gensafe.pipeline.desk import Person, lift_hold

    actor = actor_of(args)
    if isinstance(at, Remote):
        done = at.lift(args.hold_id, args.reason, actor=actor)
    else:
        done = lift_hold(at, Person(actor), args.hold_id, args.reason, needed=False)
    return _held(args, "hold.released", done)


def _held(args: argparse.Namespace, event: str, done: Mapping[str, Any]) -> int:
    _say(args, {"hold_id": args.hold_id, **done}, f"{event} {done['scope']}; entry {done['log_index']}")
    return Exit.OK


def _erase(args: argparse.Namespace, at: Desk | Remote) -> int:
    from gensafe.pipeline.desk import Person, erase

    whose = {"tenant": args.tenant, "subject": args.subject, "dry_run": args.dry_run}
    if isinstance(at, Remote):
        who, erased, log_index = at.erase(args.reason, actor=actor_of(args), **whose)
    else:
        done = erase(at, Person(actor_of(args)), args.reason, **whose)
        who, erased, log_index = done.subject, dict(done.erased), done.log_index
    counted = f"{erased['prompts']} prompts and {erased['blobs']} copies of {who}"
    if args.dry_run:
        _say(args, {"subject": who, "would_erase": erased}, f"would erase {counted}; nothing was erased")
    else:
        data = {"subject": who, "erased": erased, "log_index": log_index}
        _say(args, data, f"erased {counted}; logged as entry {log_index}")
    return Exit.OK


class Remote:
    """The desk of a server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def holds(self) -> list[dict[str, Any]]:
        """The legal holds in force."""
        from gensafe.v1 import admin_pb2 as pb

        found = self._client.unary(self._client.admin.ListHolds, pb.ListHoldsRequest())
        return [fields(each) for each in found.holds]

    def place(self, hold_id: str, scope: str, reason: str, *, tenant: str, actor: str) -> dict[str, Any]:
        """Place a legal hold."""
        from gensafe.v1 import admin_pb2 as pb

        request = pb.PlaceHoldRequest(hold_id=hold_id, scope=scope, reason=reason, tenant=tenant, actor=actor)
        return fields(self._client.unary(self._client.admin.PlaceHold, request))

    def lift(self, hold_id: str, reason: str, *, actor: str) -> dict[str, Any]:
        """Lift a legal hold."""
        from gensafe.v1 import admin_pb2 as pb

        request = pb.ReleaseHoldRequest(hold_id=hold_id, reason=reason, actor=actor)
        return fields(self._client.unary(self._client.admin.ReleaseHold, request))

    def erase(
        self, reason: str, *, tenant: str, subject: str, dry_run: bool, actor: str
    ) -> tuple[str, dict[str, int], int]:
        """Whose data, how much of it, and the entry."""
        from gensafe.v1 import admin_pb2 as pb

        request = pb.EraseRequest(reason=reason, tenant=tenant, subject=subject, dry_run=dry_run, actor=actor)
        done = self._client.unary(self._client.admin.Erase, request)
        return done.subject, {"prompts": done.prompts, "blobs": done.blobs}, done.log_index


def _prune(args: argparse.Namespace) -> int:
    home = Installation(read_config(args)).existing()
    ring = home.keys_if_readable()
    with home.open_registry(ring) as registry:
        log = home.writer_if_free(ring)
        if log is None:
            raise LogUnavailable("the log cannot be written, so nothing is pruned", fix="stop the server first")
        with log:
            return _prune_in(args, registry, log)


def _prune_in(args: argparse.Namespace, registry: Registry, log: AuditLog) -> int:
    from gensafe.cli.audit import parse_time

    holds = registry.holds()
    if holds:  # a bundle has entries of many tenants, so any legal hold keeps all of them
        raise RegistryError(f"legal hold {holds[0].hold_id} forbids pruning", fix="release the legal hold first")
    done = prune_before(log, parse_time(args.before) or 0, args.reason)
    data = {"erased": {"entries": done.entries, "before_index": done.before_index}, "log_index": done.log_index}
    logged = f"; logged as entry {done.log_index}" if done.entries else ""
    _say(args, data, f"pruned {done.entries} entries before {args.before}{logged}")
    return Exit.OK


def _say(args: argparse.Namespace, data: dict[str, Any], text: str) -> None:
    if args.json:
        print_json(data)
    else:
        say(text)
