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
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gensafe.audit import merkle
from gensafe.audit.checkpoint import Checkpoint, parse_checkpoint
from gensafe.audit.disclosure import may_read, name_of
from gensafe.audit.note import MAX_NOTE_BYTES, NoteKey, sign_note
from gensafe.audit.reader import LogReader, decode_leaf
from gensafe.audit.staging import NAME, Files, digest_file, staged
from gensafe.audit.tally import Tally
from gensafe.core.canonical import canonical_json
from gensafe.core.errors import AuditError, ExportInvalid, PluginError
from gensafe.core.ports import Exporter
from gensafe.core.types.caller import Everything, OneTenant, Public, Scope

FORMAT: Final = "gensafe.audit.export/2"
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.note"
CHECKPOINT: Final = "checkpoint"
TIME_STAMP: Final = "checkpoint.tst"
CHECKPOINTS: Final = "checkpoints.jsonl"
ENTRIES: Final = "entries.jsonl"
WITHHELD: Final = "withheld.jsonl"
PROOFS: Final = "proofs.jsonl"
EVERYTHING: Final = Everything()
OWN: Final = {MANIFEST, SIGNATURE, CHECKPOINT, TIME_STAMP, CHECKPOINTS, ENTRIES, WITHHELD, PROOFS}
MAX_MANIFEST: Final = 16 << 20  # what the checker reads (docs/audit-format.md)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export wrote: ``data`` is manifest.json, ``digest`` its "sha256:<hex>"."""

    directory: Path
    data: Mapping[str, Any]
    digest: str
    signed: bool


@dataclass(frozen=True, slots=True)
class _Cut:
    """Which entries: [start, stop) under ``head``, disclosed to ``scope``."""

    head: Checkpoint
    start: int
    stop: int
    scope: Scope

    @property
    def disclosure(self) -> str:
        """As the manifest says it."""
        return {Everything: "complete", OneTenant: "tenant", Public: "public"}[type(self.scope)]


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
    """Write a bundle that becomes ``directory``: whole, or not at all.

    Args:
        log: Source; its newest checkpoint is the one the bundle rests on.
        directory: Where to; absent, or an empty folder.
        start_ms: First time that is included; None = from the beginning.
        end_ms: First time that is no longer included; None = to the end.
        scope: Whose entries to disclose (``disclosure.may_read``); the rest appear as hashes.
        previous: An earlier bundle of the same log; its checkpoint is proved to be a prefix.
        views: Further formats (CSV, Parquet, ...) to write beside the entries.
        key: Signs the manifest; without it a checker cannot say that the bundle holds.
        known_keys: Verifier keys of the log over time (vkey), oldest first; that of ``key`` is added if missing.
        stamp: Asks an RFC 3161 authority for a token over a SHA-256 digest (32 bytes); its token over the checkpoint is
            written beside it. Like the manifest's signature it speaks for itself, so the manifest does not list it.
        progress: Called with (done, total) entries.

    Raises:
        ExportInvalid: the target is not free (field "directory"), or ``previous`` is not of this log.
        PluginError: a view broke its contract.
        SigningFailed: no time-stamp could be had.
        LogCorrupt: the log is not valid.
        OSError: the bundle cannot be written.
    """
    head = parse_checkpoint(log.checkpoint())
    token = stamp(hashlib.sha256(head.raw).digest()) if stamp else b""  # first: an export without it is not made
    start = 0 if start_ms is None else min(log.index_at(start_ms), head.size)
    stop = head.size if end_ms is None else min(log.index_at(end_ms), head.size)
    cut = _Cut(head, start, max(start, stop), scope)
    with staged(Path(directory), MANIFEST) as folder:
        # 1. entries, hashes of what is withheld, one inclusion proof per disclosed entry
        with Files(folder) as files:
            tally = _write_range(log, files, cut, progress)
            _write_checkpoints(log, files, head)

        # 2. views
        digests = dict(files.digests)
        for view in views:
            digests |= _write_view(view, _rows(log, cut), folder)

        # 3. manifest, signed
        data = _manifest(log, cut, tally, digests) | {
            "filter": {"start_ms": start_ms, "end_ms": end_ms, "tenant": name_of(scope)},
            "previous": _previous(log, previous, head.size),
            **_signer(log.origin, key, known_keys),
        }
        digest = _write_manifest(folder, data, log.origin, key, token)
    return Manifest(Path(directory), data, digest, key is not None)


