"""Check an audit export alone: ``python standalone.py DIR [--log-key FILE] [--previous DIR] [--json]``.

This file needs Python 3.11 and ``cryptography`` and nothing else of GenSafe: copy it to where the auditor works. (A
Parquet view is compared only where ``pyarrow`` is installed, in a process of its own.) It reads docs/audit-format.md's
format. It is written apart from the code that makes exports, on purpose, so that one mistake does not hide in both.

What it establishes, with the log's key: the disclosed entries are exactly those of the signed tree, in order, complete
for the range; the manifest and the checkpoint are signed under that key; counts, gaps and every cell of the views are
those of the entries; earlier checkpoints are prefixes. Without the key: only that all of this is consistent, which
whoever made the folder could arrange. It cannot show that what was logged is what happened.

Nothing in the folder is trusted: only regular files are opened, every read has a bound, and whatever cannot be read is
a finding that names the file.

Exit status: 0 valid, 1 not valid, 2 consistent but origin not established (or a file was not examined), 3 not a
readable bundle, 64 usage, 74 the answer could not be written.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

FORMATS = ("gensafe.audit.export/1", "gensafe.audit.export/2")
ENTRY_SCHEMA = "gensafe.audit.entry/1"
FINAL = {f"generation.{end}" for end in ("released", "blocked", "cancelled", "failed", "aborted")}
REQUIRED = ("manifest.json", "checkpoint", "entries.jsonl", "proofs.jsonl")
UNLISTED = {"manifest.json", "manifest.note", "checkpoint.tst"}  # they speak for themselves
EMPTY_ROOT = hashlib.sha256(b"").digest()
BUNDLE = 256  # entries that retention forgets at once (C2SP tlog-tiles: width of an entry bundle)

# Bounds. Those of the format are from docs/audit-format.md, the others are far above what an honest export has.
MAX_FINDINGS = 50
MAX_FILES = 64  # in the folder; an export has about ten
MAX_LEAF = 65_535  # tlog-tiles: a leaf's length is 16 bits
MAX_NOTE = 64 << 10  # C2SP signed-note: implementations may refuse more
MAX_SIGNATURES = 64  # of one note: as ``note.MAX_SIGNATURES``
MAX_PATH = 64  # hashes of a proof: a tree has less than 2^64 leaves
MAX_MANIFEST = 16 << 20  # 16 MiB
MAX_KEY_FILE = 64 << 10  # 64 KiB; a key in PEM has a few hundred bytes
MAX_SMALL_LINE = 256 << 10  # proofs, withheld hashes, kept checkpoints: a note in JSON and a proof
MAX_ROW = 1 << 20  # a row of a view: several copies of a leaf's fields
MAX_OTHER = 8 << 30  # bytes of files that are only hashed, together
MAX_INT = 2**53 - 1  # the greatest integer that every JSON reader keeps exactly (RFC 8785, RFC 7493 section 2.2)
MAX_OPEN = 2_000_000  # open requests and outages that are kept in memory; a manifest of 16 MiB cannot list more
PARQUET_SECONDS = 600  # a round number, not measured
FAR_TOO_LONG = re.compile(rb"[0-9]{16}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # of Windows
HEX = re.compile(r"[0-9a-f]{64}")


class Defect(Exception):
    """The export is not valid; ``code`` names the defect."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Unreadable(Exception):
    """This is no bundle that can be judged."""


class Enough(Exception):
    """So many findings that more say nothing new."""


