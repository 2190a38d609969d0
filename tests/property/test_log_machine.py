"""Properties of the tree and a state machine over the log: append, fail, reopen, prune, prove, publish."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gensafe.audit import AuditLog, fsck, merkle
from gensafe.audit import standalone as other
from gensafe.audit.checkpoint import parse_checkpoint, parse_tlog_proof
from gensafe.audit.note import NoteKey, parse_note
from gensafe.audit.publish import publish, read_published
from gensafe.audit.tiles import TilePath, TileTree, parse_path, tiles_for
from gensafe.core.clock import FixedClock
from gensafe.core.errors import AuditError, LogUnavailable

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORIGIN = "example.com/machine"

SIZES = st.integers(1, 1200)


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(i.to_bytes(4, "big")) for i in range(count)]


ALL = leaves(1200)


def mth(hashes: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written."""
    if not hashes:
        return merkle.EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    k = 1 << (len(hashes) - 1).bit_length() - 1
    return merkle.node_hash(mth(hashes[:k]), mth(hashes[k:]))


def read(level: int, index: int) -> bytes:
    part = ALL[index << level : (index + 1) << level]
    assert len(part) == 1 << level, "a proof maker asked for an incomplete subtree"
    return mth(part)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.data())
def test_inclusion_proofs_hold_for_two_verifiers_and_for_nothing_else(size: int, data: st.DataObject):
    index = data.draw(st.integers(0, size - 1))
    root = mth(ALL[:size])
    assert merkle.root_of(ALL[:size]) == root
    proof = merkle.inclusion_proof(read, index, size)
    assert merkle.verify_inclusion(ALL[index], index, size, proof, root)
    assert other._included(ALL[index], index, size, proof) == root
    wrong = data.draw(st.integers(0, size))
    if wrong != index:
        assert not merkle.verify_inclusion(ALL[index], wrong, size, proof, root)
        assert wrong >= size or other._included(ALL[index], wrong, size, proof) != root
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        for bad in (proof[:at] + proof[at + 1 :], [*proof, proof[at]], [*proof[:at], bytes(32), *proof[at + 1 :]]):
            assert not merkle.verify_inclusion(ALL[index], index, size, bad, root)
            assert other._included(ALL[index], index, size, bad) != root


@settings(max_examples=60, deadline=None)
@given(SIZES, st.data())
def test_consistency_proofs_hold_for_two_verifiers_and_for_nothing_else(new: int, data: st.DataObject):
    old = data.draw(st.integers(0, new))
    old_root, new_root = mth(ALL[:old]), mth(ALL[:new])
    proof = merkle.consistency_proof(read, old, new)
    for verify in (merkle.verify_consistency, other._consistent):
        assert verify(old, old_root, new, new_root, proof)
        assert not verify(old, bytes(32), new, new_root, proof)
        assert not verify(old, old_root, new, bytes(32), proof) or old == 0
        assert not verify(old, old_root, new, new_root, [*proof, bytes(32)])
        if proof:
            assert not verify(old, old_root, new, new_root, proof[:-1])
            assert not verify(old, old_root, new, new_root, [bytes(32), *proof[1:]])


@settings(max_examples=60, deadline=None)
@given(SIZES, st.data())
def test_a_range_proves_exactly_its_leaves(size: int, data: st.DataObject):
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    left, right = merkle.range_proof(read, start, stop, size)
    root = mth(ALL[:size])
    assert merkle.verify_range(ALL[start:stop], start, size, left, right, root)
    if stop > start:
        assert not merkle.verify_range(ALL[start : stop - 1], start, size, left, right, root)
        swapped = [*ALL[start : stop - 1], bytes(32)]
        assert not merkle.verify_range(swapped, start, size, left, right, root)


@settings(max_examples=40, deadline=None)
@given(SIZES)
def test_tiles_are_what_the_layout_says(size: int):
    loads: list[tuple[int, int]] = []

    def load(level: int, index: int, width: int) -> bytes:
        loads.append((level, index))
        first = index * 256
        count = min(256, (size >> (8 * level)) - first)
        return b"".join(read(8 * level, first + i) for i in range(count))

    tree = TileTree(load, capacity=2)
    for level in range(size.bit_length()):
        for index in {0, (size >> level) - 1} - {-1}:
            assert tree.node(level, index) == read(level, index)
    ragged: dict[int, bytes] = {}
    for index in {0, size // 3, size // 2, size - 1}:
        assert tree.inclusion(index, size, ragged) == merkle.inclusion_proof(read, index, size)
    paths = [tile.path for tile in tiles_for(size)]
    assert len(paths) == len(set(paths))
    assert all(parse_path(path).path == path for path in paths)


@given(st.integers(-1, 63), st.integers(0, 10**10), st.integers(1, 256))
def test_tile_paths_have_one_spelling(level: int, index: int, width: int):
    tile = TilePath(level, index, width)
    assert parse_path(tile.path) == tile


@settings(max_examples=200)
@given(st.text(max_size=40))
def test_no_other_spelling_is_a_tile_path(text: str):
    try:
        assert parse_path("tile/" + text).path == "tile/" + text
    except AuditError:
        pass


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=200).map(str.encode)))
def test_parsers_raise_only_our_errors(data: bytes):
    for parse in (
        parse_note,
        parse_checkpoint,
        parse_tlog_proof,
        lambda d: NoteKey.parse(d.decode("utf-8", "replace")),
    ):
        for prefix in (b"", b"c2sp.org/tlog-proof@v1\nindex 0\n\n", b"example.com/log\n5\n"):
            try:
                parse(prefix + data)
            except AuditError:
                pass


