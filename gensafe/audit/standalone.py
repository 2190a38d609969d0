"""Check an audit export alone: ``python standalone.py DIR [--log-key FILE] [--previous DIR] [--json]``.

This file needs Python 3.11 and ``cryptography`` and nothing else of GenSafe: copy it to where the auditor works. It
reads docs/audit-format.md's format. It is written apart from the code that makes exports, on purpose, so that one
mistake does not hide in both.

What it establishes: the disclosed entries are exactly those of the signed tree, in order, complete for the range; the
manifest's counts and gaps are true; earlier checkpoints are prefixes. With the log's key: who signed. Without: only
that everything is consistent. It cannot show that what was logged is what happened.

Exit status: 0 holds, 1 does not, 3 unreadable, 64 usage.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

FORMAT = "gensafe.audit.export/1"
ENTRY_SCHEMA = "gensafe.audit.entry/1"
MAX_FINDINGS = 50
MAX_LINE = 1 << 20
MAX_MANIFEST = 64 << 20
FINAL = {f"generation.{end}" for end in ("released", "blocked", "cancelled", "failed", "aborted")}
REQUIRED = ("manifest.json", "checkpoint", "entries.jsonl", "proofs.jsonl")
EMPTY_ROOT = hashlib.sha256(b"").digest()


class Defect(Exception):
    """The export does not hold; ``code`` names the defect."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass
class Report:
    """Findings as (code, text); empty = it holds. ``origin_established`` only with a key that signed."""

    directory: str
    origin: str = ""
    size: int = 0
    start: int = 0
    stop: int = 0
    disclosed: int = 0
    manifest_signed: bool = False
    origin_established: bool = False
    findings: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the export holds."""
        return not self.findings

    def add(self, code: str, text: str) -> None:
        """Record a defect."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append((code, text))

    @property
    def conclusion(self) -> str:
        """One line for a person."""
        if not self.ok:
            return f"does not hold: {', '.join(dict.fromkeys(code for code, _ in self.findings))}"
        if self.origin_established:
            return f"holds, signed by {self.origin}"
        return "consistent, origin not established"


# --- Merkle tree (RFC 6962) ---


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class _Range:
    """Subtree hashes from the left edge on; adding what follows leads to the root."""

    def __init__(self) -> None:
        self.size = 0
        self.stack: list[tuple[int, bytes]] = []

    def add(self, level: int, digest: bytes) -> None:
        if self.size % (1 << level):
            raise Defect("range-proof", "a hash of the range proof does not fit where it stands")
        self.size += 1 << level
        while self.stack and self.stack[-1][0] == level:
            digest = _node(self.stack.pop()[1], digest)
            level += 1
        self.stack.append((level, digest))

    def fill(self, upto: int, hashes: list[bytes]) -> None:
        """Add complete subtrees until ``upto``, each as large as its place allows."""
        for digest in hashes:
            room = upto - self.size
            if room <= 0:
                raise Defect("range-proof", "the range proof has too many hashes")
            level = room.bit_length() - 1
            if self.size:
                level = min(level, (self.size & -self.size).bit_length() - 1)
            self.add(level, digest)
        if self.size != upto:
            raise Defect("range-proof", "the range proof has too few hashes")

    def root(self) -> bytes:
        if not self.stack:
            return EMPTY_ROOT
        digest = self.stack[-1][1]
        for _, left in reversed(self.stack[:-1]):
            digest = _node(left, digest)
        return digest


