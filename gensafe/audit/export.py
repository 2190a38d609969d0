"""Exports: a folder an auditor can check alone. The format is written down in docs/audit-format.md.

A bundle holds one contiguous range of the log under one checkpoint. Entries that are not disclosed (another tenant's,
or pruned) still appear as leaf hashes, so that the whole range recomputes to the signed root: nothing can be left out
unnoticed. The bytes follow from log, range and checkpoint alone; nothing is dated by the export itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gensafe.audit import entries as names
from gensafe.audit import merkle
from gensafe.audit.checkpoint import parse_checkpoint
from gensafe.audit.disclosure import may_read, name_of
from gensafe.audit.note import sign_note
from gensafe.audit.reader import LogReader, decode_leaf
from gensafe.core.canonical import canonical_json
from gensafe.core.errors import AuditError, ExportInvalid
from gensafe.core.ports import Exporter
from gensafe.core.types.caller import Everything, Scope

FORMAT: Final = "gensafe.audit.export/1"
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.note"
CHECKPOINT: Final = "checkpoint"
TIME_STAMP: Final = "checkpoint.tst"
CHECKPOINTS: Final = "checkpoints.jsonl"
ENTRIES: Final = "entries.jsonl"
WITHHELD: Final = "withheld.jsonl"
PROOFS: Final = "proofs.jsonl"

EVERYTHING: Final = Everything()

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export wrote: ``data`` is manifest.json, ``digest`` its "sha256:<hex>"."""

    directory: Path
    data: Mapping[str, Any]
    digest: str
    signed: bool


