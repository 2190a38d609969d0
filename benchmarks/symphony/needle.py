"""Long contexts on the CPU: what is remembered, by depth, and what it costs in memory and time.

    python -m benchmarks.symphony.needle [--lengths 352 4096 32768 131072] [--bundle DIR] [--out FILE]

A haystack is a talk of small questions and answers with up to twelve needles ("remember mira has the lamp"), one
every twelfth of its length. At its end every name is asked for ("what has mira"), each time from the same state.
Counted: whether the right thing has the highest probability among the fourteen things there are (chance 1/14). Depth 0
is the beginning. The model saw such talks in training, up to 384 tokens long.

Measured beside: bytes of keys and values the cache holds, per token and in all, against what the config says; and
tokens read per second. Results go to ``benchmarks/results``, after every length.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.common.places import RESULTS
from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.model.engine import Feeder, kv_bytes_per_token
from gensafe_backends.symphony.model.native.engine import NativeEngine
from gensafe_backends.symphony.model.native.structs import MAX_BATCH
from gensafe_backends.symphony.plugin import default_bundle
from gensafe_backends.symphony.sequence import TokenSpan, next_turn, prompt_ids
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_backends.symphony.vocab import ModalityId, vocabulary
from gensafe_backends.symphony.weights import load_model, weights_digest
from gensafe_backends.symphony.world import stories

RESULT: Final = RESULTS / "symphony" / "needle.json"
SEED: Final = 920_000_000
NEEDLES: Final = 12
SHARE: Final[Mapping[int, int]] = {128: 2, 352: 6}  # a short talk has room for fewer


def haystack(
    config: SymphonyConfig, tokenizer: UniversalTokenizer, length: int, rng: np.random.Generator
) -> tuple[list[int], list[tuple[str, str]]]:
    """Ids of a talk of at most ``length`` tokens, and its needles from the first to the last."""

    def text(words: str) -> list[TokenSpan]:
        return [TokenSpan(ModalityId.TEXT, tuple(tokenizer.encode_text(words)))]

    def grown(ids: list[int], asked: str, answer: str) -> list[int]:
        tail = next_turn((0,), text(asked), text(answer), config).ids[1:]  # what one more exchange appends
        return [*ids, *tail] if ids else list(next_turn((), text(asked), text(answer), config).ids)

    needles = stories.sample_facts(rng, SHARE.get(length, NEEDLES))
    ids: list[int] = []
    for i, (name, thing) in enumerate(needles):
        ids = grown(ids, stories.fact(name, thing), stories.REMEMBERED)
        while True:
            more = grown([], *stories.question_exchange(rng))[1:]
            if len(ids) + len(more) > length * (i + 1) // len(needles) - 12:  # room for the next needle
                break
            ids.extend(more)
    return ids, needles


def recall(
    engine: NativeEngine, tokenizer: UniversalTokenizer, ids: list[int], needles: list[tuple[str, str]]
) -> tuple[list[bool], dict[str, float]]:
    """Which needles were found, and what reading the haystack cost."""
    live = range(0, vocabulary(engine.config).text.stop)
    things = {t: tokenizer.encode_text(t)[0] for t in stories.THINGS}
    feeder, cache, start = Feeder(engine.config), engine.new_cache(), time.process_time()
    for at in range(0, len(ids), MAX_BATCH):
        engine.forward(feeder.push(ids[at : at + MAX_BATCH]), cache, live=live)
    cost = {"read_cpu_seconds": time.process_time() - start, "kv_bytes": float(cache.nbytes())}
    hits = []
    for name, thing in needles:
        words = TokenSpan(ModalityId.TEXT, tuple(tokenizer.encode_text(stories.recall(name))))
        question = prompt_ids([words], engine.config, [0])[1:]
        scores = engine.forward(feeder.copy().push(question), cache, live=live)[0]
        cache.truncate(len(ids))
        hits.append(max(things, key=lambda t: float(scores[things[t]])) == thing)
    return hits, cost


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=None)
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 352, 1024, 4096, 32768, 131072])
    parser.add_argument("--tokens", type=int, default=33000, help="haystacks of a length hold about this many in all")
    parser.add_argument("--most", type=int, default=24, help="haystacks of a length at most")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    bundle = args.bundle or default_bundle()
    config, weights = load_model(bundle)
    tokenizer, engine = UniversalTokenizer.load(bundle), NativeEngine(config, weights)
    wide, local = kv_bytes_per_token(config)
    found: dict[str, Any] = {
        "parameters": {
            "model": config.name,
            "weights": weights_digest(bundle),
            "seed": SEED,
            "chance": round(1 / 14, 3),
        },
        "designed": {
            "kv_bytes_per_token_global_layers": wide,
            "kv_bytes_of_local_windows": local * config.window,
        },
        "lengths": {},
    }
    if args.out.is_file():
        before = json.loads(args.out.read_text(encoding="utf-8"))
        if before.get("parameters") == found["parameters"]:
            found["lengths"] = before["lengths"]
    for length in args.lengths:
        hits: list[list[bool]] = []
        cost: dict[str, float] = {}
        ids: list[int] = []
        for i in range(max(1, min(args.most, args.tokens // length))):
            ids, needles = haystack(config, tokenizer, length, np.random.default_rng((SEED, length, i)))
            row, cost = recall(engine, tokenizer, ids, needles)
            hits.append(row)
        rates = np.array(hits).mean(axis=0)
        found["lengths"][str(length)] = {
            "haystacks": len(hits),
            "found": round(float(rates.mean()), 3),
            "recalls": int(np.array(hits).size),
            "found_by_depth": {f"{i / len(rates):.2f}": round(float(r), 2) for i, r in enumerate(rates)},
            "tokens_read": len(ids),
            "kv_bytes": int(cost["kv_bytes"]),
            "kv_bytes_per_token": round(cost["kv_bytes"] / len(ids), 1),
            "tokens_read_per_cpu_second": round(len(ids) / cost["read_cpu_seconds"]),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        }
        print(length, json.dumps(found["lengths"][str(length)]), flush=True)
        args.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
