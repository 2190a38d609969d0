"""Fuzz the checker of exports: ``python -m tests.fuzz.bundles --count 20000 --seed 1 [--without-note]``.

Each round changes a good bundle in one to three ways (files, lines, fields, bytes, kinds of files), often corrects all
digests afterwards, sometimes removes or swaps the signature, and asks the checker. It fails if the checker raises or
hangs, or answers 0 ("holds") for a bundle that differs in anything a signature covers. It prints one line per kind of
failure, with the round that repeats it. ``--without-key`` asks without the log's key; ``--parsers`` fuzzes parsers of
notes, checkpoints, proofs, keys, leaves and tile paths instead.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gensafe.audit import standalone
from gensafe.audit.checkpoint import parse_checkpoint, parse_tlog_proof
from gensafe.audit.note import NoteKey, parse_note, sign_note
from gensafe.audit.reader import decode_leaf
from gensafe.audit.tiles import parse_path
from gensafe.core.errors import AuditError

VECTORS = Path(__file__).parents[1] / "assets" / "bundles" / "vectors.json"
SECONDS = (
    60  # of wall time; a check takes about 10 ms, but a Parquet file starts a process, which took 5 s at a load of 19
)
UNSIGNED = {"checkpoint.tst"}
ODD: list[Any] = [
    None,
    True,
    False,
    -1,
    0,
    1,
    2**53,
    10**18,
    1 << 63,
    "",
    "A" * 100,
    [],
    {},
    [[]],
    "\u0000",
    "\ud7ff",
    "é",
    0.5,
]
JUNK = [
    b"\n",
    b"{}\n",
    b"[]\n",
    b"\x00",
    b"\xff",
    b"null\n",
    b'"',
    b"[" * 3000,
    b"9" * 5000,
    b'{"a":' * 2000,
    b"NaN\n",
    b"\xef\xbb\xbf",
]

Files = dict[str, bytes]


def dump(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


class Hang(BaseException):
    """Not an Exception: the checker must not be able to swallow it."""


@dataclass
class Mutator:
    """Changes to bundles, drawn from one random source. ``good`` and ``other`` are two bundles of the same log."""

    random: random.Random
    good: Files
    other: Files
    done: list[str] = field(default_factory=list)

    def mutate(self, files: Files) -> Files:
        changes: list[Callable[[Files], Files]] = [
            self.bytes_of,
            self.lines_of,
            self.record_of,
            self.manifest_of,
            self.file_of,
            self.view_of,
        ]
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            change = self.random.choice(changes)
            self.done.append(change.__name__)
            files = change(dict(files))
        return files

    def pick(self, files: Files, *ends: str) -> str:
        return self.random.choice(
            sorted(n for n in files if not ends or n.endswith(ends)) or sorted(files) or ["checkpoint"]
        )

    def bytes_of(self, files: Files) -> Files:
        name = self.pick(files)
        data = bytearray(files.get(name) or b"x")
        at, kind = self.random.randrange(len(data)), self.random.randrange(8)
        if kind == 0:
            for _ in range(self.random.randrange(1, 4)):
                data[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            data[at:at] = self.random.randbytes(self.random.randrange(1, 50))
        elif kind == 3:
            del data[at : at + self.random.randrange(1, 60)]
        elif kind == 4:
            data[at:at] = b'"' + b"A" * self.random.choice((100, 70_000, 200_000))
        elif kind == 5:
            data += self.random.choice(JUNK)
        elif kind == 6:
            data[at:at] = self.random.choice(JUNK)
        else:
            data = bytearray(self.random.choice(JUNK))
        return files | {name: bytes(data)}

    def lines_of(self, files: Files) -> Files:
        name = self.pick(files, ".jsonl", ".csv")
        lines = files.get(name, b"").splitlines(keepends=True)
        if len(lines) < 2:
            return self.bytes_of(files)
        i, j, kind = self.random.randrange(len(lines)), self.random.randrange(len(lines)), self.random.randrange(6)
        if kind == 0:
            del lines[i]
        elif kind == 1:
            lines[i], lines[j] = lines[j], lines[i]
        elif kind == 2:
            lines.insert(i, lines[j])
        elif kind == 3:
            del lines[i:]
        elif kind == 4:
            lines[i] = self.random.choice(JUNK) + b"\n"
        else:
            self.random.shuffle(lines)
        return files | {name: b"".join(lines)}

    def json_of(self, value: Any) -> Any:
        draw = self.random.random()
        if isinstance(value, dict) and value and draw < 0.85:
            key, draw, value = self.random.choice(sorted(value)), self.random.random(), dict(value)
            if draw < 0.12:
                del value[key]
            elif draw < 0.2:
                value[self.random.choice(["x", "index", "size", "reason", "tenant"])] = self.random.choice(ODD)
            else:
                value[key] = self.json_of(value[key])
            return value
        if isinstance(value, list) and value and draw < 0.8:
            at, draw, value = self.random.randrange(len(value)), self.random.random(), list(value)
            if draw < 0.15:
                del value[at]
            elif draw < 0.3:
                value.insert(at, self.random.choice(ODD))
            elif draw < 0.4:
                value.insert(at, value[self.random.randrange(len(value))])
            else:
                value[at] = self.json_of(value[at])
            return value
        if type(value) is int and draw < 0.6:
            return value + self.random.choice((1, -1, 256, -256))
        return self.random.choice(ODD)

    def record_of(self, files: Files) -> Files:
        name = self.pick(files, ".jsonl")
        lines = files.get(name, b"").splitlines()
        if not lines:
            return self.bytes_of(files)
        at = self.random.randrange(len(lines))
        try:
            lines[at] = dump(self.json_of(json.loads(lines[at])))
        except (ValueError, RecursionError):
            return self.bytes_of(files)
        return files | {name: b"".join(line + b"\n" for line in lines)}

    def manifest_of(self, files: Files) -> Files:
        try:
            return files | {"manifest.json": dump(self.json_of(json.loads(files["manifest.json"])))}
        except (KeyError, ValueError, RecursionError):
            return self.bytes_of(files)

    def view_of(self, files: Files) -> Files:
        """Change a word of a view for another word of it: the shape stays right."""
        name = self.pick(files, ".csv", ".ocsf.jsonl")
        words = files.get(name, b"").split(b",")
        i, j = self.random.randrange(len(words)), self.random.randrange(len(words))
        words[i] = self.random.choice((words[j], b"", b"generation.blocked", b"=1+1", words[i] + b"0"))
        return files | {name: b",".join(words)}

    def file_of(self, files: Files) -> Files:
        """Drop, add, swap, rename or empty files; take one from another true bundle of the log; hide entries."""
        name, to, kind = self.pick(files), self.pick(files), self.random.randrange(8)
        if kind == 0:
            files.pop(name, None)
        elif kind == 1:
            files[name], files[to] = files.get(to, b""), files.get(name, b"")
        elif kind == 2:
            files[
                self.random.choice(
                    ["more", "Checkpoint", ".x", "é.csv", "con", "entries.parquet", "events.jsonl", "x" * 200]
                )
            ] = b"x\n"
        elif kind == 3:
            files[name] = b""
        elif kind == 4:
            files[to] = files.get(name, b"")
        elif kind in (5, 6) and self.other:
            name = self.pick(self.other)
            files[name] = self.other[name]
        else:
            return self.hide(files)
        return files

    def hide(self, files: Files) -> Files:
        """Move an entry to the withheld ones, with counts that agree: what somebody with something to hide would do."""
        try:
            lines = files["entries.jsonl"].splitlines()
            line = self.random.choice(lines)
            entry = json.loads(line)
            reason = self.random.choice(("tenant", "pruned"))
            hidden = [json.loads(row) for row in files.get("withheld.jsonl", b"").splitlines()]
            hidden.append(
                {"index": entry["index"], "leaf": hashlib.sha256(b"\x00" + line).hexdigest(), "reason": reason}
            )
            hidden.sort(key=lambda row: row["index"])
            manifest, event = json.loads(files["manifest.json"]), entry["entry"]["event"]
            counts = manifest["counts"]
            counts["disclosed"] -= 1
            counts["withheld" if reason == "tenant" else "pruned"] += 1
            counts["events"][event] -= 1
            proofs = [row for row in files["proofs.jsonl"].splitlines() if json.loads(row)["index"] != entry["index"]]
        except (KeyError, ValueError, TypeError, AttributeError, IndexError, RecursionError):
            return self.bytes_of(files)
        files["entries.jsonl"] = b"".join(row + b"\n" for row in lines if row != line)
        files["proofs.jsonl"] = b"".join(row + b"\n" for row in proofs)
        files["withheld.jsonl"] = b"".join(dump(row) + b"\n" for row in hidden)
        return files | {"manifest.json": dump(manifest)}

    def redo_digests(self, files: Files) -> Files:
        try:
            manifest = json.loads(files["manifest.json"])
            sealed = ("manifest.json", "manifest.note", "checkpoint.tst")
            manifest["files"] = {
                n: "sha256:" + hashlib.sha256(d).hexdigest() for n, d in files.items() if n not in sealed
            }
            return files | {"manifest.json": dump(manifest)}
        except (KeyError, ValueError, TypeError, RecursionError):
            return files

    def change_note(self, files: Files) -> Files:
        """What happens to the signature after a change."""
        files, kind = dict(files), self.random.randrange(5)
        if kind == 0:
            files["manifest.note"] = b""
        elif kind == 1 and self.other:
            files["manifest.note"] = self.other["manifest.note"]
        elif kind == 2:
            files["manifest.note"] = files.get("checkpoint", b"")
        elif kind == 3:
            stranger = _stranger()
            digest = hashlib.sha256(files.get("manifest.json", b"")).hexdigest()
            files["manifest.note"] = sign_note(
                f"{standalone.FORMATS[-1]}\nsha256:{digest}\n", "example.com/gensafe", stranger
            )
        return files

    def drop_note(self, files: Files) -> Files:
        files = {name: data for name, data in files.items() if name != "manifest.note"}
        if self.random.random() < 0.7:  # and say that there was none
            try:
                files["manifest.json"] = dump(json.loads(files["manifest.json"]) | {"signer": None})
            except (KeyError, ValueError, TypeError, RecursionError):
                return files
        return files


def _stranger() -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)


class Place:
    """A folder that holds one bundle at a time; only what differs from the bundle before is written."""

    def __init__(self, root: Path, random_: random.Random) -> None:
        self.folder, self._random = root / "bundle", random_
        self.folder.mkdir()
        self._now: Files = {}

    def lay(self, files: Files) -> None:
        for name in [n for n in self._now if n not in files]:
            self._remove(name)
        for name, data in files.items():
            if self._now.get(name) != data:
                self._remove(name)
                (self.folder / name).write_bytes(data)
                self._now[name] = data

    def special(self, name: str) -> str:
        """Put something in a file's place that is none; gone at the next ``lay``."""
        self._remove(name)
        path, kind = self.folder / name, self._random.randrange(6)
        self._now[name] = b"?special"
        if kind == 0:
            os.mkfifo(path)
        elif kind == 1:
            path.mkdir()
        elif kind == 2:
            path.symlink_to("/dev/zero")
        elif kind == 3:
            path.symlink_to(name)
        elif kind == 4:
            path.symlink_to("../outside")
        else:
            path.touch()
            os.truncate(path, 1 << 40)
        return f"special{kind}"

    def _remove(self, name: str) -> None:
        path = self.folder / name
        self._now.pop(name, None)
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)


