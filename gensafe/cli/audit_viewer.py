"""``gensafe audit viewer``: the web page that checks an export in the browser, as one file."""

from __future__ import annotations

import argparse
from pathlib import Path

from gensafe.audit.viewer import viewer_page
from gensafe.cli.common import Commands, Exit, note, print_json, say
from gensafe.core.digest import sha256


def add_verb(verbs: Commands) -> None:
    """Declare the verb."""
    verb = verbs.add_parser(
        "viewer",
        help="write a web page that checks an export in the browser",
        description="Write a web page that checks an export in the browser as `gensafe audit verify` does: one file "
        "for an auditor without Python. It needs no network and sends nothing. Exit codes: 0 written, 74 not written.",
    )
    verb.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="the page, such as viewer.html")


def run(args: argparse.Namespace) -> int:
    """Write the page; returns the exit status."""
    page = viewer_page()
    try:
        args.out.write_bytes(page)
    except OSError as error:
        note(f"gensafe: --out {args.out}: {error.strerror}")
        return Exit.IO_ERROR
    digest = sha256(page)
    if args.json:
        print_json({"file": str(args.out), "digest": digest})
    else:
        say(f"{args.out}: open it in a browser ({digest})")
    return Exit.OK
