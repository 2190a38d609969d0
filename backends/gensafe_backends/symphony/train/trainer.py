"""The training loop: packed rows, per-modality losses, balanced gradients, AdamW; resumable."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.model.torch_model import PackedRows, SymphonyModel
from gensafe_backends.symphony.train.data import ExampleSource
from gensafe_backends.symphony.train.losses import GradientBalancer, modality_losses
from gensafe_backends.symphony.train.mix import phase_at
from gensafe_backends.symphony.train.tasks import ROW
from gensafe_backends.symphony.vocab import ModalityId

BALANCE_WEIGHT = 0.01  # the order of Switch Transformers' 1e-2 (Fedus et al., arXiv 2101.03961, section 2.2)


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train.

    Attributes:
        seed: Of weights and data.
        seconds: Time budget of all runs together; the learning rate falls with the spent share of it.
        steps: Step budget instead of time: then a run is a function of its arguments alone.
        rows: Rows per batch.
        length: Tokens per row.
        learning_rate: Peak.
        warmup: Steps.
        weight_decay: On matrices.
        clip: Largest gradient norm.
        balance: Whether gradients are normalised between modalities.
        shares: Wanted gradient share of text, image, audio, video.
        average: Decay of the moving average of the weights that is exported.
        bf16: Compute in bfloat16 (a gain only on processors with bfloat16 units; measured 6x slower without).
    """

    seed: int = 1
    seconds: float = 0.0
    steps: int = 0
    rows: int = 22
    length: int = ROW
    learning_rate: float = 3e-3
    warmup: int = 100
    weight_decay: float = 0.05
    clip: float = 1.0
    balance: bool = True
    shares: tuple[float, ...] = (0.42, 0.22, 0.16, 0.20)
    average: float = 0.99
    bf16: bool = False


@dataclass(slots=True)
class Trainer:
    """Everything that changes while training. ``save`` and ``resume`` keep all of it.

    Args:
        config: Model config.
        settings: How to train.
        source: Where examples come from.
    """

    config: SymphonyConfig
    settings: TrainSettings
    source: ExampleSource
    model: SymphonyModel = field(init=False)
    average: dict[str, torch.Tensor] = field(init=False)
    optimiser: torch.optim.AdamW = field(init=False)
    balancer: GradientBalancer = field(init=False)
    step: int = 0
    spent: float = 0.0
    tokens: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Fresh weights and optimiser."""
        self.model = SymphonyModel(self.config, seed=self.settings.seed)
        matrices = [p for p in self.model.parameters() if p.ndim == 2]
        others = [p for p in self.model.parameters() if p.ndim != 2]
        groups = [
            {"params": matrices, "weight_decay": self.settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=self.settings.learning_rate, betas=(0.9, 0.98), eps=1e-9)
        self.balancer = GradientBalancer(shares=self.settings.shares)
        self.average = {n: p.detach().clone() for n, p in self.model.named_parameters()}

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0..1."""
        s = self.settings
        return min(1.0, self.step / s.steps if s.steps else self.spent / max(s.seconds, 1e-9))

    def learning_rate(self) -> float:
        """Warm-up, then a cosine to a hundredth."""
        s = self.settings
        cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.progress))
        return s.learning_rate * min(1.0, (self.step + 1) / s.warmup) * cosine

    def train_step(self) -> dict[str, Any]:
        """One batch; returns what the log keeps."""
        begin = time.monotonic()
        s = self.settings
        rows = self.source.rows(s.seed, self.step, count=s.rows, length=s.length)
        rate = self.learning_rate()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        self.balancer.shares = phase_at(self.step, self.source.phases).shares or s.shares
        facts = self._backward(rows)
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), s.clip))
        self.optimiser.step()
        decay = min(s.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, p in self.model.named_parameters():
                self.average[name].lerp_(p, 1 - decay)
        self.step += 1
        self.tokens += int((rows.exchange >= 0).sum())
        self.spent += time.monotonic() - begin
        return {
            "step": self.step,
            "seconds": round(self.spent, 1),
            "tokens": self.tokens,
            "rate": rate,
            "norm": norm,
            **facts,
        }

    def _backward(self, rows: PackedRows) -> dict[str, Any]:
        precision = torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.settings.bf16)
        with precision:
            out = self.model.trunk(rows)
        # the heads work on a leaf, so that each modality's gradient at the trunk's output is seen before they are mixed
        leaf = out.hidden.detach().float().requires_grad_(True)
        with precision:
            losses = modality_losses(self.model, leaf, rows, self.config)
        facts: dict[str, Any] = {
            "loss": {ModalityId(m).name.lower(): round(float(v.loss.detach()), 4) for m, v in losses.items()},
            "accuracy": {ModalityId(m).name.lower(): round(v.correct, 4) for m, v in losses.items()},
        }
        if self.settings.balance:
            gradient, scale = self.balancer.combine(leaf, losses)
        else:
            scale = dict.fromkeys(losses, 1.0 / len(losses))
            mean = torch.stack([v.loss for v in losses.values()]).mean()
            (gradient,) = torch.autograd.grad(mean, leaf, retain_graph=True)
        mixed = torch.stack([v.loss * scale[m] for m, v in losses.items()]).sum()
        torch.autograd.backward(mixed, inputs=[self.model.weight("embed.weight")])
        torch.autograd.backward([out.hidden, BALANCE_WEIGHT * out.balance], [gradient.to(out.hidden.dtype), None])
        facts["shares"] = {k: [round(x, 4) for x in v] for k, v in self.balancer.seen.items()}
        facts["use"] = [[[round(float(u), 2) for u in m] for m in layer] for layer in out.use]
        return facts

    # --- keeping ----------------------------------------------------------------------------------------------------

    def averaged(self) -> SymphonyModel:
        """A model with the moving average of the weights."""
        twin = SymphonyModel(self.config)
        with torch.no_grad():
            for name, p in twin.named_parameters():
                p.copy_(self.average[name])
        return twin

    def start_from(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        """Begin with the weights of a bundle: a second stage, with a fresh optimiser."""
        self.model.load(tensors)
        self.average = {n: p.detach().clone() for n, p in self.model.named_parameters()}

    def save(self, path: Path) -> None:
        """Write a checkpoint, by way of a temporary file."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "norms": self.balancer.norms,
            "step": self.step,
            "spent": self.spent,
            "tokens": self.tokens,
            "log": self.log,
        }
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of the same config and settings."""
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average = dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.balancer.norms = list(state["norms"])
        self.step, self.spent, self.tokens, self.log = (
            state["step"],
            state["spent"],
            state["tokens"],
            list(state["log"]),
        )

    def run(self, *, until: float, every: int, keep: Callable[[Trainer], None], report: Callable[[str], None]) -> None:
        """Train until ``until`` of the budget is spent; log every ``every`` steps and call ``keep`` after each log."""
        while self.progress < until:
            facts = self.train_step()
            if self.step % every == 0:
                self.log.append(facts)
                report(json.dumps({k: v for k, v in facts.items() if k not in ("use", "shares")}))
                keep(self)
