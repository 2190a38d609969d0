"""``gensafe keys``: make, list, rotate, revoke and import keys."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from gensafe.cli import api_keys, stops
from gensafe.cli.common import Commands, Exit, add_config_arguments, note, print_json, read_config, say
from gensafe.core.clock import iso
from gensafe.core.errors import InvalidRequest
from gensafe.core.textfile import MAX_SECRET_BYTES, read_bytes

if TYPE_CHECKING:
    from gensafe.installation import Installation
    from gensafe.keys import KeyRing


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "keys",
        help="make, list, rotate and revoke keys",
        description="Manage the five separate keys: claim, tsa, checkpoint, watermark and kek (docs/keys.md), "
        "the API keys of callers (docs/access.md), and who is stopped. "
        "GENSAFE_KEY_PASSPHRASE encrypts them at rest. "
        "Exit codes: 0 success, 1 failed, 64 usage error.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, summary in (("init", "create missing keys"), ("list", "list every key this installation ever had")):
        verb = verbs.add_parser(name, help=summary)
        add_config_arguments(verb)
        verb.add_argument("--json", action="store_true")
    rotate = verbs.add_parser("rotate", help="make a new active key; the old one keeps verifying")
    rotate.add_argument("role", choices=["claim", "tsa", "checkpoint", "watermark", "kek"])
    rotate.add_argument("--yes", action="store_true", help="do not ask before a step that cannot be taken back")
    add_config_arguments(rotate)
    revoke = verbs.add_parser("revoke", help="withdraw a key permanently")
    revoke.add_argument("key_id", metavar="KEY_ID", help="as gensafe keys list shows it")
    revoke.add_argument("--reason", required=True)
    add_config_arguments(revoke)
    disclose = verbs.add_parser(
        "disclose",
        help="publish the key of a retired watermark epoch in the log",
        description="Publish the key of a retired watermark epoch in the log, once the time stated with its "
        "commitment has come: from then on anybody can find that epoch's marks, and write them, so that only records "
        "logged before count.",
    )
    disclose.add_argument("epoch", type=int, metavar="EPOCH", help="0 to 15, as gensafe keys list shows it")
    disclose.add_argument("--yes", action="store_true", help="do not ask before a step that cannot be taken back")
    add_config_arguments(disclose)
    imported = verbs.add_parser("import", help="install a claim key that your CA certified")
    for option in ("--chain", "--root"):
        imported.add_argument(option, required=True, metavar="PEM")
    imported.add_argument("--key", metavar="PEM", help="leave out where a signer ([signing] provider) has the key")
    add_config_arguments(imported)
    for each in (rotate, revoke, disclose, imported):
        each.add_argument("--json", action="store_true")
    stops.add_parsers(verbs)
    api_keys.add_parser(verbs)


def run(args: argparse.Namespace) -> int:
    """Run one verb."""
    from gensafe.cli.key_changes import Changes
    from gensafe.installation import Installation
    from gensafe.keys import Role

    config = read_config(args)
    if args.verb == "api":
        return api_keys.run(args, config)
    home = Installation(config)
    may_make = args.verb == "init" or (args.verb == "import" and config.environment == "production")
    ring = home.open_keys() if may_make else home.existing().read_keys()
    if args.verb in stops.VERBS:
        return stops.run(args, home, ring)
    if args.verb in ("init", "list"):
        infos = ring.keys()
        if args.json:
            print_json([asdict(info) for info in infos])
            return Exit.OK
        for info in infos:
            mark = " development" if info.development else ""
            mark += f" epoch {info.epoch}" if info.role is Role.WATERMARK else ""
            mark += f" disclosed {iso(info.disclosed_ms)}" if info.disclosed_ms else ""
            say(f"{info.key_id}  {info.role:10} {info.state:8} {iso(info.created_ms)}{mark} {info.reason}".rstrip())
        if ring.claimless:
            note("no claim key: nothing can be signed until gensafe keys import installs one")
        elif ring.development:
            note("development keys: signatures made here prove nothing to third parties")
        return Exit.OK
    if args.verb == "disclose":
        return _disclose(args, home, ring)
    with Changes(home, ring) as changes:
        if args.verb == "rotate":
            if args.role == "watermark" and not args.yes:
                _confirm("one of 16 watermark epochs is used up, and every detection then tries one key more", "rotate")
            changed, event = changes.rotate(Role(args.role)), "rotated"
        elif args.verb == "revoke":
            changed, event = changes.revoke(args.key_id, args.reason), "revoked"
        else:
            key = _read(args.key, "--key") if args.key else None
            changed = changes.take_in(key, _read(args.chain, "--chain"), _read(args.root, "--root"))
            event = "imported"
        index = changes.log_index
    if args.json:
        print_json({"event": event, "key": asdict(changed), "log_index": index})
        return Exit.OK
    say(f"{event} {changed.role} {changed.key_id}; logged as entry {index}; in force, also in a running server")
    return Exit.OK


def _disclose(args: argparse.Namespace, home: Installation, ring: KeyRing) -> int:
    from gensafe.cli.key_changes import Changes
    from gensafe.pipeline.epochs import disclosure_due

    if not home.has_log:
        raise InvalidRequest("there is no log, so no commitment to a key", field="epoch")
    with home.read_log() as log:
        due = disclosure_due(ring, log, args.epoch)  # says early what cannot be
    if not args.yes and not ring.watermark_info(args.epoch).disclosed_ms:
        _confirm(
            f"the key of epoch {args.epoch} becomes public for good (due since {iso(due)}): everybody can then find, "
            "remove and write its marks",
            "disclose",
        )
    with Changes(home, ring) as changes:
        done = changes.disclose(args.epoch)
    if args.json:
        print_json(done)
        return Exit.OK
    said = f"entry {done['log_index']}; its commitment is entry {done['committed_index']}"
    say(f"disclosed the key of epoch {args.epoch}: {said}")
    note("records logged before it count; give out an export that reaches this entry (docs/disclosure.md)")
    return Exit.OK


def _confirm(what: str, verb: str) -> None:
    """Ask on a terminal; elsewhere --yes is the answer.

    Raises:
        InvalidRequest: not confirmed.
    """
    if sys.stdin.isatty():
        note(what)
        if input(f"{verb}? [y/N] ").strip().lower() in ("y", "yes"):
            return
        raise InvalidRequest(f"not confirmed: nothing was done ({verb})", field="watermark")
    raise InvalidRequest(what, field="watermark", fix="add --yes")


def _read(path: str, field: str) -> bytes:
    return read_bytes(path, field, largest=MAX_SECRET_BYTES, error=InvalidRequest)
