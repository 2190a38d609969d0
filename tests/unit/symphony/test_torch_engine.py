"""The torch engine against the oracle. CUDA graphs need a device; the code they capture is the code tested here."""

from __future__ import annotations

import numpy as np
import pytest

from gensafe.core.errors import BackendUnavailable
from gensafe_backends.symphony.config import NANO, PICO
from gensafe_backends.symphony.model.engine import Feeder
from gensafe_backends.symphony.model.numpy_engine import NumpyEngine
from gensafe_backends.symphony.model.torch_engine import TorchEngine
from gensafe_backends.symphony.random_init import random_tensors
from gensafe_backends.symphony.vocab import BOA, BOI, BOS, EOI, USER, vocabulary

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

V = vocabulary(PICO)
IMAGE = list(range(V.image.start, V.image.start + PICO.image_tokens))
IDS = [BOS, USER, 70, 80, 90, BOI, *IMAGE, EOI, BOA, *range(V.audio.start, V.audio.start + 50)]


@pytest.mark.parametrize("config", [PICO, NANO], ids=lambda c: c.name)
def test_logits_agree_whole_and_step_by_step(config):
    tensors = random_tensors(config, seed=6)
    oracle, engine = NumpyEngine(config, tensors), TorchEngine(config, tensors)
    want = oracle.forward(Feeder(config).push(IDS), oracle.new_cache(), last_only=False)
    np.testing.assert_allclose(
        engine.forward(Feeder(config).push(IDS), engine.new_cache(), last_only=False), want, atol=1e-4
    )
    cache, feeder = engine.new_cache(), Feeder(config)
    steps = [engine.forward(feeder.push([i]), cache, live=V.image) for i in IDS]
    np.testing.assert_allclose(np.concatenate(steps), want[:, V.image.start : V.image.stop], atol=1e-4)


def test_long_context_and_truncation():
    tensors = random_tensors(PICO, seed=6)
    ids = [BOS, *([70, 71, 72, 73, 74] * 120)]
    oracle, engine = NumpyEngine(PICO, tensors), TorchEngine(PICO, tensors)
    want = oracle.forward(Feeder(PICO).push(ids), oracle.new_cache())
    cache = engine.new_cache()
    engine.forward(Feeder(PICO).push([BOS, *IMAGE]), cache)
    cache.truncate(1)
    got = engine.forward(Feeder(PICO).push(ids).part(1, len(ids)), cache)
    np.testing.assert_allclose(got, want, atol=1e-4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="states what happens without a CUDA device")
def test_a_missing_device_is_said():
    with pytest.raises(BackendUnavailable, match="CUDA"):
        TorchEngine(PICO, {}, device="cuda")
    with pytest.raises(BackendUnavailable, match="graphs"):
        TorchEngine(PICO, {}, graph=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_captured_steps_agree_with_the_oracle():
    tensors = random_tensors(NANO, seed=6)
    oracle, engine = NumpyEngine(NANO, tensors), TorchEngine(NANO, tensors, device="cuda")
    want = oracle.forward(Feeder(NANO).push(IDS), oracle.new_cache(), last_only=False)
    cache, feeder = engine.new_cache(), Feeder(NANO)
    steps = np.concatenate([engine.forward(feeder.push([i]), cache) for i in IDS])
    np.testing.assert_allclose(steps, want, atol=1e-3)
