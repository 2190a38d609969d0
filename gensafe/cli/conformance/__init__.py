"""``gensafe conformance make``: what an operator hands in when applying to the C2PA conformance programme.

1. samples of every medium and container through the configured chain, with their crJSON and verification reports
2. samples of a revoked and of an expired signer, under keys made for the purpose and thrown away
3. the programme's rubrics over the crJSON, where they are given
4. an SBOM, the security architecture as it is configured, and what is left for the operator to do
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from gensafe.cli.common import Commands, Exit, add_config_arguments, note, print_json, progress, read_config, say
from gensafe.core.types import Modality

if TYPE_CHECKING:
    from gensafe.cli.conformance.pack import Pack


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "conformance",
        help="make the documents and samples for the C2PA conformance programme",
        description="Prepare an application to the C2PA conformance programme. It is the operator's company that "
        "applies: this makes what the product can show, and lists the rest. "
        "Exit codes: 0 all that was run came out as expected, 1 something did not, 64 usage error.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    make = verbs.add_parser(
        "make",
        help="write samples, crJSON, rubric results, SBOM and documents to a new folder",
        description="Generate samples through the configured chain: they are logged like all other outputs, and no "
        "server may run on the data directory meanwhile. Samples of a revoked and of an expired signer are made with "
        "keys that are thrown away. What was not made or not run is listed with the reason.",
    )
    make.add_argument("--out", required=True, metavar="DIR", help="a folder that is new or empty")
    add_config_arguments(make)
    make.add_argument(
        "--rubrics", metavar="DIR", help="the folder asset-rubrics of c2pa-org/conformance-public; its Python is run"
    )
    make.add_argument("--json-formula", metavar="DIR", help="the folder src of adobe/json-formula-py, which it imports")
    make.add_argument(
        "--modality",
        action="append",
        choices=[m.value for m in Modality],
        help="samples of this medium only; may come several times",
    )
    make.add_argument("--json", action="store_true", help="print the contents of pack.json")


def run(args: argparse.Namespace) -> int:
    """Make the pack."""
    from gensafe.cli.conformance import rubrics, samples, sbom, stand_in, write
    from gensafe.cli.conformance.pack import Pack, prepare
    from gensafe.core.config import check_config

    config = read_config(args)
    check_config(config)
    if args.rubrics or args.json_formula:
        rubrics.check(args.rubrics, args.json_formula)
    out = prepare(Path(args.out))
    pack = Pack(out, note if args.json else say, progress())
    samples.make(pack, config, frozenset(args.modality or Modality))  # 1.
    stand_in.make(pack, config)  # 2.
    rubrics.run(pack, args.rubrics, args.json_formula)  # 3.
    sbom.make(pack)  # 4.
    write.documents(pack, config)
    if args.json:
        print_json(asdict(pack.contents()))
    else:
        _conclude(pack)
    return Exit.FAILED if pack.unexpected() else Exit.OK


def _conclude(pack: Pack) -> None:
    wrong = pack.unexpected()
    pack.say("")
    pack.say(f"{len(pack.samples)} samples, {len(pack.rubrics)} rubric results, {len(wrong)} not as expected")
    pack.say(f"read {pack.folder / 'README.md'}, then {pack.folder / 'to-do.md'}")
    for sentence in wrong:
        note(f"gensafe: not as expected: {sentence}")
