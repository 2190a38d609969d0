"""Check a moderation receipt alone: ``python receipt_check.py RECEIPT [--key FILE] [--content FILE]... [--json]``.

This file needs Python 3.11, ``cryptography`` and ``standalone.py`` beside it, and nothing else of GenSafe: copy both to
where the receipt is checked. No server is asked.

What it establishes, with the log's key: the entry in the receipt is in the log whose checkpoint that key signed, as it
stands; its commitment opens to the digests in the receipt; the files that were given are the content with these
digests, in this order. Then this content was judged as the entry says. It does not show where the content came from,
and not that the judgement is right.

Exit status: 0 valid, 1 not valid, 2 consistent but nobody known signed it (no key was given), 3 not a readable receipt,
64 usage, 74 the answer could not be written.
"""

# ruff: noqa: SLF001 - with standalone.py one program in two files
from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import re
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

if __package__:
    from gensafe.audit import standalone as base
else:  # a copy of the two files
    import standalone as base  # type: ignore[import-not-found,no-redef]

FORMAT = "gensafe.moderation.receipt/1"
EVENT = "moderation.performed"
MEMBERS = {"format", "content", "nonce", "entry", "index", "time_ms", "proof"}
PART = {"kind", "digest", "bytes"}
PROOF_HEADER = "c2sp.org/tlog-proof@v1"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
NONCE = re.compile(r"[0-9a-f]{64}")
MAX_RECEIPT = 1 << 20  # bytes; a leaf has at most 64 KiB, a note as well. A round number above both
MAX_CONTENT = 4 << 30  # bytes of one file; only hashed. A round number, not measured
CHUNK = 1 << 20  # bytes read at once


@dataclass
class Checked:
    """What was found. ``signed``: under the given key; ``compared``: the content was given and is the one judged."""

    receipt: dict[str, Any] = field(default_factory=dict)
    signed: bool = False
    compared: bool = False
    problem: str = ""
    code: str = ""
    unreadable: str = ""

    @property
    def status(self) -> int:
        """The exit status."""
        if self.unreadable:
            return 3
        if self.problem:
            return 1
        return 0 if self.signed else 2

    @property
    def conclusion(self) -> str:
        """The answer in a sentence."""
        if self.unreadable:
            return f"not a readable receipt: {self.unreadable}"
        if self.problem:
            return f"NOT VALID: {self.problem}"
        if self.signed:
            return "valid: this judgement is in the log whose key was given"
        return "consistent, but nobody known signed it: give the log's key with --key"


def check(data: bytes, keys: list[Any], contents: list[str] | None = None) -> Checked:
    """Check a receipt; never raises for what it holds.

    Args:
        data: The receipt's JSON.
        keys: Keys of the log (``standalone.LogKey``), got by another way than the receipt; none = origin unknown.
        contents: Digests ("sha256:<hex>") of the files that it should be about, in order; None = not compared.
    """
    found = Checked()
    try:
        found.receipt = _read(data)
        _check_content(found.receipt, contents)
        found.compared = contents is not None
        found.signed = _check_proof(found.receipt, keys)
    except base.Unreadable as error:
        found.unreadable = str(error)
    except base.Defect as defect:
        found.code, found.problem = defect.code, str(defect)
    except Exception as error:  # whatever a hostile receipt provokes is a finding, never a traceback
        found.code, found.problem = "structure", f"a member is missing or of the wrong kind ({type(error).__name__})"
    return found


