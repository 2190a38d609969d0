"""Batching across requests changes nothing but speed; admission keeps to its limit; cancelled requests leave."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from gensafe.core.errors import BackendError, BackendUnavailable, Cancelled
from gensafe_backends.symphony.config import PICO
from gensafe_backends.symphony.generate import DecodeParams, decode
from gensafe_backends.symphony.model.engine import Feeder
from gensafe_backends.symphony.model.native.build import find_compiler
from gensafe_backends.symphony.model.native.engine import NativeEngine
from gensafe_backends.symphony.model.numpy_engine import NumpyEngine
from gensafe_backends.symphony.model.open import open_engine
from gensafe_backends.symphony.prefix import PrefixStore
from gensafe_backends.symphony.random_init import random_tensors
from gensafe_backends.symphony.sampler import Sampler, SamplingParams
from gensafe_backends.symphony.serving import Admission, SharedEngine
from gensafe_backends.symphony.vocab import ASST, BOI, BOS, EOI, USER, ModalityId, vocabulary

V = vocabulary(PICO)
WARM = DecodeParams({m: SamplingParams(0.9) for m in ModalityId})
JOBS = [(seed, list(ModalityId)[seed % 4], [70 + seed] * (5 + 30 * seed)) for seed in range(8)]


def never():
    return False


def answer(engine, job, cancelled=never):
    seed, modality, words = job
    prompt = [BOS, USER, *words, ASST]
    return list(decode(engine, prompt, modality, Sampler(seed), WARM, cancelled=cancelled, max_text=40))


def together(engine, jobs, cancelled=None):
    out, barrier = {}, threading.Barrier(len(jobs))

    def work(i, job):
        barrier.wait()
        try:
            out[i] = answer(engine, job, (cancelled or {}).get(i, never))
        except Cancelled as error:
            out[i] = error

    threads = [threading.Thread(target=work, args=item) for item in enumerate(jobs)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    return out


@pytest.mark.parametrize("kind", ["native", "numpy"])
def test_answers_given_together_are_those_given_alone(kind):
    if kind == "native" and find_compiler() is None:
        pytest.skip("no C compiler on this machine")
    engine = (NativeEngine if kind == "native" else NumpyEngine)(PICO, random_tensors(PICO, seed=2))
    shared = SharedEngine(engine)
    got = together(shared, JOBS)
    assert got == {i: answer(engine, job) for i, job in enumerate(JOBS)}
    if kind == "native":
        assert shared.passes < shared.tokens  # something was really put together


def test_a_cancelled_request_leaves_and_the_others_go_on():
    engine = NumpyEngine(PICO, random_tensors(PICO, seed=2))
    asked = []

    def gone():
        asked.append(0)
        return len(asked) > 10

    got = together(SharedEngine(engine), JOBS[:4], {1: gone})
    assert isinstance(got[1], Cancelled)
    assert {i: got[i] for i in (0, 2, 3)} == {i: answer(engine, JOBS[i]) for i in (0, 2, 3)}


def test_a_failing_pass_is_an_error_for_those_in_it_and_no_one_hangs():
    class Broken(NumpyEngine):
        def forward(self, *args, **kw):
            raise ZeroDivisionError("wire cut")

    shared = SharedEngine(Broken(PICO, {}))
    batch = Feeder(PICO).push([70])
    for _ in range(2):
        with pytest.raises(BackendError, match="wire cut"):
            shared.forward(batch, shared.new_cache())
    with pytest.raises(BackendError, match="range"):
        shared.forward(batch, shared.new_cache(), live=range(0, 10**6))


def test_admission_keeps_to_its_limit_and_to_the_order():
    admission, entered, peak = Admission(100), [], []
    gate = threading.Event()

    def work(name, need):
        with admission.room(need, never):
            entered.append(name)
            peak.append(admission.taken)
            gate.wait(10)

    first = threading.Thread(target=work, args=("a", 80))
    first.start()
    while not entered:
        pass
    big = threading.Thread(target=work, args=("b", 60))
    big.start()
    while len(admission._line) < 1:
        pass
    small = threading.Thread(target=work, args=("c", 10))  # would fit, but must not overtake
    small.start()
    while len(admission._line) < 2:
        pass
    assert entered == ["a"]
    gate.set()
    [t.join() for t in (first, big, small)]
    assert entered == ["a", "b", "c"] and max(peak) <= 100 and admission.taken == 0


def test_what_can_never_fit_is_said_and_who_leaves_gives_up_the_place():
    admission = Admission(100)
    with pytest.raises(BackendUnavailable, match="101 bytes"), admission.room(101, never):
        pass
    with admission.room(100, never):
        with pytest.raises(Cancelled), admission.room(1, lambda: True):
            pass
        assert len(admission._line) == 0
    with pytest.raises(RuntimeError), admission.room(100, never):
        raise RuntimeError
    assert admission.taken == 0


@pytest.mark.parametrize("name", ["native", "numpy", "torch", "mlx"])
def test_stated_memory_is_what_the_cache_takes(name):
    try:
        engine = open_engine(name, PICO, random_tensors(PICO))
    except BackendUnavailable as error:
        pytest.skip(str(error))
    for tokens in (1, 64, 65, 300, 900):
        cache, feeder, peak = engine.new_cache(), Feeder(PICO), 0
        for start in range(0, tokens, 100):
            engine.forward(feeder.push([70] * min(100, tokens - start)), cache)
            peak = max(peak, cache.nbytes())
        assert peak <= engine.cache_bytes(tokens)
        if name == "native" and tokens <= PICO.window:
            assert peak == engine.cache_bytes(tokens)


MEDIUM = [BOI, *range(V.image.start, V.image.start + PICO.image_tokens), EOI]


@pytest.mark.skipif(find_compiler() is None, reason="no C compiler on this machine")
def test_a_prompt_that_begins_like_an_earlier_one_is_answered_the_same_with_less_reading():
    engine = NativeEngine(PICO, random_tensors(PICO, seed=2))
    store = PrefixStore(PICO, 1 << 20)
    first = [BOS, USER, *MEDIUM, *[70 + i % 9 for i in range(90)], ASST]
    prompts = [first, [*first[:130], 75, 76, ASST], first, [*first[:64], *[80] * 70, ASST], [BOS, USER, 99, *first[3:]]]
    read = []
    for seed, prompt in enumerate(prompts):
        before = engine.activity.tokens
        got = reading(engine, prompt, seed, store)
        read.append(engine.activity.tokens - before)
        assert got == reading(engine, prompt, seed, None)
    alone = [len(p) for p in prompts]
    written = read[0] - alone[0]
    assert [r - written for r in read] == [alone[0], alone[1] - 128, alone[2] - 128, alone[3] - 64, alone[4]]
    assert store.reused == 128 + 128 + 64


@pytest.mark.skipif(find_compiler() is None, reason="no C compiler on this machine")
def test_reused_pages_belong_to_no_one_and_old_ones_go_first():
    engine = NativeEngine(PICO, random_tensors(PICO, seed=2))
    page = engine.cache_bytes(64)
    store = PrefixStore(PICO, 3 * page)
    ids = [BOS, USER, *[70 + i % 9 for i in range(126)], ASST]
    reading(engine, ids, 0, store)
    cache, feeder = engine.new_cache(), Feeder(PICO)
    assert store.fetch(ids, cache) == 128 and cache.length == 128
    kept = [p.copy() for p in store._pages[next(iter(store._pages))]]
    feeder.push(ids[:128])
    cache.truncate(100)  # a branch writes into its own copy
    engine.forward(Feeder(PICO).push([*ids[:100], 99, 98]).part(100, 102), cache)
    assert all(np.array_equal(a, b) for a, b in zip(kept, store._pages[next(iter(store._pages))], strict=True))
    other = [BOS, USER, *[80] * 130, ASST]
    reading(engine, other, 0, store)
    assert store.nbytes() == 3 * page
    assert store.fetch(ids, engine.new_cache()) == 64 and store.fetch(other, engine.new_cache()) == 128


def reading(engine, prompt, seed, store):
    how = {"cancelled": never, "max_text": 1, "prefixes": store}
    return list(decode(engine, prompt, ModalityId.AUDIO, Sampler(seed), WARM, **how))
