"""Fit the calibration of the screen alone and of screen and encoder together; write the files that ship.

usage: python -m training.text_classifiers.calibrate DATA_FOLDER WEIGHTS_FOLDER OUT_FOLDER [CACHE.sqlite]

WEIGHTS_FOLDER holds the four files that ship (for new weights: the screen's and the heads' tensors under those names).
Fitted on the families of texts that neither model was trained on (``held_out``). Then prints, per category, the scores
at which given shares of benign texts are exceeded: where ``training.text_classifiers.thresholds`` starts.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.text_safety.balanced import balanced
from benchmarks.text_safety.corpus import HEADS, Example, _json, example, held_out, passages
from benchmarks.text_safety.fitting import OWN, features, source_weights
from benchmarks.text_safety.systems import KeptEncoder
from gensafe.core.digest import sha256
from gensafe.safety.cues import WIDTH
from gensafe.safety.encoder import Encoder, Heads
from gensafe.safety.ensemble import Calibration, inputs
from gensafe.safety.linear import LinearScreen
from gensafe.safety.normalize import normalize
from training.text_classifiers.screen import TEACHER
from training.text_classifiers.technical import technical_texts

CATEGORIES: Final = tuple(h for h in HEADS if h != "any")
NAMES: Final = (*HEADS, TEACHER)
PER_SOURCE: Final = 200
TECHNICAL: Final = 200
OWN_WEIGHT: Final = 6.0
FITTED: Final = ("calibration", "calibration_bias", "calibration_ceiling")

# about two hundred prompts each, all of one kind: outside that kind a high score means little
CEILING: Final = {"dfm": 0.5, "ipv": 0.5, "spc": 0.5}


def fit(z: NDArray[np.float32], examples: Sequence[Example]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(weight, bias) per category by logistic regression; ``z`` (examples, categories, inputs)."""
    from sklearn.linear_model import LogisticRegression

    weight = np.zeros(z.shape[1:], np.float32)
    bias = np.zeros(z.shape[1], np.float32)
    sample_weight = source_weights(examples) * np.array([OWN_WEIGHT if e.source == OWN else 1.0 for e in examples])
    for c, category in enumerate(CATEGORIES):
        y = np.array([e.labels[HEADS.index(category)] for e in examples])
        known = ~np.isnan(y)
        model = LogisticRegression(C=0.1, max_iter=500)
        model.fit(z[known, c], y[known], sample_weight=sample_weight[known])
        weight[c], bias[c] = model.coef_[0], model.intercept_[0]
    return weight, bias


def main() -> int:
    """Fit, write, print."""
    from safetensors.numpy import load_file, save

    folder, weights, out = (Path(a) for a in sys.argv[1:4])
    out.mkdir(parents=True, exist_ok=True)
    screen_tensors = {k: v for k, v in load_file(weights / "text_screen.safetensors").items() if k not in FITTED}
    heads_tensors = {k: v for k, v in load_file(weights / "text_encoder.safetensors").items() if k not in FITTED}
    onnx = (weights / "text_encoder.onnx").read_bytes()
    vocabulary = (weights / "text_encoder.vocab.txt").read_text(encoding="utf-8").splitlines()
    encoder = KeptEncoder(onnx, vocabulary, Path(sys.argv[4]) if len(sys.argv) > 4 else out / "features.sqlite")
    screen, heads = LinearScreen.from_tensors(screen_tensors, NAMES), Heads(**heads_tensors)
    # 1. held-out examples and what both models make of them
    examples = thinned([e for e in balanced(folder) if held_out(e)])
    examples += [example(t, "technical") for t in technical_texts(TECHNICAL)]
    a, b = logits(screen, heads, encoder, [e.text for e in examples])
    print(len(examples), "examples", flush=True)
    # 2. fit both calibrations
    ceiling = np.array([CEILING.get(c, 1.0) for c in CATEGORIES], np.float32)
    alone = Calibration(CATEGORIES, NAMES, *fit(inputs(CATEGORIES, NAMES, [a]), examples), ceiling)
    both = Calibration(CATEGORIES, NAMES, *fit(inputs(CATEGORIES, NAMES, [a, b]), examples), ceiling)
    # 3. write
    meta = {"heads": " ".join(NAMES), "categories": " ".join(CATEGORIES)}
    data = {**screen_tensors, **_fitted(alone)}
    (out / "text_screen.safetensors").write_bytes(save(data, meta))
    meta["encoder"] = sha256(onnx)
    meta["cues"] = str(WIDTH)
    meta["screen"] = sha256((out / "text_screen.safetensors").read_bytes())
    (out / "text_encoder.safetensors").write_bytes(save({**heads_tensors, **_fitted(both)}, meta))
    # 4. what benign texts score
    result: dict[str, Any] = {}
    for group, texts in benign_texts(folder / "train", examples).items():
        za, zb = logits(screen, heads, encoder, texts)
        result[group] = {"screen": alone.scores([za]), "both": both.scores([za, zb])}
    table(result, examples, alone.scores([a]), both.scores([a, b]))
    np.savez(out / "held_out.npz", a=a, b=b, labels=np.array([e.labels for e in examples]))
    return 0


