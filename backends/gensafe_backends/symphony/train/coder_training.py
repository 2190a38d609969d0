"""Training of one modality's coder in torch: straight-through FSQ, weighted absolute and squared error."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everyone knows

from gensafe_backends.symphony.tokenizers.coder import CoderConfig
from gensafe_backends.symphony.tokenizers.fsq import bound_constants


class TorchCoder(nn.Module):
    """The coder of ``tokenizers/coder.py`` with gradients; same tensors, same names (dots become ``__``)."""

    def __init__(self, config: CoderConfig) -> None:
        super().__init__()
        self.config = config
        for name, shape in config.shapes().items():
            value = torch.zeros(shape)
            if name.endswith("weight"):
                nn.init.kaiming_uniform_(value, a=5**0.5)
            elif name == "dec.place":
                nn.init.normal_(value, std=0.1)
            self.register_parameter(name.replace(".", "__"), nn.Parameter(value))
        half, offset, shift = (torch.tensor(v, dtype=torch.float32) for v in bound_constants(config.levels))
        self.scale, self.offset, self.shift = half, offset, shift
        self.margin = torch.zeros(())
        self.half_width = torch.tensor([n // 2 for n in config.levels], dtype=torch.float32)

    def weight(self, name: str) -> Tensor:
        """A tensor by the name ``CoderConfig.shapes`` gives it."""
        value: Tensor = getattr(self, name.replace(".", "__"))
        return value

    def _linear(self, name: str, z: Tensor) -> Tensor:
        return F.linear(z, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"))

    def encode(self, features: Tensor) -> Tensor:
        """Features -> codes in [-1, 1] with straight-through rounding."""
        z = F.silu(self._linear("enc.0", features))
        z = self._linear("enc.2", F.silu(self._linear("enc.1", z)))
        bounded = torch.tanh(z + self.shift) * self.scale - self.offset
        self.margin = (bounded - bounded.detach().round()).square().mean()  # distance from the middle of the level
        return (bounded + (bounded.round() - bounded).detach()) / self.half_width

    def decode(self, codes: Tensor, rows_wanted: Tensor | None = None) -> Tensor:
        """Codes (n * places, D) -> values (n * places, outputs), or of the wanted patches only."""
        c = self.config
        rows, columns = c.grid
        h = self._linear("dec.in", codes).view(-1, rows * columns, c.width) + self.weight("dec.place")
        h = h.view(-1, rows, columns, c.width)
        ry, rx = c.reach
        for i in range(c.blocks):
            padded = F.pad(h, (0, 0, rx, rx, ry, ry))
            taps = [padded[:, y : y + rows, x : x + columns] for y in range(2 * ry + 1) for x in range(2 * rx + 1)]
            h = h + F.silu(self._linear(f"dec.block.{i}", torch.cat(taps, dim=-1)))
        flat = h.reshape(-1, c.width)
        index = torch.arange(len(flat)) if rows_wanted is None else rows_wanted
        out = self._linear("dec.out", F.silu(self._linear("dec.hidden", flat[index])))
        if c.background:
            out = out + self.weight("dec.background")[index % (rows * columns)]
        return out

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Trained values under the names of ``CoderConfig.shapes``."""
        return {name: self.weight(name).detach().numpy().copy() for name in self.config.shapes()}


def train_coder(
    config: CoderConfig,
    batch: Callable[[np.random.Generator], tuple[NDArray[Any], ...]],
    *,
    seconds: float,
    seed: int,
    learning_rate: float = 2e-3,
    start: TorchCoder | None = None,
    freeze_encoder: bool = False,
    commitment: float = 0.0,
    report: Callable[[str], None] = print,
) -> TorchCoder:
    """Fit a coder for a given time.

    Args:
        config: Sizes.
        batch: Draws ``(features, rows, targets, weights)``: features of whole grids, the patches of them to be
        judged, and
            those patches' targets and weights (weights broadcast against targets).
        seconds: How long.
        seed: Of weights and data.
        learning_rate: Peak of a schedule that falls to zero with the time.
        start: A coder to go on from.
        freeze_encoder: Train the decoder alone, so that ids stay what they are.
        commitment: Weight of the distance to the nearest level: pulls values off ties, so that noise moves fewer ids.
        report: Where progress lines go.

    Returns:
        The trained coder.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    coder = start or TorchCoder(config)
    for name, parameter in coder.named_parameters():
        parameter.requires_grad_(not (freeze_encoder and name.startswith("enc")))
    optimiser = torch.optim.AdamW(coder.parameters(), lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    begin, step = time.monotonic(), 0
    while (spent := time.monotonic() - begin) < seconds:
        rate = learning_rate * min(1.0, (step + 1) / 100) * max(0.02, 1 - spent / seconds)
        for group in optimiser.param_groups:
            group["lr"] = rate
        features, rows, targets, weights = (torch.from_numpy(a) for a in batch(rng))
        out = coder.decode(coder.encode(features), rows)
        error = out - targets
        loss = (weights * (error * error + 0.1 * error.abs())).mean() + commitment * coder.margin
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(coder.parameters(), 1.0)
        optimiser.step()
        step += 1
        if step % 200 == 0:
            report(f"step {step} {spent:.0f}s loss {loss.item():.5f} rmse {error.square().mean().sqrt().item():.4f}")
    return coder