@dataclass
class Report:
    """Findings as (code, text); empty = consistent. ``origin_established``: a given key signed it all."""

    directory: str
    origin: str = ""
    size: int = 0
    start: int = 0
    stop: int = 0
    disclosed: int = 0
    disclosure: str = ""
    signer: str = ""
    manifest_signed: bool = False
    origin_established: bool = False
    unreadable: str = ""
    findings: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unexamined: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against the export. Only with ``origin_established`` does it hold."""
        return not self.findings and not self.unreadable

    def add(self, code: str, text: str) -> None:
        """Record a defect.

        Raises:
            Enough: there are as many as are listed.
        """
        self.findings.append((code, text))
        if len(self.findings) >= MAX_FINDINGS:
            raise Enough

    def note(self, text: str) -> None:
        """Record what is no defect and a reader should know."""
        if text not in self.notes and len(self.notes) < MAX_FINDINGS:
            self.notes.append(text)

    @property
    def status(self) -> int:
        """The exit status: 0 valid, 1 not valid, 2 consistent only, 3 not a readable bundle."""
        if self.unreadable:
            return 3
        if self.findings:
            return 1
        return 0 if self.origin_established and not self.unexamined else 2

    @property
    def conclusion(self) -> str:
        """One line for a person."""
        if self.unreadable:
            return f"not a readable bundle: {self.unreadable}"
        if not self.ok:
            return f"not valid: {', '.join(dict.fromkeys(code for code, _ in self.findings))}"
        if not self.origin_established:
            return "consistent, origin not established"
        if self.unexamined:
            return f"consistent, signed by {self.origin}, but not examined: {', '.join(self.unexamined)}"
        return f"valid, signed by {self.origin}"

    @property
    def range_text(self) -> str:
        """The range as people count: both ends included."""
        if self.start >= self.stop:
            return f"no entries of a tree of {self.size}"
        return f"entries {self.start} to {self.stop - 1} of a tree of {self.size}, {self.disclosed} disclosed"


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

    @property
    def fingerprint(self) -> str:
        """What a bundle names its signer by: SHA-256 of the 32 bytes of the public key."""
        return "sha256:" + hashlib.sha256(self.raw).hexdigest()

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
    """Keys from a file: vkey lines (name+id+base64), PEM, 64 hex digits, or what ``gensafe audit checkpoint`` printed.

    Raises:
        OSError: the file cannot be read.
        ValueError: there is no such key in it.
    """
    with path.open("rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a file")
        data = file.read(MAX_KEY_FILE + 1)
    if len(data) > MAX_KEY_FILE:
        raise ValueError("the file is too large for keys")
    text = data.decode("utf-8")
    if "-----BEGIN" in text:
        key = load_pem_public_key(data)
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("not an Ed25519 key")
        return [LogKey("", key.public_bytes_raw())]
    lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
    if not lines:
        raise ValueError("no key in the file")
    printed = [line.removeprefix("key: ") for line in lines if line.startswith("key: ")]
    return [_key(line) for line in printed or lines]


def _key(line: str) -> LogKey:
    """One key as 64 hex digits or as a vkey (C2SP signed-note).

    Raises:
        ValueError: neither.
    """
    if re.fullmatch(r"[0-9a-fA-F]{64}", line):
        return LogKey("", bytes.fromhex(line))
    name, key_id, material = line.split("+", 2)
    raw_key = base64.b64decode(material, validate=True)
    wanted = hashlib.sha256(name.encode() + b"\n" + raw_key).digest()[:4].hex()
    if not name or len(raw_key) != 33 or raw_key[0] != 1 or key_id != wanted:
        raise ValueError("not an Ed25519 verifier key")
    return LogKey(name, raw_key[1:])


def _split_note(note: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    cut = note.rfind(b"\n\n")
    if cut < 0 or not note.endswith(b"\n") or len(note) > MAX_NOTE:
        raise Defect("note-format", "not a signed note")
    lines = []
    try:
        if any(c < " " and c != "\n" for c in note.decode("utf-8")):
            raise ValueError
        for line in note[cut + 2 :].decode("utf-8").removesuffix("\n").split("\n"):
            dash, name, signature = line.split(" ")
            raw = base64.b64decode(signature, validate=True)
            if dash != "—" or base64.b64encode(raw).decode() != signature or len(raw) < 5 or not name or "+" in name:
                raise ValueError
            lines.append((name, raw))
    except ValueError:
        raise Defect("note-format", "a signature line is malformed") from None
    if len(lines) > MAX_SIGNATURES:
        raise Defect("note-format", "a note has too many signatures")
    return note[: cut + 1], lines


def _checkpoint(note: bytes) -> tuple[str, int, bytes]:
    text, _ = _split_note(note)
    try:
        origin, size, root, *rest = text.decode("utf-8").split("\n")
        if not origin or rest[-1:] != [""] or "" in rest[:-1] or not re.fullmatch(r"0|[1-9][0-9]{0,15}", size):
            raise ValueError
        if int(size) > MAX_INT:
            raise ValueError
        return origin, int(size), _hash(root)
    except (ValueError, Defect):
        raise Defect("checkpoint-format", "the checkpoint is malformed") from None


# --- strict JSON ---


def _no_float(text: str) -> object:
    raise ValueError(f"number {text[:40]} is not an integer")


def _small_int(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INT:
        raise ValueError("an integer is beyond 2^53")
    return int(text)


def _ascii_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if not all(key.isascii() for key, _ in pairs):
        raise ValueError("a key is not ASCII")
    return dict(pairs)


ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _dump(value: object) -> bytes:
    return ENCODER.encode(value).encode("utf-8")


def _canonical(data: bytes, what: str) -> Any:  # noqa: ANN401 - JSON
    """Parse the canonical profile: no floats, no doubled keys, no white space, integers within 2^53, ASCII keys."""
    slow: dict[str, Any] = {} if data.isascii() else {"object_pairs_hook": _ascii_keys}
    if FAR_TOO_LONG.search(data):
        slow["parse_int"] = _small_int
    try:
        value = json.loads(data.decode("utf-8"), parse_float=_no_float, parse_constant=_no_float, **slow)
        again = _dump(value)
    except (ValueError, RecursionError):
        raise Defect("json", f"{what} is not JSON of the canonical profile") from None
    if again != data:
        raise Defect("not-canonical", f"{what} is not in canonical form")
    return value


def _hash(text: object) -> bytes:
    try:
        digest = base64.b64decode(text, validate=True) if isinstance(text, str) and len(text) == 44 else b""
    except ValueError:
        digest = b""
    if len(digest) != 32 or base64.b64encode(digest).decode() != text:
        raise Defect("hash-format", "a hash is not 32 bytes of base64")
    return digest


def _hashes(value: object) -> list[bytes]:
    if not isinstance(value, list) or len(value) > MAX_PATH:
        raise Defect("hash-format", f"a proof is not a list of at most {MAX_PATH} hashes")
    return [_hash(text) for text in value]


def _count(value: object, what: str) -> int:
    """A number of entries. True is not one, though Python takes it for 1."""
    if type(value) is not int or not 0 <= value <= MAX_INT:
        raise Defect("structure", f"{what} is not a number of entries")
    return value


def _fields(value: object, names: set[str], what: str) -> dict[str, Any]:
    """An object with exactly these fields."""
    if not isinstance(value, dict) or set(value) != names:
        found = set(value) if isinstance(value, dict) else set()
        odd = ", ".join(sorted(found ^ names)[:5])
        raise Defect("structure", f"{what} lacks a field, or has one that is not defined: {odd or 'not an object'}")
    return value


# --- the folder: only regular files, only as much as the format allows ---


class Folder:
    """A bundle's folder. ``reading`` is the file that was opened last, for error messages."""

    def __init__(self, path: Path) -> None:
        self.path, self.reading, self.hashed = path, "", 0
        self.closing = ExitStack()
        self.names: set[str] = set()
        self.special: dict[str, str] = {}
        with os.scandir(path) as found:
            for entry in found:
                if len(self.names) + len(self.special) >= MAX_FILES:
                    raise Defect("too-many-files", f"there are more than {MAX_FILES} files")
                if entry.is_symlink():
                    self.special[entry.name] = "a link"
                elif entry.is_dir(follow_symlinks=False):
                    self.special[entry.name] = "a folder"
                elif entry.is_file(follow_symlinks=False):
                    self.names.add(entry.name)
                else:
                    self.special[entry.name] = "a device, pipe or socket"

    def open(self, name: str) -> IO[bytes]:
        """Open a regular file; one that was swapped for something else meanwhile is refused, never waited for."""
        self.reading = name
        if name not in self.names:
            raise Defect("file-missing", f"{name} is missing")
        flags = os.O_RDONLY
        for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
            flags |= getattr(os, flag, 0)
        number = os.open(self.path / name, flags)
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise Defect("special-file", f"{name} is not a regular file")
        return self.closing.enter_context(os.fdopen(number, "rb"))

    def read(self, name: str, limit: int) -> bytes:
        """A whole small file."""
        with self.open(name) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise Defect("file-too-large", f"{name} has more than {limit} bytes")
        return data

    def digest(self, name: str) -> str:
        """Digest of a file that is not otherwise read."""
        with self.open(name) as file:
            self.hashed += os.fstat(file.fileno()).st_size
            if self.hashed > MAX_OTHER:
                raise Defect("file-too-large", f"{name} makes more than {MAX_OTHER >> 30} GiB of files to hash")
            sha = hashlib.sha256()
            left = MAX_OTHER
            while left > 0 and (block := file.read(1 << 20)):
                sha.update(block)
                left -= len(block)
        return "sha256:" + sha.hexdigest()


class Lines:
    """A file read line by line, once; ``digest`` is that of the file when ``ended``."""

    def __init__(self, folder: Folder, name: str, longest: int) -> None:
        self.folder, self.name, self.longest = folder, name, longest
        self.number, self.ended = 0, False
        self._sha = hashlib.sha256()
        self._file: IO[bytes] | None = folder.open(name)

    def next(self) -> bytes | None:
        """The next line without its newline; None at the end. After a Defect there is no more."""
        if self._file is None:
            return None
        self.folder.reading = self.name
        line = self._file.readline(self.longest + 2)
        self._sha.update(line)
        if line:
            self.number += 1
            if line.endswith(b"\n"):
                return line[:-1]
        self._file.close()
        self._file = None
        if line:
            raise Defect("cut-line", f"{self.name} line {self.number} is cut short or too long")
        self.ended = True
        return None

    @property
    def digest(self) -> str:
        """Digest of what was read."""
        return "sha256:" + self._sha.hexdigest()


class Records:
    """JSON lines, one ahead: ``value`` and ``data`` of the current line, ``data`` None at the end.

    A line that is no canonical JSON object is a finding; its ``value`` is empty, and reading goes on.
    """

    def __init__(self, folder: Folder, name: str, longest: int, report: Report) -> None:
        self.lines, self.name, self._report = Lines(folder, name, longest), name, report
        self.value: dict[str, Any] = {}
        self.data: bytes | None = b""
        self.step()

    def step(self) -> None:
        """Go to the next line."""
        self.value, self.data = {}, None
        try:
            self.data = self.lines.next()
            if self.data is not None:
                value = _canonical(self.data, self.where)
                if not isinstance(value, dict):
                    raise Defect("structure", f"{self.where} is not an object")
                self.value = value
        except Defect as defect:
            self._report.add(defect.code, str(defect))

    @property
    def where(self) -> str:
        """The line, for people."""
        return f"{self.name} line {self.lines.number}"

    @property
    def index(self) -> int:
        """The entry that the line names, -1 if it names none."""
        index = self.value.get("index")
        return index if type(index) is int else -1


@dataclass(frozen=True)
class Leaf:
    """A disclosed entry in its place."""

    index: int
    ms: int
    entry: dict[str, Any]
    digest: bytes


# --- views: every cell follows from the entries ---

