"""One layer's tensors under the names of the equations in ``spec.py``: ``w = LayerView(read, 3); w.q; w.ffn_norm``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from gensafe_backends.symphony.model.spec import MODALITY_NAMES
from gensafe_backends.symphony.vocab import ModalityId

T = TypeVar("T")  # an array, a tensor, or an address


class SwigluView(Generic[T]):
    """The three matrices of a feed-forward, read when they are asked for (equation 2i)."""

    __slots__ = ("_prefix", "_read")

    def __init__(self, read: Callable[[str], T], prefix: str) -> None:
        self._read, self._prefix = read, prefix

    @property
    def gate(self) -> T:
        """W_gate: (width, d)."""
        return self._read(f"{self._prefix}.gate.weight")

    @property
    def up(self) -> T:
        """W_up: (width, d)."""
        return self._read(f"{self._prefix}.up.weight")

    @property
    def down(self) -> T:
        """W_down: (d, width)."""
        return self._read(f"{self._prefix}.down.weight")


class LayerView(Generic[T]):
    """The tensors of one layer. Each is read when it is asked for: weights of absent modalities stay unread.

    Args:
        read: A tensor by its name in ``spec.tensor_shapes``.
        layer: Which layer, from 0.
    """

    __slots__ = ("_prefix", "_read")

    def __init__(self, read: Callable[[str], T], layer: int) -> None:
        self._read, self._prefix = read, f"layers.{layer}."

    def _tensor(self, name: str) -> T:
        return self._read(self._prefix + name)

    @property
    def attn_norm(self) -> T:
        """Before attention, 2a: (d,)."""
        return self._tensor("attn_norm.weight")

    @property
    def q(self) -> T:
        """W_q, 2b: (H * e, d)."""
        return self._tensor("attn.q.weight")

    @property
    def k(self) -> T:
        """W_k, 2b: (K * e, d)."""
        return self._tensor("attn.k.weight")

    @property
    def v(self) -> T:
        """W_v, 2b: (K * e, d)."""
        return self._tensor("attn.v.weight")

    @property
    def o(self) -> T:
        """W_o, 2h: (d, H * e)."""
        return self._tensor("attn.o.weight")

    @property
    def q_norm(self) -> T:
        """QK-norm of queries, 2c: (e,)."""
        return self._tensor("attn.q_norm.weight")

    @property
    def k_norm(self) -> T:
        """QK-norm of keys, 2c: (e,)."""
        return self._tensor("attn.k_norm.weight")

    @property
    def beta(self) -> T:
        """Bias by head, asking and asked modality, 2e: (H, M, M)."""
        return self._tensor("attn.beta")

    @property
    def router(self) -> T:
        """Scores of the routed heads, 2g: (R, d)."""
        return self._tensor("router.weight")

    @property
    def router_bias(self) -> T:
        """The same by modality, 2g: (M, R)."""
        return self._tensor("router.bias")

    @property
    def ffn_norm(self) -> T:
        """Before the feed-forward, 2i: (d,)."""
        return self._tensor("ffn_norm.weight")

    @property
    def shared(self) -> SwigluView[T]:
        """The feed-forward of all tokens, 2i."""
        return SwigluView(self._read, f"{self._prefix}ffn.shared")

    def own(self, modality: ModalityId) -> SwigluView[T]:
        """The feed-forward of one modality's tokens, 2i."""
        return SwigluView(self._read, f"{self._prefix}ffn.{MODALITY_NAMES[modality]}")
