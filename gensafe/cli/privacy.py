"""``gensafe privacy``: erase what is stored about a subject, prune old entries, legal holds; each leaves an entry.

Exit status: 0 done · 1 failed or refused because of a legal hold · 64 usage.
"""

from __future__ import annotations

import argparse
from typing import Any

from gensafe.audit import AuditLog
from gensafe.audit.retention import prune_before
from gensafe.cli.common import Commands, Exit, add_config_arguments, print_json, read_config, say
from gensafe.cli.orders import have_done
from gensafe.core.errors import InvalidRequest, LogUnavailable, RegistryError
from gensafe.installation import Installation
from gensafe.keys import KeyRing
from gensafe.registry import OrderKind, Registry, owner_name

REASONS = ("request of the subject", "retention", "end of contract", "order of an authority", "correction")


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "privacy",
        help="erase what is stored about a subject; legal holds",
        description="Erase a tenant's or an end user's prompts, commitment keys and sealed copies by destroying its "
        "key. Each act is logged: by the running server within seconds, or by this command if none runs; only prune "
        "needs the server stopped. Exit codes: 0 done, 1 failed, nothing found or refused because of a legal hold, 64 "
        "usage error.",
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
    verbs.add_parser("holds", help="list the legal holds in force")
    for verb in verbs.choices.values():
        add_config_arguments(verb)
        verb.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run one verb; returns the exit status."""
    home = Installation(read_config(args)).existing()
    ring = home.keys_if_readable()
    with home.open_registry(ring, readonly=args.privacy_command == "holds") as registry:
        if args.privacy_command == "holds":
            held = [
                {
                    "hold_id": hold.hold_id,
                    "scope": hold.scope,
                    "created_ms": hold.created_ms,
                    "logged_as": registry.hold_name(hold.hold_id) if ring else "",
                }
                for hold in registry.holds()
            ]
            lines = [f"{hold['hold_id']}  {hold['scope']}  {hold['logged_as']}".rstrip() for hold in held]
            _say(args, {"holds": held}, "\n".join(lines) or "no legal holds")
            return Exit.OK
        if args.privacy_command == "prune":
            log = home.writer_if_free(ring)
            if log is None:
                raise LogUnavailable("the log cannot be written, so nothing is pruned", fix="stop the server first")
            with log:
                return _prune(args, registry, log)
        return _act(args, home, ring, registry)


def _act(args: argparse.Namespace, home: Installation, ring: KeyRing | None, registry: Registry) -> int:
    if args.privacy_command == "erase":
        return _erase(args, home, ring, registry)
    body = {"hold_id": args.hold_id}
    if args.privacy_command == "hold":
        scope = args.scope
        if scope.startswith("subject:"):
            scope = "subject:" + registry.pseudonym(_owner(args.tenant, scope.removeprefix("subject:")))
        elif args.tenant:
            raise InvalidRequest("is for one end user", field="--tenant", fix="with --scope subject:<subject>")
        body["scope"] = scope
        kind = OrderKind.HOLD
    else:
        kind = OrderKind.LIFT
    done = have_done(registry, home, ring, kind, body)
    _say(args, {"hold_id": args.hold_id} | done, f"{kind} {done['scope']}; entry {done['log_index']}")
    return Exit.OK


def _erase(args: argparse.Namespace, home: Installation, ring: KeyRing | None, registry: Registry) -> int:
    if not args.tenant and not args.subject:
        raise InvalidRequest("say whose data", field="--subject", fix="give --tenant, --subject or both")
    person = bool(args.tenant and args.subject)
    if person:
        owners = [registry.pseudonym(_owner(args.tenant, args.subject))]
    else:
        owners = registry.owners_of(args.tenant or args.subject)
    kept, known = registry.kept_of(owners), registry.knows(owners)
    who = registry.commitment_of(owners[0]) if person and known else owners[0]
    if args.dry_run:
        text = f"would erase {kept['prompts']} prompts and {kept['blobs']} copies of {who}; nothing was erased"
        _say(args, {"subject": who, "would_erase": kept}, text)
        return Exit.OK
    if not known:
        raise RegistryError(
            "nothing is kept about this subject, so nothing was erased", field="--subject", fix="check the spelling"
        )
    body = {"subject": who, "owners": owners, "reason": args.reason} | ({"tenant": args.tenant} if person else {})
    done = have_done(registry, home, ring, OrderKind.ERASE, body)
    erased = done["erased"]
    text = f"erased {erased['prompts']} prompts and {erased['blobs']} copies of {who}"
    _say(args, done, f"{text}; logged as entry {done['log_index']}")
    return Exit.OK


def _owner(tenant: str, subject: str) -> str:
    if not tenant:
        return subject
    name = owner_name(tenant, subject)
    if name == tenant:
        raise InvalidRequest("is empty", field="--subject", fix="name the end user as the requests did")
    return name


def _prune(args: argparse.Namespace, registry: Registry, log: AuditLog) -> int:
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
