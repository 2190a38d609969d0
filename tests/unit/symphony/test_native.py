"""The compiled engine: agreement with the oracle, exactness of sparsity and batching, the build and its failures."""

from __future__ import annotations

import ctypes
import dataclasses
import subprocess
import threading

import numpy as np
import pytest

from gensafe.core.errors import BackendError, BackendUnavailable
from gensafe_backends.symphony.config import NANO, PICO
from gensafe_backends.symphony.model.engine import Feeder
from gensafe_backends.symphony.model.native import build
from gensafe_backends.symphony.model.native.engine import NativeEngine, Row
from gensafe_backends.symphony.model.numpy_engine import NumpyEngine
from gensafe_backends.symphony.random_init import random_tensors
from gensafe_backends.symphony.vocab import BOA, BOI, BOS, EOI, USER, vocabulary

pytestmark = pytest.mark.skipif(build.find_compiler() is None, reason="no C compiler on this machine")

V = vocabulary(PICO)
IMAGE = list(range(V.image.start, V.image.start + PICO.image_tokens))
IDS = [BOS, USER, 70, 80, 90, BOI, *IMAGE, EOI, BOA, *range(V.audio.start, V.audio.start + 50)]


# Six heads over the same keys: more than the engine takes abreast.
CROWDED = dataclasses.replace(PICO, name="crowded", heads=6, kv_heads=1, active_routed=3)


@pytest.fixture(scope="module", params=[PICO, NANO, CROWDED], ids=lambda c: c.name)
def pair(request):
    config = request.param
    tensors = random_tensors(config, seed=5)
    return config, tensors, NativeEngine(config, tensors)


def run(engine, ids, **kw):
    return engine.forward(Feeder(engine.config).push(ids), engine.new_cache(), last_only=False, **kw)


def test_logits_agree_with_the_oracle(pair):
    config, tensors, native = pair
    np.testing.assert_allclose(run(native, IDS), run(NumpyEngine(config, tensors), IDS), atol=1e-4)


def test_batch_split_and_sparsity_do_not_change_a_bit(pair):
    config, tensors, native = pair
    whole = run(native, IDS)
    np.testing.assert_array_equal(run(NativeEngine(config, tensors, sparse=False), IDS), whole)
    cache, feeder, steps = native.new_cache(), Feeder(config), []
    for start in range(0, len(IDS), 7):
        steps.append(native.forward(feeder.push(IDS[start : start + 7]), cache, last_only=False))
    np.testing.assert_array_equal(np.concatenate(steps), whole)


def test_constrained_head_is_a_cut_of_the_full_one(pair):
    _, _, native = pair
    np.testing.assert_array_equal(run(native, IDS, live=V.audio), run(native, IDS)[:, V.audio.start : V.audio.stop])
    with pytest.raises(BackendError):
        run(native, IDS, live=range(5, 10**6))


