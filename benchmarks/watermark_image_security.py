"""Picture mark under people who want it gone, or want it elsewhere; and its null distribution.

    python -m benchmarks.watermark_image_security --images DIR [--keys 400] [--out FILE]

Needs at least 26 pictures of one orientation (BSDS500: 481 x 321). Experiments:

1. null        wrong keys on marked and unmarked pictures: accepts, and the comb score against its bound
2. average     the mean residual of 12 marked pictures of one key, subtracted from 6 others / added to 6 clean ones
3. notch       the mean power spectrum of those 12; its strongest lines are cut out of 6 others
4. copy        the residual of one marked picture is added to a clean one
5. overwrite   a second mark under another key; re-marking under the same key with another payload
6. oracle      blend with a blurred copy, bisecting on a found / not found detector: quality when the mark is gone
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from gensafe.core.types import Detection, MarkLevel
from gensafe_watermark import image, prf, statistics
from gensafe_watermark import payload as coding
from gensafe_watermark.image import carrier as tiles
from gensafe_watermark.image import perception
from gensafe_watermark.image.detector import nominal_grids
from gensafe_watermark.image.reading import Reader

VERSION = 1
RESULT = Path(__file__).parent / "results" / "watermark_image_security.json"
KEY = bytes(range(32))
Pixels = NDArray[np.uint8]
_ALIGNMENTS = tiles.ORIENTATIONS * tiles.VARIANTS


def load(folder: str, count: int) -> list[Pixels]:
    """The first ``count`` landscape pictures of the most common size."""
    pictures = [np.asarray(Image.open(p).convert("RGB")) for p in sorted(Path(folder).rglob("*.jpg"))]
    wide = [p for p in pictures if p.shape[1] >= p.shape[0]]
    if len(wide) < count:
        raise SystemExit(f"need {count} landscape pictures, found {len(wide)}")
    return wide[:count]


def message(number: int) -> bytes:
    """The payload of picture ``number``."""
    return np.random.default_rng(5000 + number).bytes(7)


def residue(pixels: Pixels) -> NDArray[np.float64]:
    """What a denoiser takes away: an attacker's estimate of the mark."""
    return pixels - ndimage.median_filter(pixels, (5, 5, 1)).astype(float)


def shifted(pixels: Pixels, change: NDArray[np.float64]) -> Pixels:
    """Add a change, rounded and clipped."""
    return np.clip(np.rint(pixels + change), 0, 255).astype(np.uint8)


def look(pixels: Pixels, key: bytes = KEY) -> Detection:
    """The detector's nominal step: none of these attacks changes the geometry."""
    reader = Reader(key, image.MEDIUM, image.SCHEME)
    return reader.read(nominal_grids([perception.luma(pixels)], (4,)), "nominal") or reader.give_up()


def levels(pictures: list[Pixels], key: bytes = KEY) -> dict[str, Any]:
    """How many pictures give each detection level."""
    found = [look(p, key).level for p in pictures]
    return {level.value: found.count(level) for level in MarkLevel if level is not MarkLevel.UNDECIDABLE}


def null(pictures: list[Pixels], keys: int, plot: Path) -> dict[str, Any]:
    """Decode every alignment of every wrong key; compare the best comb score with its Gaussian union bound."""
    decodes, accepts, best = 0, 0, []
    for number, picture in enumerate(pictures):
        pixels = image.embed(picture, message(number), KEY) if number % 2 else picture
        white = tiles.whiten(nominal_grids([perception.luma(pixels)], (4,))[0][0])
        spectra = np.stack([tiles.from_grid(tiles.unorient(white, turn)) for turn in range(tiles.ORIENTATIONS)])
        for trial in range(keys):
            key = prf.derive(KEY, "wrong", str(number), str(trial))
            words, highest = [], 0.0
            for layout in (tiles.carrier(key, image.MEDIUM, variant) for variant in range(tiles.VARIANTS)):
                for spectrum, (z, px, py) in zip(spectra, layout.align(spectra), strict=True):
                    words.append(layout.chips(tiles.shift(spectrum, -px, -py)))
                    highest = max(highest, z)
            accepts += sum(f is not None for f in coding.decode_many(np.stack(words), key, image.MEDIUM))
            decodes += len(words)
            best.append(highest)
    scores = np.sort(np.array(best))
    tail = statistics.fit_gumbel(scores)
    hypotheses = float(_ALIGNMENTS)
    draw_null(scores, tail, hypotheses, plot)
    checks = {}
    for p in (0.1, 0.01, 0.001):
        hits = int(np.sum(scores >= statistics.presence_threshold(hypotheses, p, tiles.ROUGHNESS)))
        checks[str(p)] = {
            "observed": hits / len(scores),
            "interval_95": statistics.proportion_interval(hits, len(scores)),
        }
    return {
        "pictures": len(pictures),
        "wrong_keys_per_picture": keys,
        "decodes": decodes,
        "payloads_accepted": accepts,
        "accept_rate_upper_95": statistics.proportion_interval(accepts, decodes)[1],
        "best_score": {"mean": float(scores.mean()), "max": float(scores[-1]), "count": len(scores)},
        "share_above_the_stated_p": checks,
        "gumbel": {"location": tail.location, "scale": tail.scale, "threshold_1e-6": tail.threshold(1e-6)},
        "bound_threshold_1e-6": statistics.presence_threshold(hypotheses, roughness=tiles.ROUGHNESS),
    }


