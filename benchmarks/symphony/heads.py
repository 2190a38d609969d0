"""What each attention head is for: knock it out, and see which task suffers (a causal measure, not attention share).

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.symphony.heads [--bundle DIR] [--count 30]

A head is knocked out by zeroing its columns of the output projection. The figure per head and task is the rise of the
loss (nats per answer token, over the live ids, teacher-forced on unseen examples). Writes JSON and a picture (rows =
heads, layer by layer; columns = tasks in the order of ``TASKS``; white 0, red 1 nat or more).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.places import DOCS, RESULTS
from gensafe.core.types import Image
from gensafe.media.codecs import encode
from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.model.engine import Feeder, TokenBatch, head_blocks
from gensafe_backends.symphony.model.native.engine import NativeEngine
from gensafe_backends.symphony.plugin import default_bundle
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_backends.symphony.train.data import ExampleSource
from gensafe_backends.symphony.vocab import EOA, EOI, EOV
from gensafe_backends.symphony.weights import load_model, weights_digest

RESULT: Final = RESULTS / "symphony" / "heads.json"
PICTURE: Final = DOCS / "gallery" / "heads.png"
SEED: Final = 910_000_000
TASKS: Final = (
    "text->image", "image->text", "text->audio", "audio->text", "text->video", "video->text", "story",
    "image+text->image",
)  # fmt: skip
Weights = Mapping[str, NDArray[np.float32]]
Prepared = tuple[TokenBatch, NDArray[np.int64], NDArray[np.bool_]]


def examples(bundle: Path, config: SymphonyConfig, count: int) -> dict[str, list[Prepared]]:
    """Unseen examples per task: tokens, target ids, and which targets count."""
    source = ExampleSource(config, UniversalTokenizer.load(bundle))
    out: dict[str, list[Prepared]] = {}
    for n, name in enumerate(TASKS):
        rng = np.random.default_rng((SEED, n))
        for _ in range(count):
            spans = source.draw(name, rng).spans
            ids = np.array(spans.ids)
            counted = np.array(spans.loss)[1:] & ~np.isin(ids[1:], (EOI, EOA, EOV))
            out.setdefault(name, []).append((Feeder(config).push(spans.ids[:-1]), ids[1:], counted))
    return out


def losses(config: SymphonyConfig, weights: Weights, data: Mapping[str, list[Prepared]]) -> dict[str, float]:
    """Mean loss per task."""
    engine, out = NativeEngine(config, weights), {}
    blocks = head_blocks(config)
    for name, items in data.items():
        total, tokens = 0.0, 0
        for batch, targets, counted in items:
            scores = engine.forward(batch, engine.new_cache(), last_only=False).astype(np.float64)
            for block in blocks:
                rows = counted & (targets >= block.start) & (targets < block.stop)
                if rows.any():
                    live = scores[rows, block.start : block.stop]
                    top = live.max(axis=1, keepdims=True)
                    norm = top[:, 0] + np.log(np.exp(live - top).sum(axis=1))
                    total += float((norm - live[np.arange(len(live)), targets[rows] - block.start]).sum())
                    tokens += int(rows.sum())
        out[name] = total / max(1, tokens)
    return out


def without(config: SymphonyConfig, weights: Weights, layer: int, head: int) -> dict[str, NDArray[np.float32]]:
    """The weights with one head's output taken away."""
    name = f"layers.{layer}.attn.o.weight"
    cut = weights[name].copy()
    cut[:, head * config.head_dim : (head + 1) * config.head_dim] = 0.0
    return {**weights, name: cut}


def heatmap(rise: NDArray[np.float64]) -> NDArray[np.uint8]:
    """White to red over 0..1 nat, 24 pixels a cell."""
    level = np.clip(rise, 0.0, 1.0)[:, :, None]
    colour = 255.0 * (1 - level) + np.array([160.0, 20.0, 30.0]) * level
    return np.repeat(np.repeat(colour.astype(np.uint8), 24, axis=0), 24, axis=1)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=None)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    args = parser.parse_args()
    bundle = args.bundle or default_bundle()
    config, weights = load_model(bundle)
    data = examples(bundle, config, args.count)
    base = losses(config, weights, data)
    print("loss", {k: round(v, 3) for k, v in base.items()})
    rows: dict[str, dict[str, float]] = {}
    for layer in range(config.layers):
        for head in range(config.heads):
            kind = "shared" if head < config.shared_heads else "routed"
            worse = losses(config, without(config, weights, layer, head), data)
            rows[f"layer {layer} head {head} ({kind})"] = {k: round(worse[k] - base[k], 4) for k in worse}
            print(layer, head, kind, {k: round(worse[k] - base[k], 3) for k in worse}, flush=True)
    matrix = np.array([[row[t] for t in TASKS] for row in rows.values()])
    result: dict[str, Any] = {
        "parameters": {
            "model": config.name,
            "weights": weights_digest(bundle),
            "examples_per_task": args.count,
            "seed": SEED,
        },
        "loss_nats_per_token": {k: round(v, 4) for k, v in base.items()},
        "rise_without_head": rows,
        "largest_rise_per_task": {t: list(rows)[int(matrix[:, i].argmax())] for i, t in enumerate(TASKS)},
    }
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    args.picture.parent.mkdir(parents=True, exist_ok=True)
    args.picture.write_bytes(encode(Image(heatmap(matrix)), "image/png"))


if __name__ == "__main__":
    main()