def test_long_context_grows_pages_and_lets_go_of_what_the_window_left():
    tensors = random_tensors(PICO, seed=5)
    ids = [BOS, *([70, 71, 72, 73, 74] * 160)]  # beyond the local window of 512 and the batch limit of 256
    native, oracle = NativeEngine(PICO, tensors), NumpyEngine(PICO, tensors)
    cache = native.new_cache()
    got = native.forward(Feeder(PICO).push(ids), cache)
    np.testing.assert_allclose(got, oracle.forward(Feeder(PICO).push(ids), oracle.new_cache()), atol=1e-4)
    page = 64 * 2 * PICO.kv_heads * PICO.head_dim * 4  # of one layer; pico has one of each kind
    pages, left = -(-len(ids) // 64), (len(ids) - 512 + 1) // 64 - 1  # one page more, to go back
    assert cache.nbytes() == pages * page + (pages - left) * page <= native.cache_bytes(len(ids))
    cache.truncate(737)
    again = native.forward(Feeder(PICO).push(ids).part(737, len(ids)), cache)
    np.testing.assert_array_equal(again, got)
    with pytest.raises(BackendError, match="window has moved on"):
        cache.truncate(600)


def test_single_steps_follow_a_cache_that_grew_and_was_cut():
    tensors = random_tensors(PICO, seed=5)
    engine, ids = NativeEngine(PICO, tensors), [BOS, *([70, 71, 72, 73, 74] * 130)]
    cache, batch = engine.new_cache(), Feeder(PICO).push(ids)
    engine.forward(batch.part(0, 1), cache)
    engine.forward(batch.part(1, 540), cache)  # the page table moves here
    cache.truncate(5)
    for i in range(5, 10):
        last = engine.forward(batch.part(i, i + 1), cache)
    np.testing.assert_array_equal(last, engine.forward(batch.part(0, 10), engine.new_cache()))


def test_a_pass_over_many_sequences_is_bit_identical_to_one_after_another(pair):
    config, _, native = pair
    rng = np.random.default_rng(0)
    feeders = [Feeder(config) for _ in range(5)]
    mixed, alone = [native.new_cache() for _ in range(5)], [native.new_cache() for _ in range(5)]
    for _ in range(6):  # prompts and single steps side by side, each with its own live range
        rows = []
        for i in rng.permutation(5)[: rng.integers(1, 6)]:
            count = int(rng.choice([1, 1, 5, 30]))
            live = (V.image, V.audio, range(0, V.text.stop))[int(rng.integers(3))]
            batch = feeders[i].push(int(t) for t in rng.integers(V.text.start, V.text.stop, count))
            rows.append((i, Row(batch, mixed[i], live, bool(rng.integers(2)))))
        got = native.forward_many([row for _, row in rows])
        for (i, row), scores in zip(rows, got, strict=True):
            want = native.forward(row.batch, alone[i], live=row.live, last_only=row.last_only)
            np.testing.assert_array_equal(scores, want)


def test_a_pass_refuses_too_much_and_the_same_cache_twice(pair):
    config, _, native = pair
    cache, batch = native.new_cache(), Feeder(config).push([70] * 200)
    with pytest.raises(BackendError):
        native.forward_many([Row(batch, cache, V.image), Row(batch, native.new_cache(), V.image)])
    with pytest.raises(BackendError):
        native.forward_many([Row(batch.part(0, 1), cache, V.image)] * 2)
    with pytest.raises(BackendError):
        native.forward_many([])


def test_absent_modalities_are_not_packed():
    read: set[str] = set()

    class Watched(dict):
        def __getitem__(self, name):
            read.add(name)
            return super().__getitem__(name)

    engine = NativeEngine(PICO, Watched(random_tensors(PICO)))
    run(engine, [BOS, USER, 70])
    assert {n.split("ffn.")[1].split(".")[0] for n in read if "ffn." in n} == {"shared", "text"}
    run(engine, [BOS, BOA, V.audio.start])
    assert "layers.0.ffn.audio.up.weight" in read and "layers.0.ffn.video.up.weight" not in read


def test_threads_do_not_disturb_each_other(pair):
    _, _, native = pair
    want, got = run(native, IDS), [None] * 4

    def work(i):
        got[i] = run(native, IDS)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    for g in got:
        np.testing.assert_array_equal(g, want)


def test_the_bits_do_not_depend_on_the_vector_width(tmp_path, monkeypatch):
    """A build for the plainest processor gives the same bits as the one tuned to this machine."""
    plain = tmp_path / "plain.so"
    command = [build.find_compiler(), *build._BASE, "-o", str(plain), str(build.SOURCE), "-lm"]
    subprocess.run(command, check=True, capture_output=True)
    tuned = build.load_library()
    library = ctypes.CDLL(str(plain))
    for name in ("symphony_work", "symphony_forward", "symphony_pack"):
        getattr(library, name).restype = getattr(tuned, name).restype
        getattr(library, name).argtypes = getattr(tuned, name).argtypes
    tensors = random_tensors(PICO, seed=9)
    want = run(NativeEngine(PICO, tensors), IDS)
    monkeypatch.setattr("gensafe_backends.symphony.model.native.engine.load_library", lambda: library)
    np.testing.assert_array_equal(run(NativeEngine(PICO, tensors), IDS), want)


@pytest.fixture
def fresh_build(monkeypatch, tmp_path):
    build.load_library.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield tmp_path
    build.load_library.cache_clear()


def test_build_lands_in_the_cache_and_is_reused(fresh_build, monkeypatch):
    build.load_library()
    found = list((fresh_build / "gensafe" / "native").iterdir())
    assert [p.suffix for p in found] == [".so"]
    build.load_library.cache_clear()
    monkeypatch.setattr(build, "_compile", lambda *a: pytest.fail("compiled twice"))
    build.load_library()


def test_a_failing_compiler_is_reported(fresh_build, monkeypatch):
    monkeypatch.setenv("CC", "false")
    with pytest.raises(BackendUnavailable, match="could not build"):
        build.load_library()
    assert list((fresh_build / "gensafe" / "native").iterdir()) == []


def test_no_compiler_is_reported(fresh_build, monkeypatch):
    monkeypatch.setattr(build, "find_compiler", lambda: None)
    with pytest.raises(BackendUnavailable, match="no C compiler"):
        build.load_library()


def test_a_cache_others_can_write_to_is_refused(fresh_build):
    directory = fresh_build / "gensafe" / "native"
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    with pytest.raises(BackendUnavailable, match="written by others"):
        build.load_library()


def test_odd_widths_are_refused():
    with pytest.raises(BackendUnavailable):
        NativeEngine(dataclasses.replace(PICO, dim=72), {})
