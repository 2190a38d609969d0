"""One seed, one output: every engine draws the same tokens from the same float32 weights.

Float32 engines order their sums differently, so their logits differ in the last bits and identity of *sampled* tokens
is overwhelmingly likely rather than certain; these seeds hold on every engine. Greedy and sampled answers of each
modality are compared. (One engine, ``native``, has bits that are fixed by construction: see test_native.py.)
"""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from gensafe.core.errors import BackendUnavailable, Cancelled
from gensafe_backends.symphony.config import PICO
from gensafe_backends.symphony.generate import DecodeParams, Tally, decode
from gensafe_backends.symphony.grammar import AnswerGrammar
from gensafe_backends.symphony.model.engine import Feeder
from gensafe_backends.symphony.model.numpy_engine import NumpyEngine, rms
from gensafe_backends.symphony.random_init import random_tensors
from gensafe_backends.symphony.sampler import Sampler, SamplingParams, probabilities
from gensafe_backends.symphony.vocab import ASST, BOS, EOS, USER, ModalityId, vocabulary

V = vocabulary(PICO)
PROMPT = [BOS, USER, 70, 300, 500, 90, ASST]
WARM = DecodeParams({m: SamplingParams(0.8, 0.95) for m in ModalityId})
GREEDY = DecodeParams({})


@pytest.fixture(scope="module")
def tensors():
    return random_tensors(PICO, seed=11)


def make(name, tensors):
    if name == "native":
        from gensafe_backends.symphony.model.native.engine import NativeEngine

        try:
            return NativeEngine(PICO, tensors)
        except BackendUnavailable as error:
            pytest.skip(str(error))
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    if name == "torch":
        from gensafe_backends.symphony.model.torch_engine import TorchEngine

        return TorchEngine(PICO, tensors)
    from gensafe_backends.symphony.model.mlx_engine import MlxEngine

    return MlxEngine(PICO, tensors)


def answer(engine, modality, params, seed=5, max_text=48):
    return list(decode(engine, PROMPT, modality, Sampler(seed), params, cancelled=lambda: False, max_text=max_text))


@pytest.fixture(scope="module")
def oracle_answers(tensors):
    oracle = NumpyEngine(PICO, tensors)
    return {(m, p is WARM): answer(oracle, m, p) for m in ModalityId for p in (WARM, GREEDY)}


ENGINES = [
    "native",
    pytest.param("torch", marks=pytest.mark.torch),
    pytest.param("mlx", marks=pytest.mark.mlx),
]


@pytest.mark.parametrize("name", ENGINES)
def test_greedy_and_sampled_answers_are_identical(name, tensors, oracle_answers):
    engine = make(name, tensors)
    for (modality, warm), want in oracle_answers.items():
        assert answer(engine, modality, WARM if warm else GREEDY) == want, (name, modality, warm)


@pytest.mark.parametrize("name", ENGINES)
def test_256_greedy_text_tokens_are_identical(name, tensors):
    """Without a chance to end, so that the sequence really is 256 tokens long."""

    def write(engine):
        cache, feeder, ids = engine.new_cache(), Feeder(PICO), []
        pending = list(PROMPT)
        while len(ids) < 256:
            logits = engine.forward(feeder.push(pending), cache, live=V.text)[0]
            ids.append(V.text.start + Sampler(0).choose(logits))
            pending = ids[-1:]
        return ids

    assert write(make(name, tensors)) == write(NumpyEngine(PICO, tensors))


def test_a_seed_decides_the_answer(tensors):
    engine = NumpyEngine(PICO, tensors)
    first = answer(engine, ModalityId.IMAGE, WARM, seed=1)
    assert first == answer(engine, ModalityId.IMAGE, WARM, seed=1)
    assert first != answer(engine, ModalityId.IMAGE, WARM, seed=2)


def test_answers_follow_the_grammar_and_the_bound(tensors):
    engine = NumpyEngine(PICO, tensors)
    for modality in ModalityId:
        grammar = AnswerGrammar(PICO, modality, 12)
        for token in answer(engine, modality, WARM, max_text=12):
            grammar.accept(token)
        assert grammar.finished


