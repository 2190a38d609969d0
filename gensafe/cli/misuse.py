"""``gensafe misuse report``: take in a report that an output was misused.

Exit status: 0 logged · 1 failed · 64 usage, or no such record.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gensafe.cli.common import Commands, Exit, add_config_arguments, print_json, read_config, say
from gensafe.core import ids
from gensafe.core.digest import sha256
from gensafe.core.errors import InvalidRequest

CATEGORIES = ("takedown", "intimate-image", "child-safety", "impersonation", "deception", "privacy", "rights", "other")
MAX_TEXT = 10_000  # characters: some pages. A round number


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "misuse",
        help="take in reports of misuse",
        description="Log that misuse of an output was reported. The words are kept sealed under a key of their own and "
        "can be erased (privacy erase --subject misuse:TICKET); the log gets a commitment to them. "
        "Exit codes: 0 logged, 1 failed, 64 usage error or no such record.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    report = verbs.add_parser("report", help="log a report")
    report.add_argument(
        "output", metavar="FILE|RECORD_ID", help="the output as this service released it, or its record"
    )
    report.add_argument("--reason", required=True, metavar="TEXT", help="what the reporter says")
    report.add_argument("--category", choices=CATEGORIES, default="other")
    report.add_argument("--json", action="store_true")
    add_config_arguments(report)


def run(args: argparse.Namespace) -> int:
    """Look the record up, seal the words, log the report."""
    from gensafe.cli.orders import have_done
    from gensafe.installation import Installation
    from gensafe.registry import OrderKind

    if not args.reason.strip() or len(args.reason) > MAX_TEXT:
        raise InvalidRequest("say what is reported", field="--reason", fix=f"1 to {MAX_TEXT} characters")
    home = Installation(read_config(args)).existing()
    ring = home.keys_if_readable()
    with home.open_registry(ring) as registry:
        record_id = _record_id(args.output, registry)
        number = ids.new_record_id()
        ticket = ids.record_id_text(number)
        commitment = registry.seal_prompt(number, f"misuse:{ticket}", args.reason)
        body = {"ticket": ticket, "category": args.category, "text_commitment": commitment, "record_id": record_id}
        done = have_done(registry, home, ring, OrderKind.MISUSE, body)
    if args.json:
        print_json({"ticket": ticket, "record_id": record_id, "category": args.category} | done)
    else:
        say(f"ticket {ticket} about record {record_id}; logged as entry {done['log_index']}")
    return Exit.OK


def _record_id(output: str, registry: object) -> str:
    from gensafe.registry import Registry

    assert isinstance(registry, Registry)
    path = Path(output)
    if path.is_file():
        found = registry.by_digest(sha256(path.read_bytes()))
        if found is None:
            fix = "gensafe verify FILE names the record of a changed file; give that"
            raise InvalidRequest("is not, byte for byte, an output of this service", field="FILE", fix=fix)
        return ids.record_id_text(found.record_id)
    record = registry.by_record_id(ids.parse_record_id(output))
    if record is None:
        raise InvalidRequest(f"no record {output}", field="RECORD_ID")
    return output
