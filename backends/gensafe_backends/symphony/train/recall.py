"""The lesson that makes a model find what was said earlier; afterwards plain examples ("memory" in a mix) keep it.

To answer "what has mira", the layers before the first global one must bring the name to the thing, where the fact
is told, and to ``asst``, where the question ends; only then can the global layer match the two. Neither half gets a
gradient while the other is missing: plain examples taught nothing in 1,000 steps of nothing else. So two losses are
added that are thrown away afterwards: a linear probe reads the name from what enters the global layer, at both
places (deep supervision, Lee et al. 2015), and one head of that layer is shown where the thing is. With them two
facts are told apart after 100 steps. Talks grow from two facts to twelve, and the local layers see little of them
(``data.TALK_WINDOWS``), so that it is the global layer that learns to look. Every step also trains the stage's own
mix, so that nothing else is lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everyone knows

from gensafe_backends.symphony.model.torch_model import PackedRows, SymphonyModel, rms
from gensafe_backends.symphony.train.data import TALK_WINDOWS
from gensafe_backends.symphony.train.trainer import Trainer
from gensafe_backends.symphony.vocab import ASST, BOS, EOS, PAD, USER, vocabulary
from gensafe_backends.symphony.world import stories


@dataclass(frozen=True, slots=True)
class Lesson:
    """Talks of at most ``length`` tokens with ``facts`` facts of ``names`` names; a share ``others`` is about else."""

    length: int
    facts: int
    others: float
    names: int


# Set by hand so that each is a small step from the one before; other ladders were not measured.
LESSONS: Final = (
    Lesson(64, 2, 0.0, 2), Lesson(72, 2, 0.0, 12), Lesson(112, 4, 0.0, 12), Lesson(160, 6, 0.1, 12),
    Lesson(224, 9, 0.2, 12), Lesson(384, 12, 0.4, 12),
)  # fmt: skip
AGAIN: Final = 0.25  # of the recalls are a fact told again, in which the thing is foreseen
PASSED: Final = 0.85  # of the answers right, as a running mean: on to the next lesson
TOKENS: Final = 1536  # of talks in a step
HEAD: Final = 1  # of the first global layer: no task of the shipped model needed it (benchmarks/symphony/heads.py)


@dataclass(frozen=True, slots=True, eq=False)
class Talks:
    """Rows of one talk each.

    Attributes:
        rows: The rows; targets are the recalled words alone.
        told: int64 (B, T): before a recalled word, where it was told, elsewhere -1.
        name: int64 (B, T): there and at the things told, the index of the name, elsewhere -1.
    """

    rows: PackedRows
    told: Tensor
    name: Tensor


class TalkSource:
    """Draws talks.

    Args:
        encode: Text -> ids.
    """

    def __init__(self, encode: Callable[[str], list[int]]) -> None:
        self._encode = encode

    def _turn(self, asked: str, answer: str) -> list[int]:
        return [USER, *self._encode(asked), ASST, *self._encode(answer), EOS]

    def rows(self, rng: np.random.Generator, lesson: Lesson) -> Talks:
        """A batch of one lesson: about ``TOKENS`` tokens."""
        shape = (max(2, TOKENS // lesson.length), lesson.length)
        ids, exchange = np.full(shape, PAD, np.int64), np.full(shape, -1, np.int64)
        told, name = np.full(shape, -1, np.int64), np.full(shape, -1, np.int64)
        window = rng.choice(TALK_WINDOWS, size=shape[0])[:, None].repeat(shape[1], axis=1)
        for row in range(shape[0]):
            exchange[row, : self._talk(rng, lesson, ids[row], told[row], name[row])] = 0
        index = np.broadcast_to(np.arange(shape[1]), shape).copy()
        tyx = np.zeros((*shape, 3), np.float32)
        tyx[:, :, 0] = index
        loss = np.zeros(shape, bool)
        loss[:, 1:] = told[:, :-1] >= 0
        zeros, ones = np.zeros(shape, np.int64), np.ones(shape, np.float32)
        arrays: tuple[NDArray[Any], ...] = (ids, tyx, zeros, index, exchange, loss, zeros, ones, window)
        return Talks(PackedRows(*map(torch.from_numpy, arrays)), torch.from_numpy(told), torch.from_numpy(name))

    def _talk(
        self,
        rng: np.random.Generator,
        lesson: Lesson,
        ids: NDArray[np.int64],
        told: NDArray[np.int64],
        name: NDArray[np.int64],
    ) -> int:
        """Write one talk into a row; returns its length."""
        count = int(rng.integers(max(2, lesson.facts // 2), lesson.facts + 1))
        names = [int(n) for n in rng.permutation(lesson.names)[:count]]
        things = [int(t) for t in rng.permutation(len(stories.THINGS))[:count]]
        places: list[int] = []
        first, length = rng.random() < 0.5, 1  # half of the talks begin with all their facts
        ids[0] = BOS
        while True:
            telling = len(places) < count and (first or not places or rng.random() < 0.5)
            which = len(places) if telling else int(rng.integers(len(places)))
            who, thing = stories.NAMES[names[which]], stories.THINGS[things[which]]
            other, again = rng.random() < lesson.others, rng.random() < AGAIN
            if other:
                turn = self._turn(*stories.question_exchange(rng))
            elif telling or again:
                turn = self._turn(stories.fact(who, thing), stories.REMEMBERED)
            else:
                turn = self._turn(stories.recall(who), thing)
            if length + len(turn) > len(ids):
                return length
            ids[length : length + len(turn)] = turn
            asst = length + turn.index(ASST)
            if not other:
                # the thing is the last word of a fact; it is foreseen from the word before
                at = asst - 1 if telling else asst - 2 if again else asst
                name[at] = names[which]
                if telling:
                    places.append(at)
                else:
                    told[at] = places[which]
            length += len(turn)


@dataclass(slots=True)
class RecallTrainer(Trainer):
    """A ``Trainer`` whose steps hold a batch of talks beside the rows of the stage's mix."""

    lesson: int = 0
    right: float = 0.0
    talks: TalkSource = field(init=False)
    probe: nn.Linear = field(init=False)
    probe_optimiser: torch.optim.AdamW = field(init=False)

    def __post_init__(self) -> None:
        """Fresh weights, optimiser and probe."""
        super(RecallTrainer, self).__post_init__()
        self.talks = TalkSource(self.source.tokenizer.encode_text)
        self.probe = nn.Linear(self.config.dim, len(stories.NAMES))
        self.probe_optimiser = torch.optim.AdamW(self.probe.parameters(), lr=self.settings.learning_rate)

    def _backward(self, rows: PackedRows) -> dict[str, Any]:
        facts = super(RecallTrainer, self)._backward(rows)  # slots: a new class, so super() needs its name
        rng = np.random.default_rng((self.settings.seed, self.step, 1))
        now = self.lesson if rng.random() < 0.75 else int(rng.integers(self.lesson + 1))  # earlier ones are repeated
        loss, right = recall_losses(self.model, self.probe, self.talks.rows(rng, LESSONS[now]))
        self.probe_optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.probe_optimiser.step()
        if now == self.lesson:
            self.right += 0.05 * (right - self.right)
            if self.right > PASSED and self.lesson + 1 < len(LESSONS):
                self.lesson, self.right = self.lesson + 1, 0.0
        return {**facts, "lesson": self.lesson, "recalled": round(right, 3)}


