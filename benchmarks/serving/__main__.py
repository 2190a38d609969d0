"""What the gate costs: processor time by stage, bytes stored, and the memory that a burst leaves.

    python -m benchmarks.serving [--against CHECKOUT] [--repeat N] [--burst N] [--json FILE]

With ``--against`` another checkout is measured in the same run, in turns with this one, so that what else the machine
does falls on both; only ratios say much. Writes ``benchmarks/results/serving/gate.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.common.places import RESULTS, ROOT
from benchmarks.serving.stages import CASES

RESULT: Final = RESULTS / "serving" / "gate.json"
HERE: Final = Path(__file__).parent


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="benchmarks.serving", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--against", type=Path, help="the root of another checkout, measured as 'before'")
    parser.add_argument("--repeat", type=int, default=3, help="requests of each kind and turn")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this")
    parser.add_argument("--burst", type=int, default=32, help="requests of the burst, 16 at a time; 0 = none")
    parser.add_argument("--json", type=Path, default=RESULT)
    args = parser.parse_args()
    trees = {"before": args.against.resolve(), "after": ROOT} if args.against else {"after": ROOT}
    found: dict[str, Any] = json.loads(args.json.read_text("utf-8")) if args.json.is_file() else {}
    found["machine"] = f"{platform.machine()}, {os.cpu_count()} cores"
    for case in args.case or CASES:
        turns: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
        for _ in range(args.turns):
            for name, root in trees.items():
                answer = measure("stages.py", root, "--repeat", str(args.repeat), "--case", case)
                turns[name].append(answer[case])
        found.setdefault("cases", {})[case] = {name: least(results) for name, results in turns.items()}
        show(case, found["cases"][case])
        keep(args.json, found)
    if args.burst:
        found["burst"] = {
            name: measure("memory.py", root, "--requests", str(args.burst)) for name, root in trees.items()
        }
        print(json.dumps(found["burst"], indent=1))
        keep(args.json, found)
    return 0


def measure(script: str, root: Path, *options: str) -> dict[str, Any]:
    """Run one of the scripts beside this file on the code of ``root``; its JSON answer."""
    path = os.pathsep.join(str(root / part) for part in ("", "backends", "watermark"))
    # one thread for each matrix product: the default spins on every core, which counts as processor time
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(HERE / script), *options],
        env={**os.environ, **threads, "PYTHONPATH": path},
        cwd=root,
        stdout=subprocess.PIPE,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def least(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The turn with the least processor time: others only add to it."""
    return min(results, key=lambda r: float(r["cpu_ms"]))


def show(case: str, found: dict[str, dict[str, Any]]) -> None:
    """Print one case."""
    for name, one in found.items():
        stages = "  ".join(f"{stage} {value:.0f}" for stage, value in one["stages"].items())
        print(f"{case:30} {name:6} {one['cpu_ms']:8.0f} ms of processor time: {stages}", flush=True)


def keep(path: Path, found: dict[str, Any]) -> None:
    """Write what there is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