def thinned(examples: Sequence[Example]) -> list[Example]:
    """At most PER_SOURCE of each source, with weights that restore its share: seven numbers a category need no more."""
    sources: dict[str, list[Example]] = {}
    for e in examples:
        sources.setdefault(e.source, []).append(e)
    found = []
    for rows in sources.values():
        kept = random.Random(4).sample(rows, len(rows) if rows[0].source == OWN else min(PER_SOURCE, len(rows)))
        found += [replace(e, weight=e.weight * len(rows) / len(kept)) for e in kept]
    return found


def _fitted(calibration: Calibration) -> dict[str, NDArray[np.float32]]:
    return dict(zip(FITTED, (calibration.weight, calibration.bias, calibration.ceiling), strict=True))


def logits(
    screen: LinearScreen, heads: Heads, encoder: Encoder, texts: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """((n, heads) of the screen, (n, heads) of the encoder), each text by itself as the service reads it."""
    plain = [normalize(t).text for t in texts]
    found = [heads.logits(features(encoder, t)[None]) for t in texts]
    return np.stack([screen.logits(t) for t in plain]), np.concatenate(found)


def benign_texts(train: Path, examples: Sequence[Example]) -> dict[str, list[str]]:
    """Benign texts for thresholds, none of them trained on and none of them in an evaluation set."""
    clinc = _json(train / "benign_clinc" / "data_full.json")
    requests = [row[0] for part in ("val", "oos_val") for row in clinc[part]]
    books = [p for b, s in (("1342", 77), ("140", 78)) for p in passages(train / "benign_books" / f"{b}.txt", 150, s)]
    gsm = [json.loads(line)["question"] for line in (train / "benign_gsm8k" / "test.jsonl").read_text().splitlines()]
    held = [e.text for e in examples if e.source in ("banking", "wiki", "self_instruct", "mitre_frr", "technical")]
    alike = [e.text for e in examples if e.source == "contrastive" and e.labels[HEADS.index("any")] == 0.0]
    return {"everyday": requests[:400] + gsm[:100] + held + books[::4], "alike": alike}


def table(result: Any, examples: Sequence[Example], alone: NDArray[np.float32], both: NDArray[np.float32]) -> None:
    """Quantiles of benign scores, and recall on the held-out positives at the 99.8 % quantile."""
    for kind, scores in (("screen", alone), ("both", both)):
        print(kind)
        for c, category in enumerate(CATEGORIES):
            y = np.array([e.labels[HEADS.index(category)] for e in examples])
            everyday = result["everyday"][kind][:, c]
            q = np.quantile(everyday, (0.99, 0.995, 0.998, 0.999, 0.9995))
            alike = np.quantile(result["alike"][kind][:, c], (0.95, 0.98))
            recall = [(scores[y == 1, c] >= t).mean() for t in q]
            print(category, (y == 1).sum(), np.round(q, 3), "alike", np.round(alike, 3), "recall", np.round(recall, 2))
        for t in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95):
            print(t, {g: round(float((r[kind].max(1) >= t).mean()), 4) for g, r in result.items()})


if __name__ == "__main__":
    sys.exit(main())
