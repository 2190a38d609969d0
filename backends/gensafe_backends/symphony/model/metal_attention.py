"""Routed attention of one decode step as one Metal kernel: equations 2e to 2g of ``spec.py``.

The same computation as ``triton_attention.py``: one SIMD group per head; its lanes take every 32nd key and keep a
running softmax each, which are joined at the end. A head whose gate is zero reads no keys and no values. It has not
run on Apple silicon: so it is off unless asked for, is built only where Metal is there, and is compared there with
plain MLX, on the model's own sizes, before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from gensafe_backends.symphony.config import SymphonyConfig

    Array = Any  # mx.array

LANES: Final = 32  # threads of a SIMD group on Apple's GPUs
INPUTS: Final = ("q", "keys", "values", "beta", "seen", "gate", "place")
# E, GROUP, MODALITIES and LANES are template arguments; place is (capacity, index, window). -1e30 and not infinity:
# Metal's fast arithmetic may assume that there is none.
SOURCE: Final = """
    uint head = thread_position_in_grid.y;
    uint lane = thread_position_in_grid.x;
    float g = gate[head];
    if (g == 0.0f) {
        for (uint d = lane; d < E; d += LANES) out[head * E + d] = 0.0f;
        return;
    }
    int last = place[1];
    int first = last - place[2] + 1 > 0 ? last - place[2] + 1 : 0;
    const device float *k = keys + (head / GROUP) * place[0] * E;
    const device float *v = values + (head / GROUP) * place[0] * E;
    float o[E];
    for (int d = 0; d < E; d++) o[d] = 0.0f;
    float top = -1e30f, norm = 0.0f, root = 1.0f / sqrt(float(E));
    for (int at = first + int(lane); at <= last; at += LANES) {
        float s = 0.0f;
        for (int d = 0; d < E; d++) s += q[head * E + d] * k[at * E + d];
        s = s * root + beta[head * MODALITIES + seen[at]];
        float peak = s > top ? s : top;
        float shrink = exp(top - peak), w = exp(s - peak);
        for (int d = 0; d < E; d++) o[d] = o[d] * shrink + w * v[at * E + d];
        norm = norm * shrink + w;
        top = peak;
    }
    float shrink = exp(top - simd_max(top));
    float total = simd_sum(norm * shrink);
    for (int d = 0; d < E; d++) {
        float sum = simd_sum(o[d] * shrink);
        if (int(lane) == d % LANES) out[head * E + d] = sum * g / total;
    }
"""


class RoutedStep:
    """The kernel, built for an ``mlx.core`` module. Calling it gives the gated head outputs of one token.

    Args:
        mx: The module.
    """

    def __init__(self, mx: Any) -> None:  # noqa: ANN401 - the mlx.core module
        self._mx = mx
        self._kernel = mx.fast.metal_kernel(
            name="symphony_routed_step", input_names=list(INPUTS), output_names=["out"], source=SOURCE
        )

    def __call__(
        self, q: Array, keys: Array, values: Array, beta: Array, seen: Array, gate: Array, index: int, window: int
    ) -> Array:
        """Gated head outputs.

        Args:
            q: float32 (H, e), normed, rotated and scaled by ``c_i`` but not by ``1 / sqrt(e)``.
            keys: float32 (K, capacity, e), the token's own included.
            values: The same shape.
            beta: float32 (H, M), the bias row of the token's modality.
            seen: int32 (capacity,), modalities.
            gate: float32 (H,).
            index: The token's index.
            window: Tokens a query sees, itself included.

        Returns:
            float32 (H, e); zeros where the gate is zero.
        """
        heads, width = q.shape
        place = self._mx.array([keys.shape[1], index, window], dtype=self._mx.int32)
        sizes = (("E", width), ("GROUP", heads // keys.shape[0]), ("MODALITIES", beta.shape[1]), ("LANES", LANES))
        return self._kernel(
            inputs=[q, keys, values, beta, seen, gate, place],
            template=list(sizes),
            grid=(LANES, heads, 1),
            threadgroup=(LANES, 1, 1),
            output_shapes=[(heads, width)],
            output_dtypes=[self._mx.float32],
        )[0]


def routed_step(mx: Any, config: SymphonyConfig) -> RoutedStep | None:  # noqa: ANN401 - the mlx.core module
    """The kernel, or None where there is no Metal or it differs from plain MLX on a drawn example of these sizes."""
    if not mx.metal.is_available():
        return None
    c, rng = config, np.random.default_rng(0)
    shapes = ((c.heads, c.head_dim), (c.kv_heads, 192, c.head_dim), (c.kv_heads, 192, c.head_dim), (c.heads, 4))
    q, keys, values, beta = (mx.array(rng.standard_normal(s).astype(np.float32)) for s in shapes)
    seen = mx.array(rng.integers(0, 4, 192).astype(np.int32))
    gate = mx.array(np.where(np.arange(c.heads) % 3 == 2, 0.0, 1.0 + np.arange(c.heads) / 8).astype(np.float32))
    try:
        kernel = RoutedStep(mx)
        for index, window in ((0, 64), (150, 100), (191, 1 << 30)):
            got = kernel(q, keys, values, beta, seen, gate, index, window)
            want = plain_step(mx, q, keys, values, beta, seen, gate, index, window)
            if not np.allclose(np.array(got), np.array(want), atol=1e-4):
                return None
    except Exception:  # a version or device that cannot build or run it: the plain path can
        return None
    return kernel


def plain_step(
    mx: Any,  # noqa: ANN401 - the mlx.core module
    q: Array,
    keys: Array,
    values: Array,
    beta: Array,
    seen: Array,
    gate: Array,
    index: int,
    window: int,
) -> Array:
    """What the kernel computes, in plain MLX."""
    part = slice(max(0, index - window + 1), index + 1)
    group = q.shape[0] // keys.shape[0]
    k, v = (mx.repeat(x[:, part], group, axis=0) for x in (keys, values))
    scores = (k @ q[:, :, None])[:, :, 0] * q.shape[1] ** -0.5 + beta[:, seen[part]]
    return (mx.softmax(scores, axis=-1)[:, None] @ v)[:, 0] * gate[:, None]
