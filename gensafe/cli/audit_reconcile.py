"""``gensafe audit reconcile``: does the log account for every signature that the claim key made?"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
from pathlib import Path
from typing import Any, Final

from gensafe.cli.common import Exit, print_json, read_config, read_medium, say
from gensafe.core.config import Config
from gensafe.core.errors import InvalidRequest
from gensafe.core.textfile import read_bytes
from gensafe.installation import Installation
from gensafe.keys import KeyRing

MAX_JOURNAL: Final = 1 << 30  # bytes; ten million signatures
_CANNOT_TELL: Final = 2  # as the other verbs of audit


def add_verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    verb = verbs.add_parser(
        "reconcile",
        help="compare the signatures in the log with those that the key's token made",
        description="Compare the claim signatures that the log accounts for with what the token or signing service "
        "counted, or with files that were found elsewhere. A surplus was signed for somebody else. Exit codes: "
        "0 they agree, 1 they do not, 2 cannot be told (contents of entries are no longer kept), 64 usage error, "
        "69 the signer could not be asked.",
    )
    verb.add_argument(
        "files", nargs="*", metavar="FILE", help="signed files: each signature of our keys must be in the log"
    )
    verb.add_argument("--count", type=int, metavar="N", help="what the token's counter shows (default: ask the signer)")
    verb.add_argument(
        "--from", dest="start", type=int, default=0, metavar="N", help="what it showed before the first use here"
    )
    verb.add_argument(
        "--journal", type=Path, metavar="FILE",
        help="the token's own journal: one signature per line, as sha256:HEX or in base64, or JSON lines with "
        '"signature"',
    )  # fmt: skip
    verb.add_argument("--signer", metavar="FINGERPRINT", help="certificate of the key (default: the active claim key)")


def run(args: argparse.Namespace) -> int:
    """Compare and say so.

    Raises:
        InvalidRequest: nothing to compare with.
    """
    from gensafe.audit.reconcile import Account, accounts, with_count, with_journal
    from gensafe.audit.signatures import read_journal

    config = read_config(args)
    home = Installation(config).existing()
    ring = home.read_keys()
    signer = args.signer or ring.claim_key().public
    with home.read_log() as log:
        found, pruned = accounts(log, read_journal(home.signature_journal))
    if args.files:
        return _files(args, {digest for account in found.values() for digest in account.known}, pruned)
    account = found.get(signer, Account())
    if args.journal is not None:
        answer, source = with_journal(account, _journal(args.journal)), str(args.journal)
    else:
        count = args.count if args.count is not None else _asked(config, ring)
        answer, source = with_count(account, count - args.start), f"a count of {count} less {args.start}"
    data: dict[str, Any] = {"signer": signer, "named": len(account.known), "unsure": account.unsure}
    data |= {"unnamed": account.unnamed, "repeated": account.repeated, "pruned": pruned}
    data |= {"surplus": answer.surplus, "missing": answer.missing, "rogue": list(answer.rogue)}
    lines = [
        f"{signer}: the log accounts for {account.least} signatures, {account.most} at most; compared with {source}"
    ]
    lines += [f"  {answer.surplus} signatures that nothing in the log explains"] if answer.surplus else []
    lines += [f"  FAIL {digest}: in no entry" for digest in answer.rogue]
    lines += (
        [f"  {answer.missing} that the token does not know: another token, or its counter was reset"]
        if answer.missing
        else []
    )
    lines += [f"  FAIL {digest}: named by two entries" for digest in account.repeated]
    lines += [f"  {pruned} entries whose content is no longer kept may explain more"] if pruned else []
    agrees = answer.agrees and not account.repeated
    lines += ["  they agree"] if agrees else []
    _say(args, data | {"agrees": agrees}, lines)
    if agrees:
        return Exit.OK
    return _CANNOT_TELL if pruned and not account.repeated else Exit.FAILED


def _asked(config: Config, ring: KeyRing) -> int:
    from gensafe.pipeline.signing import open_signer

    signer = open_signer(config.signing.provider, config.signing.options, ring)
    count = getattr(signer, "count", None)
    if count is None:
        raise InvalidRequest(
            f"the {config.signing.provider} signer keeps no count",
            field="--count",
            fix="give --count, --journal or files",
        )
    return int(count())


def _journal(path: Path) -> list[str]:
    found: list[str] = []
    text = read_bytes(path, "--journal", largest=MAX_JOURNAL, error=InvalidRequest).decode("utf-8", "replace")
    for number, line in enumerate(filter(None, map(str.strip, text.splitlines())), start=1):
        try:
            found.append(_digest(json.loads(line)["signature"] if line.startswith("{") else line))
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise InvalidRequest(
                f"line {number} names no signature", field="--journal", fix="write sha256:HEX or base64"
            ) from None
    return found


def _digest(text: str) -> str:
    from gensafe.core.digest import sha256

    if text.startswith("sha256:") and len(bytes.fromhex(text[7:])) == 32:
        return text.lower()
    return sha256(base64.b64decode(text, validate=True))


def _files(args: argparse.Namespace, known: set[str], pruned: int) -> int:
    """Files that carry a signature by our keys which no entry names."""
    from gensafe.provenance.claims import claims_of

    rogue: list[dict[str, str]] = []
    own = 0
    for path in args.files:
        for claim in claims_of(read_medium(path)):
            if claim.signature in known:
                own += 1
            elif claim.signer == args.signer or (not args.signer and _is_own(args, claim.signer)):
                rogue.append({"file": path, "label": claim.label, "signature": claim.signature})
    lines = [f"{own} signatures are in the log"]
    lines += [f"  FAIL {each['file']}: {each['signature']} is by our key and in no entry" for each in rogue]
    _say(args, {"named": own, "rogue": rogue, "pruned": pruned, "agrees": not rogue}, lines)
    if rogue:
        return _CANNOT_TELL if pruned else Exit.FAILED
    return Exit.OK


def _is_own(args: argparse.Namespace, signer: str) -> bool:
    from gensafe.keys import Role

    ring = Installation(read_config(args)).existing().read_keys()
    return any(info.role is Role.CLAIM and info.public == signer for info in ring.keys())


def _say(args: argparse.Namespace, data: dict[str, Any], lines: list[str]) -> None:
    if args.json:
        print_json(data)
    else:
        say("\n".join(lines))