def test_cancelling_stops_between_two_tokens(tensors):
    engine, seen = NumpyEngine(PICO, tensors), []
    tokens = decode(engine, PROMPT, ModalityId.IMAGE, Sampler(0), WARM, cancelled=lambda: len(seen) >= 5)
    with pytest.raises(Cancelled):
        list(map(seen.append, tokens))
    assert len(seen) == 5


def test_cancelling_stops_while_the_prompt_is_read(tensors):
    calls = []

    def cancelled():
        calls.append(0)
        return len(calls) >= 3

    prompt = [BOS, USER, *([70] * 1000), ASST]
    with pytest.raises(Cancelled):
        list(decode(NumpyEngine(PICO, tensors), prompt, ModalityId.TEXT, Sampler(0), WARM, cancelled=cancelled))
    assert len(calls) == 3


class _Mark:
    scheme, key_id = "test", "k"

    def __init__(self):
        self.contexts = []

    def choose(self, context, probabilities):
        assert probabilities.shape == (V.size,) and abs(probabilities.sum() - 1) < 1e-9
        assert probabilities[V.image.start :].sum() == 0
        self.contexts.append(list(context))
        return int(np.argmax(probabilities)) if len(context) >= 2 else None


def test_a_mark_chooses_text_tokens_only_and_sees_the_text_so_far(tensors):
    engine, mark, tally = NumpyEngine(PICO, tensors), _Mark(), Tally()
    ids = list(
        decode(
            engine,
            PROMPT,
            ModalityId.TEXT,
            Sampler(3),
            WARM,
            cancelled=lambda: False,
            mark=mark,
            max_text=10,
            tally=tally,
        )
    )
    text = [i for i in ids if i != EOS]
    assert tally.ids == text
    assert mark.contexts == [text[:n] for n in range(len(mark.contexts))]
    assert tally.marked == max(0, tally.text_drawn - 2)
    untouched = _Mark()
    list(decode(engine, PROMPT, ModalityId.IMAGE, Sampler(3), WARM, cancelled=lambda: False, mark=untouched))
    assert untouched.contexts == []


def test_the_shared_sampler_ignores_differences_in_the_last_bits():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal(1000).astype(np.float32) * 3
    near = logits + rng.uniform(-1e-6, 1e-6, 1000).astype(np.float32)
    params = SamplingParams(0.7, 0.9)
    assert np.abs(probabilities(logits, params) - probabilities(near, params)).max() < 1e-5
    same = sum(Sampler(s, params).choose(logits) == Sampler(s, params).choose(near) for s in range(500))
    assert same == 500


def test_states_of_native_and_numpy_agree_and_lead_to_the_logits(tensors):
    prompt = [BOS, USER, *(V.text.start + n % len(V.text) for n in range(300)), ASST]  # more than one pass of native
    oracle = NumpyEngine(PICO, tensors)
    want = oracle.states(Feeder(PICO).push(prompt), oracle.new_cache())
    native = make("native", tensors)
    got = native.states(Feeder(PICO).push(prompt), native.new_cache())
    assert got.shape == want.shape == (PICO.layers, len(prompt), PICO.dim)
    assert np.abs(got - want).max() < 1e-4
    last = rms(got[-1], tensors["final_norm.weight"], PICO.norm_eps) @ tensors["embed.weight"].T
    logits = native.forward(Feeder(PICO).push(prompt), native.new_cache(), last_only=False)
    assert np.abs(last - logits).max() < 1e-4


def test_states_leave_the_cache_as_a_pass_does(tensors):
    for engine in (NumpyEngine(PICO, tensors), make("native", tensors)):
        asked, read = engine.new_cache(), engine.new_cache()
        feeders = Feeder(PICO), Feeder(PICO)
        engine.forward(feeders[0].push(PROMPT[:-1]), asked)
        engine.states(feeders[1].push(PROMPT[:-1]), read)
        after = [engine.forward(f.push(PROMPT[-1:]), c) for f, c in zip(feeders, (asked, read), strict=True)]
        assert np.array_equal(*after)
