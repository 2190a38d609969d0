"""What the nudity network takes for nudity, and that it is the published one: section ``nudity`` of media_safety.

No explicit picture is used or could be had, so nothing here says how many the network finds.

Parity is checked against the original, run by TensorFlow.js in Node on the same pixels:
1. ``python -m benchmarks.media_safety.nudity export FOLDER`` writes the pictures as raw RGB with an index;
2. ``node benchmarks/media_safety/nudity.cjs FOLDER`` (with the npm packages nsfwjs 4.3.0, @tensorflow/tfjs and its WASM
   backend 4.22.0, and buffer) writes FOLDER/original.jsonl;
3. ``python -m benchmarks.media_safety.nudity compare FOLDER`` writes results/media_safety/nudity_parity.json.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.stats import beta

from benchmarks.common import media_sets as sets
from benchmarks.common.places import RESULTS
from benchmarks.media_safety.symbols import large_photographs, made_pictures
from gensafe.core.types import Action, Image, Modality, Stage
from gensafe.safety import load_policy
from gensafe.safety.classifiers import image_nudity
from gensafe.safety.nudity import CLASSES, shared_engine, weights_digest

PARITY: Final = RESULTS / "media_safety" / "nudity_parity.json"
FRAMES: Final = 20  # of each clip


def pictures() -> Iterator[tuple[str, sets.Pixels]]:
    """Harmless pictures with their kind."""
    yield from (("photographs", p) for p in (*sets.photographs(200), *large_photographs()))
    for video in sets.real_clips().values():
        step = max(1, len(video.frames) // FRAMES)
        yield from (("frames of three films", f) for f in video.frames[::step][:FRAMES])
    yield from (("pictures of the generator's world", i.pixels) for i in sets.world_pictures(60, seed=9))


def nudity() -> dict[str, Any]:
    """How many harmless pictures the default policy stops on this classifier's word, and the cost."""
    policy, check = load_policy(), image_nudity.create({})
    stopped: dict[str, list[bool]] = {}
    highest: dict[str, float] = {}
    suggestive: dict[str, int] = {}
    kinds = [*pictures(), *(("photographs at JPEG q50", sets.jpeg(p, 50)) for p in sets.photographs(200))]
    kinds += [("photographs, middle 60 %", sets.cropped(p, 0.4)) for p in sets.photographs(200)]
    kinds += [("pictures made by Symphony", p) for p in made_pictures(30)]
    for kind, pixels in kinds:
        found = check.find(pixels)
        decided = policy.decide(found, Modality.IMAGE, Stage.OUTPUT)
        stopped.setdefault(kind, []).append(any(d.action in (Action.REVIEW, Action.BLOCK) for d in decided))
        shares = shared_engine().scores(pixels)
        highest[kind] = max(highest.get(kind, 0.0), shares["porn"] + shares["hentai"])
        suggestive[kind] = suggestive.get(kind, 0) + any(f.detail == "suggestive" for f in found)
    figures: dict[str, Any] = {}
    for kind, hits in stopped.items():
        top = _upper(sum(hits), len(hits))
        figures[f"{kind}, stopped"] = f"{sum(hits)}/{len(hits)} (95 %: at most {top:.1%})"
        figures[f"{kind}, noted as suggestive"] = f"{suggestive[kind]}/{len(hits)}"
        figures[f"{kind}, highest Porn + Hentai"] = round(highest[kind], 3)
    photos = [Image(p) for p in sets.photographs(40)]
    begin = time.process_time()
    for photo in photos:
        check.assess(photo, Stage.OUTPUT)
    figures["CPU ms a picture of 481 x 321"] = round(1000 * (time.process_time() - begin) / len(photos), 1)
    if PARITY.exists():
        known = json.loads(PARITY.read_text())
        figures["difference from the original in Node, mean of class scores"] = known["mean absolute difference"]
    return figures


def _upper(hits: int, count: int) -> float:
    """Upper end of the one-sided 95 % interval of Clopper and Pearson."""
    return 1.0 if hits == count else float(beta.ppf(0.95, hits + 1, count - hits))


def export(folder: Path) -> int:
    """Write the pictures for the original."""
    folder.mkdir(parents=True, exist_ok=True)
    index = []
    for number, (_, pixels) in enumerate(pictures()):
        name = f"{number:04d}.rgb"
        (folder / name).write_bytes(np.ascontiguousarray(pixels).tobytes())
        index.append([name, *pixels.shape[:2]])
    (folder / "index.json").write_text(json.dumps(index))
    return 0


def compare(folder: Path) -> int:
    """Compare the original's answers with ours."""
    engine = shared_engine()
    theirs = {r["name"]: r["scores"] for r in map(json.loads, (folder / "original.jsonl").read_text().splitlines())}
    gaps, same = [], []
    for name, height, width in json.loads((folder / "index.json").read_text()):
        if max(height, width) > 960:  # the classifier averages these down first; the original samples their points
            continue
        pixels = np.fromfile(folder / name, np.uint8).reshape(height, width, 3)
        ours = engine.scores(pixels)
        original = {key.lower(): value for key, value in theirs[name].items()}
        gaps.append([abs(ours[c] - original[c]) for c in CLASSES])
        same.append(max(CLASSES, key=lambda c: ours[c]) == max(CLASSES, key=lambda c: original[c]))
    found = {
        "original": "nsfwjs 4.3.0 MobileNetV2Mid, TensorFlow.js 4.22.0 (WASM), Node",
        "converted": weights_digest(),
        "pictures": len(gaps),
        "mean absolute difference": round(float(np.mean(gaps)), 6),
        "largest difference": round(float(np.max(gaps)), 6),
        "same surest class": f"{sum(same)}/{len(same)}",
    }
    PARITY.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit({"export": export, "compare": compare}[sys.argv[1]](Path(sys.argv[2])))