def export_jsonl(
    log: LogReader,
    directory: Path,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    scope: Scope = EVERYTHING,
    previous: Path | None = None,
    views: Sequence[Exporter] = (),
    key: Ed25519PrivateKey | None = None,
    known_keys: Sequence[str] = (),
    stamp: Callable[[bytes], bytes] | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Write a bundle into ``directory`` (made; must be empty).

    Args:
        log: Source; its newest checkpoint is the one the bundle rests on.
        directory: Where to.
        start_ms: First time that is included; None = from the beginning.
        end_ms: First time that is no longer included; None = to the end.
        scope: Whose entries to disclose (``disclosure.may_read``); the rest appear as hashes.
        previous: An earlier bundle of the same log; its checkpoint is proved to be a prefix.
        views: Further formats (CSV, Parquet, ...) to write beside the entries.
        key: Signs the manifest; without it the bundle rests on the checkpoint alone.
        known_keys: Verifier keys of the log over time (vkey), oldest first.
        stamp: Asks an RFC 3161 authority for a token over a SHA-256 digest (32 bytes); its token over the checkpoint is
            written beside it. Like the manifest's signature it speaks for itself, so the manifest does not list it.
        progress: Called with (done, total) entries.

    Raises:
        ExportInvalid: the folder is not empty, or ``previous`` is not of this log.
        SigningFailed: no time-stamp could be had.
        LogCorrupt: the log does not hold.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise ExportInvalid(f"{directory.name!r} is not empty", fix="export into a new folder")
    head = parse_checkpoint(log.checkpoint())
    token = stamp(hashlib.sha256(head.raw).digest()) if stamp else b""  # first: an export without it is not made
    start = 0 if start_ms is None else min(log.index_at(start_ms), head.size)
    stop = head.size if end_ms is None else min(log.index_at(end_ms), head.size)
    stop = max(start, stop)
    left, right = log.range_proof(start, stop, head.size)

    # 1. entries, hashes of what is withheld, one inclusion proof per disclosed entry
    with _Files(directory) as files:
        tally = _write_range(log, files, start, stop, head.size, scope, progress)
        files.write(CHECKPOINT, head.raw)
        for size, note in log.kept_checkpoints():
            if size <= head.size:
                proof = [_b64(h) for h in log.consistency(size, head.size)]
                line = canonical_json({"consistency": proof, "note": note.decode(), "size": size})
                files.write(CHECKPOINTS, line + b"\n")
    digests = dict(files.digests)

    # 2. views
    for view in views:
        for name in view.export(_rows(log, start, stop, scope), str(directory)):
            digests[name] = _digest_file(directory / name)

    # 3. manifest, signed
    data: dict[str, Any] = {
        "format": FORMAT,
        "origin": log.origin,
        "range": {"start": start, "stop": stop},
        "filter": {"start_ms": start_ms, "end_ms": end_ms, "tenant": name_of(scope)},
        "checkpoint": {"size": head.size, "root": _b64(head.root)},
        "left": [_b64(h) for h in left],
        "right": [_b64(h) for h in right],
        "counts": tally.counts(),
        "gaps": tally.gaps(),
        "keys": list(known_keys),
        "files": digests,
        "previous": _previous(log, previous, head.size),
    }
    raw = canonical_json(data)
    (directory / MANIFEST).write_bytes(raw)
    digest = "sha256:" + hashlib.sha256(raw).hexdigest()
    if token:
        (directory / TIME_STAMP).write_bytes(token)
    if key is not None:
        (directory / SIGNATURE).write_bytes(sign_note(f"{FORMAT}\n{digest}\n", log.origin, key))
    return Manifest(directory, data, digest, key is not None)


class Tally:
    """Counts and gaps over a range, fed entry by entry in log order. The standalone verifier recomputes the same."""

    def __init__(self) -> None:
        self._events: dict[str, int] = {}
        self._open: dict[int, str] = {}
        self._outages: dict[str, tuple[int, int]] = {}
        self._past_outages: list[dict[str, object]] = []
        self._withheld = 0
        self._pruned: list[list[int]] = []

    def add(self, index: int, time_ms: int, entry: Mapping[str, Any]) -> None:
        """Count a disclosed entry."""
        event = str(entry.get("event", ""))
        self._events[event] = self._events.get(event, 0) + 1
        if event == names.OPENED:
            self._open[index] = str(entry.get("request_id", ""))
        elif event in names.FINAL_STATES:
            self._open.pop(entry.get("opened_index", -1), None)
        elif event == names.FILTER_UNAVAILABLE:
            self._outages.setdefault(str(entry.get("classifier")), (index, time_ms))
        elif event == names.FILTER_RESTORED:
            began = self._outages.pop(str(entry.get("classifier")), None)
            if began:
                self._past_outages.append(_outage(str(entry.get("classifier")), *began, index, time_ms))

    def withhold(self, index: int, reason: str) -> None:
        """Count an entry that is present as a hash only."""
        if reason != "pruned":
            self._withheld += 1
        elif self._pruned and self._pruned[-1][1] == index:
            self._pruned[-1][1] = index + 1
        else:
            self._pruned.append([index, index + 1])

    def counts(self) -> dict[str, object]:
        """Totals, and one number per event."""
        pruned = sum(b - a for a, b in self._pruned)
        disclosed = sum(self._events.values())
        by_event = dict(sorted(self._events.items()))
        return {"disclosed": disclosed, "withheld": self._withheld, "pruned": pruned, "events": by_event}

    def gaps(self) -> dict[str, object]:
        """What an auditor should ask about: unfinished requests, filter outages, pruned ranges."""
        running = [_outage(name, index, ms, -1, -1) for name, (index, ms) in sorted(self._outages.items())]
        return {
            "unfinished": sorted(self._open),
            "filter_outages": self._past_outages + running,
            "pruned": self._pruned,
        }


def _write_range(
    log: LogReader, files: _Files, start: int, stop: int, size: int, scope: Scope, progress: Progress | None
) -> Tally:
    tally = Tally()
    files.write(ENTRIES, b"")
    files.write(PROOFS, b"")
    for index, time_ms, body in log.raw(start, stop):
        entry = None if body is None else decode_leaf(body, index).entry
        if body is None or entry is None or not may_read(scope, entry):
            reason = "pruned" if body is None else "tenant"
            tally.withhold(index, reason)
            line = {"index": index, "leaf": log.leaf_hash(index).hex(), "reason": reason}
            files.write(WITHHELD, canonical_json(line) + b"\n")
        else:
            tally.add(index, time_ms, entry)
            files.write(ENTRIES, body + b"\n")
            hashes = '","'.join([_b64(h) for h in log.inclusion(index, size)])
            listed = f'["{hashes}"]' if hashes else "[]"
            files.write(PROOFS, f'{{"hashes":{listed},"index":{index}}}\n'.encode())
        if progress and (index + 1) % 2048 == 0:
            progress(index + 1 - start, stop - start)
    if progress:
        progress(stop - start, stop - start)
    return tally


def _rows(log: LogReader, start: int, stop: int, scope: Scope) -> Iterator[Mapping[str, object]]:
    """What exporters get: index, time_ms, leaf_hash and the entry."""
    for index, time_ms, body in log.raw(start, stop):
        if body is None:
            continue
        entry = decode_leaf(body, index).entry
        if may_read(scope, entry):
            yield {"index": index, "time_ms": time_ms, "leaf_hash": merkle.leaf_hash(body).hex(), "entry": entry}


def _previous(log: LogReader, previous: Path | None, size: int) -> dict[str, object] | None:
    if previous is None:
        return None
    try:
        old = parse_checkpoint((Path(previous) / CHECKPOINT).read_bytes())
    except (OSError, AuditError) as error:
        raise ExportInvalid(f"the previous export cannot be read: {error}") from error
    if old.origin != log.origin:
        raise ExportInvalid(f"the previous export is of another log, {old.origin!r}")
    if old.size > size or log.root(old.size) != old.root:
        raise ExportInvalid("the previous export's checkpoint is not a prefix of this log: one of them was rewritten")
    proof = [_b64(h) for h in log.consistency(old.size, size)]
    return {"size": old.size, "root": _b64(old.root), "consistency": proof}


class _Files:
    """Buffered files of a folder with their digests; closed together."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: dict[str, tuple[Any, Any]] = {}
        self.digests: dict[str, str] = {}

    def write(self, name: str, data: bytes) -> None:
        pair = self._open.get(name)
        if pair is None:
            pair = ((self._directory / name).open("xb", buffering=1 << 20), hashlib.sha256())
            self._open[name] = pair
        pair[0].write(data)
        pair[1].update(data)

    def __enter__(self) -> _Files:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, (file, digest) in self._open.items():
            file.close()
            self.digests[name] = "sha256:" + digest.hexdigest()


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a bundle, unchecked.

    Raises:
        ExportInvalid: there is none.
    """
    try:
        data = json.loads((Path(directory) / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise ExportInvalid(f"no readable {MANIFEST}: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ExportInvalid("not an export of this format")
    return data


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _outage(name: str, index: int, ms: int, end: int, end_ms: int) -> dict[str, object]:
    return {"classifier": name, "from_index": index, "from_ms": ms, "to_index": end, "to_ms": end_ms}


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
