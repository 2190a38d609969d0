"""``model/spec.py`` in torch, float32: eager on the CPU, a captured CUDA graph per page count on NVIDIA devices.

The decode step works on a *static span* of the cache (a multiple of 64 tokens, the rest masked), so that the same code
runs eagerly and captured. All heads are evaluated and gated; a token's own feed-forward weights are gathered by
modality, so that weights of absent modalities are not read. Nothing here imports torch until an engine is made.
"""

from __future__ import annotations

from collections.abc import Mapping
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
)
from gensafe_backends.symphony.model.layer import LayerView
from gensafe_backends.symphony.model.spec import MODALITY_NAMES
from gensafe_backends.symphony.vocab import MODALITIES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gensafe_backends.symphony.config import SymphonyConfig

    F32 = NDArray[np.float32]
    Tensor = Any  # torch.Tensor; torch is an extra and is not imported for types


_EVERYTHING: Final = 1 << 30  # a window no context reaches


def _routed_step(device: str) -> Any:  # noqa: ANN401 - the kernel, or None where it cannot be trusted
    try:
        from gensafe_backends.symphony.model import triton_attention
    except ImportError:
        return None
    return triton_attention.routed_step if triton_attention.usable(device) else None


def _flex(device: str) -> Any:  # noqa: ANN401 - the module, or None where it cannot be trusted
    try:
        from gensafe_backends.symphony.model import flex_chunk
    except ImportError:
        return None
    return flex_chunk if flex_chunk.usable(device) else None


