"""``gensafe trust``: whose signatures and time-stamps verification accepts, beyond this installation's own."""

from __future__ import annotations

import argparse
from pathlib import Path

from gensafe.cli.common import Commands, Exit, add_config_arguments, print_json, read_config, say
from gensafe.core.errors import InvalidRequest


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    from gensafe.verify.trust_lists import KINDS

    parser = commands.add_parser(
        "trust",
        help="import and list trust anchors",
        description="Keep lists of root certificates, such as the C2PA trust list. Signer lists and time-stamp lists "
        "are separate. Nothing is fetched: download a list yourself and check it. Exit: 0, 64 usage or not a list.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    add = verbs.add_parser("import", help="check a PEM bundle and keep it")
    add.add_argument("file", metavar="PEM")
    add.add_argument("--kind", choices=KINDS, required=True)
    add.add_argument("--name", required=True, help="shown in reports")
    listing = verbs.add_parser("list", help="show the lists and their roots")
    listing.add_argument("--json", action="store_true")
    remove = verbs.add_parser("remove", help="forget a list")
    remove.add_argument("name")
    remove.add_argument("--kind", choices=KINDS, required=True)
    for verb in (add, listing, remove):
        add_config_arguments(verb)


def run(args: argparse.Namespace) -> int:
    """Run one verb."""
    from gensafe.verify.trust_lists import KINDS, read_trust_lists, remove_trust_list, store_trust_list

    data_dir = Path(read_config(args).data_dir)
    if args.verb == "import":
        try:
            pem = Path(args.file).read_bytes()
        except OSError as error:
            raise InvalidRequest(f"cannot read {args.file}: {error.strerror}", field="PEM") from None
        kept = store_trust_list(data_dir, args.kind, args.name, pem)
        say(f"{args.kind}/{args.name}: {kept.pem.count(b'BEGIN CERTIFICATE')} roots")
        return Exit.OK
    if args.verb == "remove":
        remove_trust_list(data_dir, args.kind, args.name)
        say(f"removed {args.kind}/{args.name}")
        return Exit.OK
    rows = [
        {"kind": kind, "name": each.name, "roots": each.pem.count(b"BEGIN CERTIFICATE")}
        for kind in KINDS
        for each in read_trust_lists(data_dir, kind)
    ]
    if args.json:
        print_json(rows)
    else:
        for row in rows:
            say(f"{row['kind']:12} {row['name']:24} {row['roots']} roots")
    return Exit.OK
