"""Rebuild a log's whole tree from its entries and compare every stored hash, time, root and checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gensafe.audit import merkle, tiles
from gensafe.audit.checkpoint import parse_checkpoint
from gensafe.audit.entries import clock_corrected
from gensafe.audit.note import NoteKey
from gensafe.audit.reader import decode_leaf
from gensafe.audit.store import LogStore, StoredState, open_store
from gensafe.core.errors import AuditError, LogCorrupt

MAX_FINDINGS = 100  # enough for a person to act on; a round number, not measured


@dataclass(frozen=True, slots=True)
class FsckReport:
    """What ``fsck`` found. ``findings`` is empty for a sound log; ``signed`` is None where no key was given."""

    origin: str
    size: int
    pruned: int
    root: str
    signed: bool | None
    corrections: tuple[int, ...] = ()  # entries at which times go back because the clock was put right
    findings: tuple[str, ...] = field(default_factory=tuple)

    @property
    def ok(self) -> bool:
        """Whether nothing disagrees."""
        return not self.findings


class _Findings(list[str]):
    def add(self, text: str) -> None:
        if len(self) < MAX_FINDINGS:
            self.append(text)
        elif len(self) == MAX_FINDINGS:
            self.append("further findings were not listed")


def fsck(
    path: Path | str, *, keys: Sequence[Ed25519PublicKey] = (), progress: Callable[[int, int], None] | None = None
) -> FsckReport:
    """Check a log from the ground up, without needing its private key; works beside a running writer.

    Args:
        path: Folder of the log, or a PostgreSQL URL.
        keys: The log's public keys, oldest first; without them the checkpoint's signature is not judged.
        progress: Called with (entries done, entries in all) now and then.

    Raises:
        LogUnavailable: there is no log, or it cannot be read.
    """
    store = open_store(path, writer=False)
    try:
        return _fsck(store, keys, progress)
    finally:
        store.close()


def _fsck(store: LogStore, keys: Sequence[Ed25519PublicKey], progress: Callable[[int, int], None] | None) -> FsckReport:
    findings = _Findings()
    head = store.state()
    if head is None:
        raise LogCorrupt("the log has no head")
    kept = store.checkpoints()
    stored = store.highest()
    if stored < head.size:
        findings.add(f"truncated: the head says {head.size} entries, {stored} are stored")

    elif stored > head.size and store.state() == head:  # a writer may have moved on between the two reads
        findings.add(f"{stored - head.size} entries lie beyond the head: they were never signed")

    # 1. entries -> leaf hashes, in order, none missing, each at the place it names, times not running backwards
    wanted_roots = {size for size, _ in kept}
    roots: dict[int, bytes] = {0: merkle.EMPTY_ROOT}
    corrected = set(store.corrections())
    frontier, row, rebuilt = merkle.Frontier(), list[bytes](), list[bytes]()
    pruned, last_ms, expected = 0, 0, 0
    tile: list[bytes] | None = None
    for index, time_ms, body in store.bodies(0, head.size):
        while expected < index:
            findings.add(f"entry {expected} is missing")
            frontier.append(bytes(32))
            row.append(bytes(32))
            expected += 1
        if index % tiles.WIDTH == 0:
            data = store.tile(0, index // tiles.WIDTH)
            tile = _split(data, findings, f"tile 0/{index // tiles.WIDTH}") if data is not None else None
        digest = _leaf(index, time_ms, body, tile, findings)
        pruned += body is None
        if index in corrected and body is not None and not _corrects(body, index, last_ms, time_ms):
            findings.add(f"entry {index} is noted as a correction of the clock and is none")
        elif time_ms < last_ms and index not in corrected:
            findings.add(f"entry {index} is dated before the entry in front of it")
        last_ms = time_ms if index in corrected else max(last_ms, time_ms)
        frontier.append(digest)
        row.append(digest)
        expected = index + 1
        if len(row) == tiles.WIDTH:
            if store.tile(0, index // tiles.WIDTH) is None:
                findings.add(f"tile 0/{index // tiles.WIDTH} is missing")
            rebuilt.append(merkle.complete_levels(row)[-1][0])
            row = []
        if expected in wanted_roots:
            roots[expected] = frontier.root()
        if progress and expected % 4096 == 0:
            progress(expected, head.size)

    # 2. inner tiles, frontier, root
    _check_upper_tiles(store, rebuilt, head.size, findings)
    root = frontier.root()
    if frontier.size == head.size and b"".join(frontier.hashes) != head.frontier:
        findings.add("the stored frontier is not that of the entries")
    roots[frontier.size] = root

    # 3. checkpoints, the newest and every one that was handed out
    note_keys = [NoteKey(head.origin, k) for k in keys]
    _check_checkpoint("the newest checkpoint", head.checkpoint, head, head.size, roots, note_keys, findings)
    for size, note in kept:
        _check_checkpoint(f"the kept checkpoint of size {size}", note, head, size, roots, note_keys, findings)
    if progress:
        progress(expected, head.size)
    signed = None if not keys else not any("signature" in f or "signed" in f for f in findings)
    return FsckReport(head.origin, head.size, pruned, root.hex(), signed, tuple(sorted(corrected)), tuple(findings))


def _leaf(index: int, time_ms: int, body: bytes | None, tile: list[bytes] | None, findings: _Findings) -> bytes:
    known = tile[index % tiles.WIDTH] if tile is not None and index % tiles.WIDTH < len(tile) else None
    if body is None:
        if known is None:
            findings.add(f"entry {index} was pruned and its hash is not kept")
        return known or bytes(32)
    digest = merkle.leaf_hash(body)
    if known is not None and known != digest:
        findings.add(f"entry {index} was altered: it does not hash to its leaf")
    if body.startswith(b'{"entry":{') and body.endswith(b'},"index":%d,"time_ms":%d}' % (index, time_ms)):
        return digest  # as the sequencer writes them; anything else is looked at closely
    try:
        logged = decode_leaf(body, index)
        if logged.time_ms != time_ms:
            findings.add(f"entry {index} is filed under another time than it states")
    except LogCorrupt as error:
        findings.add(error.message)
    return digest


def _corrects(body: bytes, index: int, before_ms: int, time_ms: int) -> bool:
    """Whether an entry says that the clock was put right, from the entry in front of it to its own time."""
    try:
        entry = decode_leaf(body, index).entry
    except LogCorrupt:
        return False
    return entry == clock_corrected(from_ms=before_ms, to_ms=time_ms)


def _check_upper_tiles(store: LogStore, level_one: list[bytes], size: int, findings: _Findings) -> None:
    expected: dict[tuple[int, int], bytes] = {}
    level, hashes = 1, level_one
    while hashes:
        parents: list[bytes] = []
        for i in range(0, len(hashes), tiles.WIDTH):
            part = hashes[i : i + tiles.WIDTH]
            expected[(level, i // tiles.WIDTH)] = b"".join(part)
            if len(part) == tiles.WIDTH:
                parents.append(merkle.complete_levels(part)[-1][0])
        level, hashes = level + 1, parents
    seen = 0
    for tile_level, index, data in store.tile_keys():
        if tile_level == 0:
            continue
        seen += 1
        want = expected.get((tile_level, index))
        if want is None:
            if (index * tiles.WIDTH + 1) << (8 * tile_level) <= size:
                findings.add(f"tile {tile_level}/{index} cannot be rebuilt from the entries")
        elif data[: len(want)] != want:
            findings.add(f"tile {tile_level}/{index} does not follow from the entries")
    if seen < len(expected):
        findings.add(f"{len(expected) - seen} inner tiles are missing")


def _check_checkpoint(
    what: str,
    note: bytes,
    head: StoredState,
    size: int,
    roots: dict[int, bytes],
    keys: list[NoteKey],
    findings: _Findings,
) -> None:
    try:
        checkpoint = parse_checkpoint(note)
        if keys and not checkpoint.verified_by(keys):
            findings.add(f"{what} is not signed by a known key")
    except AuditError as error:
        findings.add(f"{what} is not valid: {error.message}")
        return
    if checkpoint.origin != head.origin:
        findings.add(f"{what} belongs to another log: {checkpoint.origin!r}")
    if checkpoint.size != size:
        findings.add(f"{what} is of size {checkpoint.size}, not {size}")
    elif size not in roots:
        findings.add(f"{what} is of a size the entries do not reach: the log was cut or forked")
    elif roots[size] != checkpoint.root:
        findings.add(f"{what} has another root than the entries: the log was rewritten or forked")


def _split(data: bytes, findings: _Findings, what: str) -> list[bytes] | None:
    try:
        return tiles.split_hashes(data)
    except LogCorrupt:
        findings.add(f"{what} has a length that no tile can have")
        return None
