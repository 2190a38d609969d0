"""Draw the two plots of the sound and text mark's pages from their committed results.

    python -m benchmarks.watermark.plots

Recovery against the signal-to-noise ratio of added noise; p-value and rate against the length of a text.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from benchmarks.common.places import DOCS, RESULTS

_SIZE = (9.0, 3.4)
_STYLES = ("-", "--", ":")


def noise() -> Path:
    """Recovery of the sound mark's payload against noise."""
    rows = json.loads((RESULTS / "watermark" / "audio.json").read_text())["against_noise"]
    figure, axes = plt.subplots(figsize=(6.2, 3.4), layout="constrained")
    for name, points in rows.items():
        colour, length = name.split(", ")
        levels = sorted(map(int, points))
        axes.plot(
            levels,
            [points[str(level)] for level in levels],
            "-o" if length == "whole" else "--s",
            color="tab:gray" if colour == "white" else "tab:pink",
            label=f"{colour} noise, {'10 to 17 s' if length == 'whole' else '5 s'}",
        )
    axes.set(xlabel="signal-to-noise ratio in dB", ylabel="exact payload recovered", ylim=(-0.03, 1.03))
    axes.grid(alpha=0.3)
    axes.legend()
    return _save(figure, "watermark-audio-noise.png")


def length() -> Path:
    """Median p-value and rate of the text mark against length, by entropy."""
    rows = json.loads((RESULTS / "watermark" / "text.json").read_text())["against_length"]
    figure, (left, right) = plt.subplots(1, 2, figsize=_SIZE, layout="constrained")
    for (name, points), style in zip(rows.items(), _STYLES, strict=True):
        lengths = sorted(map(int, points))
        left.semilogy(lengths, [max(points[str(n)]["median_p"], 1e-300) for n in lengths], style + "o", label=name)
        right.plot(lengths, [points[str(n)]["rate"] for n in lengths], style + "o", label=f"{name}: present")
        right.plot(lengths, [points[str(n)]["undecidable"] for n in lengths], style, color="0.6", linewidth=1)
    left.axhline(1e-6, color="k", linewidth=0.8)
    left.annotate("present at 1e-6 and under", (lengths[-1], 1e-6), (0, 4), textcoords="offset points", ha="right")
    left.set(xlabel="tokens", ylabel="median p-value, corrected")
    right.plot([], [], color="0.6", linewidth=1, label="undecidable")
    right.set(xlabel="tokens", ylabel="share of texts", ylim=(-0.03, 1.03))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    return _save(figure, "watermark-text-length.png")


def _save(figure: Figure, name: str) -> Path:
    figure.savefig(DOCS / name, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return DOCS / name


def main() -> None:
    """Draw both."""
    for path in (noise(), length()):
        print(path)


if __name__ == "__main__":
    main()
