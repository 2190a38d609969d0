"""Per-modality next-token losses over the live ids, and gradient normalisation between modalities.

The target's live range is what the grammar allows at its place: text and control ids outside spans, the ids of its
modality
inside. Control ids that close a span are forced by the grammar and not trained.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everyone knows

from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.model.torch_model import PackedRows, SymphonyModel
from gensafe_backends.symphony.vocab import MODALITIES, vocabulary

Z_LOSS = 1e-4  # PaLM (Chowdhery et al., arXiv 2204.02311, section 5)


@dataclass(frozen=True, slots=True)
class ModalityLoss:
    """Mean loss of one modality in a batch, in nats per token, and how many tokens it is over."""

    loss: Tensor
    tokens: int
    correct: float


def modality_losses(
    model: SymphonyModel, hidden: Tensor, rows: PackedRows, config: SymphonyConfig
) -> dict[int, ModalityLoss]:
    """Losses by modality of the target (0 text, 1 image, 2 audio, 3 video) from hidden states (B, T, d)."""
    vocab = vocabulary(config)
    ranges = [range(0, vocab.text.stop), vocab.image, vocab.audio, vocab.video]
    before, targets = hidden[:, :-1], rows.ids[:, 1:]
    wanted, live = rows.loss[:, 1:], rows.live[:, 1:]
    losses = {}
    for m in range(MODALITIES):
        mask = wanted & (live == m)
        count = int(mask.sum())
        if not count:
            continue
        ids = ranges[m]
        logits = model.logits(before[mask], ids.start, ids.stop).float()
        goal = targets[mask] - ids.start
        normaliser = torch.logsumexp(logits, dim=-1)
        weight = rows.weight[:, 1:][mask]
        each = F.cross_entropy(logits, goal, reduction="none")
        loss = (each * weight).sum() / weight.sum() + Z_LOSS * normaliser.square().mean()
        losses[m] = ModalityLoss(loss, count, float((logits.argmax(-1) == goal).float().mean()))
    return losses


@dataclass(slots=True)
class GradientBalancer:
    """Keeps one modality from dominating (after the balancer of EnCodec, Defossez et al. 2022).

    Each modality's gradient is taken at the trunk's output, divided by a running mean of its norm and weighted with a
    fixed share; their sum goes through the trunk in one backward pass.

    Attributes:
        shares: Wanted share per modality.
        decay: Of the running norms.
        norms: Running mean of each modality's gradient norm.
        seen: Share of the summed gradient norm each modality had in the last step, before and after normalisation.
    """

    shares: tuple[float, ...] = (0.25, 0.25, 0.25, 0.25)
    decay: float = 0.98
    norms: list[float] = field(default_factory=lambda: [0.0] * MODALITIES)
    seen: dict[str, list[float]] = field(default_factory=dict)

    def combine(self, hidden: Tensor, losses: dict[int, ModalityLoss]) -> tuple[Tensor, dict[int, float]]:
        """The mixed gradient for ``hidden``, and the factor each modality's loss was given (the heads need it)."""
        gradients: dict[int, Tensor] = {}
        raw = [0.0] * MODALITIES
        for m, item in losses.items():
            (g,) = torch.autograd.grad(item.loss, hidden, retain_graph=True)
            raw[m] = float(g.float().norm())
            old = self.norms[m]
            self.norms[m] = raw[m] if old == 0.0 else self.decay * old + (1 - self.decay) * raw[m]
            gradients[m] = g
        present = sum(self.shares[m] for m in losses)
        reference = sum(self.shares[m] * self.norms[m] for m in losses) / present
        scale = {m: self.shares[m] / present * reference / max(self.norms[m], 1e-12) for m in losses}
        weighted = [raw[m] * scale.get(m, 0.0) for m in range(MODALITIES)]
        self.seen = {
            "raw": [r / max(sum(raw), 1e-12) for r in raw],
            "balanced": [w / max(sum(weighted), 1e-12) for w in weighted],
            "scale": [scale.get(m, 0.0) for m in range(MODALITIES)],
        }
        return torch.stack([gradients[m].float() * scale[m] for m in losses]).sum(0).to(hidden.dtype), scale
