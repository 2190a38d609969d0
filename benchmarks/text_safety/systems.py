"""What is measured: the default stack, the screen alone, and two baselines."""

from __future__ import annotations

import re
import sqlite3
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.text_safety.sets import objects
from gensafe.core import plugins
from gensafe.core.digest import sha256
from gensafe.core.ports import Classifier
from gensafe.core.types import Action, Modality, Stage, Text
from gensafe.safety.classifiers.text_encoder import TextEncoder
from gensafe.safety.encoder import Encoder
from gensafe.safety.nearest import Vector
from gensafe.safety.policy import Policy

NOT_HARM: Final = frozenset(("pii", "sec", "unc", "hid"))  # found by rules; not what the labels of these sets mean
Scores = list[dict[str, float]]
System = Callable[[Sequence[str]], Scores]


class KeptEncoder(Encoder):
    """An encoder that keeps what it read in a file: the same text occurs in many measurements and many runs."""

    def __init__(self, model: bytes, vocabulary: Sequence[str], path: Path) -> None:
        super().__init__(model, vocabulary)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._model = sha256(model).encode()
        self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=OFF")
        self._file.execute("CREATE TABLE IF NOT EXISTS features (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def features(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """As Encoder, from the file if it is there. Rows are kept as float32: scores are the same to the last bit."""
        key = sha256(self._model + b"".join(np.array([len(t), *t], np.int32).tobytes() for t in batch))
        row = self._file.execute("SELECT value FROM features WHERE key = ?", (key,)).fetchone()
        if row is not None:
            return np.frombuffer(row[0], np.float32).reshape(len(batch), self.width)
        found = super().features(batch)
        self._file.execute("INSERT OR REPLACE INTO features VALUES (?, ?)", (key, found.tobytes()))
        return found


class Stack:
    """Classifiers run one after the other; scores of a text are remembered."""

    def __init__(self, classifiers: Sequence[Classifier]) -> None:
        self.classifiers = tuple(classifiers)
        self._seen: dict[str, dict[str, float]] = {}

    def scores(self, text: str) -> dict[str, float]:
        """Category -> highest score over the classifiers."""
        if text not in self._seen:
            found: dict[str, float] = {}
            for classifier in self.classifiers:
                for f in classifier.assess(Text(text), Stage.STANDALONE).findings:
                    found[f.category] = max(found.get(f.category, 0.0), f.score)
            self._seen[text] = found
        return self._seen[text]

    def embed(self, text: str) -> Vector:
        """The sentence embedding of (normalised) ``text``."""
        (encoder,) = (c for c in self.classifiers if isinstance(c, TextEncoder))
        return encoder.embedding(text)

    def __call__(self, texts: Sequence[str]) -> Scores:
        """Scores of each text."""
        return [self.scores(t) for t in texts]


def default_stack(policy: Policy, cache: Path | None) -> Stack:
    """The policy's text classifiers, the encoder's features kept in ``cache``."""
    found: list[Classifier] = []
    for name in policy.classifiers[Modality.TEXT]:
        if name == "text_encoder" and cache is not None:
            found.append(TextEncoder(encoder=lambda model, words: KeptEncoder(model, words, cache)))
        else:
            found.append(plugins.load("gensafe.classifiers", name))
    return Stack(found)


def baselines(shared: Path | None) -> dict[str, System]:
    """A word list (Surge AI's, by severity per word) and alt-profanity-check, where they can be had."""
    found: dict[str, System] = {}
    if shared is not None:
        rows = objects(shared / "train" / "surge_profanity" / "profanity_en.csv")
        severity = {r["text"].lower(): float(r["severity_rating"] or 1) for r in rows}
        longest = sorted(map(re.escape, severity), key=len, reverse=True)
        pattern = re.compile(r"(?<!\w)(?:" + "|".join(longest) + r")(?!\w)")

        def listed(texts: Sequence[str]) -> Scores:
            return [{"tox": sum(severity[m] for m in pattern.findall(t.lower())) / (5 + len(t.split()))} for t in texts]

        found["word list"] = listed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from profanity_check import predict_prob
    except ImportError:
        return found

    def checked(texts: Sequence[str]) -> Scores:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [{"tox": float(p)} for p in predict_prob(list(texts))]

    found["alt-profanity-check"] = checked
    return found


def any_score(scores: dict[str, float]) -> float:
    """Highest score over the categories of harm."""
    return max((s for c, s in scores.items() if c not in NOT_HARM), default=0.0)


def flagged(scores: dict[str, float], policy: Policy, level: str) -> bool:
    """Whether a prompt with these scores would be held or blocked (``level`` review) or blocked (``level`` block)."""
    wanted = (Action.BLOCK,) if level == "block" else (Action.BLOCK, Action.REVIEW)
    return any(policy.rule(c, Modality.TEXT, Stage.PROMPT).decide(s)[2] in wanted for c, s in scores.items())