def _manifest(log: LogReader, cut: _Cut, tally: Tally, digests: Mapping[str, str]) -> dict[str, Any]:
    """What follows from log and range."""
    left, right = log.range_proof(cut.start, cut.stop, cut.head.size)
    return {
        "format": FORMAT,
        "origin": log.origin,
        "disclosure": cut.disclosure,
        "range": {"start": cut.start, "stop": cut.stop},
        "checkpoint": {"size": cut.head.size, "root": _b64(cut.head.root)},
        "left": [_b64(h) for h in left],
        "right": [_b64(h) for h in right],
        "counts": tally.counts(),
        "gaps": tally.gaps(),
        "files": dict(digests),
    }


def _signer(origin: str, key: Ed25519PrivateKey | None, known_keys: Sequence[str]) -> dict[str, Any]:
    """``signer`` and ``keys`` of the manifest: who signs, and the log's keys over time."""
    if key is None:
        return {"signer": None, "keys": list(known_keys)}
    own = NoteKey(origin, key.public_key())
    keys = [*known_keys] if own.vkey in known_keys else [*known_keys, own.vkey]
    return {"signer": {"name": origin, "fingerprint": own.fingerprint}, "keys": keys}


def _write_manifest(
    folder: Path, data: Mapping[str, Any], origin: str, key: Ed25519PrivateKey | None, token: bytes
) -> str:
    """Write the manifest, its signature and the time-stamp; returns the manifest's digest."""
    raw = canonical_json(data)
    if len(raw) > MAX_MANIFEST:
        raise ExportInvalid("the manifest would be larger than a checker reads", fix="export a shorter period")
    (folder / MANIFEST).write_bytes(raw)
    digest = "sha256:" + hashlib.sha256(raw).hexdigest()
    if token:
        (folder / TIME_STAMP).write_bytes(token)
    if key is not None:
        (folder / SIGNATURE).write_bytes(sign_note(f"{FORMAT}\n{digest}\n", origin, key))
    return digest


def _write_checkpoints(log: LogReader, files: Files, head: Checkpoint) -> None:
    files.write(CHECKPOINT, head.raw)
    for size, note in log.kept_checkpoints():
        if size <= head.size:
            proof = [_b64(h) for h in log.consistency(size, head.size)]
            line = canonical_json({"consistency": proof, "note": note.decode(), "size": size})
            files.write(CHECKPOINTS, line + b"\n")


def _write_view(view: Exporter, rows: Iterator[Mapping[str, object]], folder: Path) -> dict[str, str]:
    """Let an exporter write its files; returns their digests."""
    names = view.export(rows, str(folder))
    for name in names:
        if not NAME.fullmatch(name) or name.casefold() in OWN or not (folder / name).is_file():
            raise PluginError(f"the exporter {view.format!r} names a file that no bundle can have: {name!r}")
    return {name: digest_file(folder / name) for name in names}


def _write_range(log: LogReader, files: Files, cut: _Cut, progress: Progress | None) -> Tally:
    tally, size = Tally(), cut.head.size
    files.write(ENTRIES, b"")
    files.write(PROOFS, b"")
    for index, time_ms, body in log.raw(cut.start, cut.stop):
        entry = None if body is None else decode_leaf(body, index).entry
        if body is None or entry is None or not may_read(cut.scope, entry):
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
            progress(index + 1 - cut.start, cut.stop - cut.start)
    if progress:
        progress(cut.stop - cut.start, cut.stop - cut.start)
    return tally


def _rows(log: LogReader, cut: _Cut) -> Iterator[Mapping[str, object]]:
    """What exporters get: index, time_ms, leaf_hash and the entry."""
    for index, time_ms, body in log.raw(cut.start, cut.stop):
        if body is None:
            continue
        entry = decode_leaf(body, index).entry
        if may_read(cut.scope, entry):
            yield {"index": index, "time_ms": time_ms, "leaf_hash": merkle.leaf_hash(body).hex(), "entry": entry}


def _previous(log: LogReader, previous: Path | None, size: int) -> dict[str, object] | None:
    if previous is None:
        return None
    try:
        with (Path(previous) / CHECKPOINT).open("rb") as file:
            old = parse_checkpoint(file.read(MAX_NOTE_BYTES + 1))
    except (OSError, AuditError) as error:
        raise ExportInvalid(f"the previous export cannot be read: {error}") from error
    if old.origin != log.origin:
        raise ExportInvalid(f"the previous export is of another log, {old.origin!r}")
    if old.size > size or log.root(old.size) != old.root:
        raise ExportInvalid("the previous export's checkpoint is not a prefix of this log: one of them was rewritten")
    proof = [_b64(h) for h in log.consistency(old.size, size)]
    return {"size": old.size, "root": _b64(old.root), "consistency": proof}


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


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
