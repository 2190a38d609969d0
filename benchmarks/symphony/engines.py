"""Engines of Symphony against each other: agreement, decode speed in one run, and what sparsity saves.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.symphony.engines [--bundle DIR] [--rounds 5] [--tokens 192]

Speeds are tokens per second of the bare decode step at batch 1 on one thread (no sampler, constrained head), engines
taken in turn round after round in one process, so that a busy machine disturbs all of them alike; the median of the
rounds is reported, and the *ratio to eager torch* is the figure to compare across machines.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.places import RESULTS
from gensafe.core.errors import BackendUnavailable
from gensafe_backends.symphony.config import NANO, SymphonyConfig
from gensafe_backends.symphony.model.engine import Engine, Feeder, kv_bytes_per_token
from gensafe_backends.symphony.model.native.engine import NativeEngine
from gensafe_backends.symphony.model.numpy_engine import NumpyEngine
from gensafe_backends.symphony.model.open import open_engine
from gensafe_backends.symphony.random_init import random_tensors
from gensafe_backends.symphony.vocab import ASST, BOA, BOI, BOS, BOV, USER, vocabulary

RESULT = RESULTS / "symphony" / "engines.json"
Weights = Mapping[str, Any]


def sequences(config: SymphonyConfig) -> dict[str, list[int]]:
    """One fixed sequence per kind of answer: a short prompt, then a whole span (ids drawn once, seed 1)."""
    v, rng = vocabulary(config), np.random.default_rng(1)
    words = [BOS, USER, *(int(i) for i in rng.integers(v.text.start, v.text.start + 500, 10)), ASST]

    def span(kind: range, n: int) -> list[int]:
        return [int(i) for i in rng.integers(kind.start, kind.stop, n)]

    chunks = [x for _ in range(config.video_chunks) for x in span(v.video, 16) + span(v.audio, 8)]
    return {
        "text": words + span(range(v.text.start, v.text.start + 500), 64),
        "image": [*words, BOI, *span(v.image, config.image_tokens)],
        "audio": [*words, BOA, *span(v.audio, config.audio_tokens)],
        "video": [*words, BOV, *chunks],
    }


def logits(engine: Engine, ids: list[int]) -> Any:
    """All logits of a sequence read at once."""
    return engine.forward(Feeder(engine.config).push(ids), engine.new_cache(), last_only=False)


def greedy(engine: Engine, prompt: list[int], live: range, count: int) -> list[int]:
    """``count`` greedy ids inside one live range."""
    cache, feeder, pending = engine.new_cache(), Feeder(engine.config), list(prompt)
    out: list[int] = []
    while len(out) < count:
        row = engine.forward(feeder.push(pending), cache, live=live)[0]
        out.append(live.start + int(np.argmax(row)))
        pending = out[-1:]
    return out


def decode_seconds(engine: Engine, prompt: list[int], live: range, count: int) -> float:
    """Seconds for ``count`` single-token steps after the prompt (fed back ids are fixed: only the step is timed)."""
    cache, feeder = engine.new_cache(), Feeder(engine.config)
    engine.forward(feeder.push(prompt), cache, live=live)
    steps = [feeder.push([live.start + i % len(live)]) for i in range(count)]
    start = time.perf_counter()
    for step in steps:
        engine.forward(step, cache, live=live)
    return time.perf_counter() - start


def open_all(config: SymphonyConfig, weights: Weights) -> dict[str, Engine]:
    """Every engine that runs here."""
    engines: dict[str, Engine] = {}
    for name in ("numpy", "native", "torch", "mlx"):
        try:
            engines[name] = open_engine(name, config, weights)
        except BackendUnavailable as error:
            print(f"{name}: {error}")
    return engines


def agreement(engines: Mapping[str, Engine], config: SymphonyConfig) -> dict[str, Any]:
    """Largest logit difference to the oracle and equal ids of a 256-token greedy run, per engine."""
    texts = sequences(config)
    live = range(vocabulary(config).text.start, vocabulary(config).text.stop)
    oracle = engines["numpy"]
    want = {kind: logits(oracle, ids) for kind, ids in texts.items()}
    ids = greedy(oracle, texts["text"][:13], live, 256)
    out = {}
    for name, engine in engines.items():
        worst = max(float(np.abs(logits(engine, s) - want[kind]).max()) for kind, s in texts.items())
        same = sum(a == b for a, b in zip(greedy(engine, texts["text"][:13], live, 256), ids, strict=True))
        out[name] = {"max_abs_logit_diff": worst, "greedy_256_equal": same}
    return out


def quantised(config: SymphonyConfig, weights: Weights, oracle: Engine) -> dict[str, Any]:
    """What 8- and 4-bit weights of the MLX engine change: logits, the most probable token, bytes. Empty without MLX."""
    try:
        from gensafe_backends.symphony.model.mlx_engine import MlxEngine

        engines = {f"{bits} bits": MlxEngine(config, weights, bits=bits) for bits in (8, 4)}
    except BackendUnavailable:
        return {}
    plain, out = MlxEngine(config, weights).weight_bytes(), {}
    texts = {kind: (ids, logits(oracle, ids)) for kind, ids in sequences(config).items()}
    for name, engine in engines.items():
        got = {kind: logits(engine, ids) for kind, (ids, _) in texts.items()}
        far = np.concatenate([np.abs(got[kind] - want).ravel() for kind, (_, want) in texts.items()])
        same = np.concatenate([got[kind].argmax(1) == want.argmax(1) for kind, (_, want) in texts.items()])
        out[name] = {
            "mean_abs_logit_diff": round(float(far.mean()), 4),
            "same_top_token": round(float(same.mean()), 3),
            "times_fewer_weight_bytes": round(plain / engine.weight_bytes(), 2),
        }
    return out


def native_step(engine: NativeEngine, rounds: int = 300) -> dict[str, float]:
    """Where a decode step of the native engine goes, best of ``rounds``: the whole call, and the C pass inside it."""
    config = engine.config
    prompt, live = sequences(config)["image"], vocabulary(config).image
    cache, feeder = engine.new_cache(), Feeder(config)
    engine.forward(feeder.push(prompt), cache, live=live)
    step = feeder.push([live.start])
    whole, inside = [], []
    for _ in range(rounds):
        length, begin = cache.length, time.perf_counter()
        engine.forward(step, cache, live=live)
        whole.append(time.perf_counter() - begin)
        inside.append(engine.repeat_step(cache))
        cache.truncate(length)
    return {"whole_us": round(min(whole) * 1e6, 1), "in_c_us": round(min(inside) * 1e6, 1)}


def speed(engines: Mapping[str, Engine], config: SymphonyConfig, rounds: int, count: int) -> dict[str, Any]:
    """Decode speed of every engine, in turn, ``rounds`` times."""
    prompt, live = sequences(config)["image"], vocabulary(config).image
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, engine in engines.items():
            times[name].append(decode_seconds(engine, prompt, live, count) / count)
    out: dict[str, Any] = {}
    for name, seconds in times.items():
        rates = sorted(1 / s for s in seconds)
        out[name] = {
            "tokens_per_s_median": round(statistics.median(rates), 1),
            "tokens_per_s_best": round(rates[-1], 1),
        }
        if "torch" in times:
            ratios = [t / s for t, s in zip(times["torch"], seconds, strict=True)]  # same round, same load
            out[name]["times_eager_torch_median"] = round(statistics.median(ratios), 2)
    return out


def prefill(engines: Mapping[str, Engine], config: SymphonyConfig, length: int, rounds: int = 3) -> dict[str, Any]:
    """Prompt tokens read per CPU second, best of ``rounds`` taken in turn: a text prompt of ``length`` tokens."""
    v, rng = vocabulary(config), np.random.default_rng(2)
    prompt = Feeder(config).push([BOS, *(int(i) for i in rng.integers(v.text.start, v.text.stop, length - 1))])
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, engine in engines.items():
            begin = time.process_time()
            engine.forward(prompt, engine.new_cache(), live=v.image)
            best[name] = min(best.get(name, 1e9), time.process_time() - begin)
    return {"tokens": length, **{name: round(length / seconds) for name, seconds in best.items()}}


def sparsity(config: SymphonyConfig, weights: Weights) -> dict[str, Any]:
    """Weight bytes per decoded token and largest difference, sparse against dense, per kind of prompt."""
    out: dict[str, Any] = {}
    v = vocabulary(config)
    live = {"text": range(0, v.text.stop), "image": v.image, "audio": v.audio, "video": v.video}
    kinds: list[type[NumpyEngine] | type[NativeEngine]] = [NumpyEngine]
    try:
        NativeEngine(config, weights)
        kinds.append(NativeEngine)
    except BackendUnavailable as error:
        print(f"native: {error}")
    for kind in kinds:
        rows = {}
        for name, ids in sequences(config).items():
            sparse, dense = kind(config, weights), kind(config, weights, sparse=False)
            caches, feeder, worst = (sparse.new_cache(), dense.new_cache()), Feeder(config), 0.0
            for i in ids:
                step = feeder.push([i])
                a = sparse.forward(step, caches[0], live=live[name])
                b = dense.forward(step, caches[1])[:, live[name].start : live[name].stop]
                worst = max(worst, float(np.abs(a - b).max()))
            per = [e.activity.weight_bytes / e.activity.tokens for e in (sparse, dense)]
            run, skipped = sparse.activity.heads_run, sparse.activity.heads_skipped
            rows[name] = {
                "bytes_per_token_sparse": round(per[0]),
                "bytes_per_token_dense": round(per[1]),
                "times_fewer": round(per[1] / per[0], 2),
                "heads_skipped_share": round(skipped / (run + skipped), 3),
                "max_abs_diff": worst,
            }
        out[kind.name] = rows
    return out


def main() -> None:
    """Run everything, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=None, help="a bundle; default: the shipped one")
    parser.add_argument("--random", action="store_true", help="random weights of the nano size")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=192)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    config, weights, digest = _weights(args.bundle, args.random)
    engines = open_all(config, weights)
    versions = {"numpy": np.__version__}
    if "torch" in engines:
        import torch

        torch.set_num_threads(1)
        versions["torch"] = torch.__version__
    if "mlx" in engines:
        versions["mlx"] = version("mlx")
    result = {
        "parameters": {
            "model": config.name,
            "weights": digest,
            "rounds": args.rounds,
            "tokens": args.tokens,
            "threads": 1,
            "openblas_threads": os.environ.get("OPENBLAS_NUM_THREADS", "unset"),
            "machine": f"{platform.machine()} {_processor()}, {os.cpu_count()} cores, shared",
            "versions": versions,
        },
        "agreement": agreement(engines, config),
        "decode": speed(engines, config, args.rounds, args.tokens),
        "prefill_tokens_per_cpu_second": [prefill(engines, config, length) for length in (256, 1024)],
        "sparsity": sparsity(config, weights),
        "mlx_quantised": quantised(config, weights, engines["numpy"]),
        "native_step": native_step(native) if isinstance(native := engines.get("native"), NativeEngine) else {},
        "kv_bytes_per_token_float32": dict(
            zip(("global_layers", "local_layers"), kv_bytes_per_token(config), strict=True)
        ),
    }
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    _show(result)


