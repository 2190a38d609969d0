"""Fit the heads over the encoder's features: one hidden layer, masked labels, numpy only.

The training of the shipped heads and the leave-one-out figures use this one function, so that what is measured is what
is shipped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.text_safety.corpus import Example
from gensafe.safety.cues import cues
from gensafe.safety.encoder import Encoder, Heads
from gensafe.safety.normalize import normalize

HIDDEN: Final = 192
BATCH: Final = 256
DROP_IN, DROP_HIDDEN = 0.2, 0.5
DECAY: Final = 3e-2  # decoupled weight decay (AdamW); the source left out is closer at this than at 1e-2 or less
RATE: Final = 1.5e-3
BALANCE: Final = 0.5  # a source of n examples weighs n ** BALANCE
OWN: Final = "contrastive"
OWN_SHARES: Final = (1.0, 2.0, 8.0)
"""How much more the project's own set weighs than its size says, a network each; their mean is what ships. The
other sources teach words, its twins what the words are used for: with 8 the twins are told apart best, with 1 the
sources left out rank best, and the mean keeps most of both."""
SMOOTH: Final = 0.03  # labels of crowds are wrong now and then
Array = NDArray[np.float32]


def features(encoder: Encoder, text: str) -> Array:
    """(width,) the encoder's features of the first window of ``text`` and its cues."""
    plain = normalize(text).text
    return np.concatenate([encoder.features([encoder.encode(plain)])[0], cues(plain)])


def source_weights(examples: Sequence[Example]) -> Array:
    """Each example's own weight, and its source's share: no source outweighs the others by size alone."""
    count = Counter(e.source for e in examples)
    mean = float(np.mean([n ** (BALANCE - 1.0) for n in count.values()]))
    return np.array([e.weight * count[e.source] ** (BALANCE - 1.0) / mean for e in examples], np.float32)


def head_weights(examples: Sequence[Example], share: float) -> Array:
    """As ``source_weights``, the project's own set ``share`` times; the mean is 1."""
    found = source_weights(examples) * np.array([share if e.source == OWN else 1.0 for e in examples], np.float32)
    return np.asarray(found / found.mean(), np.float32)


def fit_mean(x: Array, labels: Array, examples: Sequence[Example], *, epochs: int) -> Heads:
    """The mean of a network for each of OWN_SHARES, as one network: their hidden units side by side."""
    found = [fit_heads(x, labels, head_weights(examples, share), epochs=epochs) for share in OWN_SHARES]
    return Heads(
        np.concatenate([h.w1 for h in found], 1),
        np.concatenate([h.b1 for h in found]),
        np.asarray(np.concatenate([h.w2 for h in found]) / len(found), np.float32),
        np.mean([h.b2 for h in found], 0, np.float32),
    )


def fit_heads(x: Array, labels: Array, weight: Array, *, epochs: int = 8, seed: int = 0) -> Heads:
    """Heads over ``x`` (n, width); ``labels`` (n, heads) in 0, 1 or NaN, the last column the teacher's logit."""
    mean, deviation = x.mean(0), x.std(0) + 1e-3
    draw = np.random.default_rng(seed)
    known = (~np.isnan(labels)).astype(np.float32)
    y = np.nan_to_num(labels)
    y[:, :-1] = np.clip(y[:, :-1], SMOOTH, 1.0 - SMOOTH)
    boost = _boost(labels[:, :-1], weight)
    p = _start(draw, x.shape[1], labels.shape[1])
    m = {k: np.zeros_like(v) for k, v in p.items()}
    v = {k: np.zeros_like(a) for k, a in p.items()}
    steps = epochs * -(-len(x) // BATCH)
    step = 0
    for _ in range(epochs):
        order = draw.permutation(len(x))
        for start in range(0, len(x), BATCH):
            rows = order[start : start + BATCH]
            step += 1
            grad = _gradient(p, (x[rows] - mean) / deviation, y[rows], known[rows], weight[rows], boost, draw)
            _adam(p, grad, m, v, step, _rate(step / steps))
    w1 = p["w1"] / deviation[:, None]
    return Heads(w1, (p["b1"] - mean @ w1).astype(np.float32), p["w2"], p["b2"])


def _boost(labels: Array, weight: Array) -> Array:
    """How much more a positive counts than a negative, per head: the imbalance softened, not removed."""
    found = []
    for column in labels.T:
        ones, zeros = float(weight[column == 1].sum()), float(weight[column == 0].sum())
        found.append(min(6.0, max(1.0, 0.5 * zeros / max(ones, 1.0))))
    return np.array(found, np.float32)


def _start(draw: np.random.Generator, width: int, heads: int) -> dict[str, Array]:
    first = draw.standard_normal((width, HIDDEN)) * np.sqrt(1.0 / width)
    last = draw.standard_normal((HIDDEN, heads)) * np.sqrt(1.0 / HIDDEN)
    return {
        "w1": first.astype(np.float32),
        "b1": np.zeros(HIDDEN, np.float32),
        "w2": last.astype(np.float32),
        "b2": np.zeros(heads, np.float32),
    }


def _rate(done: float) -> float:
    """Up for a tenth of the way, then down as a cosine."""
    return RATE * (done / 0.1 if done < 0.1 else 0.5 * (1.0 + float(np.cos(np.pi * (done - 0.1) / 0.9))))


def _gradient(
    p: dict[str, Array], x: Array, y: Array, known: Array, weight: Array, boost: Array, draw: np.random.Generator
) -> dict[str, Array]:
    x = x * (draw.random(x.shape, np.float32) >= DROP_IN) / np.float32(1 - DROP_IN)
    inner = x @ p["w1"] + p["b1"]
    keep = (draw.random(inner.shape, np.float32) >= DROP_HIDDEN) / np.float32(1 - DROP_HIDDEN)
    hidden = np.maximum(inner, 0) * keep
    out = hidden @ p["w2"] + p["b2"]
    # cross entropy of each head; squared error of the teacher's logit, which only guides
    chance = 1 / (1 + np.exp(-np.clip(out[:, :-1], -30, 30)))
    back = np.empty_like(out)
    back[:, :-1] = chance * (1 + (boost - 1) * y[:, :-1]) - boost * y[:, :-1]
    back[:, :-1] *= known[:, :-1] * weight[:, None] / max(1.0, float(known[:, :-1].sum()))
    back[:, -1] = 0.04 * (out[:, -1] - y[:, -1]) * weight / len(x)
    inside = (back @ p["w2"].T) * keep * (inner > 0)
    return {"w1": x.T @ inside, "b1": inside.sum(0), "w2": hidden.T @ back, "b2": back.sum(0)}


def _adam(p: dict[str, Array], grad: dict[str, Array], m: Any, v: Any, step: int, rate: float) -> None:
    """One step of AdamW (Loshchilov and Hutter 2019), in place."""
    for k, g in grad.items():
        m[k] = 0.9 * m[k] + 0.1 * g
        v[k] = 0.999 * v[k] + 0.001 * g * g
        move = (m[k] / (1 - 0.9**step)) / (np.sqrt(v[k] / (1 - 0.999**step)) + 1e-8)
        decay = DECAY if k.startswith("w") else 0.0
        p[k] = np.asarray(p[k] - rate * (move + decay * p[k]), np.float32)
