"""Train a bundle: ``python -m gensafe_backends.symphony.train --config nano --minutes 60 --out DIR [--resume]``.

The first fifth of the time goes to the tokenizer, unless ``--tokenizer BUNDLE`` names one to keep; the rest to the
model. ``--from BUNDLE`` starts with a bundle's weights and keeps its tokenizer: a second stage, with a fresh optimiser
and a warm-up of its own. Every few minutes a checkpoint and a usable bundle are written. ``--steps N`` trains for N
steps instead of a time: then the model is a function of the arguments, the tokenizer and the first weights alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

from gensafe_backends.symphony.config import CONFIGS
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_backends.symphony.train.bundle import write_bundle
from gensafe_backends.symphony.train.data import ExampleSource
from gensafe_backends.symphony.train.heard import Heard
from gensafe_backends.symphony.train.mix import STAGES
from gensafe_backends.symphony.train.recall import RecallTrainer
from gensafe_backends.symphony.train.tokenizers import train_tokenizer
from gensafe_backends.symphony.train.trainer import Trainer, TrainSettings
from gensafe_backends.symphony.weights import load_model, weights_digest

KEEP_SECONDS = 180.0  # what a crash loses at most; a round number, not measured


def report(line: str) -> None:
    """Progress goes to standard error; the last line of standard output is the result."""
    print(line, file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Train; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m gensafe_backends.symphony.train", description=__doc__)
    parser.add_argument("--config", choices=sorted(CONFIGS), default="nano")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, help="a bundle whose tokenizer is kept")
    parser.add_argument("--from", dest="start", type=Path, help="a bundle whose weights and tokenizer to start from")
    parser.add_argument("--peak", type=float, default=3e-3, help="largest learning rate")
    parser.add_argument("--stage", choices=sorted(STAGES), default="words", help="which mix of tasks (train/mix.py)")
    parser.add_argument("--heard", type=Path, help="what becomes of ids in files (benchmarks/symphony/heard.py)")
    parser.add_argument("--recall", action="store_true", help="teach to find what was said earlier (train/recall.py)")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-balance", action="store_true", help="do not normalise gradients between modalities")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    config, out = CONFIGS[args.config], args.out
    out.mkdir(parents=True, exist_ok=True)
    bundle, checkpoint = out / config.name, out / "checkpoint.pt"
    seconds = args.minutes * 60
    if args.start or args.tokenizer or (args.resume and (bundle / "card.json").is_file()):
        tokenizer = UniversalTokenizer.load(args.start or args.tokenizer or bundle)
    else:
        tokenizer = train_tokenizer(config, seconds=seconds / 5, report=report)
        seconds *= 0.8
    heard = Heard.load(args.heard) if args.heard else None
    source = ExampleSource(config, tokenizer, phases=STAGES[args.stage], heard=heard)
    settings = TrainSettings(
        seed=args.seed, seconds=seconds, steps=args.steps, learning_rate=args.peak, balance=not args.no_balance
    )
    trainer = (RecallTrainer if args.recall else Trainer)(config, settings, source)
    if args.resume and checkpoint.is_file():
        trainer.resume(checkpoint)
    elif args.start:
        trainer.start_from(load_model(args.start)[1])
    before = {"started_from": weights_digest(args.start)} if args.start else {}
    kept = time.monotonic()

    def save() -> None:
        facts = {
            "name": config.name, "steps": trainer.step, "tokens": trainer.tokens, "seconds": round(trainer.spent),
            "seed": args.seed, "mix": [asdict(p) for p in STAGES[args.stage]], **before,
            "stored_as": "matrices float16, the rest float32; computed in float32",
        }  # fmt: skip
        write_bundle(bundle, config, trainer.averaged().state(), tokenizer, facts)
        trainer.save(checkpoint)
        (out / "log.json").write_text(json.dumps(trainer.log) + "\n", encoding="utf-8")

    def keep(_: Trainer) -> None:
        nonlocal kept
        if time.monotonic() - kept > KEEP_SECONDS:
            save()
            kept = time.monotonic()

    trainer.run(until=1.0, every=20, keep=keep, report=report)
    save()
    print(json.dumps({"bundle": str(bundle), "steps": trainer.step, "tokens": trainer.tokens}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
