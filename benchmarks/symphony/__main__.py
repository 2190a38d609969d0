"""What the shipped Symphony can do: every task through the plugin, on seeds no training step used, read exactly.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.symphony [--bundle DIR] [--count 100] [--engine auto]

Prompts go in as text and media as pixels and samples, as a caller would send them; answers are compared with the truth
exactly (a caption must be word for word the one right caption). "held-out" rows use boards that hold a (colour, shape,
place) triple kept out of training; "own" rows read what the model made, marked, written to a file and read again.
The tasks are small in-house ones; their names say nothing about public benchmarks.
Each rate comes with its 95 % Wilson interval.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.common.places import RESULTS
from benchmarks.symphony.bench import SEED, Bench, Task, wilson
from benchmarks.symphony.tasks import TASKS
from gensafe_backends.symphony import plugin

RESULT: Final = RESULTS / "symphony" / "symphony.json"


def run(bench: Bench, name: str, task: Task, count: int) -> dict[str, Any]:
    """All scores of one task: mean, trials and interval."""
    kept: dict[str, list[float]] = {}
    for i in range(count):
        rng = np.random.default_rng((SEED, list(TASKS).index(name), i))
        for key, value in task(bench, rng, SEED + i).items():
            kept.setdefault(key, []).append(value)
    return {
        key: {"rate": round(float(np.mean(v)), 3), "n": len(v), "wilson95": wilson(float(np.mean(v)), len(v))}
        for key, v in kept.items()
    }


def main() -> None:
    """Run every task, print the table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--only", nargs="*", help="only tasks whose name begins with one of these")
    parser.add_argument("--merge", nargs="*", type=Path, default=(), help="results for the same weights to take over")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    if args.count < 1:
        parser.error("--count must be at least 1")
    bench = Bench({"engine": args.engine} | ({"weights": args.bundle} if args.bundle else {}))
    model, digest = next(iter(bench.backend.models().items()))
    tasks, seconds = dict[str, Any](), dict[str, float]()
    for part in (json.loads(path.read_text(encoding="utf-8")) for path in args.merge):
        if (part["parameters"]["weights"], part["parameters"]["engine"]) != (digest, bench.backend.engine.name):
            parser.error("--merge: a result of other weights or another engine")
        tasks |= part["tasks"]
        seconds |= part["median_seconds_per_answer"]  # of the last part that has the kind
    for name, task in TASKS.items():
        if args.only is None or name.startswith(tuple(args.only)):
            tasks[name] = run(bench, name, task, min(args.count, 20) if name == "story" else args.count)
            print(
                f"{name}: " + ", ".join(f"{k} {v['rate']:.3f} (n={v['n']})" for k, v in tasks[name].items()), flush=True
            )
    tasks = {name: tasks[name] for name in TASKS if name in tasks}
    seconds |= {k: round(float(np.median(v)), 3) for k, v in bench.seconds.items()}
    print("median seconds per answer:", seconds)
    result = {
        "parameters": {
            "model": model,
            "weights": digest,
            "engine": bench.backend.engine.name,
            "count": args.count,
            "first_seed": SEED,
            "sampling": {str(m): [p.temperature, p.top_p] for m, p in plugin.DEFAULTS.items()},
        },
        "tasks": tasks,
        "median_seconds_per_answer": seconds,
    }
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
