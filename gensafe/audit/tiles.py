"""The C2SP tlog-tiles layout: paths, partial widths, entry bundles, and node hashes read through a tile cache."""

from __future__ import annotations

import re
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass
from threading import Lock
from typing import Final, TypeAlias

from gensafe.audit import merkle
from gensafe.core.errors import AuditError, LogCorrupt

WIDTH: Final = 256  # hashes of a tile: C2SP tlog-tiles
MAX_ENTRY_BYTES: Final = 65_535  # the length before an entry has 16 bits: C2SP tlog-tiles

TileLoader: TypeAlias = Callable[[int, int, int], bytes]
"""(tile level, tile index, width) -> width * 32 bytes."""

_PATH: Final = re.compile(
    r"tile/(entries|0|[1-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class TilePath:
    """A tile (``level`` >= 0) or an entry bundle (``level`` = -1); ``width`` 256 = full."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """The path below the log's prefix, e.g. ``tile/0/x001/234.p/17``."""
        number = f"{self.index:03d}"
        number = number.zfill(-(-len(number) // 3) * 3)
        parts = [number[i : i + 3] for i in range(0, len(number), 3)]
        joined = "/".join([f"x{p}" for p in parts[:-1]] + [parts[-1]])
        kind = "entries" if self.level < 0 else str(self.level)
        return f"tile/{kind}/{joined}" + ("" if self.width == WIDTH else f".p/{self.width}")


def parse_path(path: str) -> TilePath:
    """Read a tile path.

    Raises:
        AuditError: not a tile path in its one canonical spelling.
    """
    match = _PATH.fullmatch(path)
    if not match:
        raise AuditError(f"not a tile path: {path[:80]!r}")
    level = -1 if match[1] == "entries" else int(match[1])
    tile = TilePath(level, int(match[2].replace("/", "").replace("x", "")), int(match[3] or WIDTH))
    if tile.width > WIDTH or tile.path != path:
        raise AuditError(f"not a tile path: {path[:80]!r}")
    return tile


def tiles_for(size: int, start: int = 0) -> list[TilePath]:
    """Tiles and bundles added when the tree grows from ``start`` to ``size`` leaves; partial ones last."""
    full: list[TilePath] = []
    partial: list[TilePath] = []
    level = 0
    while size >> (8 * level):
        count, had = size >> (8 * level), start >> (8 * level)
        for kind in (level,) if level else (-1, 0):
            full += [TilePath(kind, n) for n in range(had // WIDTH, count // WIDTH)]
            if count % WIDTH:
                partial.append(TilePath(kind, count // WIDTH, count % WIDTH))
        level += 1
    return full + partial


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Entry bundle: each entry behind its big-endian uint16 length."""
    return b"".join(struct.pack(">H", len(e)) + e for e in entries)


def decode_bundle(data: bytes) -> list[bytes]:
    """Inverse of ``encode_bundle``.

    Raises:
        AuditError: the lengths do not add up.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            raise AuditError("the entry bundle is cut short")
        (length,) = struct.unpack_from(">H", data, at)
        at += 2
        if at + length > len(data):
            raise AuditError("the entry bundle is cut short")
        entries.append(data[at : at + length])
        at += length
    return entries


def split_hashes(data: bytes) -> list[bytes]:
    """Cut a tile into its hashes.

    Raises:
        LogCorrupt: not a whole number of hashes, or more than a tile holds.
    """
    if len(data) % merkle.HASH_BYTES or len(data) > WIDTH * merkle.HASH_BYTES:
        raise LogCorrupt("a tile has a length that no tile can have")
    return [data[i : i + 32] for i in range(0, len(data), 32)]


class TileTree:
    """Node hashes of complete subtrees, computed from tiles and kept in a bounded cache. Safe between threads.

    Args:
        load: Reads the first ``width`` hashes of a tile.
        capacity: Tiles kept expanded (about 33 KB each).
    """

    def __init__(self, load: TileLoader, capacity: int = 1024) -> None:
        self._load = load
        self._capacity = capacity
        self._lock = Lock()
        self._cache: OrderedDict[tuple[int, int], list[list[bytes]]] = OrderedDict()

    def node(self, level: int, index: int) -> bytes:
        """Hash of the complete subtree (``level``, ``index``); a ``merkle.NodeReader``."""
        tile_level, height = divmod(level, 8)
        tile_index, first = index >> (8 - height), index & ((1 << (8 - height)) - 1)
        levels = self._cache.get((tile_level, tile_index))
        if levels is None or height >= len(levels) or first >= len(levels[height]):
            levels = self._expand(tile_level, tile_index, (first + 1) << height)
        return levels[height][first]

    def inclusion(self, index: int, size: int, ragged: MutableMapping[int, bytes]) -> list[bytes]:
        """The audit path of ``merkle.inclusion_proof``, bottom up and a tile at a time: several times as fast.

        Args:
            index: Which leaf; 0 <= index < size.
            size: In which tree.
            ragged: Remembers incomplete subtrees at the right edge for more proofs of the same ``size``.
        """
        path: list[bytes] = []
        node, last, level = index, size - 1, 0
        levels: list[list[bytes]] = []
        while last:
            height = level & 7
            if height == 0:
                levels = self._cache.get((level >> 3, node >> 8)) or []
            sibling = node ^ 1
            if (sibling + 1) << level <= size:
                place = sibling & (255 >> height)
                if height < len(levels) and place < len(levels[height]):
                    path.append(levels[height][place])
                else:
                    path.append(self.node(level, sibling))
                    if height == 0:
                        levels = self._cache.get((level >> 3, node >> 8)) or []
            elif sibling == last:
                start = sibling << level
                if start not in ragged:
                    ragged[start] = merkle.subtree_hash(self.node, start, size)
                path.append(ragged[start])
            node, last, level = node >> 1, last >> 1, level + 1
        return path

    def _expand(self, tile_level: int, tile_index: int, width: int) -> list[list[bytes]]:
        hashes = split_hashes(self._load(tile_level, tile_index, width))
        if len(hashes) < width:
            raise LogCorrupt(f"tile {tile_level}/{tile_index} holds {len(hashes)} of {width} hashes")
        levels = merkle.complete_levels(hashes)
        with self._lock:
            self._cache[(tile_level, tile_index)] = levels
            self._cache.move_to_end((tile_level, tile_index))
            while len(self._cache) > self._capacity:
                self._cache.popitem(last=False)
        return levels
