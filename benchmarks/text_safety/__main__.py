"""How good the text classifiers are, measured.

usage: python -m benchmarks.text_safety [--data DIR] [--shared DIR] [--policy FILE] [--limit N] [--part PART] [--quick]
       python -m benchmarks.text_safety --leave-one-out

Without --data: the contrastive test split and, where the shared data folder lies beside the checkout, the evaluation
sets in it (none of them trained on). With --data: any folder of labelled .jsonl/.json/.csv, see ``sets.py``
for its form. Prints per set and per category the area under the precision-recall curve with 95 % bootstrap intervals,
beside a word list and alt-profanity-check (where it is installed); precision, recall and false alarms at every
threshold of the default policy; false alarms on benign texts; latency; calibration; stream leaks.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.common.places import ROOT
from benchmarks.text_safety.accuracy import DEFAULT, measure, reliability, thresholds
from benchmarks.text_safety.alarms import false_alarms, jailbreaks, languages, look_alikes, personal_data
from benchmarks.text_safety.cards import write_cards
from benchmarks.text_safety.data import (
    LOOK_ALIKES,
    RESULT,
    SAFETY_TEXT,
    benign_sets,
    default_sets,
    drawn,
    foreign_sets,
    jailbreak_sets,
    rare_rows,
)
from benchmarks.text_safety.examples import by_example
from benchmarks.text_safety.kept_aside import measured, presets
from benchmarks.text_safety.leave_one_out import leave_one_out
from benchmarks.text_safety.sets import read_folder
from benchmarks.text_safety.speed import latency
from benchmarks.text_safety.streams import streams
from benchmarks.text_safety.systems import Stack, System, baselines, default_stack
from gensafe.core import plugins
from gensafe.core.errors import ConfigError, GensafeError
from gensafe.core.types import Modality
from gensafe.safety.policy import load_policy

PARTS: Final = ("sets", "alarms", "rest", "streams")
CACHE: Final = ROOT / "build" / "text_features.sqlite"


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="benchmarks.text_safety", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, help="a folder of labelled texts")
    parser.add_argument("--shared", type=Path, default=SAFETY_TEXT)
    parser.add_argument("--policy", type=Path, help="a policy file (default: the one that ships)")
    parser.add_argument("--limit", type=int, default=600, help="rows per set, drawn at random (0 = all)")
    parser.add_argument("--json", type=Path, help=f"where to write; {RESULT.name} in results for the default sets")
    parser.add_argument("--streams", type=int, default=40, help="streams with harm; three times as many without")
    parser.add_argument("--cards", action="store_true", help="write the figures into the cards beside the weights")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this, the rest from an earlier run")
    parser.add_argument("--quick", action="store_true", help="no baselines, no streams")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the encoder's features are kept between runs")
    parser.add_argument(
        "--leave-one-out", action="store_true", help="train without a source, test on it; then every set kept aside"
    )
    args = parser.parse_args()
    try:
        return left_out(args) if args.leave_one_out else run(args)
    except GensafeError as error:
        print(f"{error.field}: {error.message}" if error.field else error.message, file=sys.stderr)
        if error.fix:
            print(error.fix, file=sys.stderr)
        return 64


def left_out(args: argparse.Namespace) -> int:
    """The leave-one-source-out table, then the shipped policy on every set kept aside; two files in results.

    Raises:
        GensafeError: there is no data folder, or the policy cannot be read.
    """
    if not args.shared.is_dir():
        raise ConfigError("no such folder", field="--shared", fix="leave-one-out needs the training sources")
    policy = load_policy(args.policy)
    around = baselines(args.shared)
    found: dict[str, dict[str, Any]] = {}
    found["leave_one_out"] = leave_one_out(args.shared, args.cache, around)
    stack = default_stack(policy, args.cache)
    found["kept_aside"] = measured(args.shared, stack, policy, around, args.limit)
    found["kept_aside"]["presets"] = presets(args.shared, stack, args.limit)
    for name, out in found.items():
        (args.json or RESULT).with_name(f"{name}.json").write_text(
            json.dumps(out, indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )
    return 0


def run(args: argparse.Namespace) -> int:
    """As main, with its arguments.

    Raises:
        GensafeError: the folder or the policy cannot be read.
    """
    shared = args.shared if args.shared.is_dir() else None
    sets = read_folder(args.data) if args.data else default_sets(shared)
    sets = {name: drawn(rows, args.limit) for name, rows in sets.items()}
    policy = load_policy(args.policy)
    stack = default_stack(policy, args.cache)
    screen = Stack([plugins.load("gensafe.classifiers", "text_screen")])
    out: dict[str, Any] = {
        "version": 3,
        "parameters": {"limit": args.limit, "policy": policy.digest, "sets": {n: len(r) for n, r in sets.items()}},
        "machine": platform.machine(),
        "classifiers": {c.name: c.identity().weights_digest for c in (*stack.classifiers, *screen.classifiers)},
    }
    target = args.json or (None if args.data else RESULT)
    if target and args.part:
        out = _continued(out, target)
    rows = [r for found in sets.values() for r in found]

    def measure_sets() -> None:
        systems: dict[str, System] = {DEFAULT: stack, "text_screen alone": screen}
        if not args.quick:
            systems.update(baselines(shared))
        out["sets"] = {name: measure(name, found, systems, policy) for name, found in sets.items()}
        out["calibration"] = reliability(rows, stack)

    def measure_alarms() -> None:
        calm = {n: t[: args.limit or None] for n, t in benign_sets(shared).items()}
        calm[LOOK_ALIKES] = benign_sets(None)[LOOK_ALIKES]
        out["benign"] = false_alarms(calm, stack, policy)
        out["look_alikes"] = look_alikes(stack, policy)
        everyday = [t for n, texts in calm.items() if n != LOOK_ALIKES for t in texts]
        labelled = rows + (rare_rows(shared) if shared else [])
        out["thresholds"] = thresholds(labelled, everyday, stack, policy)
        if shared:
            quiet = [t for n in ("requests", "security questions") for t in calm[n]]
            out["jailbreak"] = jailbreaks(jailbreak_sets(shared), quiet, stack, policy)

    def measure_rest() -> None:
        names = [*policy.classifiers[Modality.TEXT], "text_screen"]
        out["latency_ms"] = latency(list(dict.fromkeys(names)))
        if shared and not args.data:
            out["pii"] = personal_data(shared)
            foreign = {n: drawn(r, args.limit // 3) for n, r in foreign_sets(shared).items()}
            out["languages"] = languages(foreign, stack, policy)
            out["custom_by_example"] = by_example(shared, stack.embed)

    def measure_streams() -> None:
        if shared:
            out["streams"] = streams(shared, policy, stack, args.streams)

    parts = {"sets": measure_sets, "alarms": measure_alarms, "rest": measure_rest, "streams": measure_streams}
    skipped = {"alarms", "streams"} if args.data else {"streams"} if args.quick else set()
    for name, part in parts.items():
        if name in (args.part or parts.keys() - skipped):
            part()
            if target:  # after each part: a run that is cut short leaves what it measured
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(json.dumps(out, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if target:
        print(f"\nwritten to {target.name}")
    if args.cards and not args.data:
        write_cards(out)
    return 0


def _continued(fresh: dict[str, Any], target: Path) -> dict[str, Any]:
    """What ``target`` holds of a run with the same policy, weights and rows; ``fresh`` if it holds none."""
    try:
        found: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return fresh
    return found if all(found.get(k) == v for k, v in fresh.items()) else fresh


if __name__ == "__main__":
    sys.exit(main())