@dataclass
class Outcome:
    """Counts by answer, and what must not be."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    slowest: float = 0.0

    def fail(self, kind: str, text: str) -> None:
        self.counts[kind] += 1
        self.failures.setdefault(f"{kind}: {text.split('|')[0]}", text)


def run(
    count: int, seed: int, *, without_note: bool, keys: list[standalone.LogKey], good: Files, other: Files
) -> Outcome:
    """``count`` mutated bundles. ``without_note``: the signature is removed from each, else it stays or is swapped."""
    outcome = Outcome()
    root = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    before = signal.signal(signal.SIGALRM, _hang)
    try:
        place = Place(root, random.Random(seed))
        (root / "outside").write_bytes(good["checkpoint"])
        for number in range(count):
            _round(Mutator(random.Random(f"{seed}/{number}"), good, other), place, without_note, keys, outcome, number)
    finally:
        signal.signal(signal.SIGALRM, before)
        shutil.rmtree(root, ignore_errors=True)
    return outcome


def _round(
    m: Mutator, place: Place, without_note: bool, keys: list[standalone.LogKey], outcome: Outcome, number: int
) -> None:
    files = m.mutate(dict(m.good))
    if m.random.random() < 0.6:
        files = m.redo_digests(files)
        m.done.append("digests redone")
    if without_note:
        files = m.drop_note(files)
    elif m.random.random() < 0.15:
        files = m.change_note(files)
        m.done.append("note changed")
    place.lay(files)
    special = m.random.random() < 0.08
    if special:
        m.done.append(place.special(m.pick(files)))
    same = not special and _meaning(files) == _meaning(m.good)
    what = f"{'+'.join(m.done)}|round {number}"
    began = time.perf_counter()
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        report = standalone.verify(place.folder, keys)
        json.dumps(standalone.as_json(report))
        status = report.status
    except Hang:
        outcome.fail("HANG", what)
        return
    except BaseException as error:  # a crash is what is looked for
        outcome.fail("CRASH", f"{type(error).__name__}: {error!s:.100}|{what}")
        return
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        outcome.slowest = max(outcome.slowest, time.perf_counter() - began)
    outcome.counts[f"exit {status}" + (", unchanged in meaning" if same else "")] += 1
    if status == 0 and not same:
        outcome.fail("HOLDS", what)
    if status == 0 and not keys:
        outcome.fail("HOLDS WITHOUT A KEY", what)


def _hang(*_: object) -> None:
    raise Hang


def _meaning(files: Files) -> object:
    """What a signature covers: all bytes but the time-stamp and lines by unknown signers in the manifest's note."""
    note = files.get("manifest.note", b"").partition(b"\n\n")
    own = sorted(line for line in note[2].split(b"\n") if b" example.com/gensafe 7SZT" in line)
    rest = {name: data for name, data in files.items() if name not in (*UNSIGNED, "manifest.note")}
    return rest, note[0], own