def _read(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_RECEIPT:
        raise base.Unreadable(f"it has more than {MAX_RECEIPT} bytes")
    try:
        receipt = json.loads(
            data.decode("utf-8"), parse_float=_refused, parse_constant=_refused, object_pairs_hook=_once
        )
    except (ValueError, RecursionError):
        raise base.Unreadable("it is not JSON of the receipt's profile") from None
    if not isinstance(receipt, dict) or receipt.get("format") != FORMAT:
        raise base.Unreadable(f"it does not say that its format is {FORMAT}")
    return base._fields(receipt, MEMBERS, "the receipt")


def _refused(text: str) -> object:
    raise ValueError(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which no member is named twice: two readers could take different ones."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is named twice")
    return found


def _check_content(receipt: dict[str, Any], contents: list[str] | None) -> None:
    """1. The entry is a judgement. 2. Its commitment opens to the digests. 3. These are those of the given files."""
    entry, content, nonce = receipt["entry"], receipt["content"], receipt["nonce"]
    if not isinstance(entry, dict) or entry.get("schema") != base.ENTRY_SCHEMA or entry.get("event") != EVENT:
        raise base.Defect("entry", f"its log entry is not a {EVENT}")
    if not isinstance(content, list) or not content or len(content) != entry.get("parts"):
        raise base.Defect("content", "it does not list as many parts as were judged")
    for part in content:
        fields = base._fields(part, PART, "a part")
        if not (isinstance(fields["digest"], str) and DIGEST.fullmatch(fields["digest"])):
            raise base.Defect("content", "a part's digest is not a SHA-256")
    if not isinstance(nonce, str) or not NONCE.fullmatch(nonce):
        raise base.Defect("nonce", "its nonce is not 32 bytes in hex")
    opened = hmac.new(bytes.fromhex(nonce), base._dump(content), hashlib.sha256).hexdigest()
    if entry.get("content_commitment") != f"hmac-sha256:{opened}":
        raise base.Defect("commitment", "the log entry is about other content than the receipt lists")
    if contents is not None and contents != [part["digest"] for part in content]:
        raise base.Defect("other-content", "the given content is not what was judged")


def _check_proof(receipt: dict[str, Any], keys: list[Any]) -> bool:
    """4. Entry, index and time are a leaf of the checkpoint's tree. 5. Whether one of the keys signed it."""
    index, path, note = _proof(receipt["proof"])
    if type(receipt["index"]) is not int or receipt["index"] != index:
        raise base.Defect("index", "the proof is about another entry than the receipt says")
    if type(receipt["time_ms"]) is not int:
        raise base.Defect("time", "its time is not a whole number of milliseconds")
    leaf = {"entry": receipt["entry"], "index": index, "time_ms": receipt["time_ms"]}
    origin, size, root = base._checkpoint(note)
    digest = hashlib.sha256(b"\0" + base._dump(leaf)).digest()
    if index >= size or base._included(digest, index, size, path) != root:
        raise base.Defect("inclusion", "the entry, as the receipt has it, is not in the log")
    if not keys:
        return False
    if not any([key.signed(note, origin) for key in keys]):
        raise base.Defect("other-key", "the checkpoint is not signed with the given key")
    return True


def _proof(text: object) -> tuple[int, list[bytes], bytes]:
    """Index, path and checkpoint of a C2SP tlog-proof."""
    head, gap, note = (text if isinstance(text, str) else "").partition("\n\n")
    lines = head.split("\n")
    index = lines[1].removeprefix("index ") if len(lines) > 1 and lines[1].startswith("index ") else ""
    if not gap or lines[0] != PROOF_HEADER or not re.fullmatch(r"0|[1-9][0-9]{0,15}", index):
        raise base.Defect("proof-format", "its proof is not a tlog-proof")
    return int(index), base._hashes(lines[2:]), note.encode()


def file_digest(path: Path) -> str:
    """The digest of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than content may be.
    """
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            size += len(chunk)
            if size > MAX_CONTENT:
                raise ValueError("it is too large")
            digest.update(chunk)
    return "sha256:" + digest.hexdigest()


def as_json(found: Checked) -> dict[str, Any]:
    """The answer for programs."""
    answer: dict[str, Any] = {"status": found.status, "conclusion": found.conclusion, "signed": found.signed}
    answer |= {"content_compared": found.compared, "problem": found.code or None}
    if found.status in (0, 2):
        entry = found.receipt["entry"]
        answer |= {"entry": entry, "index": found.receipt["index"], "time_ms": found.receipt["time_ms"]}
        answer["content"] = found.receipt["content"]
    return answer


def main(arguments: list[str] | None = None) -> int:
    """Run as a command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="receipt_check.py",
        description="Check a moderation receipt offline. Exit codes: 0 valid, signed under the given key; 1 not valid; "
        "2 consistent, origin not established; 3 not a readable receipt; 64 usage.",
    )
    parser.add_argument("receipt", type=Path)
    parser.add_argument("--key", type=Path, help="the log's public key: vkey, PEM or hex; not from the receipt")
    parser.add_argument("--content", type=Path, action="append", help="what was judged, byte for byte; once per part")
    parser.add_argument("--json", action="store_true")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as end:
        return 0 if end.code == 0 else 64
    return run(options.receipt, options.key, options.content, as_json_=options.json)


def run(receipt: Path, key: Path | None, content: list[Path] | None, *, as_json_: bool) -> int:
    """Read the files, check, print; returns the exit status."""
    try:
        keys = base.read_keys(key) if key else []
    except (OSError, ValueError) as error:
        return _unusable(f"--key {key}: the key cannot be read: {_why(error)}")
    contents = None
    for path in content or ():
        try:
            contents = [*(contents or []), file_digest(path)]
        except (OSError, ValueError) as error:
            return _unusable(f"--content {path}: cannot be read: {_why(error)}")
    try:
        with receipt.open("rb") as file:
            data = file.read(MAX_RECEIPT + 1)
        found = check(data, keys, contents)
    except OSError as error:
        found = Checked(unreadable=_why(error))
    if as_json_:
        print(json.dumps(as_json(found), indent=2, sort_keys=True))
    else:
        _print(receipt, found)
    return found.status


def _print(path: Path, found: Checked) -> None:
    base._say(f"{path}: {found.conclusion}")
    if found.status not in (0, 2):
        return
    entry = found.receipt["entry"]
    policy: dict[str, str] = next((v["policy"] for v in entry["verdicts"]), {})
    judges = sorted({f"{c['name']} {c['version']}" for v in entry["verdicts"] for c in v["classifiers"]})
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=found.receipt["time_ms"])
    lines = [
        f"verdict: {entry['action']}, {'may go on' if entry['passed'] else 'stopped'} (stage: {entry['stage']})",
        f"policy: {policy.get('id', '')} {policy.get('digest', '')}",
        f"classifiers: {', '.join(judges) or 'none'}",
        f"when: {when.isoformat(timespec='milliseconds')}, entry {found.receipt['index']} of the log",
        *(f"content: {part['digest']} ({part['kind']}, {part['bytes']} bytes)" for part in found.receipt["content"]),
        "the content was compared and is the same" if found.compared else "the content was not compared: use --content",
        "this attests a judgement, not where the content came from",
    ]
    for line in lines:
        base._say(f"  {line}")


def _unusable(text: str) -> int:
    base._say(text, sys.stderr)
    return 64


def _why(error: OSError | ValueError) -> str:
    return (error.strerror or "cannot be read") if isinstance(error, OSError) else str(error)


if __name__ == "__main__":
    sys.exit(base._run(main))
