"""Train the linear screen.

usage: python -m training.text_classifiers.screen DATA_FOLDER OUT_FOLDER

One L2-regularised logistic regression per head over hashed n-grams (liblinear), unknown labels masked; one more head
imitates the toxicity score of alt-profanity-check (MIT), whose training data (Jigsaw) is too large to be had here.
Writes screen.safetensors with int8 weights.
"""

from __future__ import annotations

import random
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from benchmarks.text_safety.balanced import further
from benchmarks.text_safety.corpus import HEADS, Example, held_out, read_all
from benchmarks.text_safety.data import CONTRASTIVE
from benchmarks.text_safety.fitting import OWN, head_weights
from gensafe.safety.hashing import BUCKETS, buckets
from gensafe.safety.linear import features
from gensafe.safety.normalize import normalize

TEACHER: Final = "apc"
STRENGTH: Final = 1.0  # liblinear's C
OWN_SHARE: Final = 3.0  # less than for the heads: n-grams of templates are learned by heart; not tuned
CAP: Final = 3000  # rows a source


def matrix(texts: Sequence[str], idf: NDArray[np.float32] | None) -> tuple[sp.csr_matrix, NDArray[np.float32]]:
    """(features, idf); ``idf`` None = learn it from these texts, rounded to the sixteenths the file stores."""
    found = [np.unique(buckets(normalize(t).text)).astype(np.int32) for t in texts]
    if idf is None:
        seen = np.bincount(np.concatenate(found), minlength=BUCKETS)
        idf = np.log((1 + len(texts)) / (1 + seen)).astype(np.float32) + np.float32(1)
        idf = np.minimum(np.round(idf * 16), 255).astype(np.float32) / np.float32(16)
    rows = [features(f.astype(np.int64), idf)[1] for f in found]
    data = np.concatenate(rows) if rows else np.zeros(0, np.float32)
    pointer = np.concatenate([[0], np.cumsum([len(f) for f in found])])
    return sp.csr_matrix((data, np.concatenate(found), pointer), (len(texts), BUCKETS)), idf


def teacher_scores(texts: Sequence[str]) -> NDArray[np.float32]:
    """Logits of alt-profanity-check, clipped to +-5."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from profanity_check import predict_prob

        p = np.concatenate([predict_prob(list(texts[i : i + 5000])) for i in range(0, len(texts), 5000)])
    p = np.clip(p, 0.0067, 0.9933)
    return np.asarray(np.log(p / (1 - p)), np.float32)


def fit(x: sp.csr_matrix, labels: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[NDArray[Any], float]:
    """Coefficients and bias of one head."""
    from sklearn.linear_model import LogisticRegression

    known = ~np.isnan(labels)
    y, w = labels[known], weight[known].copy()
    w[y == 1] *= min(6.0, max(1.0, 0.5 * w[y == 0].sum() / w[y == 1].sum()))  # soften the imbalance, do not remove it
    model = LogisticRegression(C=STRENGTH, solver="liblinear", max_iter=40, tol=1e-2).fit(x[known], y, sample_weight=w)
    return model.coef_[0], float(model.intercept_[0])


def screen_rows(folder: Path) -> list[Example]:
    """Every source, the other languages included, at most CAP rows of each; no calibration family.

    The linear model gains nothing from mixtures: their n-grams are those of their parts.
    """
    sources: dict[str, list[Example]] = {}
    for e in [*read_all(folder, [CONTRASTIVE]), *further(folder)]:
        if not held_out(e) and e.source != "mixture":
            sources.setdefault(e.source, []).append(e)
    draw = random.Random(8)
    return [
        e for n, rows in sorted(sources.items()) for e in (rows if n == OWN else draw.sample(rows, min(CAP, len(rows))))
    ]


def main() -> int:
    """Train and write."""
    from safetensors.numpy import save_file
    from sklearn.linear_model import Ridge

    folder, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    examples = screen_rows(folder)
    print(len(examples), Counter(e.source for e in examples).most_common(), flush=True)
    begin = time.time()
    x, idf = matrix([e.text for e in examples], None)
    print(f"features {x.nnz} in {time.time() - begin:.0f} s", flush=True)
    labels = np.array([e.labels for e in examples])
    weight = head_weights(examples, OWN_SHARE).astype(np.float64)
    columns, biases = [], []
    for i, head in enumerate(HEADS):
        coefficients, bias = fit(x, labels[:, i], weight)
        columns.append(coefficients)
        biases.append(bias)
        print(f"{head} {time.time() - begin:.0f} s", flush=True)
    english = np.array([e.source not in ("cold", "germeval", "ailuminate_demo_fr") for e in examples])
    student = Ridge(alpha=1.0, solver="sparse_cg", tol=1e-3, max_iter=100)
    student.fit(x[english], teacher_scores([e.text for e, keep in zip(examples, english, strict=True) if keep]))
    columns.append(student.coef_)
    biases.append(float(student.intercept_))
    full = np.stack(columns, 1)
    # clip the few extreme weights: a finer step for all the others
    top = np.quantile(np.abs(full[np.abs(full).max(1) > 0]), 0.9999, axis=0)
    scale = (top / 127).astype(np.float32)
    tensors = {
        "weights": np.clip(np.round(full / scale), -127, 127).astype(np.int8),
        "scale": scale,
        "bias": np.array(biases, np.float32),
        "idf": (idf * 16).astype(np.uint8),
    }
    save_file(tensors, target / "screen.safetensors", {"heads": " ".join((*HEADS, TEACHER))})
    print(target / "screen.safetensors", f"{time.time() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
