"""``gensafe audit check-report``: whether a report is as it was written, and who signed it.

Exit status: 0 unchanged, signed under the given key · 1 changed, or not signed by that key · 2 unchanged, signer not
established (no key given) · 3 cannot be read · 64 usage.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gensafe.audit import standalone
from gensafe.audit.note import MAX_NOTE_BYTES
from gensafe.audit.report_note import note_of, statement
from gensafe.cli.common import Commands, Exit, print_json, say
from gensafe.core.digest import sha256
from gensafe.core.errors import InvalidRequest


def add_verb(verbs: Commands) -> None:
    """Declare the verb of ``gensafe audit``."""
    check = verbs.add_parser(
        "check-report",
        help="check the signature of a report",
        description="Check that a report is as `gensafe audit report` wrote it, by the signature beside it "
        "(FILE.note). Exit codes: 0 unchanged, signed under the given key; 1 changed, or not signed by that key; "
        "2 unchanged, signer not established (no key given); 3 cannot be read; 64 usage error.",
    )
    check.add_argument("file", type=Path, metavar="FILE", help="the report")
    check.add_argument("--note", type=Path, metavar="FILE", help="its signature (default: FILE.note)")
    check.add_argument(
        "--log-key", type=Path, metavar="FILE", help="the log's public key, obtained separately from the report: what "
        "`gensafe audit checkpoint` printed, a verifier key, PEM or 64 hex digits",
    )  # fmt: skip


def check_report(args: argparse.Namespace) -> int:
    """Check one report.

    Raises:
        InvalidRequest: the key cannot be read.
        OSError: the report or its signature cannot be read.
    """
    keys = _keys(args.log_key)
    report = args.file.read_bytes()
    signed = (args.note or note_of(args.file)).read_bytes()
    problem, origin = "", ""
    if len(signed) > MAX_NOTE_BYTES:
        problem = "the signature is no signed note"
    elif not signed.startswith(statement(report).encode() + b"\n"):
        problem = "the report is not the one that was signed"
    else:
        origin, problem = _signer(signed, keys)
    data = {"file": str(args.file), "digest": sha256(report), "unchanged": not problem, "signer": origin}
    if problem:
        _say(args, data | {"problem": problem}, f"{args.file}: NOT VALID: {problem}")
        return Exit.FAILED
    if not keys:
        _say(args, data, f"{args.file}: unchanged since it was signed; signer not established (give --log-key)")
        return Exit.BLOCKED  # 2
    _say(args, data, f"{args.file}: unchanged, signed by {origin}")
    return Exit.OK


def _signer(signed: bytes, keys: list[standalone.LogKey]) -> tuple[str, str]:
    """(who signed under one of the keys, what is wrong)."""
    try:
        _, lines = standalone._split_note(signed)  # noqa: SLF001 - the checker that auditors use alone
        for origin, _ in lines:
            if any(key.signed(signed, origin) for key in keys):
                return origin, ""
    except standalone.Defect as defect:
        return "", str(defect)
    return "", "none of the given keys signed it" if keys else ""


def _keys(path: Path | None) -> list[standalone.LogKey]:
    if path is None:
        return []
    try:
        return standalone.read_keys(path)
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"the key cannot be read: {error}", field="--log-key") from None


def _say(args: argparse.Namespace, data: dict[str, object], text: str) -> None:
    if args.json:
        print_json(data)
    else:
        say(text)
