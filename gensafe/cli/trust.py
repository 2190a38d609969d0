"""``gensafe trust``: whose signatures and time-stamps verification accepts, and which certificates were revoked."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gensafe.cli.common import Commands, Exit, add_config_arguments, note, print_json, read_config, say
from gensafe.core.errors import InvalidRequest
from gensafe.core.textfile import MAX_TEXT_BYTES, read_bytes

if TYPE_CHECKING:
    from gensafe.provenance.revocation import RevocationList
    from gensafe.provenance.trust import TrustList


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    from gensafe.provenance.trust_lists import KINDS

    parser = commands.add_parser(
        "trust",
        help="import and list trust anchors and revocation lists",
        description="Keep lists of root certificates, such as the C2PA trust list, and certificate revocation lists "
        "(CRL) of issuers. Signer lists and time-stamp lists are separate. Nothing is fetched: download a list "
        "yourself and check it. Exit codes: 0 success, 64 usage error or not a list.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    add = verbs.add_parser("import", help="check a PEM bundle of roots, or a CRL (PEM or DER), and keep it")
    add.add_argument("file", metavar="FILE")
    add.add_argument("--kind", choices=KINDS, required=True)
    add.add_argument("--name", required=True, help="shown in reports")
    listing = verbs.add_parser("list", help="show the lists and what they contain")
    remove = verbs.add_parser("remove", help="remove a list")
    remove.add_argument("name", metavar="NAME", help="as gensafe trust list shows it")
    remove.add_argument("--kind", choices=KINDS, required=True)
    for verb in (add, listing, remove):
        verb.add_argument("--json", action="store_true")
        add_config_arguments(verb)


def run(args: argparse.Namespace) -> int:
    """Run one verb."""
    from gensafe.provenance import trust_lists as kept

    data_dir = Path(read_config(args).data_dir)
    if args.verb == "import":
        data = read_bytes(args.file, "FILE", largest=MAX_TEXT_BYTES, error=InvalidRequest)
        holds = _holds(kept.store_trust_list(data_dir, args.kind, args.name, data))
        return _done(args, "imported", f"{args.kind}/{args.name}: {holds}", holds=holds)
    if args.verb == "remove":
        kept.remove_trust_list(data_dir, args.kind, args.name)
        return _done(args, "removed", f"removed {args.kind}/{args.name}")
    lists: list[tuple[str, TrustList | RevocationList]] = []
    lists += [
        (kind, each) for kind in (kept.SIGNERS, kept.TIME_STAMPS) for each in kept.read_trust_lists(data_dir, kind)
    ]
    lists += [(kept.REVOCATIONS, each) for each in kept.read_revocations(data_dir)]
    if args.json:
        print_json([{"kind": kind, "name": each.name, "holds": _holds(each)} for kind, each in lists])
    else:
        for kind, each in lists:
            say(f"{kind:12} {each.name:24} {_holds(each)}")
        if not lists:
            note("no trust lists or revocation lists imported")
    return Exit.OK


def _done(args: argparse.Namespace, event: str, words: str, **more: str) -> int:
    if args.json:
        print_json({"event": event, "kind": args.kind, "name": args.name, **more})
    else:
        say(words)
    return Exit.OK


def _holds(kept: TrustList | RevocationList) -> str:
    from gensafe.provenance.revocation import describe
    from gensafe.provenance.trust import TrustList

    if not isinstance(kept, TrustList):
        return describe(kept)
    count = kept.pem.count(b"BEGIN CERTIFICATE")
    return f"{count} root{'' if count == 1 else 's'}"
