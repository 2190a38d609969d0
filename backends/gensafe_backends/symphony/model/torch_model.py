"""The forward pass of ``spec.py`` in torch, with gradients, over packed rows: the model that is trained.

Rows hold several exchanges one after another; a mask keeps them apart. All heads are computed and multiplied by their
gates,
which equals leaving the unselected ones out. The head-by-modality bias is folded into the product of queries and keys:
``[q, beta[h, m(i)]] . [k, onehot(m(j))]``, so that a fused attention kernel can be used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everyone knows

from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.model.layer import LayerView, SwigluView
from gensafe_backends.symphony.model.spec import tensor_shapes
from gensafe_backends.symphony.vocab import MODALITIES, ModalityId, vocabulary


@dataclass(frozen=True, slots=True)
class PackedRows:
    """A batch of rows, each filled with whole exchanges and padding.

    Attributes:
        ids: int64 (B, T).
        tyx: float32 (B, T, 3) positions.
        slots: int64 (B, T).
        index: int64 (B, T), token index inside its exchange.
        exchange: int64 (B, T), which exchange of the row a token belongs to; padding is -1.
        loss: bool (B, T), whether the token is a target.
        live: int64 (B, T), which live range normalises the token as a target: 0 text and control, 1 image, 2 audio, 3
        video.
        weight: float32 (B, T), how much a target counts inside its modality's mean.
        window: int64 (B, T), how many tokens a local layer's query sees, itself included.
    """

    ids: Tensor
    tyx: Tensor
    slots: Tensor
    index: Tensor
    exchange: Tensor
    loss: Tensor
    live: Tensor
    weight: Tensor
    window: Tensor


@dataclass(frozen=True, slots=True)
class TrunkOutput:
    """What a forward pass leaves.

    Attributes:
        hidden: Final normed hidden states (B, T, d).
        entered: What entered the first global layer (B, T, d).
        balance: The routers' load-balance loss.
        use: Mean gate use per layer (L, M, R).
    """

    hidden: Tensor
    entered: Tensor
    balance: Tensor
    use: Tensor


def rms(z: Tensor, weight: Tensor, eps: float) -> Tensor:
    """RMSNorm in the input's precision, statistics in float32."""
    scale = torch.rsqrt(z.float().square().mean(-1, keepdim=True) + eps)
    return (z.float() * scale * weight.float()).to(z.dtype)