class LogMachine(RuleBasedStateMachine):
    """Drives a real log on disk against a list of what it must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="gensafe-log-"))
        self.clock = FixedClock(1_000)
        self.model: list[int | None] = []  # None: pruned
        self.leaves: list[bytes] = []
        self.roots: dict[int, bytes] = {0: merkle.EMPTY_ROOT}
        self.armed = ""
        self.next = 0
        self.log = self.open()

    def open(self) -> AuditLog:
        return AuditLog.open(self.folder / "log", origin=ORIGIN, key=KEY, clock=self.clock, fault=self.fault)

    def fault(self, point: str) -> None:
        if point == self.armed:
            self.armed = ""
            raise LogUnavailable("armed")

    def took(self, numbers: list[int]) -> None:
        for number in numbers:
            self.leaves.append(bytes.fromhex(self.log.entry(len(self.model)).leaf_hash))
            self.model.append(number)
        self.roots[len(self.model)] = merkle.root_of(self.leaves)

    @rule(count=st.sampled_from([1, 2, 3, 40, 256, 300]), later=st.integers(-5_000, 5_000))
    def append(self, count: int, later: int) -> None:
        self.clock.ms = max(0, self.clock.ms + later)
        numbers = list(range(self.next, self.next + count))
        self.next += count
        done = [future.result() for future in [self.log.submit({"n": n}) for n in numbers]]
        assert [a.index for a in done] == list(range(len(self.model), len(self.model) + count))
        self.took(numbers)

    @rule(point=st.sampled_from(["batch-taken", "transaction-open", "entries-written", "state-written", "committed"]))
    def fail(self, point: str) -> None:
        self.armed = point
        try:
            self.log.append({"n": self.next})
            raise AssertionError("the armed fault did not fire")
        except LogUnavailable:
            pass
        if point == "committed":  # durable although its caller was told that it may not be
            self.log.append({"n": self.next + 1})
            self.took([self.next, self.next + 1])
            self.next += 1
        self.next += 1

    @rule()
    def reopen(self) -> None:
        before = self.log.checkpoint()
        self.log.close()
        self.log = self.open()
        assert parse_checkpoint(self.log.checkpoint()).size == len(self.model)
        assert parse_checkpoint(before).size <= len(self.model)

    @rule(share=st.integers(0, 100))
    def prune(self, share: int) -> None:
        upto = len(self.model) * share // 100 // 256 * 256
        assert self.log.prune(len(self.model) * share // 100) == sum(n is not None for n in self.model[:upto])
        self.model[:upto] = [None] * upto

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def prove(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.model) - 1))
        parse_tlog_proof(self.log.tlog_proof(index)).verify(self.leaves[index], [NoteKey(ORIGIN, KEY.public_key())])
        old = data.draw(st.sampled_from(sorted(self.roots)))
        size = len(self.model)
        assert merkle.verify_consistency(old, self.roots[old], size, self.roots[size], self.log.consistency(old))

    @rule()
    def publish(self) -> None:
        publish(self.log, self.folder / "site")
        assert read_published(self.folder / "site") == self.roots[len(self.model)]

    @invariant()
    def holds_what_it_acknowledged(self) -> None:
        assert self.log.size == len(self.model)
        assert self.log.root() == self.roots[len(self.model)]
        tail = [e.entry["n"] for e in self.log.entries(max(0, len(self.model) - 5))]
        assert tail == [n for n in self.model[max(0, len(self.model) - 5) :] if n is not None]

    def teardown(self) -> None:
        self.log.close()
        assert fsck(self.folder / "log", keys=[KEY.public_key()]).findings == ()
        shutil.rmtree(self.folder)


LogMachine.TestCase.settings = settings(
    max_examples=12, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLog = LogMachine.TestCase
