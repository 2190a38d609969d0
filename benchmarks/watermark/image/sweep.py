"""Picture mark: exact-payload recovery against quality, as ``strength`` sets it.

    python -m benchmarks.watermark.image.sweep --images DIR [--limit N] [--out FILE]

Each picture is marked at four strengths and goes through twelve attacks, three of a kind, most of them hard ones. The
embedder raises what its own check finds too weak at every strength, so the quality is measured, not assumed. Writes
JSON and, beside it, the plot.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from benchmarks.common.places import RESULTS
from benchmarks.watermark.image.attacks import picture_attacks
from benchmarks.watermark.image.sets import KEY, Pixels, load, ssim
from gensafe.core.errors import CannotCarry
from gensafe_watermark import image
from gensafe_watermark.image import perception

mpl.use("Agg")
import matplotlib.pyplot as plt

VERSION = 1
RESULT = RESULTS / "watermark" / "image_sweep.json"
STRENGTHS = (0.6, 0.8, 1.0, 1.25)
KINDS = {
    "coding": ("jpeg30", "webp50", "avif50"),
    "filters and noise": ("blur2", "noise.05", "denoise"),
    "crops": ("crop.5", "crop.25", "combo"),
    "turns and distortions": ("rotate10", "aspect.8", "perspective.2"),
}


def measure(pictures: list[Pixels], strength: float) -> dict[str, Any]:
    """Quality and recovery by attack over all pictures at one strength."""
    attacks = picture_attacks()
    hits: dict[str, list[bool]] = {name: [] for names in KINDS.values() for name in names}
    quality, similarity, refused = [], [], 0
    for index, picture in enumerate(pictures):
        message = np.random.default_rng(1000 + index).bytes(7)
        try:
            marked = image.embed(picture, message, KEY, strength=strength)
        except CannotCarry:
            refused += 1
            continue
        quality.append(perception.psnr(picture, marked))
        similarity.append(ssim(picture, marked))
        for name, found in hits.items():
            copy = attacks[name](marked, np.random.default_rng(7 * index + 3))
            found.append(image.detect(copy, KEY).payload == message)
        print(f"\rstrength {strength}: {index + 1}/{len(pictures)}", end="", file=sys.stderr)
    print(file=sys.stderr)
    if not quality:
        raise SystemExit(f"strength {strength}: every picture was refused")
    return {
        "pictures": len(quality),
        "refused": refused,
        "psnr_mean": round(float(np.mean(quality)), 2),
        "psnr_worst": round(float(np.min(quality)), 2),
        "ssim_mean": round(float(np.mean(similarity)), 4),
        "recovery": {name: round(float(np.mean(found)), 4) for name, found in hits.items()},
    }


def draw(report: dict[str, Any], path: Path) -> None:
    """Recovery against mean PSNR, a line for each kind of attack and one for all."""
    points = list(report["strengths"].values())
    quality = [point["psnr_mean"] for point in points]
    figure, axes = plt.subplots(figsize=(6.6, 3.8), layout="constrained")
    for (kind, names), style in zip(KINDS.items(), ("--o", "--s", "--^", "--d"), strict=True):
        rates = [np.mean([point["recovery"][name] for name in names]) for point in points]
        axes.plot(quality, rates, style, linewidth=1, label=f"{kind}: {', '.join(names)}")
    axes.plot(quality, [np.mean(list(p["recovery"].values())) for p in points], "-k", linewidth=2, label="all twelve")
    for strength, point in report["strengths"].items():
        axes.annotate(
            f"strength {strength}", (point["psnr_mean"], 0.02), (2, 0), textcoords="offset points", rotation=90
        )
        axes.axvline(point["psnr_mean"], color="0.85", linewidth=0.8, zorder=0)
    axes.set(xlabel="mean PSNR in dB", ylabel="exact payload recovered", ylim=(0, 1.03))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="x-small", loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True)
    parser.add_argument("--limit", type=int, default=6, help="pictures, evenly spaced; 0 = all")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    if options.limit < 0:
        parser.error("--limit must not be negative")
    pictures = load(options.images, options.limit)
    report: dict[str, Any] = {
        "benchmark": "watermark_image_sweep",
        "version": VERSION,
        "scheme": image.SCHEME,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "images": Path(options.images).name,
        "strengths": {str(strength): measure(pictures, strength) for strength in STRENGTHS},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    draw(report, options.out.with_suffix(".png"))
    for strength, point in report["strengths"].items():
        print(strength, point)


if __name__ == "__main__":
    main()
