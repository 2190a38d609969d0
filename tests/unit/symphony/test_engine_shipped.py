"""The shipped checkpoint on every engine: logits, greedy sequences and finished media agree; sparse equals dense."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from gensafe.core.errors import BackendUnavailable, ConfigError
from gensafe.core.types import GenerationJob, Modality
from gensafe.testing.backend_contract import same_media
from gensafe_backends.symphony import plugin
from gensafe_backends.symphony.model.engine import Feeder
from gensafe_backends.symphony.model.numpy_engine import NumpyEngine
from gensafe_backends.symphony.model.open import open_engine
from gensafe_backends.symphony.sampler import Sampler
from gensafe_backends.symphony.sequence import prompt_ids
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_backends.symphony.vocab import BOI, vocabulary
from gensafe_backends.symphony.weights import load_model

try:
    BUNDLE = plugin.default_bundle()
except ConfigError as missing:
    pytest.skip(f"no checkpoint ships with this build: {missing}", allow_module_level=True)

ENGINES = [
    "native",
    pytest.param("torch", marks=pytest.mark.torch),
    pytest.param("mlx", marks=pytest.mark.mlx),
]
JOBS = [
    GenerationJob("a red circle left of a blue square", Modality.IMAGE, (), 3, 0),
    GenerationJob("play do re mi", Modality.AUDIO, (), 4, 0),
    GenerationJob("tell me a story about a fox", Modality.TEXT, (), 5, 60),
]


@pytest.fixture(scope="module")
def model():
    return load_model(BUNDLE)


@pytest.fixture(scope="module")
def prompt():
    tokenizer = UniversalTokenizer.load(BUNDLE)
    return prompt_ids([tokenizer.span(plugin.Text("three green stars"))], tokenizer.config)


def make(name, model):
    if name != "native" and importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    try:
        return open_engine(name, *model)
    except BackendUnavailable as error:
        pytest.skip(str(error))


def greedy(engine, prompt, live, count):
    cache, feeder, out, pending = engine.new_cache(), Feeder(engine.config), [], list(prompt)
    while len(out) < count:
        out.append(live.start + Sampler(0).choose(engine.forward(feeder.push(pending), cache, live=live)[0]))
        pending = out[-1:]
    return out


@pytest.fixture(scope="module")
def oracle(model, prompt):
    engine, v = NumpyEngine(*model), vocabulary(model[0])
    image = greedy(engine, [*prompt, BOI], v.image, model[0].image_tokens)
    ids = [*prompt, BOI, *image]
    logits = engine.forward(Feeder(model[0]).push(ids), engine.new_cache(), last_only=False)
    return ids, logits, greedy(engine, prompt, v.text, 256)


@pytest.fixture(scope="module")
def finished():
    backend = plugin.create({"engine": "numpy"})
    return [list(backend.generate(job, None, lambda: False))[-1].media for job in JOBS]


@pytest.mark.parametrize("name", ENGINES)
def test_logits_and_256_greedy_tokens_agree(name, model, prompt, oracle):
    ids, logits, text = oracle
    engine = make(name, model)
    got = engine.forward(Feeder(model[0]).push(ids), engine.new_cache(), last_only=False)
    np.testing.assert_allclose(got, logits, atol=1e-4)
    assert greedy(engine, prompt, vocabulary(model[0]).text, 256) == text


@pytest.mark.parametrize("name", ENGINES)
def test_media_are_identical_for_a_seed(name, model, finished):
    make(name, model)
    backend = plugin.create({"engine": name})
    for job, want in zip(JOBS, finished, strict=True):
        assert same_media(list(backend.generate(job, None, lambda: False))[-1].media, want), job.modality


def test_sparse_and_dense_agree_to_the_bit(model, oracle):
    ids, logits, _ = oracle
    dense = NumpyEngine(*model, sparse=False)
    np.testing.assert_array_equal(dense.forward(Feeder(model[0]).push(ids), dense.new_cache(), last_only=False), logits)


def test_the_bundle_is_small_enough_to_ship():
    assert sum(p.stat().st_size for p in BUNDLE.iterdir() if p.is_file()) <= 20 << 20
