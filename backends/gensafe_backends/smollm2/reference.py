"""The model in numpy, float32: the specification that the ONNX graph is compared with. Slow on purpose.

Llama (Touvron et al. 2023, arXiv:2302.13971) with grouped-query attention and tied embeddings. For a sequence of n
tokens, per layer:

1. a = RMSNorm(x); q, k, v = a Wq, a Wk, a Wv
2. rotary positions on q and k, neighbouring pairs (Su et al. 2021; the order that GGUF files have)
3. causal attention, each key/value head shared by heads/kv_heads query heads
4. x = x + attention Wo
5. x = x + (silu(f Wgate) * f Wup) Wdown, with f = RMSNorm(x)

and logits = RMSNorm(x_last) E^T.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gensafe_backends.smollm2.weights import Model

Array = NDArray[np.float32]


class Reference:
    """Computes logits of whole sequences; keeps no keys or values."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._head = model.embedding().dense()

    def logits(self, ids: list[int]) -> Array:
        """Logits after the last of ``ids``: float32 (vocabulary,)."""
        shape = self._model.shape
        x = self._head[ids]
        positions = np.arange(len(ids))
        hidden = np.where(positions[None] > positions[:, None], np.float32(-np.inf), np.float32(0))
        for number in range(shape.layers):
            layer = self._model.layer(number)
            a = rms_norm(x, layer.attention_norm, shape.epsilon)  # 1.
            q = (a @ layer.q.dense().T).reshape(len(ids), shape.heads, shape.head)
            k = (a @ layer.k.dense().T).reshape(len(ids), shape.kv_heads, shape.head)
            v = (a @ layer.v.dense().T).reshape(len(ids), shape.kv_heads, shape.head)
            q, k = rotate(q, positions, shape.rope_base), rotate(k, positions, shape.rope_base)  # 2.
            group = shape.heads // shape.kv_heads
            shared = q.reshape(len(ids), shape.kv_heads, group, shape.head)
            scores = np.einsum("nkgd,tkd->kgnt", shared, k) / np.float32(np.sqrt(shape.head)) + hidden  # 3.
            shares = np.exp(scores - scores.max(-1, keepdims=True))
            shares /= shares.sum(-1, keepdims=True)
            attention = np.einsum("kgnt,tkd->nkgd", shares, v).reshape(len(ids), shape.hidden)
            x = x + attention @ layer.o.dense().T  # 4.
            f = rms_norm(x, layer.feed_forward_norm, shape.epsilon)  # 5.
            gate = f @ layer.gate.dense().T
            x = x + (gate / (1 + np.exp(-gate)) * (f @ layer.up.dense().T)) @ layer.down.dense().T
        last: Array = rms_norm(x[-1], self._model.output_norm(), shape.epsilon)
        return np.asarray(last @ self._head.T, np.float32)


def rms_norm(x: Array, scale: Array, epsilon: float) -> Array:
    """X / rms(x) * scale over the last axis."""
    return np.asarray(x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * scale, np.float32)


def rotate(x: Array, positions: NDArray[np.int64], base: float) -> Array:
    """Rotary positions on neighbouring pairs of the last axis: x (n, heads, size)."""
    cos, sin = rotary_table(positions, x.shape[-1], base)
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = np.empty_like(x)
    turned[..., 0::2] = even * cos[:, None] - odd * sin[:, None]
    turned[..., 1::2] = even * sin[:, None] + odd * cos[:, None]
    return turned


def rotary_table(positions: NDArray[np.int64], size: int, base: float) -> tuple[Array, Array]:
    """Cosines and sines: float32 (n, size/2) each."""
    angles = positions[:, None] * base ** (-np.arange(0, size, 2) / size)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
