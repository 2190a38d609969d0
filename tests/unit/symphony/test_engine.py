"""The numpy oracle against itself: caches, batches, sparsity, positions, and the equations that can be stated alone."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from gensafe.core.errors import BackendError
from gensafe_backends.symphony.config import PICO
from gensafe_backends.symphony.model.engine import Feeder, RopeTable, TokenBatch, head_blocks, length_scale
from gensafe_backends.symphony.model.numpy_engine import NumpyEngine, gates
from gensafe_backends.symphony.random_init import random_tensors
from gensafe_backends.symphony.vocab import BOA, BOI, BOS, EOI, USER, vocabulary

V = vocabulary(PICO)
IMAGE = list(range(V.image.start, V.image.start + PICO.image_tokens))
IDS = [BOS, USER, 70, 80, 90, BOI, *IMAGE, EOI, BOA, *range(V.audio.start, V.audio.start + 20)]


@pytest.fixture(scope="module")
def tensors():
    return random_tensors(PICO, seed=3)


def logits_of(engine, ids, **kw):
    return engine.forward(Feeder(engine.config).push(ids), engine.new_cache(), last_only=False, **kw)


def test_token_by_token_equals_all_at_once(tensors):
    engine = NumpyEngine(PICO, tensors)
    cache, feeder = engine.new_cache(), Feeder(PICO)
    steps = np.concatenate([engine.forward(feeder.push([i]), cache) for i in IDS])
    np.testing.assert_allclose(steps, logits_of(engine, IDS), atol=5e-5)
    assert cache.length == len(IDS)


def test_sparse_is_bit_identical_to_dense_and_reads_less(tensors):
    sparse, dense = NumpyEngine(PICO, tensors), NumpyEngine(PICO, tensors, sparse=False)
    np.testing.assert_array_equal(logits_of(sparse, IDS), logits_of(dense, IDS))
    caches, feeder = (sparse.new_cache(), dense.new_cache()), Feeder(PICO)
    for i in IDS:  # one token at a time: heads are really skipped here
        batch = feeder.push([i])
        a = sparse.forward(batch, caches[0], live=V.image)
        b = dense.forward(batch, caches[1])
        np.testing.assert_array_equal(a, b[:, V.image.start : V.image.stop])
    assert sparse.activity.heads_skipped > 0
    assert sparse.activity.weight_bytes * 1.5 < dense.activity.weight_bytes


def test_weights_of_absent_modalities_are_never_read(tensors):
    read: set[str] = set()

    class Watched(dict):
        def __getitem__(self, name):
            read.add(name)
            return super().__getitem__(name)

    logits_of(NumpyEngine(PICO, Watched(tensors)), [BOS, USER, 70, 80])
    touched = {n.split("ffn.")[1].split(".")[0] for n in read if "ffn." in n}
    assert touched == {"shared", "text"}


def test_the_future_cannot_be_seen(tensors):
    engine = NumpyEngine(PICO, tensors)
    whole, cut = logits_of(engine, IDS), logits_of(engine, IDS[:20])
    np.testing.assert_allclose(whole[:20], cut, atol=5e-5)


def test_a_local_layer_forgets_what_left_its_window(tensors):
    config = dataclasses.replace(PICO, global_layers=(), window=4, layers=1)
    engine = NumpyEngine(config, tensors)
    a, b = [BOS, 70, 71, 72, 73, 74, 75], [BOS, 99, 71, 72, 73, 74, 75]
    la, lb = logits_of(engine, a), logits_of(engine, b)
    np.testing.assert_array_equal(la[-1], lb[-1])
    assert np.abs(la[4] - lb[4]).max() > 1e-3


def test_only_time_differences_matter(tensors):
    """TM-RoPE is relative: shifting every t by a constant leaves the logits alone."""
    engine = NumpyEngine(PICO, tensors)
    batch = Feeder(PICO).push(IDS)
    later = TokenBatch(batch.ids, batch.tyx + np.array([1000, 0, 0]), batch.slots, batch.modalities)
    base = engine.forward(batch, engine.new_cache())
    np.testing.assert_allclose(engine.forward(later, engine.new_cache()), base, atol=1e-4)
    moved = batch.tyx.copy()
    moved[5:, 0] += 50
    other = TokenBatch(batch.ids, moved, batch.slots, batch.modalities)
    assert np.abs(engine.forward(other, engine.new_cache()) - base).max() > 1e-3


def test_truncate_rolls_back(tensors):
    engine = NumpyEngine(PICO, tensors)
    cache, feeder = engine.new_cache(), Feeder(PICO)
    engine.forward(feeder.push(IDS[:10]), cache)
    branch = feeder.copy()
    first = engine.forward(feeder.push(IDS[10:15]), cache)
    cache.truncate(10)
    np.testing.assert_array_equal(engine.forward(branch.push(IDS[10:15]), cache), first)


def test_gates_keep_k_heads_sum_to_k_and_break_ties_low():
    g = gates(np.array([[1.0, 3.0, 2.0, 0.0], [5.0, 5.0, 5.0, 5.0]], np.float32), active=2, shared=1)
    assert (g > 0).tolist() == [[True, False, True, True, False], [True, True, True, False, False]]
    np.testing.assert_allclose(g[:, 1:].sum(axis=1), 2.0, rtol=1e-6)


def test_rope_table_grows_and_matches_the_formula():
    table = RopeTable(PICO)
    cos, sin = table(np.array([[5000, 3, 7]]))
    n, base = PICO.rope_pairs[0], PICO.rope_bases[0]
    np.testing.assert_allclose(cos[0, :n], np.cos(5000 * base ** (-np.arange(n) / n)), atol=1e-6)
    assert cos.shape == sin.shape == (1, PICO.head_dim // 2)


def test_length_scale_is_one_up_to_the_training_length():
    c = length_scale(PICO, 0, 2 * PICO.train_length)
    assert (c[: PICO.train_length] == 1).all()
    assert c[-1] == pytest.approx(np.log(2 * PICO.train_length) / np.log(PICO.train_length))


def test_head_blocks_tile_the_vocabulary():
    blocks = head_blocks(PICO)
    assert blocks[0].start == 0 and blocks[-1].stop == V.size
    assert all(a.stop == b.start for a, b in itertools.pairwise(blocks))


@pytest.mark.parametrize("ids", [[], [10**6], [-1]])
def test_bad_tokens_are_refused(tensors, ids):
    engine = NumpyEngine(PICO, tensors)
    n = len(ids)
    batch = TokenBatch(
        np.array(ids, np.int64), np.zeros((n, 3), np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    )
    with pytest.raises(BackendError):
        engine.forward(batch, engine.new_cache())
