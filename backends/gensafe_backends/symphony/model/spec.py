"""The Symphony forward pass, written down once, and the one table of tensor names every engine uses.

Linear weights are stored ``[out, in]`` and applied as ``y = W x``; there are no biases except the router's. Symbols:
d = dim, L = layers, H = heads, K = kv_heads, e = head_dim, S = shared_heads, R = H - S, k = active_routed, M = 4
modalities, V = vocabulary size. ``m(i)`` is the modality of the token at index i (``vocab.modality_of``),
``(t,y,x)_i`` and
``slot_i`` come from ``positions.py``, i counts tokens from 0.

1.  ``h_i = embed.weight[id_i] + slot.weight[slot_i]``
2.  for every layer l:
    a.  ``a_i = rms(h_i) * attn_norm.weight``, where ``rms(z) = z / sqrt(mean(z^2) + norm_eps)``
    b.  ``q = W_q a`` as (H, e); ``k = W_k a``, ``v = W_v a`` as (K, e); head h uses key/value head ``h // (H / K)``
    c.  QK-norm: ``q_h = rms(q_h) * attn.q_norm.weight``, ``k_g = rms(k_g) * attn.k_norm.weight`` (one (e,) weight for
    all heads)
    d.  local layers (l not in global_layers) rotate q and k (half-split): with e/2 angles ``theta_j = p_j * f_j``,
        ``[u1, u2] -> [u1 cos - u2 sin, u2 cos + u1 sin]``, u1 = first half. Pairs are given in order to t, then y,
        then x:
        axis with n pairs and base b has ``f = b ** (-arange(n) / n)``. Global layers do not rotate (NoPE).
    e.  ``s_h(i,j) = c_i * (q_h(i) . k_g(j)) / sqrt(e) + attn.beta[h, m(i), m(j)]`` for ``j <= i``, and in local layers
        ``i - j < window``. ``c_i = 1`` in local layers, ``max(1, ln(i + 1) / ln(train_length))`` in global ones.
    f.  ``o_h(i) = sum_j softmax_j(s_h(i, .)) v_g(j)``
    g.  dynamic routing attention: ``p = softmax(router.weight a_i + router.bias[m(i)])`` over the R routed heads; the k
        largest are kept (of equal ones the lower index) and scaled to sum k: ``gate_{S+r} = k p_r / sum_kept p``; all
        others
        are 0; shared heads have gate 1. A head with gate 0 needs no query and no attention; its keys and values exist
        anyway.
    h.  ``h_i += W_o concat_h(gate_h o_h(i))``
    i.  ``f_i = rms(h_i) * ffn_norm.weight``;
        ``h_i += W_down(silu(W_gate f) * (W_up f))`` with the shared weights ``+`` the same with the weights of m(i)
3.  ``logits_i = embed.weight (rms(h_i) * final_norm.weight)``

Normalisation of the softmax over the *live* ids only (the ids the grammar allows next) is part of the definition of
the model:
it was trained that way, see ``live_range`` in ``grammar.py`` and ``train/losses.py``. Inside a span the live ids are
the range
of its place (``sequence.place_range``); outside they are control and text ids, ``range(0, vocab.text.stop)``.
"""

from __future__ import annotations

from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.vocab import MODALITIES, ModalityId, vocabulary

MODALITY_NAMES = tuple(m.name.lower() for m in ModalityId)


def tensor_shapes(config: SymphonyConfig) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor of a model, in storage order."""
    c = config
    shapes: dict[str, tuple[int, ...]] = {
        "embed.weight": (vocabulary(c).size, c.dim),
        "slot.weight": (c.slots, c.dim),
    }
    for i in range(c.layers):
        p = f"layers.{i}."
        shapes[p + "attn_norm.weight"] = (c.dim,)
        shapes[p + "attn.q.weight"] = (c.heads * c.head_dim, c.dim)
        shapes[p + "attn.k.weight"] = (c.kv_heads * c.head_dim, c.dim)
        shapes[p + "attn.v.weight"] = (c.kv_heads * c.head_dim, c.dim)
        shapes[p + "attn.o.weight"] = (c.dim, c.heads * c.head_dim)
        shapes[p + "attn.q_norm.weight"] = (c.head_dim,)
        shapes[p + "attn.k_norm.weight"] = (c.head_dim,)
        shapes[p + "attn.beta"] = (c.heads, MODALITIES, MODALITIES)
        shapes[p + "router.weight"] = (c.routed_heads, c.dim)
        shapes[p + "router.bias"] = (MODALITIES, c.routed_heads)
        shapes[p + "ffn_norm.weight"] = (c.dim,)
        for name, width in [("shared", c.ffn_shared), *((m, c.ffn_modality) for m in MODALITY_NAMES)]:
            shapes[p + f"ffn.{name}.gate.weight"] = (width, c.dim)
            shapes[p + f"ffn.{name}.up.weight"] = (width, c.dim)
            shapes[p + f"ffn.{name}.down.weight"] = (c.dim, width)
    shapes["final_norm.weight"] = (c.dim,)
    return shapes
