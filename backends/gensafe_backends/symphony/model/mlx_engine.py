"""``model/spec.py`` in MLX, float32: Apple silicon's GPU through ``mx.fast``; on Linux CPUs a parity engine.

Like the torch engine it evaluates all heads on a static span of the cache (a multiple of 64 tokens, the rest masked),
so that ``mx.compile`` sees few shapes. A token's own feed-forward weights are chosen by modality; absent ones are not
read. Nothing here imports mlx until an engine is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from gensafe.core.errors import BackendUnavailable
from gensafe_backends.symphony.model.engine import (
    PAGE,
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
from gensafe_backends.symphony.model.metal_attention import routed_step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gensafe_backends.symphony.config import SymphonyConfig

    F32 = NDArray[np.float32]
    Array = Any  # mx.array; mlx is an extra and is not imported for types


_GROUP: Final = 64  # weights that share a scale


class MlxCache:
    """Keys and values per layer (kv_heads, capacity, head_dim), growing by whole pages."""

    def __init__(self, mx: Any, config: SymphonyConfig) -> None:  # noqa: ANN401 - the mlx.core module
        self._mx = mx
        self._shape = (config.kv_heads, 0, config.head_dim)
        self.length = 0
        self.keys = [mx.zeros(self._shape) for _ in range(config.layers)]
        self.values = [mx.zeros(self._shape) for _ in range(config.layers)]
        self.modalities = np.zeros(0, np.int32)

    def reserve(self, count: int) -> None:
        """Make room for ``count`` more tokens."""
        have, need = len(self.modalities), self.length + count
        if need <= have:
            return
        capacity = -(-max(need, 2 * have) // PAGE) * PAGE
        room = self._mx.zeros((self._shape[0], capacity - have, self._shape[2]))
        self.keys = [self._mx.concatenate([k, room], axis=1) for k in self.keys]
        self.values = [self._mx.concatenate([v, room], axis=1) for v in self.values]
        self.modalities = np.concatenate([self.modalities, np.zeros(capacity - have, np.int32)])

    def nbytes(self) -> int:
        """Bytes held by keys and values."""
        return 2 * len(self.keys) * self._shape[0] * len(self.modalities) * self._shape[2] * 4

    def truncate(self, length: int) -> None:
        """Forget all tokens from index ``length`` on."""
        self.length = min(self.length, length)


class MlxEngine:
    """Runs ``tensors`` in MLX.

    Args:
        config: The model's sizes.
        tensors: All tensors of ``spec.tensor_shapes``.
        compile: Fuse the steps between matrix products with ``mx.compile``; falls back to plain MLX where the machine
            cannot compile.
        bits: 8 or 4 stores the layers' matrices in groups of 64 with so many bits each, an approximation; 0 does not.
            The embedding and the routers stay float32, so that what is chosen moves as little as possible.
        kernel: Attention of single-token steps in our Metal kernel (``metal_attention.py``), where it agrees with plain
            MLX.

    Raises:
        BackendUnavailable: mlx is not installed, or the sizes cannot be grouped.
    """

    name = "mlx"

    def __init__(
        self,
        config: SymphonyConfig,
        tensors: Mapping[str, F32],
        *,
        compile: bool = False,
        bits: int = 0,
        kernel: bool = False,
    ) -> None:
        try:
            import mlx.core as mx
        except ImportError as error:
            raise BackendUnavailable("mlx is not installed", fix="pip install 'gensafe[mlx]'") from error
        self.config = config
        self._mx = mx
        self._kernel = routed_step(mx, config) if kernel else None
        self._rope = RopeTable(config)
        self._w: dict[str, Array] = {name: mx.array(np.asarray(value, np.float32)) for name, value in tensors.items()}
        self._bits = bits
        self._packed: dict[str, tuple[Array, ...]] = {}
        for name, value in list(self._w.items()):
            if value.ndim == 2 and name.startswith("layers.") and not name.endswith("bias"):
                if bits and "router" not in name:
                    self._packed[name] = self._quantised(self._w.pop(name))
                else:
                    self._w[name] = mx.contiguous(value.T)  # (in, out): faster that way round on a CPU
        mx.eval(self._w, self._packed)
        self._swiglu: Callable[[Array, Array], Array] = self._plain_swiglu
        if compile:
            self._swiglu = self._guarded(mx.compile(self._plain_swiglu))

    def _quantised(self, value: Array) -> tuple[Array, ...]:
        if value.shape[1] % _GROUP:
            raise BackendUnavailable(f"rows of {value.shape[1]} are no groups of {_GROUP}", fix="leave bits unset")
        return tuple(self._mx.quantize(value, group_size=_GROUP, bits=self._bits))

    def _weight(self, name: str) -> Array:
        """A tensor as it is held; a matrix in groups is a tuple of its parts."""
        return self._packed[name] if name in self._packed else self._w[name]

    def _times(self, z: Array, weight: Array) -> Array:
        """``W z`` for every row of ``z``."""
        if isinstance(weight, tuple):
            packed, scales, biases = weight
            return self._mx.quantized_matmul(
                z, packed, scales, biases, transpose=True, group_size=_GROUP, bits=self._bits
            )
        return z @ weight

    def weight_bytes(self) -> int:
        """Bytes of all weights as they are held."""
        return sum(int(x.nbytes) for x in self._w.values()) + sum(
            int(x.nbytes) for parts in self._packed.values() for x in parts
        )

    def _guarded(self, compiled: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
        """``compiled`` if it runs here, else the plain function."""
        try:
            self._mx.eval(compiled(self._mx.zeros((1, 16)), self._mx.zeros((1, 16))))
        except (RuntimeError, ValueError):
            return self._plain_swiglu
        return compiled

    def _plain_swiglu(self, gate: Array, up: Array) -> Array:
        return gate * self._mx.sigmoid(gate) * up

    def new_cache(self) -> MlxCache:
        """An empty cache."""
        return MlxCache(self._mx, self.config)

    def cache_bytes(self, tokens: int) -> int:
        """See ``Engine.cache_bytes``."""
        return plain_cache_bytes(self.config, tokens, 2.0)

    def forward(self, batch: TokenBatch, cache: Cache, *, live: range | None = None, last_only: bool = True) -> F32:
        """See ``Engine.forward``."""
        check_batch(batch, self.config)
        blocks, cut = live_blocks(self.config, live)
        mx, c, w, kv = self._mx, self.config, self._w, cast("MlxCache", cache)
        kv.reserve(len(batch))
        n = kv.length + len(batch)
        kv.modalities[kv.length : n] = batch.modalities
        span = -(-n // PAGE) * PAGE
        cos, sin = (mx.array(z)[:, None] for z in self._rope(batch.tyx))
        scale = mx.array(length_scale(c, kv.length, len(batch)))[:, None, None]
        seen = (mx.array(batch.modalities), mx.array(kv.modalities[:span]))
        back = np.arange(kv.length, n)[:, None] - np.arange(span)[None, :]
        masks = [
            mx.array(np.where(m, -np.inf, 0.0).astype(np.float32)) for m in (back < 0, (back < 0) | (back >= c.window))
        ]
        h = w["embed.weight"][mx.array(batch.ids)] + w["slot.weight"][mx.array(batch.slots)]  # 1
        for layer in range(c.layers):
            local = layer not in c.global_layers
            view = LayerView(self._weight, layer)
            angles = (cos, sin) if local else None
            h = h + self._attention(layer, view, h, kv, n, span, seen, masks[local], angles, scale)
            h = h + self._feed_forward(view, h, batch.modalities)
        kv.length = n
        final = self._rms(h[-1:] if last_only else h, w["final_norm.weight"])
        logits = final @ w["embed.weight"][blocks[0].start : blocks[-1].stop].T  # 3
        mx.eval(logits, kv.keys, kv.values)
        return cast("F32", np.array(logits)[:, cut])

    def _rms(self, z: Array, weight: Array) -> Array:
        return self._mx.fast.rms_norm(z, weight, self.config.norm_eps)

    def _rotate(self, u: Array, cos: Array, sin: Array) -> Array:
        u1, u2 = self._mx.split(u, 2, axis=-1)
        return self._mx.concatenate([u1 * cos - u2 * sin, u2 * cos + u1 * sin], axis=-1)

    def _attention(
        self,
        layer: int,
        w: LayerView[Array],
        h: Array,
        kv: MlxCache,
        n: int,
        span: int,
        seen: tuple[Array, Array],
        mask: Array,
        angles: tuple[Array, Array] | None,
        scale: Array,
    ) -> Array:
        mx, c, count = self._mx, self.config, len(h)
        a = self._rms(h, w.attn_norm)  # 2a
        q = self._times(a, w.q).reshape(count, c.heads, c.head_dim)  # 2b
        k = self._times(a, w.k).reshape(count, c.kv_heads, c.head_dim)
        v = self._times(a, w.v).reshape(count, c.kv_heads, c.head_dim)
        q, k = self._rms(q, w.q_norm), self._rms(k, w.k_norm)  # 2c
        if angles is not None:  # 2d
            q, k = self._rotate(q, *angles), self._rotate(k, *angles)
        else:
            q = q * scale  # c_i of 2e
        kv.keys[layer][:, n - count : n] = k.transpose(1, 0, 2)
        kv.values[layer][:, n - count : n] = v.transpose(1, 0, 2)

        chances = mx.softmax(a @ w.router + w.router_bias[seen[0]], axis=-1)  # 2g
        index = mx.arange(c.routed_heads)
        higher = (chances[:, None, :] > chances[:, :, None]) | (
            (chances[:, None, :] == chances[:, :, None]) & (index[None, None, :] < index[None, :, None])
        )
        kept = mx.where(higher.sum(axis=-1) < c.active_routed, chances, 0.0)
        routed = c.active_routed * kept / kept.sum(axis=-1, keepdims=True)
        gate = mx.concatenate([mx.ones((count, c.shared_heads)), routed], axis=-1)

        if self._kernel is not None and count == 1:
            row, window = w.beta[:, seen[0]][:, 0], c.window if angles is not None else 1 << 30
            o = self._kernel(q[0], kv.keys[layer], kv.values[layer], row, seen[1], gate[0], n - 1, window)
            return self._times(o.reshape(1, -1), w.o)
        beta = w.beta[:, seen[0]][:, :, seen[1]]
        o = mx.fast.scaled_dot_product_attention(
            q.transpose(1, 0, 2)[None],
            kv.keys[layer][None, :, :span],
            kv.values[layer][None, :, :span],
            scale=c.head_dim**-0.5,
            mask=(beta + mask)[None],
        )[0].transpose(1, 0, 2)  # 2e, 2f
        return self._times((o * gate[:, :, None]).reshape(count, -1), w.o)  # 2h

    def _feed_forward(self, w: LayerView[Array], h: Array, modalities: NDArray[np.int64]) -> Array:
        mx = self._mx
        f = self._rms(h, w.ffn_norm)  # 2i
        out = self._branch(w.shared, f)
        found = present(modalities)
        for m in found:
            own = self._branch(w.own(m), f)
            out = out + (own if len(found) == 1 else mx.where(mx.array(modalities == m)[:, None], own, 0.0))
        return out

    def _branch(self, w: SwigluView[Array], f: Array) -> Array:
        return self._times(self._swiglu(self._times(f, w.gate), self._times(f, w.up)), w.down)