class TorchCache:
    """Static keys and values (layers, kv_heads, capacity, head_dim) on the engine's device, growing by whole pages."""

    def __init__(self, torch: Any, config: SymphonyConfig, device: str) -> None:  # noqa: ANN401 - the torch module
        self._torch, self._device = torch, device
        self._shape = (config.layers, config.kv_heads, 0, config.head_dim)
        self.length = 0
        self.keys = torch.zeros(self._shape, device=device)
        self.values = torch.zeros(self._shape, device=device)
        self.modalities = torch.zeros(0, dtype=torch.int64, device=device)
        self.graphs: dict[tuple[int, int, int], tuple[Any, dict[str, Any], Any]] = {}

    def reserve(self, count: int) -> None:
        """Make room for ``count`` more tokens; captured graphs end with the memory they point into."""
        have, need = self.keys.shape[2], self.length + count
        if need <= have:
            return
        capacity = -(-max(need, 2 * have) // PAGE) * PAGE
        room = (*self._shape[:2], capacity - have, self._shape[3])
        zeros = self._torch.zeros(room, device=self._device)
        self.keys = self._torch.cat([self.keys, zeros], dim=2)
        self.values = self._torch.cat([self.values, zeros], dim=2)
        fill = self._torch.zeros(capacity - have, dtype=self._torch.int64, device=self._device)
        self.modalities = self._torch.cat([self.modalities, fill])
        self.graphs.clear()

    def nbytes(self) -> int:
        """Bytes held by keys and values."""
        return 2 * int(self.keys.numel()) * int(self.keys.element_size())

    def truncate(self, length: int) -> None:
        """Forget all tokens from index ``length`` on."""
        self.length = min(self.length, length)


class TorchEngine:
    """Runs ``tensors`` in torch.

    Args:
        config: The model's sizes.
        tensors: All tensors of ``spec.tensor_shapes``.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        graph: Capture single-token steps as CUDA graphs; None = on CUDA only. On other devices it must be falsy.
        kernel: Attention of single-token steps in Triton (``triton_attention.py``); None = on CUDA, where triton is
            installed and agrees with plain torch.
        flex: Attention of longer batches through FlexAttention (``flex_chunk.py``); None = on CUDA, where it agrees
            with plain torch.

    Raises:
        BackendUnavailable: torch is not installed, or the device is not available.
    """

    name = "torch"

    def __init__(
        self,
        config: SymphonyConfig,
        tensors: Mapping[str, F32],
        *,
        device: str = "cpu",
        graph: bool | None = None,
        kernel: bool | None = None,
        flex: bool | None = None,
    ) -> None:
        try:
            import torch
        except ImportError as error:
            raise BackendUnavailable("torch is not installed", fix="pip install 'gensafe[torch]'") from error
        is_cuda = device.startswith("cuda")
        if is_cuda and not torch.cuda.is_available():
            raise BackendUnavailable(f"no CUDA device for {device!r}", fix="use device=cpu")
        if graph and not is_cuda:
            raise BackendUnavailable("graphs can be captured on CUDA devices only", fix="leave graph unset")
        self.config = config
        self._torch = torch
        self._device = device
        self._graph = is_cuda if graph is None else graph
        self._kernel = _routed_step(device) if kernel or (kernel is None and is_cuda) else None
        self._flex = _flex(device) if flex or (flex is None and is_cuda) else None
        self._rope = RopeTable(config)
        w = {name: torch.from_numpy(np.array(value, np.float32)).to(device) for name, value in tensors.items()}
        self._own: list[tuple[Tensor, Tensor, Tensor]] = []
        for i in range(config.layers):  # gate, up, down as (modalities, out, in): a token's own weights are one row
            stacks = (
                torch.stack([w.pop(f"layers.{i}.ffn.{m}.{part}.weight") for m in MODALITY_NAMES])
                for part in ("gate", "up", "down")
            )
            gate, up, down = stacks
            self._own.append((gate, up, down))
        self._w: dict[str, Tensor] = w
        self._layers = [LayerView(w.__getitem__, i) for i in range(config.layers)]

    def new_cache(self) -> TorchCache:
        """An empty cache."""
        return TorchCache(self._torch, self.config, self._device)

    def cache_bytes(self, tokens: int) -> int:
        """See ``Engine.cache_bytes``."""
        return plain_cache_bytes(self.config, tokens, 2.0)

    def forward(self, batch: TokenBatch, cache: Cache, *, live: range | None = None, last_only: bool = True) -> F32:
        """See ``Engine.forward``."""
        check_batch(batch, self.config)
        blocks, cut = live_blocks(self.config, live)
        kv = cast("TorchCache", cache)
        kv.reserve(len(batch))
        start, stop = blocks[0].start, blocks[-1].stop
        span = -(-(kv.length + len(batch)) // PAGE) * PAGE
        inputs = self._inputs(batch, kv.length)
        with self._torch.inference_mode():
            if self._graph and len(batch) == 1:
                logits = self._replay(inputs, kv, span, start, stop)
            else:
                logits = self._step(inputs, kv, span, start, stop, last_only)
            result = logits.cpu().numpy()
        kv.length += len(batch)
        return cast("F32", result[:, cut])

    def _inputs(self, batch: TokenBatch, start: int) -> dict[str, Tensor]:
        cos, sin = self._rope(batch.tyx)
        arrays = {
            "ids": batch.ids,
            "slots": batch.slots,
            "modalities": batch.modalities,
            "index": np.arange(start, start + len(batch)),
            "cos": cos,
            "sin": sin,
            "scale": length_scale(self.config, start, len(batch)),
        }
        return {k: self._torch.from_numpy(np.ascontiguousarray(v)).to(self._device) for k, v in arrays.items()}

    def _replay(self, inputs: dict[str, Tensor], kv: TorchCache, span: int, start: int, stop: int) -> Tensor:
        """One decode step through a captured graph; the first step of a (span, live range) captures it."""
        torch = self._torch
        key = (span, start, stop)
        if key not in kv.graphs:
            static = {k: v.clone() for k, v in inputs.items()}
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):  # warm-up: libraries initialise outside the capture
                for _ in range(2):
                    self._step(static, kv, span, start, stop, True)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                out = self._step(static, kv, span, start, stop, True)
            kv.graphs[key] = (graph, static, out)
        graph, static, out = kv.graphs[key]
        for name, value in inputs.items():
            static[name].copy_(value)
        graph.replay()
        return out

    def _step(self, x: dict[str, Tensor], kv: TorchCache, span: int, start: int, stop: int, last_only: bool) -> Tensor:
        torch, c, w = self._torch, self.config, self._w
        kv.modalities.index_copy_(0, x["index"], x["modalities"])
        h = w["embed.weight"][x["ids"]] + w["slot.weight"][x["slots"]]  # 1
        windows = {True: c.window, False: _EVERYTHING}
        hidden: dict[bool, Any]
        if self._flex is not None and len(h) > 1:
            hidden = {local: self._flex.block_mask(x["index"], span, see) for local, see in windows.items()}
        else:
            back = x["index"][:, None] - torch.arange(span, device=self._device)[None, :]
            hidden = {local: (back < 0) | (back >= see) for local, see in windows.items()}
        for layer in range(c.layers):
            local = layer not in c.global_layers
            h = h + self._attention(layer, h, x, kv, span, hidden[local], local)
            h = h + self._feed_forward(layer, h, x["modalities"])
        final = self._rms(h[-1:] if last_only else h, w["final_norm.weight"])
        return final @ w["embed.weight"][start:stop].T  # 3

    def _rms(self, z: Tensor, weight: Tensor) -> Tensor:
        return z * self._torch.rsqrt((z * z).mean(-1, keepdim=True) + self.config.norm_eps) * weight

    def _rotate(self, u: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        u1, u2 = u.chunk(2, dim=-1)
        c, s = cos[:, None], sin[:, None]
        return self._torch.cat([u1 * c - u2 * s, u2 * c + u1 * s], dim=-1)

    def _attention(
        self,
        layer: int,
        h: Tensor,
        x: dict[str, Tensor],
        kv: TorchCache,
        span: int,
        hidden: Any,  # noqa: ANN401 - a mask, or a block mask
        local: bool,
    ) -> Tensor:
        torch, c, w = self._torch, self.config, self._layers[layer]
        count, shared = len(h), c.shared_heads
        a = self._rms(h, w.attn_norm)  # 2a
        q = (a @ w.q.T).view(count, c.heads, c.head_dim)  # 2b
        k = (a @ w.k.T).view(count, c.kv_heads, c.head_dim)
        v = (a @ w.v.T).view(count, c.kv_heads, c.head_dim)
        q, k = self._rms(q, w.q_norm), self._rms(k, w.k_norm)  # 2c
        if local:  # 2d
            q, k = self._rotate(q, x["cos"], x["sin"]), self._rotate(k, x["cos"], x["sin"])
        else:
            q = q * x["scale"][:, None, None]  # c_i of 2e
        kv.keys[layer].index_copy_(1, x["index"], k.transpose(0, 1))
        kv.values[layer].index_copy_(1, x["index"], v.transpose(0, 1))

        chances = (a @ w.router.T + w.router_bias[x["modalities"]]).softmax(-1)  # 2g
        kept = chances.sort(dim=-1, descending=True, stable=True)
        best, where = kept.values[:, : c.active_routed], kept.indices[:, : c.active_routed]
        gate = torch.ones(count, c.heads, device=h.device)
        routed = torch.zeros_like(chances).scatter_(1, where, c.active_routed * best / best.sum(-1, keepdim=True))
        gate[:, shared:] = routed

        if self._kernel is not None and count == 1:
            row = w.beta.index_select(1, x["modalities"])[:, 0].contiguous()
            window = c.window if local else _EVERYTHING
            o = self._kernel(
                q[0].contiguous(), kv.keys[layer], kv.values[layer], row, kv.modalities, gate[0], x["index"], window
            )
            return o.reshape(1, -1) @ w.o.T
        keys, values, seen = kv.keys[layer, :, :span], kv.values[layer, :, :span], kv.modalities[:span]
        beta, asking, queries = w.beta, x["modalities"], q.transpose(0, 1)
        if self._flex is not None and count > 1:  # 2e, 2f
            o = self._flex.chunk(queries.contiguous(), keys, values, beta, asking, seen, hidden)
        else:
            mask = beta[:, asking][:, :, seen].masked_fill(hidden, float("-inf"))[None]
            group = c.heads // c.kv_heads
            k_, v_ = (z.repeat_interleave(group, dim=0)[None] for z in (keys, values))
            o = torch.nn.functional.scaled_dot_product_attention(queries[None], k_, v_, attn_mask=mask)[0]
        o = o.transpose(0, 1) * gate[:, :, None]
        return o.reshape(count, -1) @ w.o.T  # 2h

    def _feed_forward(self, layer: int, h: Tensor, modalities: Tensor) -> Tensor:
        torch, w, shared = self._torch, self._layers[layer], self._layers[layer].shared
        f = self._rms(h, w.ffn_norm)  # 2i
        silu = torch.nn.functional.silu
        out = (silu(f @ shared.gate.T) * (f @ shared.up.T)) @ shared.down.T
        gate, up, down = self._own[layer]
        if len(h) == 1:  # gathered by a tensor index, so that a captured graph follows the token's modality
            g, u, d = (m.index_select(0, modalities)[0] for m in (gate, up, down))
            return out + (silu(f @ g.T) * (f @ u.T)) @ d.T
        for m in range(MODALITIES):
            rows = (modalities == m).nonzero()[:, 0]
            if len(rows):
                part = f[rows]
                out.index_add_(0, rows, (silu(part @ gate[m].T) * (part @ up[m].T)) @ down[m].T)
        return out
