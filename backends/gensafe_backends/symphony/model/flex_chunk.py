"""Attention of a prompt's chunk through torch's FlexAttention (equations 2e and 2f of ``spec.py``), for CUDA.

The bias by head and modality is a score modification, the causal and local limits are a block mask, so that blocks
of keys no query of the chunk sees are never read and no (tokens x context) mask is written to memory. Compiled on a
device; eager on a CPU, where it is tested for equality and brings nothing. It has not run on a GPU: ``usable``
compares it with plain torch on the device before it is trusted.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention


def block_mask(index: Tensor, span: int, window: int) -> BlockMask:
    """Which of ``span`` keys the tokens at ``index`` (T,) see: up to themselves, ``window`` in all."""

    def seen(_batch: Tensor, _head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        back = index[i] - j
        return (back >= 0) & (back < window)

    return create_block_mask(seen, None, None, len(index), span, device=index.device)


def chunk(
    q: Tensor, keys: Tensor, values: Tensor, beta: Tensor, asking: Tensor, seen: Tensor, mask: BlockMask
) -> Tensor:
    """Head outputs of T tokens, without their gates.

    Args:
        q: float32 (H, T, e), normed, rotated and scaled by ``c_i`` but not by ``1 / sqrt(e)``.
        keys: float32 (K, span, e), the tokens' own included.
        values: The same shape.
        beta: float32 (H, M, M).
        asking: int64 (T,), modalities of the tokens.
        seen: int64 (span,), modalities of the keys.
        mask: From ``block_mask``.

    Returns:
        float32 (H, T, e).
    """

    def bias(score: Tensor, _batch: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return score + beta[head, asking[i], seen[j]]

    run = _compiled() if q.is_cuda else flex_attention
    out: Tensor = run(q[None], keys[None], values[None], score_mod=bias, block_mask=mask, enable_gqa=True)[0]
    return out


@lru_cache(maxsize=1)
def _compiled() -> Any:  # noqa: ANN401 - a compiled function
    return torch.compile(flex_attention, dynamic=True)


def usable(device: str) -> bool:
    """Whether ``chunk`` runs on ``device`` and agrees with plain torch there, on one drawn example."""
    g = torch.Generator().manual_seed(0)
    q, keys, values = (torch.randn(s, generator=g) for s in ((4, 70, 16), (2, 192, 16), (2, 192, 16)))
    beta, index = torch.randn((4, 4, 4), generator=g), torch.arange(100, 170)
    asking, seen = torch.randint(0, 4, (70,), generator=g), torch.randint(0, 4, (192,), generator=g)
    try:
        q_, k_, v_, beta_, asking_, seen_ = (x.to(device) for x in (q, keys, values, beta, asking, seen))
        got = chunk(q_, k_, v_, beta_, asking_, seen_, block_mask(index.to(device), 192, 50)).cpu()
    except Exception:  # a driver, compiler or version that cannot run it: the plain path can
        return False
    return bool(torch.allclose(got, plain_chunk(q, keys, values, beta, asking, seen, index, 50), atol=1e-4))


def plain_chunk(
    q: Tensor, keys: Tensor, values: Tensor, beta: Tensor, asking: Tensor, seen: Tensor, index: Tensor, window: int
) -> Tensor:
    """What ``chunk`` computes, with a mask in memory."""
    back = index[:, None] - torch.arange(keys.shape[1], device=q.device)[None, :]
    hidden = (back < 0) | (back >= window)
    mask = beta[:, asking][:, :, seen].masked_fill(hidden, float("-inf"))
    group = q.shape[0] // keys.shape[0]
    k, v = (x.repeat_interleave(group, dim=0)[None] for x in (keys, values))
    return torch.nn.functional.scaled_dot_product_attention(q[None], k, v, attn_mask=mask[None])[0]