def _weights(bundle: Path | None, random: bool) -> tuple[SymphonyConfig, Weights, str]:
    if random:
        return NANO, random_tensors(NANO), "random"
    from gensafe_backends.symphony.plugin import default_bundle
    from gensafe_backends.symphony.weights import load_model, weights_digest

    directory = bundle or default_bundle()
    config, tensors = load_model(directory)
    return config, tensors, weights_digest(directory)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    name = next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), platform.processor())
    flags = next((x for x in lines if x.startswith("flags")), "")
    return f"{name} ({'AVX-512' if 'avx512f' in flags else 'AVX2' if 'avx2' in flags else 'SSE2'})"


def _show(result: Mapping[str, Any]) -> None:
    print(f"{'engine':<8} {'logit diff':>11} {'greedy 256':>11} {'tok/s':>8} {'x torch':>8}")
    for name, row in result["agreement"].items():
        fast = result["decode"][name]
        print(
            f"{name:<8} {row['max_abs_logit_diff']:>11.2e} {row['greedy_256_equal']:>11}"
            f" {fast['tokens_per_s_median']:>8} {fast.get('times_eager_torch_median', ''):>8}"
        )
    for engine, rows in result["sparsity"].items():
        for name, row in rows.items():
            print(
                f"{engine} {name}: {row['times_fewer']}x fewer weight bytes per token, difference {row['max_abs_diff']}"
            )


if __name__ == "__main__":
    main()
