"""The RFC 6962 Merkle tree (SHA-256) as pure functions over hashes. No storage, no keys, no time.

Proofs are lists of 32-byte hashes in the order of RFC 9162, section 2.1 (leaf's sibling first). A proof maker reads the
hashes of *complete* subtrees through ``NodeReader``; whatever is ragged at the right edge is hashed here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

HASH_BYTES: Final = 32  # SHA-256: RFC 6962, section 2.1
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

NodeReader: TypeAlias = Callable[[int, int], bytes]
"""(level, index) -> hash of the complete subtree over leaves [index * 2^level, (index + 1) * 2^level)."""


def leaf_hash(data: bytes) -> bytes:
    """Hash a leaf: SHA-256(0x00 || data), RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash an inner node: SHA-256(0x01 || left || right), RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: one hash per set bit of ``size``, largest subtree first.

    Args:
        size: Leaves already in the tree.
        hashes: Their complete subtrees, largest first; as many as ``size`` has set bits.
    """

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self._hashes = list(hashes)
        if size < 0 or len(self._hashes) != size.bit_count() or any(len(h) != HASH_BYTES for h in self._hashes):
            raise ValueError("a frontier has one 32-byte hash per set bit of its size")

    def copy(self) -> Frontier:
        """An independent copy."""
        return Frontier(self.size, self._hashes)

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The hashes, largest subtree first."""
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> None:
        """Add the hash of one leaf."""
        rest, hashes = self.size, self._hashes
        while rest & 1:
            leaf = hashlib.sha256(b"\x01" + hashes.pop() + leaf).digest()
            rest >>= 1
        hashes.append(leaf)
        self.size += 1

    def append_subtree(self, level: int, digest: bytes) -> None:
        """Add a complete subtree of 2^``level`` leaves; ``size`` must be a multiple of that."""
        rest = self.size >> level
        if rest << level != self.size:
            raise ValueError("the subtree does not start where the tree ends")
        self.size += 1 << level
        while rest & 1:
            digest = node_hash(self._hashes.pop(), digest)
            rest >>= 1
        self._hashes.append(digest)

    def root(self) -> bytes:
        """The tree hash of everything appended so far (``EMPTY_ROOT`` for nothing)."""
        if not self._hashes:
            return EMPTY_ROOT
        digest = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            digest = node_hash(left, digest)
        return digest


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The tree hash over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def complete_levels(hashes: Sequence[bytes]) -> list[list[bytes]]:
    """All complete subtrees over ``hashes``: element k holds the hashes of the complete pairs at height k."""
    levels = [list(hashes)]
    while len(levels[-1]) > 1:
        row = levels[-1]
        levels.append([node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)])
    return levels


def cover(start: int, stop: int) -> list[tuple[int, int]]:
    """Complete subtrees (level, index) that tile leaves [start, stop), left to right, as large as alignment allows."""
    nodes: list[tuple[int, int]] = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def subtree_hash(read: NodeReader, start: int, stop: int) -> bytes:
    """The tree hash of leaves [start, stop), where ``start`` is a multiple of the power of two >= stop - start."""
    nodes = cover(start, stop)
    digest = read(*nodes[-1])
    for node in reversed(nodes[:-1]):
        digest = node_hash(read(*node), digest)
    return digest


def inclusion_proof(read: NodeReader, index: int, size: int) -> list[bytes]:
    """The audit path of leaf ``index`` in the tree of ``size`` leaves (RFC 9162, section 2.1.3.1).

    Raises:
        ValueError: no such leaf in a tree of that size.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    path: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        split = start + (1 << (stop - start - 1).bit_length() - 1)
        if index < split:
            path.append(subtree_hash(read, split, stop))
            stop = split
        else:
            path.append(subtree_hash(read, start, split))
            start = split
    path.reverse()
    return path


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """The root an audit path leads to, or None if its length does not fit (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size:
        return None
    node, last = index, size - 1
    digest = leaf
    for sibling in proof:
        if last == 0 or len(sibling) != HASH_BYTES:
            return None
        if node & 1 or node == last:
            digest = node_hash(sibling, digest)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            digest = node_hash(digest, sibling)
        node >>= 1
        last >>= 1
    return digest if last == 0 else None


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether ``proof`` shows that ``leaf`` is leaf ``index`` of the tree (``size``, ``root``)."""
    return root_from_inclusion(leaf, index, size, proof) == root


def consistency_proof(read: NodeReader, old: int, new: int) -> list[bytes]:
    """Hashes that show the tree of ``old`` leaves is a prefix of the tree of ``new`` (RFC 9162, section 2.1.4.1).

    Empty for ``old`` = 0 and for ``old`` = ``new``.

    Raises:
        ValueError: not 0 <= old <= new.
    """
    if not 0 <= old <= new:
        raise ValueError(f"no consistency proof from {old} to {new}")
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, stop, whole = 0, new, True
    while old != stop:
        split = start + (1 << (stop - start - 1).bit_length() - 1)
        if old <= split:
            path.append(subtree_hash(read, split, stop))
            stop = split
        else:
            path.append(subtree_hash(read, start, split))
            start, whole = split, False
    if not whole:
        path.append(subtree_hash(read, start, stop))
    path.reverse()
    return path


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether ``proof`` shows that (``old``, ``old_root``) starts (``new``, ``new_root``); RFC 9162, 2.1.4.2."""
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    if not 0 < old < new or not proof or any(len(h) != HASH_BYTES for h in proof):
        return False
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    node, last = old - 1, new - 1
    while node & 1:
        node >>= 1
        last >>= 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            first = node_hash(sibling, first)
            second = node_hash(sibling, second)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            second = node_hash(second, sibling)
        node >>= 1
        last >>= 1
    return last == 0 and first == old_root and second == new_root


def range_proof(read: NodeReader, start: int, stop: int, size: int) -> tuple[list[bytes], list[bytes]]:
    """What lies left and right of leaves [start, stop): with them, the range alone yields the root of ``size`` leaves.

    Raises:
        ValueError: not 0 <= start <= stop <= size.
    """
    if not 0 <= start <= stop <= size:
        raise ValueError(f"no range {start}..{stop} in a tree of {size}")
    return [read(*n) for n in cover(0, start)], [read(*n) for n in cover(stop, size)]


def verify_range(
    leaves: Iterable[bytes], start: int, size: int, left: Sequence[bytes], right: Sequence[bytes], root: bytes
) -> bool:
    """Whether consecutive ``leaves`` from index ``start`` are exactly those of the tree (``size``, ``root``)."""
    try:
        frontier = Frontier(start, left)
        for leaf in leaves:
            frontier.append(leaf)
        nodes = cover(frontier.size, size)
        if len(nodes) != len(right) or frontier.size > size:
            return False
        for (level, _), digest in zip(nodes, right, strict=True):
            frontier.append_subtree(level, digest)
    except ValueError:
        return False
    return frontier.root() == root