# --- parsers ---


def run_parsers(count: int, seed: int, good: Files) -> Outcome:
    """Change notes, checkpoints, proofs, keys, leaves and tile paths.

    Only AuditError may come out, and no signature may be good over another text.
    """
    outcome = Outcome()
    vkey = json.loads(VECTORS.read_text("utf-8"))["log_key"]
    key = NoteKey.parse(vkey)
    note, leaf = good["checkpoint"], good["entries.jsonl"].splitlines()[0]
    proof = b"c2sp.org/tlog-proof@v1\nextra AAAA\nindex 3\n" + b"A" * 43 + b"=\n\n" + note
    path = b"tile/entries/x001/234.p/17"
    text = parse_note(note).text
    for number in range(count):
        m = Mutator(random.Random(f"{seed}/{number}"), good, {})
        name = m.random.choice(("note", "checkpoint", "proof", "vkey", "leaf", "path"))
        source = {"note": note, "checkpoint": note, "proof": proof, "vkey": vkey.encode(), "leaf": leaf, "path": path}[
            name
        ]
        data = m.bytes_of({"x": source})["x"]
        try:
            if name == "note":
                parsed = parse_note(data)
                if parsed.verified_by([key]) and parsed.text != text:
                    outcome.fail("HOLDS", f"note|round {number}")
            elif name == "checkpoint":
                head = parse_checkpoint(data)
                if head.verified_by([key]) and (head.note is None or head.note.text != text):
                    outcome.fail("HOLDS", f"checkpoint|round {number}")
                standalone._checkpoint(data)
            elif name == "proof":
                parse_tlog_proof(data)
            elif name == "vkey":
                if NoteKey.parse(data.decode("utf-8", "surrogateescape")).raw != key.raw:
                    outcome.fail("HOLDS", f"vkey|round {number}")
            elif name == "leaf":
                decode_leaf(data, 4)
            else:
                parse_path(data.decode("utf-8", "surrogateescape"))
            outcome.counts[f"{name} read"] += 1
        except (AuditError, standalone.Defect):
            outcome.counts[f"{name} refused"] += 1
        except BaseException as error:
            outcome.fail("CRASH", f"{name} {type(error).__name__}: {error!s:.80}|round {number}")
    return outcome