COLUMNS = (
    "index time event tenant request_id record_id modality model model_version weights backend policy_id policy_digest "
    "stage action categories conclusion media_type output_digest output_bytes manifest_digest manifest_signer "
    "development_signer watermark_scheme watermark_level watermark_key_id layers label_profile reason opened_index "
    "leaf_hash"
).split()
COLUMNS_1 = [name for name in COLUMNS if name not in ("stage", "conclusion")]  # of format 1
NUMBERS = {"index", "output_bytes", "opened_index"}
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def _time(ms: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _flat(leaf: Leaf) -> dict[str, str | int | None]:
    """The row that stands for a leaf in CSV and Parquet."""
    entry = leaf.entry

    def inner(name: str) -> dict[str, Any]:
        value = entry.get(name)
        return value if isinstance(value, dict) else {}

    made, out, mark = inner("generation"), inner("output"), inner("watermark")
    manifest, verdict = inner("manifest"), (entry.get("verdicts") or [{}])[-1]
    policy = verdict.get("policy") or inner("policy")
    action = verdict.get("action")
    hits: list[str] = []
    for decision in verdict.get("decisions", []):
        if decision.get("action") == action and decision["category"] not in hits:
            hits.append(decision["category"])
    row: dict[str, Any] = {name: entry.get(name) for name in COLUMNS}
    row |= {"index": leaf.index, "time": _time(leaf.ms), "leaf_hash": leaf.digest.hex(), "action": action}
    row |= {"model": made.get("model", entry.get("model")), "model_version": made.get("model_version")}
    row |= {"weights": made.get("weights"), "backend": made.get("backend")}
    row |= {"policy_id": policy.get("id"), "policy_digest": policy.get("digest"), "categories": " ".join(hits) or None}
    row |= {"media_type": out.get("media_type"), "output_digest": out.get("digest"), "output_bytes": out.get("bytes")}
    row |= {"manifest_digest": manifest.get("digest"), "manifest_signer": manifest.get("signer")}
    row |= {"development_signer": str(manifest["development"]).lower() if "development" in manifest else None}
    row |= {"watermark_scheme": mark.get("scheme"), "watermark_level": mark.get("level")}
    row |= {
        "watermark_key_id": mark.get("key_id"),
        "layers": " ".join(entry["layers"]) if entry.get("layers") else None,
    }
    row |= {"label_profile": inner("labels").get("profile", entry.get("label_profile"))}
    for name, value in row.items():
        if value is not None:
            row[name] = (value if isinstance(value, int) else None) if name in NUMBERS else str(value)
    return row


def _cell(value: str | int | None) -> str:
    """A CSV cell: text that a spreadsheet could take for a formula has an apostrophe in front."""
    if value is None or isinstance(value, int):
        return "" if value is None else str(value)
    text = value.replace("\0", "")
    return "'" + text if text.startswith(FORMULA) or text.lstrip(" ").startswith(FORMULA) else text


# activity_id of OCSF's class API Activity (6003), as ``compliance.exporters.ocsf``
OCSF_ACTIVITY = {
    1: ("Create", "generation.opened generation.released hold.set"),
    2: ("Read", "verify.performed export.made moderation.performed"),
    3: ("Update", "generation.held policy.changed config.changed key.rotated"),
    4: ("Delete", "hold.released log.tombstone"),
}
# severity_id of OCSF, as ``compliance.exporters.ocsf``
OCSF_SEVERITY = {
    2: ("Low", "generation.held log.tombstone"),
    3: ("Medium", "generation.blocked generation.failed generation.aborted misuse.reported"),
    4: ("High", "filter.unavailable"),
}


def _of_table(table: dict[int, tuple[str, str]], event: str, otherwise: tuple[int, str]) -> tuple[int, str]:
    for number, (name, events) in table.items():
        if event in events.split():
            return number, name
    return otherwise


def _ocsf(leaf: Leaf) -> dict[str, Any]:
    """The OCSF event that stands for a leaf: API Activity (6003) with the ai_operation profile."""
    entry, event = leaf.entry, str(leaf.entry.get("event", ""))
    activity, activity_name = _of_table(OCSF_ACTIVITY, event, (99, "Other"))
    severity, severity_name = _of_table(OCSF_SEVERITY, event, (1, "Informational"))
    failed = event in FINAL - {"generation.released"}
    api: dict[str, Any] = {"operation": event, "service": {"name": "gensafe.v1"}}
    if entry.get("request_id"):
        api["request"] = {"uid": str(entry["request_id"])}
    row: dict[str, Any] = {"category_uid": 6, "category_name": "Application Activity"}
    row |= {"class_uid": 6003, "class_name": "API Activity", "type_uid": 600300 + activity}
    row |= {"activity_id": activity, "activity_name": activity_name}
    row |= {"severity_id": severity, "severity": severity_name}
    row |= {"status_id": 2 if failed else 1, "status": "Failure" if failed else "Success", "time": leaf.ms, "api": api}
    row["metadata"] = {
        "version": "1.9.0-dev",
        "profiles": ["ai_operation"],
        "product": {"name": "GenSafe", "vendor_name": "GenSafe"},
        "uid": leaf.digest.hex(),
        "sequence": leaf.index,
        "event_code": event,
        "original_event_uid": str(leaf.index),
    }
    row["actor"] = {"user": {"uid": str(entry.get("actor") or entry.get("tenant") or "")}}
    row["unmapped"] = entry
    if entry.get("reason"):
        row["status_detail"] = str(entry["reason"])
    made = entry.get("generation")
    if isinstance(made, dict):
        names = {"ai_provider": "backend", "name": "model", "version": "model_version", "uid": "weights"}
        row["ai_model"] = {name: str(made.get(of, "")) for name, of in names.items()}
    return row


def _event(leaf: Leaf) -> dict[str, Any]:
    """The row of ``events.jsonl``."""
    row = {"index": leaf.index, "time_ms": leaf.ms, "leaf_hash": leaf.digest.hex(), "entry": leaf.entry}
    return {**row, "time": _time(leaf.ms)}


Row = dict[str, Any]


class View:
    """A view, read beside the entries. ``rows`` yields what the file has, ``wanted`` says what a leaf gives.

    A wrong cell is a finding and reading goes on; a row of another entry ends the comparison.
    """

    def __init__(self, name: str, rows: Iterator[Row], wanted: Callable[[Leaf], Row], report: Report) -> None:
        self.name, self._rows, self._wanted, self._report = name, rows, wanted, report
        self._row, self._wrong, self._over = 0, 0, False

    def compare(self, leaf: Leaf) -> None:
        """Read the next row and compare it with the leaf."""
        if self._over:
            return
        self._row += 1
        row = self._next()
        if row is None:
            if not self._over:
                self._stop(f"{self.name} has {self._row - 1} rows and more entries")
            return
        try:
            wanted = self._wanted(leaf)
        except Exception:  # an entry of a shape that no exporter could have written a row for
            self._stop(f"row {self._row} of {self.name} cannot follow from entry {leaf.index}")
            return
        if row == wanted and (_is_text(row) or _dump(row) == _dump(wanted)):
            return
        odd = [name for name in {**wanted, **row} if _differ(row.get(name, ...), wanted.get(name, ...))]
        if _stands_for(row) != leaf.digest.hex():
            self._stop(f"row {self._row} of {self.name} is not the entry that stands there")
        elif odd and self._wrong < 5:
            self._wrong += 1
            self._report.add(
                "view", f"row {self._row} of {self.name}: {', '.join(odd[:5])} not as in entry {leaf.index}"
            )

    def finish(self) -> bool:
        """After the last entry; True if the file was read to its end."""
        if not self._over and self._next() is not None:
            self._stop(f"{self.name} has more rows than there are entries")
        return not self._over

    def _next(self) -> Row | None:
        try:
            return next(self._rows, None)
        except Defect as defect:
            self._stop(str(defect), defect.code)
        except (csv.Error, UnicodeDecodeError, ValueError) as error:
            self._stop(f"row {self._row} of {self.name} cannot be read: {error}")
        return None

    def _stop(self, text: str, code: str = "view") -> None:
        self._over = True
        self._report.add(code, text)


def _stands_for(row: Row) -> object:
    """The leaf hash that a row names."""
    about = row.get("metadata")
    return row.get("leaf_hash", about.get("uid") if isinstance(about, dict) else None)


def _is_text(row: Row) -> bool:
    """Whether equality says all: true equals 1, text equals only itself."""
    return all(type(cell) is str for cell in row.values())


def _differ(got: object, wanted: object) -> bool:
    if got is ... or wanted is ...:
        return True
    return (
        got != wanted
        or (type(got) is not type(wanted))
        or (isinstance(got, dict | list) and _dump(got) != _dump(wanted))
    )


def _csv_rows(lines: Lines, columns: list[str]) -> Iterator[Row]:
    """Rows of a CSV with exactly these columns; no row, however many lines it has, is longer than MAX_ROW."""
    size = 0

    def texts() -> Iterator[str]:
        nonlocal size
        while (line := lines.next()) is not None:
            size += len(line)
            if size > MAX_ROW:
                raise Defect("view", f"a row of {lines.name} is too long")
            yield (line + b"\n").decode("utf-8")

    csv.field_size_limit(131_072)  # two times the longest leaf
    rows = csv.reader(texts(), strict=True)
    if next(rows, None) != columns:
        raise Defect("view", f"{lines.name} has other columns than those of its format")
    size = 0
    for cells in rows:
        if len(cells) != len(columns):
            raise Defect("view", f"a row of {lines.name} has {len(cells)} cells for {len(columns)} columns")
        yield dict(zip(columns, cells, strict=True))
        size = 0


def _json_rows(lines: Lines) -> Iterator[Row]:
    while (line := lines.next()) is not None:
        yield _fields_any(_canonical(line, f"{lines.name} line {lines.number}"), lines)


def _fields_any(value: object, lines: Lines) -> Row:
    if not isinstance(value, dict):
        raise Defect("view", f"{lines.name} line {lines.number} is not an object")
    return value


# Run in a process of its own: a library that reads a hostile file may crash or take all memory. Prints a list per row.
PARQUET = """
import json, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
except (ImportError, ValueError, OSError):
    pass
import pyarrow as pa, pyarrow.parquet as pq
pa.set_memory_pool(pa.system_memory_pool())
file = pq.ParquetFile(sys.argv[1], memory_map=False)
print(json.dumps([[f.name, str(f.type)] for f in file.schema_arrow]))
for batch in file.iter_batches(batch_size=1024, use_threads=False):
    columns = [c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in batch.columns]
    for row in zip(*[c.to_pylist() for c in columns]):
        print(json.dumps(row))
print("null")
"""


def _parquet_rows(path: Path, columns: list[str]) -> Generator[Row, None, None]:
    """Rows of a Parquet file as ``_flat`` has them, with ``time`` in milliseconds."""
    command = [sys.executable, "-c", PARQUET, str(path)]
    quiet = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, **quiet)  # type: ignore[call-overload]  # noqa: S603
    watch = threading.Timer(PARQUET_SECONDS, child.kill)
    watch.start()
    broken = Defect("view", f"{path.name} cannot be read as Parquet")
    try:
        types = {name: "int64" if name in NUMBERS else "string" for name in columns}
        types |= {"time": "timestamp[ms, tz=UTC]"} if "stage" in columns else {}
        kinds = [[name, types[name]] for name in columns]
        if _child_line(child.stdout, broken) != kinds:
            raise Defect("view", f"{path.name} has other columns than those of its format")
        while (cells := _child_line(child.stdout, broken)) is not None:
            yield dict(zip(columns, cells, strict=True))
    finally:
        watch.cancel()
        child.kill()
        child.wait()
        child.stdout.close()


