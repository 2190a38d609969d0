"""The Triton kernel of the decode step, in the interpreter on a CPU or compiled on a CUDA device."""

from __future__ import annotations

import os

import numpy as np
import pytest

torch = pytest.importorskip("torch")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when the kernel is defined
pytest.importorskip("triton")

from gensafe_backends.symphony.config import NANO, PICO  # noqa: E402
from gensafe_backends.symphony.model import triton_attention  # noqa: E402
from gensafe_backends.symphony.model.engine import Feeder  # noqa: E402
from gensafe_backends.symphony.model.numpy_engine import NumpyEngine  # noqa: E402
from gensafe_backends.symphony.model.torch_engine import TorchEngine  # noqa: E402
from gensafe_backends.symphony.random_init import random_tensors  # noqa: E402
from gensafe_backends.symphony.vocab import BOI, BOS, USER, vocabulary  # noqa: E402

pytestmark = pytest.mark.torch
V = vocabulary(PICO)


@pytest.mark.parametrize("index", [0, 1, 63, 64, 65, 200])
@pytest.mark.parametrize("window", [1, 64, 100, 10_000])
def test_it_computes_what_plain_torch_computes(index: int, window: int) -> None:
    g = torch.Generator().manual_seed(index + window)
    q, keys, values = (torch.randn(s, generator=g) for s in ((6, 24), (3, 256, 24), (3, 256, 24)))
    beta, seen = torch.randn((6, 4), generator=g), torch.randint(0, 4, (256,), generator=g)
    gate = torch.tensor([1.0, 1.0, 0.0, 0.3, 1.7, 0.0])
    moved = [x.to(DEVICE) for x in (q, keys, values, beta, seen, gate, torch.tensor([index]))]
    got = triton_attention.routed_step(*moved, window=window).cpu()
    want = triton_attention.plain_step(q, keys, values, beta, seen, gate, index, window)
    assert torch.allclose(got, want, atol=1e-5)
    assert not got[2].any() and got[3].any()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_head_that_is_off_reads_no_keys() -> None:
    keys = torch.full((1, 64, 16), float("nan"))
    q, beta, seen = torch.ones(2, 16), torch.zeros(2, 4), torch.zeros(64, dtype=torch.int64)
    moved = [x.to(DEVICE) for x in (q, keys, keys, beta, seen, torch.tensor([0.0, 1.0]), torch.tensor([5]))]
    got = triton_attention.routed_step(*moved, window=64).cpu()
    assert not got[0].any() and torch.isnan(got[1]).all()


@pytest.mark.parametrize("config", [PICO, NANO], ids=lambda c: c.name)
def test_the_engine_with_the_kernel_agrees_with_the_oracle(config) -> None:
    tensors = random_tensors(config, seed=6)
    ids = [BOS, USER, 70, 80, BOI, *range(V.image.start, V.image.start + 6)]
    oracle = NumpyEngine(config, tensors)
    want = oracle.forward(Feeder(config).push(ids), oracle.new_cache(), last_only=False)
    engine = TorchEngine(config, tensors, device=DEVICE, kernel=True)
    cache, feeder = engine.new_cache(), Feeder(config)
    got = np.concatenate([engine.forward(feeder.push([i]), cache) for i in ids])
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_a_kernel_that_is_wrong_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert triton_attention.usable(DEVICE)
    monkeypatch.setattr(triton_attention, "routed_step", lambda *a: torch.zeros(4, 16))
    assert not triton_attention.usable(DEVICE)
    monkeypatch.setattr(triton_attention, "routed_step", lambda *a: 1 / 0)
    assert not triton_attention.usable(DEVICE)
