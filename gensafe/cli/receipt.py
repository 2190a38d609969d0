"""``gensafe receipt verify``: check a moderation receipt offline, as ``audit/receipt_check.py`` does alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from gensafe.audit import receipt_check
from gensafe.cli.common import Commands


def add_parser(commands: Commands) -> None:
    """Declare the commands."""
    parser = commands.add_parser("receipt", help="check a moderation receipt")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    verify = actions.add_parser(
        "verify",
        help="say whether a receipt is valid, and for which content",
        description="Check a receipt that a guard of this service gave to a gateway: the judgement is in the log, as "
        "it stands in the receipt, and about this content. No server is asked. It attests a judgement, not where the "
        "content came from. "
        "Exit codes: 0 valid, signed under the given key; 1 not valid; 2 consistent, but nobody known signed it (no "
        "--key); 3 not a readable receipt; 64 usage error.",
    )
    verify.add_argument("file", type=Path, metavar="FILE", help="the receipt, as JSON")
    verify.add_argument(
        "--key", type=Path, metavar="FILE", help="the log's public key, as `gensafe audit checkpoint` prints it"
    )
    verify.add_argument(
        "--content", type=Path, action="append", metavar="FILE",
        help="what was judged, byte for byte; once for each part, in order",
    )  # fmt: skip
    verify.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Check."""
    return receipt_check.run(args.file, args.key, args.content, as_json_=args.json)
