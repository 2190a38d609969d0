"""Loss curves of the shipped Symphony: ``python -m benchmarks.training_curves LOG`` plots what a training run logged.

``LOG`` is the ``log.json`` that ``gensafe_backends.symphony.train`` writes. The losses, accuracies and gradient shares
are kept in ``results/symphony_training.json``; the picture goes to ``docs/symphony-training.png``.
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


def plot(result: dict[str, Any], path: Path) -> None:
    """Losses by modality, and their gradient shares before and after normalisation."""
    from matplotlib.figure import Figure

    entries = result["entries"]
    figure = Figure(figsize=(11, 4))
    left, right = figure.subplots(1, 2)
    steps = [e["step"] for e in entries]
    for i, name in enumerate(MODALITIES):
        left.plot(steps, [e["loss"].get(name) for e in entries], label=name, color=f"C{i}")
        right.plot(steps, [e["shares"]["raw"][i] for e in entries], color=f"C{i}", linewidth=0.7)
        right.plot(steps, [e["shares"]["balanced"][i] for e in entries], color=f"C{i}", linestyle="--", label=name)
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
    args = parser.parse_args()
    result = condense(json.loads(args.log.read_text(encoding="utf-8")))
    RESULTS.write_text(json.dumps(result) + "\n", encoding="utf-8")
    plot(result, PICTURE)
    last = result["entries"][-1]
    print(
        f"{last['step']} steps, {last['tokens'] / 1e6:.1f}M tokens, {last['seconds']:.0f} s; last losses {last['loss']}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
