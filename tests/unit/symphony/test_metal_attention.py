"""The Metal kernel as far as a machine without Metal can test it: its source as C++, its guard, its arguments."""

from __future__ import annotations

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from gensafe_backends.symphony.config import NANO, PICO
from gensafe_backends.symphony.model import metal_attention
from gensafe_backends.symphony.model.engine import Feeder
from gensafe_backends.symphony.model.numpy_engine import NumpyEngine
from gensafe_backends.symphony.model.open import open_engine
from gensafe_backends.symphony.random_init import random_tensors
from gensafe_backends.symphony.vocab import BOI, BOS, USER, vocabulary

mx = pytest.importorskip("mlx.core")
pytestmark = pytest.mark.mlx
V = vocabulary(PICO)
IDS = [BOS, USER, 70, 80, BOI, *range(V.image.start, V.image.start + 6)]

# What Metal gives a kernel, for four lanes that are threads.
SHIM = """
#include <barrier>
#include <cmath>
#include <thread>
#include <vector>
using std::exp; using std::sqrt; typedef unsigned uint;
#define device
constexpr int E = %(E)d, GROUP = %(GROUP)d, MODALITIES = %(MODALITIES)d, LANES = 4;
static std::barrier<> line(LANES);
static float box[LANES];
thread_local uint own;
template <class F> float joined(float x, F f) {
    box[own] = x; line.arrive_and_wait();
    float r = box[0];
    for (int i = 1; i < LANES; i++) r = f(r, box[i]);
    line.arrive_and_wait();
    return r;
}
static float simd_max(float x) { return joined(x, [](float a, float b) { return a > b ? a : b; }); }
static float simd_sum(float x) { return joined(x, [](float a, float b) { return a + b; }); }
extern "C" void run(const float *q, const float *keys, const float *values, const float *beta, const int *seen,
                    const float *gate, const int *place, float *out, uint heads) {
    std::vector<std::thread> lanes;
    for (uint x = 0; x < LANES; x++) lanes.emplace_back([=] {
        own = x;
        for (uint y = 0; y < heads; y++) {
            struct { uint x, y; } thread_position_in_grid = {x, y};
            [&] { %(SOURCE)s }();
        }
    });
    for (auto &lane : lanes) lane.join();
}
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The kernel as a function with the arguments of ``mx.fast.metal_kernel``'s."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler on this machine")
    built = {}

    def call(inputs, template, grid, threadgroup, output_shapes, output_dtypes):
        sizes = tuple(template)
        if sizes not in built:
            folder = tmp_path_factory.mktemp("metal")
            (folder / "k.cpp").write_text(SHIM % {**dict(sizes), "SOURCE": metal_attention.SOURCE})
            command = [compiler, "-std=c++20", "-O1", "-pthread", "-shared", "-fPIC", "-o", "k.so", "k.cpp"]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
            built[sizes] = ctypes.CDLL(str(folder / "k.so"))
        arrays = [np.ascontiguousarray(np.array(x)) for x in inputs]
        kinds = {"seen": np.int32, "place": np.int32}
        assert [x.dtype for x in arrays] == [kinds.get(n, np.float32) for n in metal_attention.INPUTS]
        assert grid == (metal_attention.LANES, output_shapes[0][0], 1) and threadgroup[0] == metal_attention.LANES
        out = np.full(output_shapes[0], np.nan, np.float32)
        built[sizes].run(*(x.ctypes.data_as(ctypes.c_void_p) for x in (*arrays, out)), grid[1])
        return [mx.array(out)]

    return call


@pytest.fixture
def metal(monkeypatch, compiled):
    """A machine that says it has Metal, whose kernels run on the CPU."""
    monkeypatch.setattr(mx.metal, "is_available", lambda: True)
    monkeypatch.setattr(mx.fast, "metal_kernel", lambda **k: lambda **c: compiled(**c), raising=False)


@pytest.mark.parametrize("config", [PICO, NANO], ids=lambda c: c.name)
def test_an_engine_that_uses_its_source_agrees_with_the_oracle(config, metal):
    tensors = random_tensors(config, seed=6)
    oracle, engine = NumpyEngine(config, tensors), open_engine("mlx", config, tensors, device="metal")
    assert engine._kernel is not None
    want = oracle.forward(Feeder(config).push(IDS), oracle.new_cache(), last_only=False)
    cache, feeder = engine.new_cache(), Feeder(config)
    got = np.concatenate([engine.forward(feeder.push([i]), cache) for i in IDS])
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_a_head_that_is_off_reads_no_keys(metal):
    keys = mx.full((1, 64, 16), float("nan"))
    off = metal_attention.RoutedStep(mx)(
        mx.ones((2, 16)), keys, keys, mx.zeros((2, 4)), mx.zeros(64, dtype=mx.int32), mx.array([0.0, 1.0]), 5, 64
    )
    assert not np.array(off)[0].any() and np.isnan(np.array(off)[1]).all()


def test_one_that_is_wrong_is_not_used(metal, monkeypatch):
    assert metal_attention.routed_step(mx, NANO) is not None

    monkeypatch.setattr(mx.fast, "metal_kernel", lambda **k: lambda **c: [mx.zeros(c["output_shapes"][0])])
    assert metal_attention.routed_step(mx, NANO) is None


def test_without_metal_or_without_being_asked_nothing_is_built(monkeypatch):
    monkeypatch.setattr(mx.fast, "metal_kernel", lambda **k: pytest.fail("built"), raising=False)
    monkeypatch.setattr(mx.metal, "is_available", lambda: False)
    tensors = random_tensors(PICO)
    assert open_engine("mlx", PICO, tensors, device="metal")._kernel is None
    monkeypatch.setattr(mx.metal, "is_available", lambda: True)
    assert open_engine("mlx", PICO, tensors)._kernel is None