def _included(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """Root that an audit path leads to, walking from the leaf up; None if it has the wrong length."""
    digest, place, width = leaf, index, size
    steps = iter(path)
    while width > 1:
        if place % 2 or place + 1 < width:
            sibling = next(steps, None)
            if sibling is None:
                return None
            digest = _node(sibling, digest) if place % 2 else _node(digest, sibling)
        place, width = place // 2, (width + 1) // 2
    return digest if next(steps, None) is None else None


def _consistent(old: int, old_root: bytes, new: int, new_root: bytes, path: list[bytes]) -> bool:
    """RFC 6962 section 2.1.2: rebuild both roots from the proof, recursively as it is defined."""
    if old == 0:
        return not path and old_root == EMPTY_ROOT
    if old == new:
        return not path and old_root == new_root
    hashes = list(path)

    def rebuild(m: int, n: int, whole: bool) -> tuple[bytes, bytes]:
        """(root of the first m leaves, root of all n) of this subtree; consumes the proof from its start."""
        if m == n:
            digest = old_root if whole else hashes.pop(0)
            return digest, digest
        split = 1 << (n - 1).bit_length() - 1
        if m <= split:
            first, second = rebuild(m, split, whole)
            return first, _node(second, hashes.pop(0))
        first, second = rebuild(m - split, n - split, False)
        left = hashes.pop(0)
        return _node(left, first), _node(left, second)

    try:
        first, second = rebuild(old, new, True)
    except IndexError:
        return False
    return not hashes and first == old_root and second == new_root


# --- signed notes (C2SP) ---


@dataclass(frozen=True)
class LogKey:
    """An Ed25519 key of the log; ``name`` "" = whatever origin the checkpoint states."""

    name: str
    raw: bytes

    def signed(self, note: bytes, origin: str) -> bool:
        """Whether this key signed the note as ``origin``; a wrong signature under its name and id is a Defect."""
        if self.name not in ("", origin):
            return False
        text, lines = _split_note(note)
        key_id = hashlib.sha256(origin.encode() + b"\n\x01" + self.raw).digest()[:4]
        for name, signature in lines:
            if name == origin and signature[:4] == key_id:
                try:
                    Ed25519PublicKey.from_public_bytes(self.raw).verify(signature[4:], text)
                except InvalidSignature:
                    raise Defect("signature", "a signature under the log's key does not verify") from None
                return True
        return False


def read_keys(path: Path) -> list[LogKey]:
    """Keys from a file: vkey lines (name+id+base64), PEM, or 64 hex digits."""
    text = path.read_text("utf-8")
    if "-----BEGIN" in text:
        key = load_pem_public_key(text.encode())
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("not an Ed25519 key")
        return [LogKey("", key.public_bytes_raw())]
    keys = []
    for line in (raw.strip() for raw in text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if re.fullmatch(r"[0-9a-fA-F]{64}", line):
            keys.append(LogKey("", bytes.fromhex(line)))
            continue
        name, key_id, material = line.split("+", 2)
        raw_key = base64.b64decode(material, validate=True)
        wanted = hashlib.sha256(name.encode() + b"\n" + raw_key).digest()[:4].hex()
        if len(raw_key) != 33 or raw_key[0] != 1 or key_id != wanted:
            raise ValueError("not an Ed25519 verifier key")
        keys.append(LogKey(name, raw_key[1:]))
    if not keys:
        raise ValueError("no key in the file")
    return keys


def _split_note(note: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    cut = note.rfind(b"\n\n")
    if cut < 0 or not note.endswith(b"\n"):
        raise Defect("note-format", "not a signed note")
    lines = []
    try:
        for line in note[cut + 2 :].decode("utf-8").removesuffix("\n").split("\n"):
            dash, name, signature = line.split(" ")
            raw = base64.b64decode(signature, validate=True)
            if dash != "—" or base64.b64encode(raw).decode() != signature:
                raise ValueError
            lines.append((name, raw))
    except ValueError:
        raise Defect("note-format", "a signature line is malformed") from None
    return note[: cut + 1], lines


def _checkpoint(note: bytes) -> tuple[str, int, bytes]:
    text, _ = _split_note(note)
    try:
        origin, size, root, *rest = text.decode("utf-8").split("\n")
        if not origin or rest[-1:] != [""] or not re.fullmatch(r"0|[1-9][0-9]{0,18}", size):
            raise ValueError
        return origin, int(size), _hash(root)
    except (ValueError, Defect):
        raise Defect("checkpoint-format", "the checkpoint is malformed") from None


# --- strict JSON ---


def _no_float(text: str) -> object:
    raise ValueError(f"number {text} is not an integer")


def _canonical(data: bytes, what: str) -> Any:  # noqa: ANN401 - JSON
    try:
        value = json.loads(data, parse_float=_no_float, parse_constant=_no_float)
        again = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise Defect("json", f"{what} is not JSON of the canonical profile") from None
    if again != data:
        raise Defect("not-canonical", f"{what} is not in canonical form")
    return value


def _lines(path: Path) -> Iterator[tuple[int, Any, bytes]]:
    """(line number, value, bytes without the newline) of a JSONL file."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE):
            number += 1
            if not line.endswith(b"\n"):
                raise Defect("cut-line", f"{path.name} line {number} is cut short or too long")
            yield number, _canonical(line[:-1], f"{path.name} line {number}"), line[:-1]


def _hash(text: str) -> bytes:
    try:
        digest = base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        digest = b""
    if len(digest) != 32 or base64.b64encode(digest).decode() != text:
        raise Defect("hash-format", "a hash is not 32 bytes of base64")
    return digest


# --- the procedure of docs/audit-format.md, section "Checking" ---


def verify(directory: Path, keys: list[LogKey] | None = None, previous: Path | None = None) -> Report:
    """Check the export in ``directory``; never raises for what the export holds."""
    report = Report(str(directory))
    try:
        _verify(directory, keys or [], previous, report)
    except Defect as defect:
        report.add(defect.code, str(defect))
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        report.add("structure", f"a field is missing or of the wrong kind: {error}")
    except OSError as error:
        report.add("unreadable", f"{error.strerror}: {Path(str(error.filename)).name}")
    return report


def _verify(directory: Path, keys: list[LogKey], previous: Path | None, report: Report) -> None:
    # 1. the folder: required files, nothing unlisted, digests
    present = {p.name for p in directory.iterdir()}
    for name in REQUIRED:
        if name not in present:
            raise Defect("file-missing", f"{name} is missing")
    if (directory / "manifest.json").stat().st_size > MAX_MANIFEST:
        raise Defect("structure", "manifest.json is too large")
    raw = (directory / "manifest.json").read_bytes()
    manifest = _canonical(raw, "manifest.json")
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise Defect("format", "not an export of a known format")
    _check_files(directory, manifest, present, report)

    # 2. signatures
    note = (directory / "checkpoint").read_bytes()
    origin, size, root = _checkpoint(note)
    report.origin, report.size = origin, size
    if origin != manifest["origin"]:
        report.add("origin", "checkpoint and manifest name different logs")
    if manifest["checkpoint"] != {"size": size, "root": base64.b64encode(root).decode()}:
        report.add("checkpoint-swapped", "the checkpoint is not the one the manifest names")
    _check_signatures(directory, raw, note, origin, keys, report)
    if "checkpoint.tst" in present:
        _check_time_stamp(directory, note, report)

    # 3. the range recomputes to the signed root
    start, stop = int(manifest["range"]["start"]), int(manifest["range"]["stop"])
    report.start, report.stop = start, stop
    if not 0 <= start <= stop <= size:
        raise Defect("range", f"entries {start}..{stop} cannot be in a tree of {size}")
    tree = _Range()
    tree.fill(start, [_hash(h) for h in manifest["left"]])
    tally = _Tally(manifest["filter"], start, report)
    seen_bad = _walk(directory, start, stop, size, root, tree, tally, report)
    tree.fill(size, [_hash(h) for h in manifest["right"]])
    if tree.root() != root:
        report.add("root", "the entries do not lead to the signed root")
        if not seen_bad:
            report.add(
                "withheld-altered", "every disclosed entry is in the tree, so a withheld hash or the range is wrong"
            )

    # 4. what the manifest says about them is true
    report.disclosed = tally.disclosed
    if tally.counts() != manifest["counts"]:
        report.add("counts", "the manifest's counts are not those of the entries")
    if tally.gaps() != manifest["gaps"]:
        report.add("gaps", "the manifest's gaps are not those of the entries")
    _check_views(directory, present, tally.leaves, report)

    # 5. earlier checkpoints are prefixes
    _check_history(directory, manifest, present, previous, (origin, size, root), keys, report)


def _check_files(directory: Path, manifest: dict[str, Any], present: set[str], report: Report) -> None:
    listed = manifest["files"]
    for name in sorted(present - set(listed) - {"manifest.json", "manifest.note", "checkpoint.tst"}):
        report.add("file-unlisted", f"{name} is not in the manifest")
    for name, digest in listed.items():
        if "/" in name or "\\" in name or name.startswith(".") or name not in present:
            report.add("file-missing", f"{name!r} is listed and not there")
            continue
        with (directory / name).open("rb") as file:
            if "sha256:" + hashlib.file_digest(file, "sha256").hexdigest() != digest:
                report.add("file-digest", f"{name} is not the file the manifest lists")
    if set(REQUIRED) - {"manifest.json"} - set(listed):
        report.add("file-unlisted", "the manifest does not list all required files")


def _check_signatures(
    directory: Path, raw: bytes, note: bytes, origin: str, keys: list[LogKey], report: Report
) -> None:
    path = directory / "manifest.note"
    signature = path.read_bytes() if path.exists() else b""
    if signature:
        text, _ = _split_note(signature)
        if text != f"{FORMAT}\nsha256:{hashlib.sha256(raw).hexdigest()}\n".encode():
            report.add("manifest-signature", "the signed digest is not that of the manifest")
    else:
        report.notes.append("the manifest is not signed; counts and views rest on the entries alone")
    if not keys:
        report.notes.append("no log key was given: signatures were not judged")
        return
    try:
        if not any([key.signed(note, origin) for key in keys]):
            report.add("checkpoint-signature", "no given key signed the checkpoint")
            return
        report.origin_established = True
    except Defect as defect:
        report.add("checkpoint-signature", str(defect))
    try:
        if signature:
            report.manifest_signed = any([key.signed(signature, origin) for key in keys])
            if not report.manifest_signed:
                report.add("manifest-signature", "no given key signed the manifest")
    except Defect as defect:
        report.add("manifest-signature", str(defect))


def _check_time_stamp(directory: Path, note: bytes, report: Report) -> None:
    """An RFC 3161 token over the checkpoint: here only that it is about it; OpenSSL says who signed it and when."""
    token = (directory / "checkpoint.tst").read_bytes()
    if hashlib.sha256(note).digest() not in token:
        report.add("time-stamp", "the time-stamp is not over this checkpoint")
        return
    report.notes.append(
        "there is a time-stamp over the checkpoint; to check it: openssl ts -verify -token_in -in checkpoint.tst "
        "-data checkpoint -CAfile ROOTS.pem"
    )


def _walk(
    directory: Path, start: int, stop: int, size: int, root: bytes, tree: _Range, tally: _Tally, report: Report
) -> bool:
    """Read entries, proofs and withheld hashes side by side; True if a disclosed entry was found wrong."""
    entries, proofs = _lines(directory / "entries.jsonl"), _lines(directory / "proofs.jsonl")
    hidden = _lines(directory / "withheld.jsonl") if (directory / "withheld.jsonl").exists() else iter(())
    entry, withheld = next(entries, None), next(hidden, None)
    bad = False
    for index in range(start, stop):
        if withheld is not None and withheld[1]["index"] == index:
            leaf = bytes.fromhex(withheld[1]["leaf"])
            if len(leaf) != 32:
                raise Defect("hash-format", "a withheld leaf is not 32 bytes")
            tally.withhold(index, withheld[1]["reason"])
            tree.add(0, leaf)
            withheld = next(hidden, None)
            continue
        if entry is None:
            raise Defect("entry-missing", f"entry {index} is missing (entries.jsonl ends)")
        number, value, data = entry
        if set(value) != {"entry", "index", "time_ms"}:
            raise Defect("leaf-format", f"entries.jsonl line {number} is not a leaf")
        if value["index"] != index:
            code = "entry-missing" if value["index"] > index else "entry-order"
            raise Defect(code, f"entry {index} is expected, line {number} holds {value['index']}")
        leaf = hashlib.sha256(b"\x00" + data).digest()
        proof = next(proofs, None)
        if proof is None or proof[1]["index"] != index:
            report.add("proof-missing", f"entry {index} has no inclusion proof")
            bad = True
        elif _included(leaf, index, size, [_hash(h) for h in proof[1]["hashes"]]) != root:
            report.add("entry-altered", f"entry {index} or its proof was altered: it is not in the signed tree")
            bad = True
        tree.add(0, leaf)
        tally.add(index, value["time_ms"], value["entry"], leaf)
        entry = next(entries, None)
    if entry is not None or withheld is not None or next(proofs, None) is not None:
        report.add("entry-extra", "there are entries, hashes or proofs beyond the range")
        bad = True
    return bad


class _Tally:
    """Counts, gaps and order over the disclosed entries."""

    def __init__(self, wanted: dict[str, Any], start: int, report: Report) -> None:
        self.start, self.end, self.tenant = wanted["start_ms"], wanted["end_ms"], wanted["tenant"]
        self.first = start
        self.report = report
        self.disclosed = 0
        self.hidden = 0
        self.last_ms = 0
        self.events: dict[str, int] = {}
        self.leaves: list[bytes] = []
        self.pruned: list[list[int]] = []
        self.open: dict[int, tuple[str, str]] = {}
        self.down: dict[str, tuple[int, int]] = {}
        self.outages: list[dict[str, Any]] = []

    def withhold(self, index: int, reason: str) -> None:
        if reason == "pruned":
            if self.pruned and self.pruned[-1][1] == index:
                self.pruned[-1][1] = index + 1
            else:
                self.pruned.append([index, index + 1])
        elif reason == "tenant" and self.tenant:
            self.hidden += 1
        else:
            self.report.add("withheld-reason", f"entry {index} is withheld without a reason the filter gives")

    def add(self, index: int, ms: int, entry: dict[str, Any], leaf: bytes) -> None:
        add = self.report.add
        self.disclosed += 1
        self.leaves.append(leaf[:8])
        if ms < self.last_ms:
            add("back-dated", f"entry {index} is dated before the entry in front of it")
        self.last_ms = max(self.last_ms, ms)
        if (self.start is not None and ms < self.start) or (self.end is not None and ms >= self.end):
            add("outside-period", f"entry {index} is outside the period the manifest states")
        if self.tenant and entry.get("tenant", self.tenant) != self.tenant:
            add("tenant", f"entry {index} belongs to another tenant")
        event = str(entry.get("event", ""))
        if entry.get("schema") != ENTRY_SCHEMA and "schema" in entry:
            self.report.notes.append(f"entry {index} has another schema: {entry['schema']!r}")
        self.events[event] = self.events.get(event, 0) + 1
        if event == "generation.opened":
            self.open[index] = (str(entry.get("request_id", "")), str(entry.get("tenant", "")))
        elif event in FINAL:
            self.close(index, event, entry)
        elif event == "filter.unavailable":
            self.down.setdefault(str(entry.get("classifier")), (index, ms))
        elif event == "filter.restored":
            began = self.down.pop(str(entry.get("classifier")), None)
            if began:
                self.outages.append(self.outage(str(entry.get("classifier")), *began, index, ms))

    def close(self, index: int, event: str, entry: dict[str, Any]) -> None:
        before = entry.get("opened_index", -1)
        found = self.open.pop(before, None)
        if found is None:
            if event == "generation.released" and (before < 0 or before >= self.first):
                self.report.add("release-without-intent", f"entry {index} releases what no open request asked for")
        elif found[0] != str(entry.get("request_id", "")):
            self.report.add("release-without-intent", f"entry {index} closes the request of another id")

    @staticmethod
    def outage(name: str, index: int, ms: int, end: int, end_ms: int) -> dict[str, Any]:
        return {"classifier": name, "from_index": index, "from_ms": ms, "to_index": end, "to_ms": end_ms}

    def counts(self) -> dict[str, Any]:
        pruned = sum(b - a for a, b in self.pruned)
        return {"disclosed": self.disclosed, "withheld": self.hidden, "pruned": pruned, "events": self.events}

    def gaps(self) -> dict[str, Any]:
        running = [self.outage(name, index, ms, -1, -1) for name, (index, ms) in sorted(self.down.items())]
        return {"unfinished": sorted(self.open), "filter_outages": self.outages + running, "pruned": self.pruned}


def _check_views(directory: Path, present: set[str], leaves: list[bytes], report: Report) -> None:
    """Rows of the views name the leaves they stand for, in order; their other columns rest on the manifest."""
    found: dict[str, Iterator[str]] = {}
    if "entries.csv" in present:
        found["entries.csv"] = _csv_hashes(directory / "entries.csv")
    if "entries.ocsf.jsonl" in present:
        found["entries.ocsf.jsonl"] = (v["metadata"]["uid"] for _, v, _ in _lines(directory / "entries.ocsf.jsonl"))
    for name, hashes in found.items():
        count = 0
        for text in hashes:
            if count >= len(leaves) or bytes.fromhex(text)[:8] != leaves[count]:
                report.add("view", f"row {count + 1} of {name} is not the entry that stands there")
                break
            count += 1
        else:
            if count != len(leaves):
                report.add("view", f"{name} has {count} rows for {len(leaves)} entries")


def _csv_hashes(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["leaf_hash"]


def _check_history(
    directory: Path,
    manifest: dict[str, Any],
    present: set[str],
    previous: Path | None,
    head: tuple[str, int, bytes],
    keys: list[LogKey],
    report: Report,
) -> None:
    origin, size, root = head
    before = manifest["previous"]
    if before is not None:
        path = [_hash(h) for h in before["consistency"]]
        if not 0 <= before["size"] <= size or not _consistent(before["size"], _hash(before["root"]), size, root, path):
            report.add("consistency", "the previous export's tree is not a prefix of this one: the log was rewritten")
    if previous is not None:
        old = _checkpoint((previous / "checkpoint").read_bytes())
        if before is None or (origin, before["size"], _hash(before["root"])) != old:
            report.add("fork", "this export does not continue the previous one")
    if "checkpoints.jsonl" not in present:
        return
    for number, line, _ in _lines(directory / "checkpoints.jsonl"):
        kept = line["note"].encode()
        name, old_size, old_root = _checkpoint(kept)
        path = [_hash(h) for h in line["consistency"]]
        if name != origin or old_size != line["size"] or old_size > size:
            report.add("fork", f"kept checkpoint {number} is not one of this log")
        elif not _consistent(old_size, old_root, size, root, path):
            report.add(
                "fork", f"the kept checkpoint of size {old_size} is not a prefix: the log was rewritten or forked"
            )
        try:
            if keys and not any([key.signed(kept, origin) for key in keys]):
                report.notes.append(f"the kept checkpoint of size {old_size} is signed by a key that was not given")
        except Defect as defect:
            report.add("checkpoint-signature", f"kept checkpoint {number}: {defect}")


def as_json(report: Report) -> dict[str, Any]:
    """The report for machines."""
    return {
        "ok": report.ok,
        "conclusion": report.conclusion,
        "origin": report.origin,
        "origin_established": report.origin_established,
        "manifest_signed": report.manifest_signed,
        "size": report.size,
        "range": [report.start, report.stop],
        "disclosed": report.disclosed,
        "findings": [{"code": code, "text": text} for code, text in report.findings],
        "notes": list(dict.fromkeys(report.notes)),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run as a command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="standalone.py", description="Check a GenSafe audit export alone.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--log-key", type=Path, help="the log's public key: vkey, PEM or hex; got out of band")
    parser.add_argument("--previous", type=Path, help="an earlier export that this one must continue")
    parser.add_argument("--json", action="store_true")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as end:
        return 0 if end.code == 0 else 64
    if not options.directory.is_dir():
        print(f"{options.directory}: not a folder", file=sys.stderr)
        return 3
    try:
        keys = read_keys(options.log_key) if options.log_key else []
    except (OSError, ValueError) as error:
        print(f"the log key cannot be read: {error}", file=sys.stderr)
        return 3
    report = verify(options.directory, keys, options.previous)
    if options.json:
        print(json.dumps(as_json(report), indent=2))
    else:
        print(f"{options.directory}: {report.conclusion}")
        print(f"  entries {report.start} to {report.stop} of a tree of {report.size}, {report.disclosed} disclosed")
        for code, text in report.findings:
            print(f"  FAIL {code}: {text}")
        for note in dict.fromkeys(report.notes):
            print(f"  note: {note}")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