def draw_null(scores: NDArray[np.float64], tail: statistics.GumbelTail, hypotheses: float, path: Path) -> None:
    """Tail of the null scores, its Gumbel fit, and the bound the detector reports."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    axes.semilogy(scores, 1 - (np.arange(len(scores)) + 0.5) / len(scores), ".", ms=3, label="wrong keys, measured")
    z = np.linspace(scores[0], max(scores[-1] + 1, 7.5), 200)
    axes.semilogy(z, [tail.p(v) for v in z], label="Gumbel fit")
    axes.semilogy(z, [statistics.presence_p(v, hypotheses, tiles.ROUGHNESS) for v in z], "--", label="reported bound")
    axes.set(xlabel="best comb score (standard deviations)", ylabel="share of wrong keys above", ylim=(1e-8, 1.5))
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=90, metadata={"Software": ""})
    pyplot.close(figure)


def average(seen: list[Pixels], others: list[Pixels], clean: list[Pixels]) -> dict[str, Any]:
    """The mean residual of the seen pictures, used against the others and on the clean ones."""
    estimate = np.mean([residue(p) for p in seen], axis=0)
    out: dict[str, Any] = {}
    for gain in (1.0, 3.0):
        attacked = [shifted(p, -gain * estimate) for p in others]
        out[f"removal, gain {gain:g}"] = levels(attacked) | {
            "psnr": round(float(np.mean([perception.psnr(a, b) for a, b in zip(others, attacked, strict=True)])), 1)
        }
        out[f"forgery, gain {gain:g}"] = levels([shifted(p, gain * estimate) for p in clean])
    return out


def notch(seen: list[Pixels], others: list[Pixels], lines: int) -> dict[str, Any]:
    """Cut out the strongest lines of the mean normalised power spectrum."""
    power = np.mean([np.abs(np.fft.fft2(residue(p).mean(axis=2))) ** 2 for p in seen], axis=0)
    power /= ndimage.median_filter(power, 9, mode="wrap") + 1e-9
    strongest = np.argsort(power, axis=None)[::-1][:lines]
    hole = np.zeros(power.shape, bool)
    hole.ravel()[strongest] = True
    hole = ndimage.binary_dilation(hole)
    attacked = []
    for pixels in others:
        spectrum = np.fft.fft2(pixels.astype(float), axes=(0, 1))
        spectrum[hole] *= 0
        spectrum[0, 0] = pixels.sum(axis=(0, 1))
        attacked.append(np.clip(np.rint(np.fft.ifft2(spectrum, axes=(0, 1)).real), 0, 255).astype(np.uint8))
    psnr = float(np.mean([perception.psnr(a, b) for a, b in zip(others, attacked, strict=True)]))
    return levels(attacked) | {"lines": lines, "psnr": round(psnr, 1)}


def copy(marked: list[Pixels], clean: list[Pixels]) -> dict[str, Any]:
    """Estimate one picture's mark and add it to another picture of the same size."""
    out: dict[str, Any] = {}
    for gain in (1.0, 2.0):
        out[f"gain {gain:g}"] = levels([shifted(c, gain * residue(m)) for m, c in zip(marked, clean, strict=True)])
    return out


def overwrite(clean: list[Pixels]) -> dict[str, Any]:
    """A second mark over the first."""
    other = prf.derive(KEY, "another owner")
    first = [image.embed(p, message(i), KEY) for i, p in enumerate(clean)]
    second = [image.embed(p, message(100 + i), other) for i, p in enumerate(first)]
    again = [image.embed(p, message(100 + i), KEY) for i, p in enumerate(first)]
    read = [look(p).payload for p in again]
    return {
        "another key on top: first mark": levels(second),
        "another key on top: second mark": levels(second, other),
        "same key on top": {
            "first payload": sum(r == message(i) for i, r in enumerate(read)),
            "second payload": sum(r == message(100 + i) for i, r in enumerate(read)),
            "none": sum(r is None for r in read),
        },
    }


def oracle(marked: list[Pixels], queries: int = 8) -> dict[str, Any]:
    """Bisect the least blend with a blurred copy that the detector no longer reads as a record."""
    quality = []
    for pixels in marked:
        blurred = ndimage.gaussian_filter(pixels.astype(float), (4, 4, 0))
        low, high = 0.0, 1.0
        for _ in range(queries):
            middle = (low + high) / 2
            found = look(shifted(pixels, middle * (blurred - pixels)))
            low, high = (middle, high) if found.level is MarkLevel.RECORD else (low, middle)
        quality.append(perception.psnr(pixels, shifted(pixels, high * (blurred - pixels))))
    return {"queries": queries, "psnr_when_the_record_is_gone": [round(q, 1) for q in quality]}


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True)
    parser.add_argument("--keys", type=int, default=800, help="wrong keys per picture of the null experiment")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    pictures = load(options.images, 26)
    marked = [image.embed(p, message(i), KEY) for i, p in enumerate(pictures)]
    same = [image.embed(p, message(0), KEY) for p in pictures[:12]]
    report: dict[str, Any] = {
        "detector": "nominal step",
        "benchmark": "watermark_image_security",
        "version": VERSION,
        "scheme": image.SCHEME,
        "picture_size": list(pictures[0].shape[:2]),
        "psnr_mean": round(float(np.mean([perception.psnr(a, b) for a, b in zip(pictures, marked, strict=True)])), 2),
        "average of 12, own payload each": average(marked[:12], marked[12:18], pictures[18:24]),
        "average of 12, one payload in all": average(same, marked[12:18], pictures[18:24]),
        "notch": [notch(marked[:12], marked[12:18], lines) for lines in (100, 400)],
        "copy": copy(marked[12:18], pictures[18:24]),
        "overwrite": overwrite(pictures[12:18]),
        "oracle": oracle(marked[12:15]),
        "null": null(pictures[:8], options.keys, options.out.with_name("watermark_image_null.png")),
    }
    print(json.dumps(report, indent=1))
    options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