def _check_parquet(folder: Folder, name: str) -> None:
    """Refuse what is certainly no Parquet file (it begins and ends with PAR1) without starting a process for it."""
    with folder.open(name) as file:
        size = os.fstat(file.fileno()).st_size
        ends = file.read(4) if size >= 12 else b""
        file.seek(max(size - 4, 0))
        if ends + file.read(4) != b"PAR1PAR1" or size > MAX_OTHER:
            raise Defect("view", f"{name} is not a Parquet file of a size that is read here")


def _child_line(stream: IO[bytes], broken: Defect) -> Any:  # noqa: ANN401 - JSON
    line = stream.readline(4 * MAX_ROW)
    if not line.endswith(b"\n"):
        raise broken
    return json.loads(line)


def _has_pyarrow() -> bool:
    from importlib.util import find_spec

    return find_spec("pyarrow") is not None


class Views:
    """All views of a bundle that are known here, and those that are not."""

    def __init__(self, folder: Folder, listed: dict[str, str], version: int, report: Report) -> None:
        self._folder, self._listed, self._report = folder, listed, report
        self._views: list[tuple[View, Lines | None]] = []
        columns = COLUMNS_1 if version == 1 else COLUMNS
        for name in sorted(set(listed) & folder.names):
            if name == "entries.csv":
                lines = Lines(folder, name, MAX_ROW)
                self._add(name, _csv_rows(lines, columns), lambda leaf: _csv_row(leaf, columns), lines)
            elif name == "entries.ocsf.jsonl":
                lines = Lines(folder, name, MAX_ROW)
                self._add(name, _json_rows(lines), _ocsf, lines)
            elif name == "events.jsonl":
                lines = Lines(folder, name, MAX_ROW)
                self._add(name, _json_rows(lines), _event, lines)
            elif name == "entries.parquet" and _has_pyarrow():
                try:
                    _check_parquet(folder, name)
                except Defect as defect:
                    report.add(defect.code, str(defect))
                    continue
                rows = _parquet_rows(folder.path / name, columns)
                folder.closing.callback(rows.close)
                self._add(name, rows, lambda leaf: _parquet_row(leaf, columns), None)
            elif name not in (*REQUIRED, "withheld.jsonl", "checkpoints.jsonl"):
                report.unexamined.append(name)
                why = "needs pyarrow" if name == "entries.parquet" else "is not of a format that is known here"
                report.note(f"{name} {why}: only its digest was compared, what it says was not examined")

    def _add(self, name: str, rows: Iterator[Row], wanted: Callable[[Leaf], Row], lines: Lines | None) -> None:
        self._views.append((View(name, rows, wanted, self._report), lines))

    def compare(self, leaf: Leaf) -> None:
        """The next disclosed entry."""
        for view, _ in self._views:
            view.compare(leaf)

    def finish(self) -> dict[str, str]:
        """Digests of the views that were read to their end."""
        done = {}
        for view, lines in self._views:
            if view.finish() and lines is not None:
                done[view.name] = lines.digest
        return done


def _csv_row(leaf: Leaf, columns: list[str]) -> Row:
    flat = _flat(leaf)
    return {name: _cell(flat[name]) for name in columns}


def _parquet_row(leaf: Leaf, columns: list[str]) -> Row:
    flat = _flat(leaf)
    return {name: leaf.ms if name == "time" and "stage" in columns else flat[name] for name in columns}


# --- what the entries say ---