def load() -> tuple[Files, Files, list[standalone.LogKey]]:
    """The good bundle of the vectors, another bundle of the same log, and the log's key."""
    vectors = json.loads(VECTORS.read_text("utf-8"))
    good = {name: text.encode() for name, text in vectors["good"].items()}
    other = {
        n: t.encode() for n, t in json.loads(VECTORS.with_name("format-1.json").read_text("utf-8"))["files"].items()
    }
    return good, other, [standalone._key(vectors["log_key"])]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without-note", action="store_true", help="remove the signature from each bundle")
    parser.add_argument("--without-key", action="store_true", help="ask without the log's key")
    parser.add_argument("--parsers", action="store_true", help="fuzz the parsers instead of whole bundles")
    options = parser.parse_args(arguments)
    good, other, keys = load()
    began = time.perf_counter()
    if options.parsers:
        outcome = run_parsers(options.count, options.seed, good)
    else:
        asked = [] if options.without_key else keys
        outcome = run(
            options.count, options.seed, without_note=options.without_note, keys=asked, good=good, other=other
        )
    took = time.perf_counter() - began
    for name, number in sorted(outcome.counts.items()):
        print(f"{number:>8,}  {name}")
    print(
        f"{options.count:,} in {took:.0f} s, slowest {outcome.slowest:.2f} s, {len(outcome.failures)} kinds of failure"
    )
    for text in outcome.failures.values():
        print(f"FAIL {text}")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
