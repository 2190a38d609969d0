"""Picture mark under people who want it gone, or want it elsewhere; and its null distribution.

    python -m benchmarks.watermark.image.security --images DIR [--keys 400] [--out FILE]

Needs at least 26 pictures of one orientation (BSDS500: 481 x 321). Experiments:

1. null        wrong keys on marked and on unmarked pictures: accepts, the comb score against its bound, and what the
               whole cascade would claim; the share at which scores count is fitted on eight pictures, checked on others
2. average     the mean residual of 12 marked pictures of one key, subtracted from 6 others / added to 6 clean ones
3. notch       the mean power spectrum of those 12; its strongest lines are cut out of 6 others
4. copy        the residual of one marked picture is added to a clean one; does the record's fingerprint agree?
5. overwrite   a second mark under another key; re-marking under the same key with another payload
6. oracle      blend with a blurred copy, bisecting on a found / not found detector: quality when the mark is gone
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import ndimage

from benchmarks.common.inputs import find, read_all
from benchmarks.common.places import RESULTS
from gensafe.core.types import Detection, Image, MarkLevel
from gensafe.media.fingerprint import fingerprint, matches
from gensafe_watermark import image, prf, statistics
from gensafe_watermark import payload as coding
from gensafe_watermark.image import carrier as tiles
from gensafe_watermark.image import perception
from gensafe_watermark.image.detector import nominal_grids
from gensafe_watermark.image.reading import CAUTION, Reader

VERSION = 3
RESULT = RESULTS / "watermark" / "image_security.json"
KEY = bytes(range(32))
Pixels = NDArray[np.uint8]
_ALIGNMENTS = tiles.ORIENTATIONS * tiles.VARIANTS


def load(folder: str, count: int) -> list[Pixels]:
    """The first ``count`` landscape pictures of the most common size."""
    paths = find(folder, (".jpg", ".jpeg", ".png", ".webp"))
    pictures = read_all(paths, lambda path: np.asarray(Pillow.open(path).convert("RGB")))
    wide = [p for p in pictures if p.shape[1] >= p.shape[0]]
    if len(wide) < count:
        raise SystemExit(f"need {count} landscape pictures, found {len(wide)}")
    return wide[:count]


def message(number: int) -> bytes:
    """The payload of picture ``number``."""
    return np.random.default_rng(5000 + number).bytes(7)


def residue(pixels: Pixels) -> NDArray[np.float64]:
    """What a denoiser takes away: an attacker's estimate of the mark."""
    return np.asarray(pixels - ndimage.median_filter(pixels, (5, 5, 1)).astype(float))


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


def wrong_keys(pictures: list[Pixels], label: str, keys: int, until: float) -> tuple[dict[str, list[float]], int, int]:
    """Decode every alignment of every wrong key: best comb score of each key by kind of picture, decodes, accepts."""
    decodes, accepts = 0, 0
    best: dict[str, list[float]] = {"unmarked": [], "marked": []}
    measured = []
    for number, picture in enumerate(pictures):
        pixels = image.embed(picture, message(number), KEY) if number % 2 else picture
        white = tiles.whiten(nominal_grids([perception.luma(pixels)], (4,))[0][0])
        measured.append(np.stack([tiles.from_grid(tiles.unorient(white, turn)) for turn in range(tiles.ORIENTATIONS)]))
    for trial in range(keys):
        if time.monotonic() > until:
            break
        for number, spectra in enumerate(measured):
            key = prf.derive(KEY, label, str(number), str(trial))
            words, highest = [], 0.0
            for layout in (tiles.carrier(key, image.MEDIUM, variant) for variant in range(tiles.VARIANTS)):
                for spectrum, (z, px, py) in zip(spectra, layout.align(spectra), strict=True):
                    words.append(layout.chips(tiles.shift(spectrum, -px, -py)))
                    highest = max(highest, float(z))
            accepts += sum(f is not None for f in coding.decode_many(np.stack(words), key, image.MEDIUM))
            decodes += len(words)
            best["marked" if number % 2 else "unmarked"].append(highest)
    return best, decodes, accepts


def null(fitted: list[Pixels], checked: list[Pixels], keys: int, plot: Path, until: float) -> dict[str, Any]:
    """Fit the tail of wrong keys' comb scores on some pictures, and hold the bound against their scores on others."""
    hypotheses = float(_ALIGNMENTS)
    begun = time.monotonic()
    half = begun + (until - begun) / 2
    before, decodes_before, accepts_before = wrong_keys(fitted, "wrong, to fit", keys, half)
    tail = statistics.fit_gumbel(np.array(before["unmarked"] + before["marked"]))
    marked = statistics.fit_gumbel(np.array(before["marked"]))
    best, decodes, accepts = wrong_keys(checked, "wrong", keys, until)
    decodes, accepts = decodes + decodes_before, accepts + accepts_before
    draw_null({kind: np.sort(values) for kind, values in best.items()}, tail, hypotheses, plot)
    needed = statistics.presence_threshold(hypotheses, roughness=tiles.ROUGHNESS)
    return {
        "pictures": len(fitted) + len(checked),
        "wrong_keys_per_picture": len(best["marked"]) // (len(checked) // 2),
        "decodes": decodes,
        "payloads_accepted": accepts,
        "accept_rate_upper_95": statistics.proportion_interval(accepts, decodes)[1],
        "best_score": {
            kind: {"mean": float(np.mean(values)), "max": float(np.max(values)), "count": len(values)}
            for kind, values in best.items()
        },
        "share_above_the_stated_p": {kind: exceedances(np.array(values), hypotheses) for kind, values in best.items()},
        "fitted": {
            "pictures": len(fitted),
            "scores": tail.trials,
            "location": tail.location,
            "scale": tail.scale,
            "threshold_1e-6": tail.threshold(1e-6),
            "threshold_1e-6_marked_alone": marked.threshold(1e-6),
            "share_that_brings_the_bound_there": needed / max(tail.threshold(1e-6), marked.threshold(1e-6)),
        },
        "score_needed_for_present": needed / CAUTION,
    }


