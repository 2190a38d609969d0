"""The MLX engine against the oracle (on Linux: its CPU build)."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from gensafe.core.errors import BackendUnavailable
from gensafe_backends.symphony.config import NANO, PICO
from gensafe_backends.symphony.model.engine import Feeder
from gensafe_backends.symphony.model.mlx_engine import MlxEngine
from gensafe_backends.symphony.model.numpy_engine import NumpyEngine
from gensafe_backends.symphony.random_init import random_tensors
from gensafe_backends.symphony.vocab import BOA, BOI, BOS, EOI, USER, vocabulary

pytest.importorskip("mlx.core")
pytestmark = pytest.mark.mlx

V = vocabulary(PICO)
IMAGE = list(range(V.image.start, V.image.start + PICO.image_tokens))
IDS = [BOS, USER, 70, 80, 90, BOI, *IMAGE, EOI, BOA, *range(V.audio.start, V.audio.start + 20)]


@pytest.mark.parametrize("config", [PICO, NANO], ids=lambda c: c.name)
def test_logits_agree_whole_and_step_by_step(config):
    tensors = random_tensors(config, seed=7)
    oracle, engine = NumpyEngine(config, tensors), MlxEngine(config, tensors)
    want = oracle.forward(Feeder(config).push(IDS), oracle.new_cache(), last_only=False)
    np.testing.assert_allclose(
        engine.forward(Feeder(config).push(IDS), engine.new_cache(), last_only=False), want, atol=1e-4
    )
    cache, feeder = engine.new_cache(), Feeder(config)
    steps = [engine.forward(feeder.push([i]), cache, live=V.image) for i in IDS]
    np.testing.assert_allclose(np.concatenate(steps), want[:, V.image.start : V.image.stop], atol=1e-4)


def test_compiled_steps_agree():
    tensors = random_tensors(PICO, seed=7)
    oracle, engine = NumpyEngine(PICO, tensors), MlxEngine(PICO, tensors, compile=True)
    np.testing.assert_allclose(
        engine.forward(Feeder(PICO).push(IDS), engine.new_cache()),
        oracle.forward(Feeder(PICO).push(IDS), oracle.new_cache()),
        atol=1e-4,
    )


@pytest.mark.parametrize(("bits", "close", "smaller"), [(8, 0.05, 1.6), (4, 0.5, 2.0)])
def test_quantised_weights_are_close_and_smaller(bits, close, smaller):
    tensors = random_tensors(NANO, seed=7)
    exact, packed = MlxEngine(NANO, tensors), MlxEngine(NANO, tensors, bits=bits)
    want, got = (e.forward(Feeder(NANO).push(IDS), e.new_cache(), last_only=False) for e in (exact, packed))
    assert 0 < np.abs(got - want).mean() < close * np.abs(want).mean()
    assert exact.weight_bytes() > smaller * packed.weight_bytes()
    with pytest.raises(BackendUnavailable, match="groups"):
        MlxEngine(replace(NANO, ffn_modality=48), random_tensors(replace(NANO, ffn_modality=48)), bits=8)


def test_long_context_beyond_the_window():
    tensors = random_tensors(PICO, seed=7)
    ids = [BOS, *([70, 71, 72, 73, 74] * 120)]
    oracle, engine = NumpyEngine(PICO, tensors), MlxEngine(PICO, tensors)
    want = oracle.forward(Feeder(PICO).push(ids), oracle.new_cache())
    cache, batch = engine.new_cache(), Feeder(PICO).push(ids)
    engine.forward(batch.part(0, 200), cache)
    np.testing.assert_allclose(engine.forward(batch.part(200, len(ids)), cache), want, atol=1e-4)


def test_it_runs_in_a_worker_thread():
    tensors = random_tensors(PICO, seed=7)
    engine, out = MlxEngine(PICO, tensors), []
    thread = threading.Thread(target=lambda: out.append(engine.forward(Feeder(PICO).push(IDS), engine.new_cache())))
    thread.start()
    thread.join()
    np.testing.assert_allclose(out[0], engine.forward(Feeder(PICO).push(IDS), engine.new_cache()), atol=1e-6)
