"""Where a marked picture was changed, told from its mark alone: ``python -m benchmarks.localise``.

24 of the BSDS500 test photographs (481 x 321) are marked. None of them, and none of those that patches come from, was
looked at when the thresholds of ``gensafe_watermark.image.local`` were chosen. One rectangle of each is changed: a
patch of another photograph, a patch of the same one moved, a patch blurred beyond recognition (as quick object removal
leaves it), a patch painted in one colour. The areas that are reported are compared with the rectangle (intersection
over union; 0 where nothing is reported). Honest copies (re-encoded, scaled, brightened) should have none.
Writes results/watermark/localise.json.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.stats import binomtest

from benchmarks.common.media_sets import Pixels, named_photographs
from benchmarks.common.places import RESULTS
from gensafe.core.types import Located
from gensafe_watermark import image
from gensafe_watermark.image.local import locate

RESULT: Final = RESULTS / "watermark" / "localise.json"
KEY: Final = bytes(range(32))
PAYLOAD: Final = bytes([16, 1, 2, 3, 4, 5, 6])
SHARES: Final = (0.25, 0.4)  # of the sides: a face in a half portrait, and a main subject
_CHOSEN_BY: Final = (*range(0, 192, 16), *range(3, 54, 5), *range(0, 200, 25))  # for the thresholds, in file order
_SEEN: Final = {i for chosen in _CHOSEN_BY for i in (chosen, (chosen + 7) % 200)}  # they, and what was pasted into them
HELD_OUT: Final = [i for i in range(1, 200, 5) if not {i, i + 1} & _SEEN]
"""Places in the list of photographs; patches come from the next one."""

Mask = NDArray[np.bool_]


def recoded(pixels: Pixels, kind: str, quality: int) -> Pixels:
    """After a lossy encoder."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def scaled(pixels: Pixels, factor: float) -> Pixels:
    """Scaled as a whole."""
    size = (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


HONEST: Final[dict[str, Callable[[Pixels], Pixels]]] = {
    "PNG": lambda p: p,
    "JPEG 90": lambda p: recoded(p, "JPEG", 90),
    "JPEG 75": lambda p: recoded(p, "JPEG", 75),
    "JPEG 60": lambda p: recoded(p, "JPEG", 60),
    "WebP 80": lambda p: recoded(p, "WEBP", 80),
    "95 % of the size, JPEG 85": lambda p: recoded(scaled(p, 0.95), "JPEG", 85),
    "75 % of the size, JPEG 85": lambda p: recoded(scaled(p, 0.75), "JPEG", 85),
    "10 % brighter, JPEG 85": lambda p: recoded(np.clip(p * 1.1, 0, 255).astype(np.uint8), "JPEG", 85),
}
FOUND: Final = 0.1  # overlap from which a change counts as found; chosen, not measured
CANVAS: Final = (1000, 1000)  # pixels that areas of honest copies, given in shares, are drawn on to be counted
AFTER: Final = ("PNG", "JPEG 75")


def edits(marked: Pixels, other: Pixels, rng: np.random.Generator) -> Iterator[tuple[str, Pixels, Mask]]:
    """(what was done, changed picture, where)."""
    height, width = marked.shape[:2]
    foreign = np.asarray(Image.fromarray(other).resize((width, height)))
    blurred = np.asarray(Image.fromarray(marked).filter(ImageFilter.GaussianBlur(min(height, width) / 40)))
    for share in SHARES:
        h, w = int(height * share), int(width * share)
        (top, from_top), (left, from_left) = rng.integers(0, height - h, 2), rng.integers(0, width - w, 2)
        here = (slice(top, top + h), slice(left, left + w))
        moved = marked[from_top : from_top + h, from_left : from_left + w]
        where = np.zeros((height, width), bool)
        where[here] = True
        patches = {
            "patch of another photograph": foreign[here],
            "patch of the same one moved": moved,
            "patch blurred": blurred[here],
            "patch painted": np.broadcast_to(marked[here].reshape(-1, 3).mean(axis=0), (h, w, 3)),
        }
        for name, patch in patches.items():
            changed = marked.copy()
            changed[here] = patch
            yield f"{name}, {share:.0%} of the sides", changed, where


def mask_of(areas: tuple[tuple[float, float, float, float], ...], shape: tuple[int, ...]) -> Mask:
    """The areas as pixels."""
    found = np.zeros(shape[:2], bool)
    for left, top, right, bottom in areas:
        rows, columns = (round(v * shape[0]) for v in (top, bottom)), (round(v * shape[1]) for v in (left, right))
        found[slice(*rows), slice(*columns)] = True
    return found


def located_in(pixels: Pixels) -> Located | None:
    """As a verifier does it; None where the mark was not read or cannot be judged."""
    detection = image.detect(pixels, KEY)
    return None if detection.payload is None else locate(pixels, detection.payload, KEY)


def mean(values: list[float]) -> dict[str, float | list[float]]:
    """Mean with a 95 % bootstrap interval over photographs."""
    rng, sample = np.random.default_rng(1), np.asarray(values)
    means = rng.choice(sample, (1000, len(sample))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return {"mean": round(float(sample.mean()), 4), "interval": [round(float(low), 4), round(float(high), 4)]}


def rate(hits: int, trials: int) -> dict[str, int | list[float]]:
    """A count with the exact 95 % interval of its rate."""
    interval = binomtest(hits, trials).proportion_ci()
    return {"count": hits, "of": trials, "interval": [round(interval.low, 4), round(interval.high, 4)]}


def summary(overlap: dict[str, list[float]], honest: dict[str, list[Located | None]]) -> dict[str, object]:
    """The figures of the result."""
    edited = {n: mean(v) | {"found": rate(sum(x > FOUND for x in v), len(v))} for n, v in overlap.items()}
    false_area: dict[str, object] = {}
    for name, answers in honest.items():
        areas = [float(mask_of(a.areas, CANVAS).mean()) for a in answers if a is not None]
        entry: dict[str, object] = {"answered": len(areas), "of": len(answers)}
        if areas:
            entry |= mean(areas) | {"any": rate(sum(x > 0 for x in areas), len(areas))}
        false_area[name] = entry
    judged = [a.judged for answers in honest.values() for a in answers if a is not None]
    return {"overlap": edited, "false_area": false_area, "judged": round(float(np.mean(judged)), 3)}


def table(result: dict[str, Any]) -> str:
    """The figures as docs/verification.md has them."""
    lines = [f"| changed | {' | '.join(f'found, {a} | overlap, {a}' for a in AFTER)} |", "|---" * 5 + "|"]
    overlap = result["overlap"]
    for name in dict.fromkeys(key.rpartition(", ")[0] for key in overlap):
        cells = [f"{_rate(overlap[f'{name}, {a}']['found'])} | {_mean(overlap[f'{name}, {a}'])}" for a in AFTER]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "| honest copy | answered | with any area | area of the picture |", "|---" * 4 + "|"]
    for name, figures in result["false_area"].items():
        cells = [_rate(figures["any"]), _mean(figures, percent=True)] if figures["answered"] else ["–", "–"]
        lines.append(f"| {name} | {figures['answered']} of {figures['of']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _rate(figures: dict[str, Any]) -> str:
    return f"{figures['count']} of {figures['of']} ({figures['interval'][0]:.0%}–{figures['interval'][1]:.0%})"


def _mean(figures: dict[str, Any], *, percent: bool = False) -> str:
    style = ".1%" if percent else ".2f"
    low, high = (format(value, style) for value in figures["interval"])
    return f"{format(figures['mean'], style)} ({low}–{high})"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=len(HELD_OUT), help="photographs")
    chosen = HELD_OUT[: parser.parse_args().count]
    photographs = list(named_photographs())
    overlap: dict[str, list[float]] = {}
    honest: dict[str, list[Located | None]] = {}
    for index in chosen:
        marked = image.embed(photographs[index][1], PAYLOAD, KEY)
        for name, change in HONEST.items():
            honest.setdefault(name, []).append(located_in(change(marked)))
        for name, changed, where in edits(marked, photographs[index + 1][1], np.random.default_rng(index)):
            for after in AFTER:
                found = located_in(HONEST[after](changed))
                seen = mask_of(found.areas if found is not None else (), changed.shape)
                share = float((seen & where).sum() / (seen | where).sum())
                overlap.setdefault(f"{name}, {after}", []).append(share)
    names = [photographs[index][0] for index in chosen]
    result: dict[str, Any] = {"set": "BSDS500 test", "photographs": names, **summary(overlap, honest)}
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))


if __name__ == "__main__":
    main()