class SymphonyModel(nn.Module):
    """Symphony with gradients. Parameter names are those of ``spec.tensor_shapes`` with dots as double underscores."""

    modality: Tensor
    frequencies: Tensor
    axis: Tensor

    def __init__(self, config: SymphonyConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(seed)
        for name, shape in tensor_shapes(config).items():
            if name.endswith("norm.weight"):
                value = torch.ones(shape)
            elif name.endswith(("beta", "bias")):
                value = torch.zeros(shape)
            else:
                std = 0.02 if name in ("embed.weight", "slot.weight") else max(shape[1], 1) ** -0.5
                if name.endswith(("attn.o.weight", "down.weight")):
                    std /= math.sqrt(2 * config.layers)
                value = torch.randn(shape, generator=generator) * std
            self.register_parameter(name.replace(".", "__"), nn.Parameter(value))
        self.register_buffer("modality", torch.from_numpy(vocabulary(config).modality_table()), persistent=False)
        frequencies = [
            b ** (-torch.arange(n, dtype=torch.float32) / n)
            for n, b in zip(config.rope_pairs, config.rope_bases, strict=True)
        ]
        self.register_buffer("frequencies", torch.cat(frequencies), persistent=False)
        axis = [i for i, n in enumerate(config.rope_pairs) for _ in range(n)]
        self.register_buffer("axis", torch.tensor(axis), persistent=False)

    def weight(self, name: str) -> Tensor:
        """A tensor by its spec name."""
        value: Tensor = getattr(self, name.replace(".", "__"))
        return value

    def layer(self, index: int) -> LayerView[Tensor]:
        """One layer's tensors under the names of the equations."""
        return LayerView(self.weight, index)

    def state(self) -> dict[str, NDArray[np.float32]]:
        """All tensors by their spec names."""
        return {n: self.weight(n).detach().float().cpu().numpy().copy() for n in tensor_shapes(self.config)}

    def load(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        """Take over tensors by their spec names."""
        with torch.no_grad():
            for name in tensor_shapes(self.config):
                self.weight(name).copy_(torch.from_numpy(np.asarray(tensors[name])))

    # --- forward ----------------------------------------------------------------------------------------------------

    def trunk(self, rows: PackedRows) -> TrunkOutput:
        """Hidden states of packed rows (spec steps 1, 2 and the final norm)."""
        c = self.config
        modality = self.modality[rows.ids]
        h = F.embedding(rows.ids, self.weight("embed.weight")) + F.embedding(rows.slots, self.weight("slot.weight"))
        flat = modality.reshape(-1)
        order = [torch.nonzero(flat == m).squeeze(1) for m in range(MODALITIES)]
        angles = rows.tyx[:, :, self.axis] * self.frequencies
        rotation = (angles.cos()[:, None], angles.sin()[:, None])
        onehot = F.one_hot(modality, MODALITIES).to(torch.float32)[:, None]
        distance = rows.index[:, :, None] - rows.index[:, None, :]
        same = (rows.exchange[:, :, None] == rows.exchange[:, None, :]) & (distance >= 0)
        wide = same[:, None]
        narrow = (same & (distance < rows.window[:, :, None]))[:, None]
        balance = h.new_zeros(())
        uses, entered = [], h
        for layer in range(c.layers):
            if layer == min(c.global_layers, default=0):
                entered = h
            attended, lost, use = self._attention(layer, h, modality, onehot, rotation, rows.index, wide, narrow)
            h = h + attended
            h = h + self._feed_forward(layer, h, order)
            balance = balance + lost
            uses.append(use)
        hidden = rms(h, self.weight("final_norm.weight"), c.norm_eps)
        return TrunkOutput(hidden, entered, balance, torch.stack(uses))

    def _attention(
        self,
        layer: int,
        h: Tensor,
        modality: Tensor,
        onehot: Tensor,
        rotation: tuple[Tensor, Tensor],
        index: Tensor,
        wide: Tensor,
        narrow: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        c, w = self.config, self.layer(layer)
        b, t, _ = h.shape
        a = rms(h, w.attn_norm, c.norm_eps)  # 2a
        q = F.linear(a, w.q).view(b, t, c.heads, c.head_dim).transpose(1, 2)  # 2b
        k = F.linear(a, w.k).view(b, t, c.kv_heads, c.head_dim).transpose(1, 2)
        v = F.linear(a, w.v).view(b, t, c.kv_heads, c.head_dim).transpose(1, 2)
        q, k = rms(q, w.q_norm, c.norm_eps), rms(k, w.k_norm, c.norm_eps)  # 2c
        is_global = layer in c.global_layers
        if is_global:
            scale = torch.log(index.float() + 1.0) / math.log(c.train_length)
            q = q * scale.clamp(min=1.0)[:, None, :, None].to(q.dtype)
        else:
            q, k = _rotate(q, *rotation), _rotate(k, *rotation)
        root = math.sqrt(c.head_dim)
        bias = w.beta[:, modality].permute(1, 0, 2, 3) * root  # (B, H, T, M)
        q = torch.cat([q, bias.to(q.dtype)], dim=-1)
        k = torch.cat([k, onehot.to(k.dtype).expand(b, c.kv_heads, t, MODALITIES)], dim=-1)
        repeat = c.heads // c.kv_heads
        k, v = k.repeat_interleave(repeat, dim=1), v.repeat_interleave(repeat, dim=1)
        v = F.pad(v, (0, MODALITIES))
        mask = wide if is_global else narrow
        o = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0 / root)[..., : c.head_dim]
        gates, lost, use = self._gates(w, a, modality)  # 2g
        o = o.transpose(1, 2) * gates[..., None].to(o.dtype)
        return F.linear(o.reshape(b, t, -1), w.o), lost, use  # 2h

    def _gates(self, w: LayerView[Tensor], a: Tensor, modality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        c = self.config
        with torch.autocast("cpu", enabled=False):
            scores = F.linear(a.float(), w.router.float())
            probability = torch.softmax(scores + w.router_bias[modality], dim=-1)
        kept = torch.topk(probability, c.active_routed, dim=-1)
        chosen = torch.zeros_like(probability).scatter(-1, kept.indices, 1.0)
        routed = probability * chosen
        routed = routed * (c.active_routed / routed.sum(-1, keepdim=True))
        shared = routed.new_ones((*routed.shape[:-1], c.shared_heads))
        # balance: mean probability times mean use per head, 1 at uniform (Fedus et al. 2021; as in MoH)
        lost = (probability.mean((0, 1)) * chosen.mean((0, 1))).sum() * c.routed_heads / max(c.active_routed, 1)
        use = torch.stack(
            [
                chosen[modality == m].mean(0) if bool((modality == m).any()) else chosen.new_zeros(c.routed_heads)
                for m in range(MODALITIES)
            ]
        )
        return torch.cat([shared, routed], dim=-1), lost, use.detach()

    def _feed_forward(self, layer: int, h: Tensor, order: list[Tensor]) -> Tensor:
        w = self.layer(layer)
        f = rms(h, w.ffn_norm, self.config.norm_eps)  # 2i
        out = self._swiglu(w.shared, f)
        flat, own = f.reshape(-1, f.shape[-1]), out.reshape(-1, f.shape[-1])
        for modality, places in zip(ModalityId, order, strict=True):
            if len(places):
                own = own.index_add(0, places, self._swiglu(w.own(modality), flat[places]).to(own.dtype))
        return own.view_as(out)

    @staticmethod
    def _swiglu(w: SwigluView[Tensor], f: Tensor) -> Tensor:
        return F.linear(F.silu(F.linear(f, w.gate)) * F.linear(f, w.up), w.down)

    def logits(self, hidden: Tensor, start: int, stop: int) -> Tensor:
        """Logits of the ids start..stop-1 from final hidden states (spec step 3)."""
        return F.linear(hidden, self.weight("embed.weight")[start:stop])


def _rotate(z: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    u1, u2 = z.float().chunk(2, dim=-1)
    return torch.cat([u1 * cos - u2 * sin, u2 * cos + u1 * sin], dim=-1).to(z.dtype)
