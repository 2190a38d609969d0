"""What each part of the model and of its training brings: small models, an equal budget of tokens, one part taken away.

    python -m benchmarks.symphony.ablations [--steps 400] [--only full] [--bundle DIR] [--out FILE]

Every variant is ``pico`` (with the shipped tokenizer), from the same seed, on the same rows in the same order, for the
same number of steps; then its loss is measured on seeds no training uses. What is taken away:

* ``no routing``: every head is always on; no router.
* ``no gradient normalisation``: the plain mean of the modalities' losses.
* ``no modality feed-forward``: one shared feed-forward, as wide as shared and own together (equal work per token).

One seed each: differences below about 0.02 nats per token are noise. Results go to ``benchmarks/results``, after every
variant.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.common.places import RESULTS
from gensafe_backends.symphony.config import PICO, SymphonyConfig
from gensafe_backends.symphony.plugin import default_bundle
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_backends.symphony.train.data import HELD_OUT_SEED as SEED
from gensafe_backends.symphony.train.data import ExampleSource
from gensafe_backends.symphony.train.losses import modality_losses
from gensafe_backends.symphony.train.tasks import ROW
from gensafe_backends.symphony.train.trainer import Trainer, TrainSettings
from gensafe_backends.symphony.weights import load_model

RESULT: Final = RESULTS / "symphony" / "ablations.json"
TASKS: Final = (
    "text->image", "image->text", "text->audio", "audio->text", "text->video", "video->text", "text->text",
    "image+text->image",
)  # fmt: skip


def variants(base: SymphonyConfig) -> dict[str, tuple[SymphonyConfig, bool]]:
    """Name -> config and whether gradients are normalised."""
    wide = base.ffn_shared + base.ffn_modality
    return {
        "full": (base, True),
        "no routing": (replace(base, shared_heads=base.heads, active_routed=0), True),
        "no gradient normalisation": (base, False),
        "no modality feed-forward": (replace(base, ffn_shared=wide, ffn_modality=0), True),
    }


def measure(config: SymphonyConfig, balance: bool, source: ExampleSource, steps: int, count: int) -> dict[str, Any]:
    """Train one variant and measure it."""
    trainer = Trainer(config, TrainSettings(seed=11, steps=steps, learning_rate=4e-3, balance=balance), source)
    begin, largest = time.process_time(), []
    for _ in range(steps):
        shares = trainer.train_step()["shares"]
        if balance:
            largest.append(max(shares["balanced"]))
    return {
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "tokens": trainer.tokens,
        "cpu_seconds": round(time.process_time() - begin),
        "loss": {k: round(v, 4) for k, v in losses_of(trainer, count).items()},
        **({"largest_gradient_share_mean": round(float(np.mean(largest)), 3)} if largest else {}),
    }


def losses_of(trainer: Trainer, count: int) -> dict[str, float]:
    """Held-out loss per task, nats per token, of the averaged weights; ``count`` rows each."""
    model, out = trainer.averaged(), {}
    for name in TASKS:
        source = ExampleSource(trainer.config, trainer.source.tokenizer, {name: 1.0})
        rows = source.rows(SEED, 0, count=count, length=ROW)
        with torch.no_grad():
            found = modality_losses(model, model.trunk(rows).hidden, rows, trainer.config)
        total = sum(item.tokens for item in found.values())
        out[name] = sum(float(item.loss) * item.tokens for item in found.values()) / total
    return out


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=None)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    bundle = args.bundle or default_bundle()
    base = replace(PICO, video_levels=load_model(bundle)[0].video_levels)
    source = ExampleSource(base, UniversalTokenizer.load(bundle))  # rows do not depend on widths
    chosen = {n: v for n, v in variants(base).items() if args.only in n}
    found: dict[str, Any] = {"parameters": {"steps": args.steps, "rows_per_task": args.count, "first_seed": SEED}}
    if args.only and args.out.is_file():
        found = json.loads(args.out.read_text(encoding="utf-8"))
    for name, (config, balance) in chosen.items():
        found[name] = measure(config, balance, source, args.steps, args.count)
        print(name, json.dumps(found[name]), flush=True)
        args.out.parent.mkdir(exist_ok=True)
        args.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