def recall_losses(model: SymphonyModel, probe: nn.Linear, talks: Talks) -> tuple[Tensor, float]:
    """Losses of the recalled words, of the probe and of the head that is shown where to look.

    Returns:
        Their sum, and the share of recalled words that had the highest probability.
    """
    c, rows = model.config, talks.rows
    out = model.trunk(rows)
    wanted = rows.loss[:, 1:]
    logits = model.logits(out.hidden[:, :-1][wanted], 0, vocabulary(c).text.stop)
    goal = rows.ids[:, 1:][wanted]
    w = model.layer(min(c.global_layers))
    a = rms(out.entered, w.attn_norm, c.norm_eps)
    named = talks.name >= 0
    seen = F.cross_entropy(probe(a[named]), talks.name[named])
    part = slice(HEAD * c.head_dim, (HEAD + 1) * c.head_dim)
    group = HEAD * c.kv_heads // c.heads
    own = slice(group * c.head_dim, (group + 1) * c.head_dim)
    row, at = torch.nonzero(talks.told >= 0, as_tuple=True)
    q = rms(
        F.linear(a[row, at], w.q[part]),
        w.q_norm,
        c.norm_eps,
    )
    k = rms(F.linear(a, w.k[own]), w.k_norm, c.norm_eps)
    scores = torch.einsum("ne,nte->nt", q, k[row]) / math.sqrt(c.head_dim)
    scores = scores.masked_fill(torch.arange(k.shape[1])[None, :] > at[:, None], float("-inf"))
    looked = F.cross_entropy(scores, talks.told[row, at])
    right = float((logits.argmax(-1) == goal).float().mean())
    return F.cross_entropy(logits, goal) + seen + looked + 0.01 * out.balance, right
