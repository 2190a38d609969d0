"""The oracle: ``model/spec.py`` in float32 numpy, one line per equation. Also the engine that needs no compiler.

Sparse and dense runs are bit-identical. To make that so, whole heads and whole modalities are skipped for the batch
(never rows of it): every product that is computed has the same shape in both modes, and what is skipped would have
added +0.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import numpy as np

from gensafe_backends.symphony.model.engine import (
    PAGE,
    Activity,
    Cache,
    RopeTable,
    TokenBatch,
    check_batch,
    length_scale,
    live_blocks,
    plain_cache_bytes,
    present,
)
from gensafe_backends.symphony.model.layer import LayerView, SwigluView
from gensafe_backends.symphony.vocab import ModalityId

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gensafe_backends.symphony.config import SymphonyConfig

    F32 = NDArray[np.float32]


class NumpyCache:
    """Keys and values as float32 (layers, kv_heads, capacity, head_dim), growing by whole pages."""

    def __init__(self, config: SymphonyConfig) -> None:
        self._shape = (config.layers, config.kv_heads, config.head_dim)
        self.length = 0
        self.keys = np.zeros((*self._shape[:2], 0, self._shape[2]), np.float32)
        self.values = self.keys.copy()
        self.modalities = np.zeros(0, np.int64)

    def reserve(self, count: int) -> None:
        """Make room for ``count`` more tokens."""
        need, have = self.length + count, self.keys.shape[2]
        if need > have:
            # Half as much again, in whole pages: copying stays linear in the final length.
            capacity = -(-max(need, have * 3 // 2) // PAGE) * PAGE
            room = np.zeros((*self._shape[:2], capacity - have, self._shape[2]), np.float32)
            self.keys = np.concatenate([self.keys, room], axis=2)
            self.values = np.concatenate([self.values, room], axis=2)
            self.modalities = np.concatenate([self.modalities, np.zeros(capacity - have, np.int64)])

    def nbytes(self) -> int:
        """Bytes held by keys and values."""
        return self.keys.nbytes + self.values.nbytes

    def truncate(self, length: int) -> None:
        """Forget all tokens from index ``length`` on."""
        self.length = min(self.length, length)


def rms(z: F32, weight: F32, eps: float) -> F32:
    """``z / sqrt(mean(z^2) + eps) * weight`` over the last axis."""
    scale = np.float32(1.0) / np.sqrt(np.mean(z * z, axis=-1, keepdims=True) + np.float32(eps))
    return cast("F32", z * scale * weight)


def rotate(u: F32, cos: F32, sin: F32) -> F32:
    """Equation 2d, half-split. ``u`` (T, ..., e); cos and sin (T, e / 2)."""
    half = u.shape[-1] // 2
    shape = (len(u),) + (1,) * (u.ndim - 2) + (half,)
    c, s = cos.reshape(shape), sin.reshape(shape)
    u1, u2 = u[..., :half], u[..., half:]
    return np.concatenate([u1 * c - u2 * s, u2 * c + u1 * s], axis=-1)


def silu(z: F32) -> F32:
    """``z / (1 + exp(-z))``, without overflow for very negative z."""
    with np.errstate(over="ignore"):
        return cast("F32", z / (np.float32(1.0) + np.exp(-z)))


def gates(scores: F32, active: int, shared: int) -> F32:
    """Equation 2g: (T, R) router scores -> (T, H) gates."""
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    order = np.argsort(-p, axis=-1, kind="stable")[:, :active]
    kept = np.take_along_axis(p, order, axis=-1)
    out = np.zeros((len(p), shared + p.shape[1]), np.float32)
    out[:, :shared] = 1.0
    np.put_along_axis(out[:, shared:], order, np.float32(active) * kept / kept.sum(axis=-1, keepdims=True), axis=-1)
    return out


class NumpyEngine:
    """Runs ``tensors`` (a mapping from tensor name to float32 array; read by name, when first needed).

    Args:
        config: The model's sizes.
        tensors: All tensors of ``spec.tensor_shapes``; may load lazily.
        sparse: Skip heads and modalities nobody uses. False computes them and multiplies by zero: same bits.
    """

    name = "numpy"

    def __init__(self, config: SymphonyConfig, tensors: Mapping[str, F32], *, sparse: bool = True) -> None:
        self.config = config
        self.sparse = sparse
        self.activity = Activity()
        self._tensors = tensors
        self._rope = RopeTable(config)

    def new_cache(self) -> NumpyCache:
        """An empty cache."""
        return NumpyCache(self.config)

    def cache_bytes(self, tokens: int) -> int:
        """See ``Engine.cache_bytes``."""
        return plain_cache_bytes(self.config, tokens, 1.5)

    def _times(self, x: F32, weight: F32) -> F32:
        """``W x`` for every row of ``x``; the bytes of W are counted."""
        self.activity.weight_bytes += weight.nbytes
        return cast("F32", x @ weight.T)

    def forward(self, batch: TokenBatch, cache: Cache, *, live: range | None = None, last_only: bool = True) -> F32:
        """See ``Engine.forward``."""
        h = self.states(batch, cache)[-1]
        blocks, cut = live_blocks(self.config, live)
        final = rms(h[-1:] if last_only else h, self._tensors["final_norm.weight"], self.config.norm_eps)
        logits = np.concatenate([self._head(final, block) for block in blocks], axis=-1)  # 3
        return logits[:, cut]

    def states(self, batch: TokenBatch, cache: Cache) -> F32:
        """Append ``batch`` to ``cache`` and return h of equation 2i after every layer: float32 (layers, T, dim).

        Raises:
            BackendError: empty batch, or ids outside the vocabulary.
        """
        check_batch(batch, self.config)
        kv = cast("NumpyCache", cache)
        kv.reserve(len(batch))
        kv.modalities[kv.length : kv.length + len(batch)] = batch.modalities
        cos_sin = self._rope(batch.tyx)
        h = self._tensors["embed.weight"][batch.ids] + self._tensors["slot.weight"][batch.slots]  # 1
        found = []
        for layer in range(self.config.layers):
            w = LayerView(self._tensors.__getitem__, layer)
            h = h + self._attention(layer, w, h, batch, kv, cos_sin)
            h = h + self._feed_forward(w, h, batch.modalities)
            found.append(h)
        kv.length += len(batch)
        self.activity.tokens += len(batch)
        return np.stack(found)

    def _head(self, final: F32, block: range) -> F32:
        return self._times(final, self._tensors["embed.weight"][block.start : block.stop])

    def _attention(
        self, layer: int, w: LayerView[F32], h: F32, batch: TokenBatch, kv: NumpyCache, cos_sin: tuple[F32, F32]
    ) -> F32:
        c, count = self.config, len(batch)
        local = layer not in c.global_layers
        n = kv.length + count
        a = rms(h, w.attn_norm, c.norm_eps)  # 2a
        k = self._times(a, w.k).reshape(count, c.kv_heads, c.head_dim)  # 2b
        v = self._times(a, w.v).reshape(count, c.kv_heads, c.head_dim)
        k = rms(k, w.k_norm, c.norm_eps)  # 2c
        if local:
            k = rotate(k, *cos_sin)  # 2d
        kv.keys[layer, :, kv.length : n] = k.transpose(1, 0, 2)
        kv.values[layer, :, kv.length : n] = v.transpose(1, 0, 2)
        router = self._times(a, w.router) + w.router_bias[batch.modalities]
        gate = gates(router, c.active_routed, c.shared_heads)  # 2g

        first = max(0, kv.length - c.window + 1) if local else 0  # no query of this batch sees further back
        back = np.arange(kv.length, n)[:, None] - np.arange(first, n)[None, :]
        hidden = (back < 0) | (back >= c.window) if local else back < 0
        scale = np.float32(1.0 / np.sqrt(c.head_dim))
        factor = np.full(count, scale) if local else length_scale(c, kv.length, count) * scale
        w_q, q_norm, beta = w.q.reshape(c.heads, c.head_dim, c.dim), w.q_norm, w.beta
        w_o = w.o.reshape(c.dim, c.heads, c.head_dim)
        out = np.zeros_like(h)
        for head in range(c.heads):
            if self.sparse and not gate[:, head].any():
                self.activity.heads_skipped += 1
                continue
            self.activity.heads_run += 1
            self.activity.weight_bytes += 2 * w_q[head].nbytes
            group = head // (c.heads // c.kv_heads)
            q = rms(a @ w_q[head].T, q_norm, c.norm_eps)
            if local:
                q = rotate(q, *cos_sin)
            s = (q @ kv.keys[layer, group, first:n].T) * factor[:, None]  # 2e
            s = s + beta[head][batch.modalities[:, None], kv.modalities[None, first:n]]
            s[hidden] = -np.inf
            s = np.exp(s - s.max(axis=-1, keepdims=True))
            s /= s.sum(axis=-1, keepdims=True)
            o = s @ kv.values[layer, group, first:n]  # 2f
            out += (gate[:, head, None] * o) @ w_o[:, head].T  # 2h
        return out

    def _feed_forward(self, w: LayerView[F32], h: F32, modalities: NDArray[np.int64]) -> F32:
        f = rms(h, w.ffn_norm, self.config.norm_eps)  # 2i
        out = self._swiglu(w.shared, f)
        for m in present(modalities) if self.sparse else list(ModalityId):
            own = self._swiglu(w.own(m), f)
            out = out + np.where((modalities == m)[:, None], own, np.float32(0.0))
        return out

    def _swiglu(self, w: SwigluView[F32], f: F32) -> F32:
        return self._times(silu(self._times(f, w.gate)) * self._times(f, w.up), w.down)
