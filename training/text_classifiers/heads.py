"""Train the heads on the encoder's pooled features.

usage: python -m training.text_classifiers.heads DATA_FOLDER ENCODER.onnx VOCAB.txt OUT_FOLDER

One hidden layer over standardised features, the same heads and masks as the linear screen, the same teacher head. The
encoder stays frozen: on one processor core, fine-tuning it would take hours; what it reads from a text is cached in
OUT_FOLDER.
"""

from __future__ import annotations

import pickle
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.text_safety.corpus import Example, held_out, read_all, read_contrastive
from benchmarks.text_safety.data import CONTRASTIVE
from gensafe.safety.encoder import Encoder
from gensafe.safety.normalize import normalize
from training.text_classifiers.screen import SOURCE_WEIGHT, teacher_scores

HIDDEN: Final = 192
EPOCHS: Final = 14
KEEP: Final = {"cold": 0.0, "germeval": 0.0, "ailuminate_demo_fr": 0.0, "davidson": 0.5, "edos": 0.6,
               "implicitHate": 0.35, "convabuse": 0.7, "gsm8k": 0.5}  # fmt: skip


def sample(folder: Path) -> list[Example]:
    """The English training examples, the largest sets thinned out."""
    draw = random.Random(0)
    return [e for e in read_all(folder) if draw.random() < KEEP.get(e.source, 1.0)]


def embed(encoder: Encoder, texts: Sequence[str], batch: int = 32) -> NDArray[np.float16]:
    """(len(texts), features) pooled features, texts of similar length together."""
    ids = [encoder.encode(normalize(t).text) for t in texts]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    out = np.zeros((len(ids), encoder.width), np.float16)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        out[rows] = encoder.features([ids[i] for i in rows])
    return out


def train(
    x: NDArray[np.float32], labels: NDArray[np.float32], weight: NDArray[np.float32], seed: int = 0
) -> dict[str, NDArray[np.float32]]:
    """Fit the hidden layer and the heads; the last column of ``labels`` is the teacher's logit."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    heads = labels.shape[1]
    net = nn.Sequential(
        nn.Dropout(0.2), nn.Linear(x.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(0.4), nn.Linear(HIDDEN, heads)
    )
    known = ~np.isnan(labels)
    positive = np.ones(heads - 1, np.float32)
    for i in range(heads - 1):
        ones, zeros = weight[labels[:, i] == 1].sum(), weight[labels[:, i] == 0].sum()
        positive[i] = min(6.0, max(1.0, 0.5 * zeros / max(ones, 1.0)))
    optimiser = torch.optim.AdamW(net.parameters(), 1.5e-3, weight_decay=2e-2)
    steps = EPOCHS * (len(x) // 256 + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.5e-3, total_steps=steps, pct_start=0.15)
    tensors = [
        torch.from_numpy(np.ascontiguousarray(a)) for a in (x, np.nan_to_num(labels), known.astype(np.float32), weight)
    ]
    boost = torch.from_numpy(positive)
    for epoch in range(EPOCHS):
        net.train()
        total, count = 0.0, 0
        for rows in torch.randperm(len(x)).split(256):
            xs, ys, ks, ws = (t[rows] for t in tensors)
            out = net(xs)
            loss = nn.functional.binary_cross_entropy_with_logits(
                out[:, :-1], ys[:, :-1], reduction="none", pos_weight=boost
            )
            loss = (loss * ks[:, :-1] * ws[:, None]).sum() / ks[:, :-1].sum()
            loss = loss + 0.02 * (((out[:, -1] - ys[:, -1]) ** 2) * ws).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total, count = total + float(loss.detach()), count + 1
        print(f"epoch {epoch} loss {total / count:.4f}", flush=True)
    first: Any = net[1]
    last: Any = net[4]
    return {
        "w1": first.weight.detach().numpy().T.copy(),
        "b1": first.bias.detach().numpy().copy(),
        "w2": last.weight.detach().numpy().T.copy(),
        "b2": last.bias.detach().numpy().copy(),
    }


def main() -> int:
    """Embed (or read the cache), train, write."""
    from safetensors.numpy import save_file

    folder, target = Path(sys.argv[1]), Path(sys.argv[4])
    target.mkdir(parents=True, exist_ok=True)
    encoder = Encoder(Path(sys.argv[2]).read_bytes(), Path(sys.argv[3]).read_text(encoding="utf-8").splitlines())
    begin = time.time()
    found: list[Example] = []
    blocks = []
    for name, examples in (("corpus", sample(folder)), ("contrastive", list(read_contrastive(CONTRASTIVE)))):
        cache = target / f"{name}.npy"
        if not cache.exists():
            np.save(cache, embed(encoder, [e.text for e in examples]))
            (target / f"{name}.pickle").write_bytes(pickle.dumps(examples))
        blocks.append(np.load(cache).astype(np.float32))
        found += examples
        print(name, len(examples), f"{time.time() - begin:.0f} s", flush=True)
    x = np.concatenate(blocks)
    use = np.array([not held_out(e) for e in found])
    mean, deviation = x[use].mean(0), x[use].std(0) + 1e-6
    labels = np.array([e.labels for e in found], np.float32)
    labels = np.concatenate([labels, teacher_scores([e.text for e in found])[:, None]], 1)
    weight = np.array([e.weight * SOURCE_WEIGHT.get(e.source, 1.0) for e in found], np.float32)
    tensors = train((x[use] - mean) / deviation, labels[use], weight[use])
    # fold the standardisation into the first layer
    tensors["b1"] = tensors["b1"] - (mean / deviation) @ tensors["w1"]
    tensors["w1"] = tensors["w1"] / deviation[:, None]
    save_file({k: np.ascontiguousarray(v, np.float32) for k, v in tensors.items()}, target / "heads.safetensors")
    print(f"{time.time() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
