"""Loss curves of the shipped Symphony: ``python -m benchmarks.training_curves LOG [--stage N]``.

``LOG`` is the ``log.json`` that ``gensafe_backends.symphony.train`` writes for one stage. The losses, accuracies and
gradient shares of every stage are kept in ``results/symphony_training.json`` (a stage named again is replaced, those
after it are dropped); the picture of all of them goes to ``docs/symphony-training.png``. Batches of stories and talks,
which have no media, are kept but not drawn.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "benchmarks" / "results" / "symphony_training.json"
PICTURE: Final = ROOT / "docs" / "symphony-training.png"
MODALITIES: Final = ("text", "image", "audio", "video")
KEPT: Final = ("step", "seconds", "tokens", "rate", "norm", "loss", "accuracy", "shares")


def condense(log: list[dict[str, Any]]) -> dict[str, Any]:
    """What is kept of a log: every entry without the head use, and the head use of the last one."""
    return {"entries": [{k: e[k] for k in KEPT} for e in log], "head_use_at_end": log[-1]["use"]}


def plot(stages: list[dict[str, Any]], path: Path) -> None:
    """Losses by modality, and their gradient shares before and after normalisation; stages one after the other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4))
    left, right = figure.subplots(1, 2)
    done = 0
    for number, stage in enumerate(stages):
        entries = [e for e in stage["entries"] if len(e["loss"]) == len(MODALITIES)]
        steps = [done + e["step"] for e in entries]
        for i, name in enumerate(MODALITIES):
            label = name if number == 0 else None
            left.plot(steps, [e["loss"][name] for e in entries], label=label, color=f"C{i}", linewidth=0.8)
            right.plot(steps, [e["shares"]["raw"][i] for e in entries], color=f"C{i}", linewidth=0.6)
            balanced = [e["shares"]["balanced"][i] for e in entries]
            right.plot(steps, balanced, color=f"C{i}", linestyle="--", linewidth=0.8, label=label)
        done += stage["entries"][-1]["step"]
        for axes in (left, right):
            axes.axvline(done, color="0.6", linewidth=0.8)
    left.set(yscale="log", xlabel="step", ylabel="nats per token", title="loss by modality")
    right.set(xlabel="step", title="share of the gradient: raw (thin), normalised (dashed)")
    left.legend()
    right.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def main() -> int:
    """Condense, keep and plot a log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("--stage", type=int, default=1, help="1 for training from nothing, 2 for going on from that")
    args = parser.parse_args()
    stages: list[dict[str, Any]] = []
    if args.stage > 1:
        stages = json.loads(RESULTS.read_text(encoding="utf-8"))["stages"][: args.stage - 1]
    stages.append(condense(json.loads(args.log.read_text(encoding="utf-8"))))
    RESULTS.write_text(json.dumps({"stages": stages}) + "\n", encoding="utf-8")
    plot(stages, PICTURE)
    last = stages[-1]["entries"][-1]
    print(
        f"{last['step']} steps, {last['tokens'] / 1e6:.1f}M tokens, {last['seconds']:.0f} s; last losses {last['loss']}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
