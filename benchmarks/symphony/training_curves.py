"""Loss curves of the shipped Symphony: ``python -m benchmarks.symphony.training_curves LOG [--stage N]``.

``LOG`` is the ``log.json`` that ``gensafe_backends.symphony.train`` writes for one stage. The losses, accuracies and
gradient shares of every stage are kept in ``results/symphony/training.json`` (a stage named again is replaced, those
after it are dropped); the picture of all of them goes to ``docs/symphony-training.png``. Batches of stories and talks,
which have no media, are kept but not drawn.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

from benchmarks.common.places import DOCS, RESULTS

RESULT: Final = RESULTS / "symphony" / "training.json"
PICTURE: Final = DOCS / "symphony-training.png"
MODALITIES: Final = ("text", "image", "audio", "video")
KEPT: Final = ("step", "seconds", "tokens", "rate", "norm", "loss", "accuracy", "shares")


def condense(log: list[dict[str, Any]]) -> dict[str, Any]:
    """What is kept of a log: every entry without the head use, and the head use of the last one."""
    return {"entries": [{k: e[k] for k in KEPT} for e in log], "head_use_at_end": log[-1]["use"]}


def smooth(values: list[float], width: int = 15) -> list[float]:
    """Running mean over the last ``width`` values."""
    return [sum(part) / len(part) for i in range(len(values)) if (part := values[max(0, i + 1 - width) : i + 1])]


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
            for kind, line in (("raw", "-"), ("balanced", "--")):
                shares = smooth([e["shares"][kind][i] for e in entries])
                named = label if kind == "balanced" else None
                right.plot(steps, shares, color=f"C{i}", linestyle=line, linewidth=0.9, label=named)
        done += stage["entries"][-1]["step"]
        for axes in (left, right) if number + 1 < len(stages) else ():
            axes.axvline(done, color="0.6", linewidth=0.8)
    left.set(yscale="log", xlabel="step", ylabel="nats per token", title="loss by modality")
    right.set(xlabel="step", title="gradient shares: raw, normalised (dashed)")
    left.legend()
    right.set_ylim(0, 0.75)
    right.legend(ncols=4, loc="upper center", fontsize="small")
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
        stages = json.loads(RESULT.read_text(encoding="utf-8"))["stages"][: args.stage - 1]
    stages.append(condense(json.loads(args.log.read_text(encoding="utf-8"))))
    RESULT.write_text(json.dumps({"stages": stages}) + "\n", encoding="utf-8")
    plot(stages, PICTURE)
    last = stages[-1]["entries"][-1]
    print(
        f"{last['step']} steps, {last['tokens'] / 1e6:.1f}M tokens, {last['seconds']:.0f} s; last losses {last['loss']}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
