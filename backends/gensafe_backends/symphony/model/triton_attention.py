"""Routed attention of one decode step as one Triton kernel (equations 2e to 2g of ``spec.py``).

One program per head. A head whose gate is zero reads no keys and no values; the others walk over their pages with a
running softmax (Milakov and Gimelshein 2018; Dao et al. 2022), from the window's edge in local layers. The token's
index is read from memory, so that a captured CUDA graph serves every length. Runs in Triton's interpreter on a CPU
(``TRITON_INTERPRET=1``), where it is tested; ``usable`` compares it with plain torch on a device before it is trusted.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 64  # keys at a time: a page of the cache (PAGE in symphony.c)


@triton.jit  # type: ignore[untyped-decorator]
def _routed_step(  # type: ignore[no-untyped-def]  # Triton reads the annotations: only constants have one
    q, keys, values, beta, seen, gate, index, out, stride, window, root, width,  # noqa: ANN001
    GROUP: tl.constexpr, MODALITIES: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,  # noqa: N803
) -> None:  # fmt: skip
    head = tl.program_id(0)
    lane = tl.arange(0, WIDE)
    here = lane < width
    g = tl.load(gate + head)
    total = tl.zeros([WIDE], dtype=tl.float32)
    if g != 0.0:
        i = tl.load(index).to(tl.int32)
        first = tl.maximum(0, i - window + 1)
        query = tl.load(q + head * width + lane, mask=here, other=0.0)
        base = (head // GROUP) * stride
        top = -float("inf")
        norm = 0.0
        for start in range((first // BLOCK) * BLOCK, i + 1, BLOCK):
            at = start + tl.arange(0, BLOCK)
            live = (at >= first) & (at <= i)
            where = base + at[:, None] * width + lane[None, :]
            ok = live[:, None] & here[None, :]
            k = tl.load(keys + where, mask=ok, other=0.0)
            bias = tl.load(beta + head * MODALITIES + tl.load(seen + at, mask=live, other=0), mask=live, other=0.0)
            s = tl.where(live, tl.sum(k * query[None, :], axis=1) * root + bias, -float("inf"))
            peak = tl.maximum(top, tl.max(s, axis=0))
            weight = tl.exp(s - peak)
            shrink = tl.exp(top - peak)
            v = tl.load(values + where, mask=ok, other=0.0)
            total = total * shrink + tl.sum(weight[:, None] * v, axis=0)
            norm = norm * shrink + tl.sum(weight, axis=0)
            top = peak
        total = total * (g / norm)
    tl.store(out + head * width + lane, total, mask=here)


def routed_step(
    q: Tensor, keys: Tensor, values: Tensor, beta: Tensor, seen: Tensor, gate: Tensor, index: Tensor, window: int
) -> Tensor:
    """Gated head outputs of one token.

    Args:
        q: float32 (H, e), normed, rotated and scaled by ``c_i`` but not by ``1 / sqrt(e)``.
        keys: float32 (K, capacity, e), the token's own included.
        values: The same shape.
        beta: float32 (H, M), the bias row of the token's modality.
        seen: int64 (capacity,), modalities.
        gate: float32 (H,).
        index: int64 (1,), the token's index.
        window: Tokens a query sees, itself included; the capacity or more for a global layer.

    Returns:
        float32 (H, e); zeros where the gate is zero.
    """
    heads, width = q.shape
    out = torch.empty_like(q)
    _routed_step[(heads,)](
        q, keys, values, beta, seen, gate, index, out, keys.stride(0), window, width**-0.5, width,
        GROUP=heads // keys.shape[0], MODALITIES=beta.shape[1], WIDE=triton.next_power_of_2(width), BLOCK=BLOCK,
    )  # fmt: skip
    return out


def usable(device: str) -> bool:
    """Whether the kernel runs on ``device`` and agrees with plain torch there, on one drawn example."""
    generator = torch.Generator().manual_seed(0)
    q, keys, values = (torch.randn(s, generator=generator) for s in ((4, 16), (2, 192, 16), (2, 192, 16)))
    beta, seen = torch.randn((4, 4), generator=generator), torch.randint(0, 4, (192,), generator=generator)
    gate, index = torch.tensor([1.0, 0.0, 0.4, 1.6]), torch.tensor([150])
    try:
        q_, k_, v_, beta_, seen_, gate_, index_ = (x.to(device) for x in (q, keys, values, beta, seen, gate, index))
        got = routed_step(q_, k_, v_, beta_, seen_, gate_, index_, 100).cpu()
    except Exception:  # a driver, compiler or version that cannot run it: the plain path can
        return False
    return bool(torch.allclose(got, plain_step(q, keys, values, beta, seen, gate, 150, 100), atol=1e-4))


def plain_step(
    q: Tensor, keys: Tensor, values: Tensor, beta: Tensor, seen: Tensor, gate: Tensor, index: int, window: int
) -> Tensor:
    """What ``routed_step`` computes, in five lines of torch."""
    part = slice(max(0, index - window + 1), index + 1)
    group = q.shape[0] // keys.shape[0]
    k, v = (x[:, part].repeat_interleave(group, dim=0) for x in (keys, values))
    scores = torch.einsum("he,hte->ht", q, k) * q.shape[1] ** -0.5 + beta[:, seen[part]]
    return torch.einsum("ht,hte->he", scores.softmax(-1), v) * gate[:, None]