class Tally:
    """Counts, gaps and order over the entries of the range."""

    def __init__(self, wanted: dict[str, Any], disclosure: str, report: Report) -> None:
        self.start, self.end, self.tenant = wanted["start_ms"], wanted["end_ms"], wanted["tenant"]
        self.disclosure, self.report = disclosure, report
        self.disclosed = self.hidden = self.last_ms = 0
        self.ahead: int | None = None  # the first entry after the period that no correction of the clock explains yet
        self.forgotten_before = 0  # what tombstones of retention say
        self.events: dict[str, int] = {}
        self.pruned: list[list[int]] = []
        self.open: dict[int, bytes] = {}
        self.down: dict[str, tuple[int, int]] = {}
        self.outages: list[dict[str, Any]] = []

    def withhold(self, index: int, reason: object) -> None:
        """An entry that is present as a hash only."""
        if reason == "pruned":
            if self.pruned and self.pruned[-1][1] == index:
                self.pruned[-1][1] = index + 1
            else:
                self.pruned.append([index, index + 1])
                if len(self.pruned) > MAX_FINDINGS:
                    raise Defect("withheld-reason", "pruned entries are not whole bundles from the start")
        elif reason == "tenant" and self.disclosure != "complete":
            self.hidden += 1
        else:
            self.report.add("withheld-reason", f"entry {index} is withheld without a reason the filter gives")

    def add(self, leaf: Leaf) -> None:
        """A disclosed entry."""
        add, index, entry = self.report.add, leaf.index, leaf.entry
        self.disclosed += 1
        self._date(leaf)
        if self.disclosure != "complete" and entry.get("tenant", "") not in ("", self.tenant):  # none: in every export
            add("tenant", f"entry {index} belongs to another tenant")
        if entry.get("schema") != ENTRY_SCHEMA and "schema" in entry:
            self.report.note(f"entry {index} has another schema: {str(entry['schema'])[:80]!r}")
        event = str(entry.get("event", ""))
        self.events[event] = self.events.get(event, 0) + 1
        if len(self.events) > 1000 or len(self.open) + len(self.outages) + len(self.down) > MAX_OPEN:
            raise Defect("gaps", "there are more kinds of events or open matters than a log has")
        self._follow(event, leaf)

    def _date(self, leaf: Leaf) -> None:
        """Times go back only where the log says that a clock that was ahead was put right.

        What that clock stamped counts as made before the correction.
        """
        add, index, ms, entry = self.report.add, leaf.index, leaf.ms, leaf.entry
        if entry.get("event") == "clock.corrected" and entry.get("to_ms") == ms and _is_int(entry.get("from_ms")):
            if not ms < entry["from_ms"] or entry["from_ms"] < self.last_ms:
                add("back-dated", f"entry {index} corrects the clock from a time that was not reached")
            self.last_ms, self.ahead = ms, None
            self.report.note(f"entry {index}: the clock was ahead and was put right")
        elif ms < self.last_ms:
            add("back-dated", f"entry {index} is dated before the entry in front of it")
        self.last_ms = max(self.last_ms, ms)
        if self.start is not None and ms < self.start:
            add("outside-period", f"entry {index} is outside the period the manifest states")
        elif self.end is not None and ms >= self.end and self.ahead is None:
            self.ahead = index

    def check_period(self) -> None:
        """No entry is after the period, unless its clock was put right."""
        if self.ahead is not None:
            self.report.add("outside-period", f"entry {self.ahead} is outside the period the manifest states")

    def _follow(self, event: str, leaf: Leaf) -> None:
        index, entry = leaf.index, leaf.entry
        name = str(entry.get("classifier"))[:1000]
        if event == "generation.opened":
            self.open[index] = _brief(entry.get("request_id", ""))
        elif event in FINAL:
            self._close(index, event, entry)
        elif event == "filter.unavailable":
            self.down.setdefault(name, (index, leaf.ms))
        elif event == "filter.restored" and name in self.down:
            self.outages.append(_outage(name, *self.down.pop(name), index, leaf.ms))
        elif event == "log.tombstone" and entry.get("kind") == "retention" and isinstance(entry.get("erased"), dict):
            before = entry["erased"].get("before_index")
            self.forgotten_before = max(self.forgotten_before, before if type(before) is int else 0)

    def _close(self, index: int, event: str, entry: dict[str, Any]) -> None:
        before = entry.get("opened_index", -1)
        before = before if type(before) is int else -1
        found = self.open.pop(before, None)
        if found is None:
            if event == "generation.released" and (before < 0 or before >= self.report.start):
                self.report.add("release-without-intent", f"entry {index} releases what no open request asked for")
        elif found != _brief(entry.get("request_id", "")):
            self.report.add("release-without-intent", f"entry {index} closes the request of another id")

    def check_pruned(self) -> None:
        """Retention forgets whole bundles from the log's start, and writes a tombstone first."""
        if not self.pruned:
            return
        start, stop, size = self.report.start, self.report.stop, self.report.size
        first, last = self.pruned[0]
        aligned = last % BUNDLE == 0 or (last == stop and -(-stop // BUNDLE) * BUNDLE <= size)
        if len(self.pruned) > 1 or first != start or not aligned:
            self.report.add(
                "withheld-reason", "pruned entries are not whole bundles of 256 from the start of the range"
            )
        elif stop == size and self.disclosure == "complete" and self.forgotten_before < last:
            self.report.add("withheld-reason", "entries are withheld as pruned, and no tombstone says that they were")
        else:
            self.report.note(f"{last - first} entries were pruned by retention: only their hashes are left")

    def counts(self) -> dict[str, Any]:
        """As the manifest has them."""
        pruned = sum(b - a for a, b in self.pruned)
        return {"disclosed": self.disclosed, "withheld": self.hidden, "pruned": pruned, "events": self.events}

    def gaps(self) -> dict[str, Any]:
        """As the manifest has them."""
        running = [_outage(name, index, ms, -1, -1) for name, (index, ms) in sorted(self.down.items())]
        return {"unfinished": sorted(self.open), "filter_outages": self.outages + running, "pruned": self.pruned}


def _is_int(value: object) -> bool:
    return type(value) is int


def _brief(request_id: object) -> bytes:
    """A stand-in for a request id, of bounded size."""
    return hashlib.sha256(str(request_id).encode("utf-8", "surrogatepass")).digest()[:16]


def _outage(name: str, index: int, ms: int, end: int, end_ms: int) -> dict[str, Any]:
    return {"classifier": name, "from_index": index, "from_ms": ms, "to_index": end, "to_ms": end_ms}


# --- the procedure of docs/audit-format.md, section "Checking" ---

MANIFEST_1 = set("format origin range filter checkpoint left right counts gaps keys files previous".split())
MANIFEST_2 = MANIFEST_1 | {"disclosure", "signer"}
HOW_TO_GET_THE_KEY = (
    "To establish who made it, get the log's key by another way than this bundle and give it with --log-key FILE: the "
    "operator prints it with `gensafe audit checkpoint`; a witness that cosigned the log's checkpoints knows it too"
)


def verify(directory: Path, keys: list[LogKey] | None = None, previous: Path | None = None) -> Report:
    """Check the export in ``directory``; never raises for what the export holds."""
    report = Report(str(directory))
    folder: Folder | None = None
    with suppress(Enough):
        try:
            folder = Folder(directory)
            _verify(folder, keys or [], previous, report)
        except Defect as defect:
            report.add(defect.code, str(defect))
        except Unreadable as error:
            report.unreadable = str(error)
        except OSError as error:
            name = folder.reading if folder else str(directory)
            if folder is None:
                report.unreadable = f"{error.strerror or 'it cannot be opened'}"
            else:
                report.add("unreadable", f"{name}: {error.strerror or 'it cannot be read'}")
        except Enough:
            pass
        except Exception as error:  # whatever a hostile bundle provokes is a finding, never a traceback
            where = folder.reading if folder else str(directory)
            report.add("structure", f"{where}: a field is missing or of the wrong kind ({type(error).__name__})")
    if folder is not None:
        folder.closing.close()
    return report


def _verify(folder: Folder, keys: list[LogKey], previous: Path | None, report: Report) -> None:
    # 1. the folder: required files, nothing unlisted, names and kinds of files
    raw, manifest, version = _read_manifest(folder)
    listed = _check_files(folder, manifest, report)
    report.disclosure = _disclosure(manifest, version)

    # 2. signatures
    note = folder.read("checkpoint", MAX_NOTE)
    digests = {"checkpoint": "sha256:" + hashlib.sha256(note).hexdigest()}
    origin, size, root = _checkpoint(note)
    report.origin, report.size = origin, size
    if origin != manifest["origin"]:
        report.add("origin", "checkpoint and manifest name different logs")
    if not _same(manifest["checkpoint"], {"size": size, "root": base64.b64encode(root).decode()}):
        report.add("checkpoint-swapped", "the checkpoint is not the one the manifest names")
    _Signatures(folder, manifest, version, report).check(raw, note, keys)
    if "checkpoint.tst" in folder.names:
        _check_time_stamp(folder, note, report)

    # 3. the range recomputes to the signed root; the views follow from it
    span = _fields(manifest["range"], {"start", "stop"}, "the manifest's range")
    report.start, report.stop = _count(span["start"], "range.start"), _count(span["stop"], "range.stop")
    if not report.start <= report.stop <= size:
        raise Defect("range", f"{report.range_text}: there is no such range")
    tally = Tally(_filter(manifest, report), report.disclosure, report)
    views = Views(folder, listed, version, report)
    walk = _Walk(folder, root, tally, views, report)
    walk.run(_hashes(manifest["left"]), _hashes(manifest["right"]))
    digests |= walk.digests | views.finish()

    # 4. what the manifest says about the entries is true
    report.disclosed = tally.disclosed
    tally.check_pruned()
    tally.check_period()
    if not _same(tally.counts(), manifest["counts"]):
        report.add("counts", "the manifest's counts are not those of the entries")
    if not _same(tally.gaps(), manifest["gaps"]):
        report.add("gaps", "the manifest's gaps are not those of the entries")
    if report.disclosure != "complete":
        _tell_scope(report, tally)

    # 5. earlier checkpoints are prefixes
    digests |= _check_history(folder, manifest, previous, (origin, size, root), keys, report)

    # 6. every listed file is the one that is listed
    _check_digests(folder, listed, digests, walk.unfinished, report)


def _read_manifest(folder: Folder) -> tuple[bytes, dict[str, Any], int]:
    """manifest.json: its bytes, its value, the number of its format."""
    if not (set(REQUIRED) | {"manifest.note"}) & (folder.names | set(folder.special)):
        raise Unreadable("none of an export's files is in the folder")
    for name, kind in sorted(folder.special.items()):
        if name in REQUIRED or name in UNLISTED:
            raise Defect("special-file", f"{name} is {kind}, not a regular file")
    for name in REQUIRED:
        if name not in folder.names:
            raise Defect("file-missing", f"{name} is missing")
    raw = folder.read("manifest.json", MAX_MANIFEST)
    manifest = _canonical(raw, "manifest.json")
    if not isinstance(manifest, dict) or manifest.get("format") not in FORMATS:
        raise Defect("format", f"not an export of a format that is known here ({' or '.join(FORMATS)})")
    version = FORMATS.index(manifest["format"]) + 1
    return raw, _fields(manifest, MANIFEST_1 if version == 1 else MANIFEST_2, "manifest.json"), version


def _check_files(folder: Folder, manifest: dict[str, Any], report: Report) -> dict[str, str]:
    """What the folder holds and what the manifest lists; returns the names that may be opened, with their digests."""
    for name, kind in sorted(folder.special.items()):
        report.add("special-file", f"{name} is {kind}, not a regular file")
    listed = manifest["files"]
    if not isinstance(listed, dict) or len(listed) > MAX_FILES:
        raise Defect("structure", "the manifest's files are not a list of names that an export can have")
    for name in sorted(folder.names - set(listed) - UNLISTED):
        report.add("file-unlisted", f"{name} is not in the manifest")
    good: dict[str, str] = {}
    folded: set[str] = set()
    for name, digest in listed.items():
        if not NAME.fullmatch(name) or name.endswith(".") or RESERVED.fullmatch(name) or name.casefold() in folded:
            report.add("file-name", f"{name[:120]!r} cannot name a file of a bundle")
        elif name in UNLISTED or (name.casefold() != name and name.casefold() in {*REQUIRED, *UNLISTED}):
            report.add("file-name", f"{name!r} is not listed in a manifest")
        elif name not in folder.names:
            report.add("file-missing", f"{name} is listed in the manifest and not present")
        elif not isinstance(digest, str) or not digest.startswith("sha256:") or not HEX.fullmatch(digest[7:]):
            report.add("structure", f"the manifest gives no digest of {name}")
        else:
            good[name] = digest
        folded.add(name.casefold())
    if set(REQUIRED) - {"manifest.json"} - set(listed):
        report.add("file-unlisted", "the manifest does not list all required files")
    for name in ("withheld.jsonl", "checkpoints.jsonl"):
        if name in folder.names and name not in good:
            report.add("file-unlisted", f"{name} is not in the manifest")
    return good


def _disclosure(manifest: dict[str, Any], version: int) -> str:
    """Whose entries are disclosed: "complete", "tenant" or "public"."""
    if version == 1:
        return (
            "tenant"
            if _fields(manifest["filter"], {"start_ms", "end_ms", "tenant"}, "filter")["tenant"]
            else "complete"
        )
    if manifest["disclosure"] not in ("complete", "tenant", "public"):
        raise Defect("structure", "the manifest does not say whether it is complete")
    return str(manifest["disclosure"])


def _filter(manifest: dict[str, Any], report: Report) -> dict[str, Any]:
    wanted = _fields(manifest["filter"], {"start_ms", "end_ms", "tenant"}, "the manifest's filter")
    times = [wanted["start_ms"], wanted["end_ms"]]
    if any(ms is not None and type(ms) is not int for ms in times) or not isinstance(wanted["tenant"], str):
        raise Defect("structure", "the manifest's filter has a field of the wrong kind")
    if bool(wanted["tenant"]) != (report.disclosure == "tenant"):
        report.add("disclosure", "the manifest contradicts itself about whether the export is complete")
    return wanted


def _tell_scope(report: Report, tally: Tally) -> None:
    whose = "one tenant and the service's own" if report.disclosure == "tenant" else "the service itself only"
    report.note(
        f"NOT COMPLETE: this export discloses the entries of {whose}; {tally.hidden} of the range are hashes only. "
        "What they say, and that they belong to others, cannot be seen here: it rests on whoever signed the manifest. "
        "Counts and gaps are those of the disclosed entries"
    )


def _same(left: object, right: object) -> bool:
    """Equality of JSON values, in which true is not 1."""
    return _dump(left) == _dump(right)


class _Signatures:
    """Who signed the manifest and the checkpoint."""

    def __init__(self, folder: Folder, manifest: dict[str, Any], version: int, report: Report) -> None:
        self._folder, self._manifest, self._version, self._report = folder, manifest, version, report
        self._signer = self._named_signer() if version > 1 else None
        self._known = self._listed_keys()

    def check(self, raw: bytes, note: bytes, keys: list[LogKey]) -> None:
        """The manifest's note is over ``raw``; with keys, they signed it and the checkpoint ``note``."""
        signature = self._folder.read("manifest.note", MAX_NOTE) if "manifest.note" in self._folder.names else b""
        if signature:
            self._check_text(raw, signature)
        elif "manifest.note" in self._folder.names or keys or self._signer:
            self._report.add("manifest-unsigned", "the manifest is not signed (manifest.note is missing or empty)")
        else:
            self._report.note("the manifest is not signed, and says so: anybody can have chosen what it shows")
        if keys:
            self._under_given(signature, note, keys)
        else:
            self._under_listed(signature, note)

    def _check_text(self, raw: bytes, signature: bytes) -> None:
        text, _ = _split_note(signature)
        if text != f"{FORMATS[self._version - 1]}\nsha256:{hashlib.sha256(raw).hexdigest()}\n".encode():
            self._report.add("manifest-signature", "the signed digest is not that of the manifest")
        if self._version > 1 and not self._signer:
            self._report.add("manifest-signature", "the manifest is signed and names no signer")

    def _under_given(self, signature: bytes, note: bytes, keys: list[LogKey]) -> None:
        checkpoint = self._who("checkpoint-signature", note, keys)
        if checkpoint is None:
            self._report.add("checkpoint-signature", "no given key signed the checkpoint")
        manifest = self._who("manifest-signature", signature, keys) if signature else None
        if signature and manifest is None:
            self._report.add("manifest-signature", f"no given key signed the manifest{self._claim()}")
        elif manifest and self._signer not in (None, manifest.fingerprint):
            self._report.add("manifest-signature", "the manifest names another signer than the key that signed it")
        self._report.manifest_signed = manifest is not None
        self._report.origin_established = checkpoint is not None and manifest is not None

    def _under_listed(self, signature: bytes, note: bytes) -> None:
        """Without a key: the signatures are those of the keys that the bundle itself names. This proves no origin."""
        if signature and self._signer:
            named = [key for key in self._known if key.fingerprint == self._signer]
            if self._who("manifest-signature", signature, named) is None:
                self._report.add("manifest-signature", f"the manifest is not signed by the key it names{self._claim()}")
        if self._known and self._who("checkpoint-signature", note, self._known) is None:
            self._report.note("the checkpoint is not signed by a key that the bundle lists")
        self._report.note(
            f"who made this was not checked, as no log key was given{self._claim()}. {HOW_TO_GET_THE_KEY}"
        )

    def _who(self, code: str, note: bytes, keys: list[LogKey]) -> LogKey | None:
        """The first key that signed; a wrong signature under one's name is a finding."""
        for key in keys:
            try:
                if key.signed(note, self._report.origin):
                    return key
            except Defect as defect:
                self._report.add(code if defect.code == "signature" else defect.code, str(defect))
        return None

    def _claim(self) -> str:
        """What the bundle says about its signer."""
        return f" (the bundle says: {self._report.origin}, key {self._signer})" if self._signer else ""

    def _named_signer(self) -> str | None:
        signer = self._manifest["signer"]
        if signer is None:
            return None
        signer = _fields(signer, {"name", "fingerprint"}, "the manifest's signer")
        text = signer["fingerprint"]
        if not isinstance(text, str) or not text.startswith("sha256:") or not HEX.fullmatch(text[7:]):
            raise Defect("structure", "the manifest's signer has no fingerprint")
        if signer["name"] != self._manifest["origin"]:
            self._report.add("origin", "the manifest is signed under another name than the log's")
        self._report.signer = text
        return text

    def _listed_keys(self) -> list[LogKey]:
        listed = self._manifest["keys"]
        if not isinstance(listed, list) or len(listed) > MAX_PATH:
            raise Defect("structure", "the manifest's keys are not a list of keys that a log can have")
        try:
            return [_key(key) for key in listed]
        except (ValueError, TypeError, AttributeError):
            raise Defect("structure", "a key that the manifest lists is not a verifier key") from None


def _check_time_stamp(folder: Folder, note: bytes, report: Report) -> None:
    """An RFC 3161 token over the checkpoint: here only that it is about it; OpenSSL says who signed it and when."""
    if hashlib.sha256(note).digest() not in folder.read("checkpoint.tst", MAX_NOTE):
        report.add("time-stamp", "the time-stamp is not over this checkpoint")
        return
    report.note(
        "checkpoint.tst names this checkpoint; who issued it and when was not checked. To check it: openssl ts -verify "
        "-token_in -in checkpoint.tst -data checkpoint -CAfile ROOTS.pem"
    )


class _Walk:
    """Reads entries, proofs and withheld hashes side by side, in the order of the log."""

    def __init__(self, folder: Folder, root: bytes, tally: Tally, views: Views, report: Report) -> None:
        self._root, self._tally, self._views, self._report = root, tally, views, report
        self._entries = Records(folder, "entries.jsonl", MAX_LEAF, report)
        self._proofs = Records(folder, "proofs.jsonl", MAX_SMALL_LINE, report)
        self._withheld = None
        if "withheld.jsonl" in folder.names:
            self._withheld = Records(folder, "withheld.jsonl", MAX_SMALL_LINE, report)
        self._tree = _Range()
        self._bad = self._torn = False

    def run(self, left: list[bytes], right: list[bytes]) -> None:
        """Check the range against the root."""
        self._tree.fill(self._report.start, left)
        at = self._report.start
        while at < self._report.stop:
            at = self._step(at)
        if self._left_over():
            self._report.add("entry-extra", "there are entries, hashes or proofs beyond the range")
            self._bad = True
        if self._torn:
            return
        self._tree.fill(self._report.size, right)
        if self._tree.root() != self._root:
            self._report.add("root", "the entries do not lead to the signed root")
            if not self._bad:
                text = "every disclosed entry is in the tree, so a withheld hash or the range is wrong"
                self._report.add("withheld-altered", text)

    @property
    def digests(self) -> dict[str, str]:
        """Digests of the files that were read to their end."""
        return {r.name: r.lines.digest for r in self._records if r.lines.ended}

    @property
    def unfinished(self) -> set[str]:
        """Files that were not read to their end; that is a finding already."""
        return {r.name for r in self._records if not r.lines.ended}

    @property
    def _records(self) -> list[Records]:
        return [r for r in (self._entries, self._proofs, self._withheld) if r is not None]

    def _left_over(self) -> bool:
        return any(r.data is not None for r in self._records)

    def _step(self, at: int) -> int:
        """Take what stands for entry ``at``; returns the next index. Each step takes a line or ends the range."""
        if self._withheld and self._withheld.data is not None and self._withheld.index <= at:
            return self._take_hash(self._withheld, at)
        entries = self._entries
        if entries.data is not None and (not entries.value or entries.index <= at):
            return self._take_entry(at)
        waiting = [r.index for r in (entries, self._withheld) if r and r.data is not None]
        upto = min([*waiting, self._report.stop])
        missing = f"entry {at} is" if upto - at == 1 else f"entries {at} to {upto - 1} are"
        self._report.add("entry-missing", f"{missing} missing")
        self._bad = self._torn = True
        return upto

    def _take_hash(self, record: Records, at: int) -> int:
        value, where = record.value, record.where
        record.step()
        if not value:  # a broken line, which is a finding already
            self._torn = True
            return at + 1
        if set(value) != {"index", "leaf", "reason"} or type(value["index"]) is not int or value["index"] != at:
            self._report.add("entry-order", f"{where} is not a hash for entry {at}")
            self._bad = True
            return at
        if not isinstance(value["leaf"], str) or not HEX.fullmatch(value["leaf"]):
            self._report.add("hash-format", f"{where}: a withheld leaf is not 32 bytes in hexadecimal digits")
            self._torn = True
            return at + 1
        self._tally.withhold(at, value["reason"])
        self._tree.add(0, bytes.fromhex(value["leaf"]))
        return at + 1

    def _take_entry(self, at: int) -> int:
        value, data, where, index = (
            self._entries.value,
            self._entries.data or b"",
            self._entries.where,
            self._entries.index,
        )
        self._entries.step()
        digest = hashlib.sha256(b"\x00" + data).digest()
        if not value:  # a broken line, which is a finding already; its bytes still have a hash
            self._tree.add(0, digest)
            self._bad = True
            return at + 1
        if set(value) != {"entry", "index", "time_ms"} or not isinstance(value["entry"], dict):
            self._report.add("leaf-format", f"{where} is not a leaf")
            self._bad = True
        elif type(value["time_ms"]) is not int:
            self._report.add("leaf-format", f"{where} has no time")
            self._bad = True
        elif index != at:
            self._report.add("entry-order", f"{where} holds entry {index} where entry {at} is expected")
            self._bad = True
            return at
        else:
            self._check_proof(at, digest)
            leaf = Leaf(at, value["time_ms"], value["entry"], digest)
            self._tally.add(leaf)
            self._views.compare(leaf)
        self._tree.add(0, digest)
        return at + 1

    def _check_proof(self, at: int, digest: bytes) -> None:
        proofs = self._proofs
        while proofs.data is not None and proofs.index < at:
            if proofs.value:  # a broken line is a finding already
                self._report.add("proof-missing", f"{proofs.where} is not a proof of entry {at}")
            self._bad = True
            proofs.step()
        if proofs.data is None or proofs.index != at or set(proofs.value) != {"hashes", "index"}:
            self._report.add("proof-missing", f"entry {at} has no inclusion proof")
            self._bad = True
            return
        try:
            good = _included(digest, at, self._report.size, _hashes(proofs.value["hashes"])) == self._root
        except Defect as defect:
            self._report.add(defect.code, f"{proofs.where}: {defect}")
            good = False
        else:
            if not good:
                self._report.add("entry-altered", f"entry {at} or its proof was altered: it is not in the signed tree")
        self._bad = self._bad or not good
        proofs.step()


def _check_history(
    folder: Folder,
    manifest: dict[str, Any],
    previous: Path | None,
    head: tuple[str, int, bytes],
    keys: list[LogKey],
    report: Report,
) -> dict[str, str]:
    """The previous export's tree and kept checkpoints are prefixes; returns the digest of checkpoints.jsonl."""
    origin, size, root = head
    before = manifest["previous"]
    if before is not None:
        before = _fields(before, {"size", "root", "consistency"}, "the manifest's previous export")
        old_size, old_root, path = (
            _count(before["size"], "previous.size"),
            _hash(before["root"]),
            _hashes(before["consistency"]),
        )
        if old_size > size or not _consistent(old_size, old_root, size, root, path):
            report.add("consistency", "the previous export's tree is not a prefix of this one: the log was rewritten")
        before = (origin, old_size, old_root)
    if previous is not None:
        _check_continues(before, previous, keys, report)
    if "checkpoints.jsonl" not in folder.names:
        return {}
    records = Records(folder, "checkpoints.jsonl", MAX_SMALL_LINE, report)
    while records.data is not None:
        if records.value:
            try:
                _check_kept(records, head, keys, report)
            except Defect as defect:
                report.add(defect.code, f"{records.where}: {defect}")
        records.step()
    return {records.name: records.lines.digest} if records.lines.ended else {}


def _check_continues(before: object, previous: Path, keys: list[LogKey], report: Report) -> None:
    """The bundle that the auditor holds from before is the one that this export continues."""
    try:
        folder = Folder(previous)
        if "checkpoint" not in folder.names:
            raise Unreadable("the previous export has no checkpoint")
        with folder.closing:
            note = folder.read("checkpoint", MAX_NOTE)
    except OSError as error:
        raise Unreadable(f"the previous export: {error.strerror}") from None
    try:
        old = _checkpoint(note)
        if keys and not any([key.signed(note, old[0]) for key in keys]):
            report.add("checkpoint-signature", "no given key signed the previous export's checkpoint")
    except Defect as defect:
        report.add(defect.code, f"the previous export: {defect}")
        return
    if before != old:
        report.add("fork", "this export does not continue the previous one")


def _check_kept(records: Records, head: tuple[str, int, bytes], keys: list[LogKey], report: Report) -> None:
    origin, size, root = head
    line = _fields(records.value, {"consistency", "note", "size"}, records.where)
    if not isinstance(line["note"], str):
        raise Defect("structure", "a kept checkpoint is not text")
    kept = line["note"].encode("utf-8", "surrogatepass")
    name, old_size, old_root = _checkpoint(kept)
    path = _hashes(line["consistency"])
    if name != origin or old_size != _count(line["size"], "size") or old_size > size:
        report.add("fork", f"{records.where}: the kept checkpoint is not one of this log")
    elif not _consistent(old_size, old_root, size, root, path):
        report.add("fork", f"the kept checkpoint of size {old_size} is not a prefix: the log was rewritten or forked")
    try:
        if keys and not any([key.signed(kept, origin) for key in keys]):
            report.note(f"the kept checkpoint of size {old_size} is signed by a key that was not given")
    except Defect as defect:
        report.add("checkpoint-signature", f"{records.where}: {defect}")


def _check_digests(
    folder: Folder, listed: dict[str, str], known: dict[str, str], unfinished: set[str], report: Report
) -> None:
    for name, digest in listed.items():
        if name in known or name not in unfinished:
            found = known[name] if name in known else folder.digest(name)
            if found != digest:
                report.add("file-digest", f"{name} is not the file the manifest lists")


# --- the command ---


def as_json(report: Report) -> dict[str, Any]:
    """The report for machines."""
    return {
        "ok": report.status == 0,
        "status": report.status,
        "conclusion": report.conclusion,
        "consistent": report.ok,
        "origin": report.origin,
        "origin_established": report.origin_established,
        "manifest_signed": report.manifest_signed,
        "signer": report.signer,
        "disclosure": report.disclosure,
        "size": report.size,
        "range": [report.start, report.stop],
        "disclosed": report.disclosed,
        "findings": [{"code": code, "text": text} for code, text in report.findings],
        "notes": report.notes,
        "unexamined": report.unexamined,
    }


def _say(text: str, stream: Any = None) -> None:  # noqa: ANN401 - a text stream
    """Print a line in which nothing that the bundle says can steer a terminal, and that any terminal can show."""
    stream = stream or sys.stdout
    plain = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    encoding = stream.encoding or "utf-8"
    print(plain.encode(encoding, "backslashreplace").decode(encoding), file=stream)


def main(arguments: list[str] | None = None) -> int:
    """Run as a command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="standalone.py",
        description="Check a GenSafe audit export alone. Exit codes: 0 valid, signed under the given key; 1 not valid; "
        "2 consistent, origin not established; 3 not a readable bundle; 64 usage.",
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument(
        "--log-key", type=Path, help="the log's public key: vkey, PEM or hex; obtained separately from the export"
    )
    parser.add_argument("--previous", type=Path, help="an earlier export that this one must continue")
    parser.add_argument("--json", action="store_true")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as end:
        return 0 if end.code == 0 else 64
    try:
        keys = read_keys(options.log_key) if options.log_key else []
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        _say(f"--log-key {options.log_key}: the key cannot be read: {why}", sys.stderr)
        return 64
    report = verify(options.directory, keys, options.previous)
    if options.json:
        print(json.dumps(as_json(report), indent=2))
    else:
        _print(report)
    return report.status


def _print(report: Report) -> None:
    _say(f"{report.directory}: {report.conclusion}")
    if report.unreadable:
        return
    _say(f"  {report.range_text}")
    for code, text in report.findings:
        _say(f"  FAIL {code}: {text}")
    if len(report.findings) >= MAX_FINDINGS:
        _say(f"  checking stopped after {MAX_FINDINGS} findings")
    for note in report.notes:
        _say(f"  note: {note}")


def _run(program: Callable[[], int] = main) -> int:
    try:
        status = program()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except OSError:  # a closed pipe or a full disk; what is left in the buffer goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 74
    return status


if __name__ == "__main__":
    sys.exit(_run())
