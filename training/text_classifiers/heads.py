"""Train the heads on the encoder's pooled features and the cues of the wording.

usage: python -m training.text_classifiers.heads DATA_FOLDER WEIGHTS_FOLDER CACHE.sqlite OUT_FOLDER

The encoder stays frozen: fine-tuning it takes hours of one core. ``benchmarks.text_safety.fitting`` is the recipe,
compared by leaving sources out. What the encoder makes of a text is kept in CACHE.sqlite, so a run that was cut
short goes on.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.text_safety.balanced import balanced, mixtures
from benchmarks.text_safety.corpus import Example, example, held_out
from benchmarks.text_safety.fitting import features, fit_mean
from benchmarks.text_safety.systems import KeptEncoder
from training.text_classifiers.screen import teacher_scores
from training.text_classifiers.technical import technical_texts

EPOCHS: Final = 10
TECHNICAL: Final = 250  # docstrings and code; none of those that choose calibration and thresholds


def training_rows(folder: Path) -> list[Example]:
    """What the heads are trained on: no calibration family, no source larger than the cap."""
    found = [e for e in balanced(folder) if not held_out(e)]
    found += mixtures(found)
    return found + [example(t, "technical") for t in technical_texts(TECHNICAL, calibration=False)]


def main() -> int:
    """Encode (or read what was kept), train, write."""
    from safetensors.numpy import save_file

    folder, weights, cache, target = (Path(a) for a in sys.argv[1:5])
    target.mkdir(parents=True, exist_ok=True)
    begin = time.time()
    words = (weights / "text_encoder.vocab.txt").read_text(encoding="utf-8").splitlines()
    encoder = KeptEncoder((weights / "text_encoder.onnx").read_bytes(), words, cache)
    rows = training_rows(folder)
    x = []
    for i, e in enumerate(rows):
        x.append(features(encoder, e.text))
        if i % 2000 == 0:
            print(f"{i} of {len(rows)} encoded, {time.time() - begin:.0f} s", flush=True)
    labels = np.array([e.labels for e in rows], np.float32)
    labels = np.concatenate([labels, teacher_scores([e.text for e in rows])[:, None]], 1)
    heads = fit_mean(np.stack(x), labels, rows, epochs=EPOCHS)
    tensors = {"w1": heads.w1, "b1": heads.b1, "w2": heads.w2, "b2": heads.b2}
    save_file({k: np.ascontiguousarray(v, np.float32) for k, v in tensors.items()}, target / "heads.safetensors")
    print(f"{time.time() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
