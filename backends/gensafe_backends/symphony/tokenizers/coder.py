"""The learned part of the universal tokenizer: one small network, the same for every modality, run in numpy.

Encoder: features of one patch -> two hidden layers -> D numbers -> FSQ digits. Decoder: codes on their grid -> residual
layers that look at neighbouring codes -> one hidden layer -> the values of the patch, plus a learned background per
place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gensafe_backends.symphony.tokenizers.fsq import digits_to_ids, ids_to_codes, quantise

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CoderConfig:
    """Sizes of one modality's coder.

    Attributes:
        features: Numbers the encoder reads per patch.
        outputs: Numbers the decoder writes per patch.
        grid: Rows and columns of patches decoded together.
        levels: FSQ levels.
        reach: Neighbours seen by a residual layer, in rows and columns to each side.
        blocks: Residual layers.
        width: Channels of the encoder's hidden layers and the decoder's grid.
        hidden: Width of the decoder's last hidden layer.
        background: Whether the decoder adds a learned value per place.
    """

    features: int
    outputs: int
    grid: tuple[int, int]
    levels: tuple[int, ...]
    reach: tuple[int, int]
    blocks: int = 2
    width: int = 96
    hidden: int = 192
    background: bool = False

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of the coder's tensors."""
        taps = (2 * self.reach[0] + 1) * (2 * self.reach[1] + 1)
        places = self.grid[0] * self.grid[1]
        w = self.width
        shapes: dict[str, tuple[int, ...]] = {
            "enc.0.weight": (w, self.features), "enc.0.bias": (w,),
            "enc.1.weight": (w, w), "enc.1.bias": (w,),
            "enc.2.weight": (len(self.levels), w), "enc.2.bias": (len(self.levels),),
            "dec.in.weight": (w, len(self.levels)), "dec.in.bias": (w,),
            "dec.place": (places, w),
        }  # fmt: skip
        for i in range(self.blocks):
            shapes[f"dec.block.{i}.weight"], shapes[f"dec.block.{i}.bias"] = (w, taps * w), (w,)
        shapes |= {
            "dec.hidden.weight": (self.hidden, w), "dec.hidden.bias": (self.hidden,),
            "dec.out.weight": (self.outputs, self.hidden), "dec.out.bias": (self.outputs,),
        }  # fmt: skip
        if self.background:
            shapes["dec.background"] = (places, self.outputs)
        return shapes


def silu(z: FloatArray) -> FloatArray:
    """``z * sigmoid(z)``."""
    return np.asarray(z / (1.0 + np.exp(np.minimum(-z, 700.0))), dtype=np.float64)


def neighbourhood(grid: FloatArray, reach: tuple[int, int]) -> FloatArray:
    """(n, rows, columns, C) -> (n, rows, columns, taps * C), zeros outside, row offsets slowest."""
    ry, rx = reach
    _, rows, columns, _ = grid.shape
    padded = np.pad(grid, ((0, 0), (ry, ry), (rx, rx), (0, 0)))
    taps = [padded[:, y : y + rows, x : x + columns] for y in range(2 * ry + 1) for x in range(2 * rx + 1)]
    return np.concatenate(taps, axis=-1)


class Coder:
    """Encoder and decoder of one modality.

    Args:
        config: Sizes.
        tensors: float32 arrays with the names of ``CoderConfig.shapes``; computed with in float64.
    """

    def __init__(self, config: CoderConfig, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        self.config = config
        self._w = {name: np.asarray(tensors[name], dtype=np.float64) for name in config.shapes()}

    def tensor(self, name: str) -> FloatArray:
        """One of the coder's tensors."""
        return self._w[name]

    def _linear(self, name: str, z: FloatArray) -> FloatArray:
        return np.asarray(z @ self._w[f"{name}.weight"].T + self._w[f"{name}.bias"], dtype=np.float64)

    def encode(self, features: FloatArray) -> NDArray[np.int64]:
        """Features (n, features) -> FSQ ids (n,), each 0..prod(levels)-1."""
        z = silu(self._linear("enc.0", features))
        z = silu(self._linear("enc.1", z))
        return digits_to_ids(quantise(self._linear("enc.2", z), self.config.levels), self.config.levels)

    def decode(self, ids: Sequence[int] | NDArray[np.int64]) -> FloatArray:
        """FSQ ids of whole grids, (n * rows * columns,) -> patch values (n * rows * columns, outputs)."""
        rows, columns = self.config.grid
        codes = ids_to_codes(np.asarray(ids, dtype=np.int64), self.config.levels)
        h = self._linear("dec.in", codes).reshape(-1, rows * columns, self.config.width) + self._w["dec.place"]
        h = h.reshape(-1, rows, columns, self.config.width)
        for i in range(self.config.blocks):
            h = h + silu(self._linear(f"dec.block.{i}", neighbourhood(h, self.config.reach)))
        flat = silu(self._linear("dec.hidden", h.reshape(-1, self.config.width)))
        out = self._linear("dec.out", flat)
        if self.config.background:
            places = rows * columns
            out = (out.reshape(-1, places, self.config.outputs) + self._w["dec.background"]).reshape(out.shape)
        return out
