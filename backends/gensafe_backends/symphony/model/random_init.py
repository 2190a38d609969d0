"""Random weights of the right shapes: for tests, and for measuring speed and memory of sizes nobody has trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gensafe_backends.symphony.model.spec import tensor_shapes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gensafe_backends.symphony.config import SymphonyConfig


def random_tensors(config: SymphonyConfig, seed: int = 0, gain: float = 1.0) -> dict[str, NDArray[np.float32]]:
    """Float32 tensors that are exact in float16, as stored bundles are.

    Matrices are normal with variance ``gain^2 / fan_in``, norms lie around 1, tables and biases around 0.
    """
    rng = np.random.default_rng(seed)
    out: dict[str, NDArray[np.float32]] = {}
    for name, shape in tensor_shapes(config).items():
        noise = rng.standard_normal(shape)
        if "norm" in name:
            value = 1.0 + 0.1 * noise
        elif len(shape) == 2 and "bias" not in name:
            value = gain * noise / np.sqrt(shape[1])
        else:
            value = 0.5 * noise
        out[name] = value.astype(np.float16).astype(np.float32)
    return out