def exceedances(scores: NDArray[np.float64], hypotheses: float) -> dict[str, Any]:
    """How often the bound says p or less: for the score as measured, and for the share of it the detector counts."""
    out = {}
    for p in (0.1, 0.01, 0.001):
        threshold = statistics.presence_threshold(hypotheses, p, tiles.ROUGHNESS)
        plain, counted = int(np.sum(scores >= threshold)), int(np.sum(CAUTION * scores >= threshold))
        out[str(p)] = {
            "measured": plain / len(scores),
            "counted": counted / len(scores),
            "counted_interval_95": statistics.proportion_interval(counted, len(scores)),
        }
    return out


def cascade(pictures: list[Pixels], keys: int, until: float) -> dict[str, Any]:
    """The whole detector under wrong keys on marked pictures: levels, and the p-values it states."""
    stated: list[float] = []
    found: list[MarkLevel] = []
    marked = [image.embed(picture, message(number), KEY) for number, picture in enumerate(pictures)]
    for trial in range(keys):
        for number, pixels in enumerate(marked):
            if found and time.monotonic() > until:
                break
            answer = image.detect(pixels, prf.derive(KEY, "wrong", "cascade", str(number), str(trial)))
            stated.append(answer.p_value)
            found.append(answer.level)
    values = np.array(stated)
    return {
        "searches": len(found),
        "levels": {level.value: found.count(level) for level in set(found)},
        "smallest_p": float(values.min()),
        "share_stating": {str(p): float(np.mean(values <= p)) for p in (0.1, 0.01, 0.001)},
    }


def draw_null(best: dict[str, NDArray[np.float64]], tail: statistics.GumbelTail, hypotheses: float, path: Path) -> None:
    """Tails of the null scores, their Gumbel fit, and the bound the detector reports."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for kind, scores in best.items():
        share = 1 - (np.arange(len(scores)) + 0.5) / len(scores)
        axes.semilogy(scores, share, ".", ms=3, label=f"wrong keys, {kind} photographs")
    z = np.linspace(3, 8.5, 200)
    axes.semilogy(z, [tail.p(v) for v in z], lw=1, label="Gumbel fit to eight other photographs")
    axes.semilogy(z, [statistics.presence_p(v, hypotheses, tiles.ROUGHNESS) for v in z], ":", label="Gaussian bound")
    reported = [statistics.presence_p(CAUTION * v, hypotheses, tiles.ROUGHNESS) for v in z]
    axes.semilogy(z, reported, "--", label=f"reported bound (score counted at {CAUTION:.0%})")
    axes.set(xlabel="best comb score (standard deviations)", ylabel="share of wrong keys above", ylim=(1e-8, 1.5))
    axes.legend(fontsize=8)
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
    """Estimate one picture's mark and add it to another picture; ask the fingerprint of the record that it names."""
    out: dict[str, Any] = {}
    for gain in (1.0, 2.0):
        forged = [shifted(c, gain * residue(m)) for m, c in zip(marked, clean, strict=True)]
        agree = sum(matches(fingerprint(Image(f)), fingerprint(Image(m))) for f, m in zip(forged, marked, strict=True))
        out[f"gain {gain:g}"] = levels(forged) | {"fingerprint agrees": agree}
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
    parser.add_argument("--keys", type=int, default=400, help="wrong keys per picture of the null experiment")
    parser.add_argument("--searches", type=int, default=12, help="wrong keys per picture given to the whole cascade")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--minutes", type=float, default=30.0, help="the two null experiments end early after so long")
    options = parser.parse_args(arguments)
    begun = time.monotonic()
    pictures = load(options.images, 26)
    marked = [image.embed(p, message(i), KEY) for i, p in enumerate(pictures)]
    quality = [perception.psnr(a, b) for a, b in zip(pictures, marked, strict=True)]
    same = [image.embed(p, message(0), KEY) for p in pictures[:12]]
    report: dict[str, Any] = {
        "detector": "nominal step",
        "benchmark": "watermark_image_security",
        "version": VERSION,
        "scheme": image.SCHEME,
        "picture_size": list(pictures[0].shape[:2]),
        "pictures": len(pictures),
        "psnr_mean": round(float(np.mean(quality)), 2),
        "psnr_worst": round(float(np.min(quality)), 2),
    }
    experiments: dict[str, Callable[[], Any]] = {
        "average of 12, own payload each": lambda: average(marked[:12], marked[12:18], pictures[18:24]),
        "average of 12, one payload in all": lambda: average(same, marked[12:18], pictures[18:24]),
        "notch": lambda: [notch(marked[:12], marked[12:18], lines) for lines in (100, 400)],
        "copy": lambda: copy(marked[12:18], pictures[18:24]),
        "overwrite": lambda: overwrite(pictures[12:18]),
        "oracle": lambda: oracle(marked[12:15]),
        "null": lambda: null(
            pictures[8:16],
            pictures[:8],
            options.keys,
            options.out.with_name("image_null.png"),
            begun + 45 * options.minutes,
        ),
        "whole cascade, wrong keys on marked pictures": lambda: cascade(
            pictures[16:24], options.searches, begun + 55 * options.minutes
        ),
    }
    for name, experiment in experiments.items():
        report[name] = experiment()
        options.out.write_text(json.dumps(report, indent=1) + "\n")  # a run may be cut short
        print(name, flush=True)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
