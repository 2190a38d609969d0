"""FlexAttention for prompts: eager on a CPU, it computes what plain torch and the oracle compute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gensafe_backends.symphony.config import NANO, PICO  # noqa: E402
from gensafe_backends.symphony.model import flex_chunk  # noqa: E402
from gensafe_backends.symphony.model.engine import Feeder  # noqa: E402
from gensafe_backends.symphony.model.numpy_engine import NumpyEngine  # noqa: E402
from gensafe_backends.symphony.model.torch_engine import TorchEngine  # noqa: E402
from gensafe_backends.symphony.random_init import random_tensors  # noqa: E402
from gensafe_backends.symphony.vocab import BOA, BOI, BOS, EOI, USER, vocabulary  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")]
V = vocabulary(PICO)
IMAGE = list(range(V.image.start, V.image.start + PICO.image_tokens))
IDS = [BOS, USER, 70, 80, 90, BOI, *IMAGE, EOI, BOA, *range(V.audio.start, V.audio.start + 50)]


@pytest.mark.parametrize("config", [PICO, NANO], ids=lambda c: c.name)
def test_an_engine_that_uses_it_agrees_with_the_oracle_in_every_chunk(config) -> None:
    config = replace(config, window=40)  # so that the block mask cuts
    tensors = random_tensors(config, seed=6)
    oracle, engine = NumpyEngine(config, tensors), TorchEngine(config, tensors, flex=True)
    want = oracle.forward(Feeder(config).push(IDS), oracle.new_cache(), last_only=False)
    cache, batch = engine.new_cache(), Feeder(config).push(IDS)
    got = [engine.forward(batch.part(a, b), cache, last_only=False) for a, b in ((0, 60), (60, 61), (61, len(IDS)))]
    np.testing.assert_allclose(np.concatenate(got), want, atol=1e-4)


def test_one_that_is_wrong_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert flex_chunk.usable("cpu")
    right = flex_chunk.chunk
    monkeypatch.setattr(flex_chunk, "chunk", lambda *a: right(*a) * 1.01)
    assert not flex_chunk.usable("cpu")
    monkeypatch.setattr(flex_chunk, "chunk", lambda *a: 1 / 0)
    assert not flex_chunk.usable("cpu")
    assert TorchEngine(PICO, random_tensors(PICO), flex=True)._flex is None
