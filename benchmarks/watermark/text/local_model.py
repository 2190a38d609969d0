"""The text mark inside a causal language model of your own, loaded from a folder; nothing is fetched.

Every opening is continued once with the mark and once without. Measured: power under the attacks, the paired likelihood
of both, and what the marked choice costs beside the model's own step.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.stats import ttest_rel

from benchmarks.watermark.text import attacks as attacks_text
from gensafe.core.types import MarkLevel
from gensafe_watermark import text
from gensafe_watermark.sampling import GumbelMark

KEY: Final = bytes(range(32))
OPENINGS: Final = (
    "The old harbour was quiet when", "In the first chapter of her report she", "Nobody in the village had expected",
    "According to the minutes of the meeting,", "To repair the clock you first", "He wrote to his sister that",
)  # fmt: skip


class LocalModel:
    """A causal language model of transformers, one sequence at a time with its cache.

    Args:
        folder: What ``save_pretrained`` wrote: configuration, weights, tokenizer.
        temperature: Of the sampling.
    """

    def __init__(self, folder: Path, temperature: float = 1.0) -> None:
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise SystemExit("--model needs torch and transformers: pip install 'gensafe[guards]'") from error
        if not (folder / "config.json").is_file():
            raise SystemExit(f"{folder} holds no config.json: --model takes a folder that save_pretrained wrote")
        self._torch = torch
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
        self._temperature = temperature
        self._cache: Any = None
        self.step_seconds = 0.0

    def begin(self, opening: str) -> list[int]:
        """Forget the last sequence; the ids of a new one's opening."""
        self._cache = None
        ids: list[int] = self._tokenizer(opening, add_special_tokens=True)["input_ids"]
        return ids

    def probabilities(self, new: list[int]) -> np.ndarray:
        """The next token's distribution after ``new`` more tokens; float64, sums to 1."""
        began = time.process_time()
        with self._torch.no_grad():
            out = self._model(self._torch.tensor([new]), past_key_values=self._cache, use_cache=True)
        self._cache = out.past_key_values
        logits = out.logits[0, -1].double().numpy() / self._temperature
        p = np.exp(logits - logits.max())
        self.step_seconds += time.process_time() - began
        found: np.ndarray = p / p.sum()
        return found


def _continue(
    model: LocalModel, opening: str, length: int, seed: int, mark: GumbelMark | None
) -> tuple[Any, float, float]:
    """Tokens, mean negative log-likelihood in bits, seconds of the choices."""
    rng = np.random.default_rng(seed)
    new, bits, spent = model.begin(opening), 0.0, 0.0
    written: list[int] = []
    for _ in range(length):
        p = model.probabilities(new)
        began = time.process_time()
        token = mark.choose(written, p) if mark else None
        if token is None:
            token = min(int(np.searchsorted(np.cumsum(p), rng.random())), len(p) - 1)
        spent += time.process_time() - began
        bits -= float(np.log2(max(p[token], 1e-300)))
        written.append(token)
        new = [token]
    return np.array(written), bits / length, spent


def on_model(folder: Path, texts: int, length: int = 200) -> dict[str, object]:
    """Measure the mark in the model of ``folder``; ``texts`` continuations of ``length`` tokens, each once with it."""
    model = LocalModel(folder)
    size = 0
    marked, free, choices = [], [], 0.0
    for i in range(texts):
        opening = OPENINGS[i % len(OPENINGS)]
        # a new key id or key per text: over keys the choice is distributed as the model says
        key = KEY if i % 2 == 0 else i.to_bytes(32, "big")
        tokens, bits, spent = _continue(model, opening, length, i, GumbelMark(key, key_shift=i % 16))
        choices += spent
        marked.append((tokens, bits, key))
        free.append(_continue(model, opening, length, i, None)[:2])
        size = max(size, int(tokens.max()) + 1)
    rates = {
        name: float(
            np.mean(
                [
                    text.detect(attack(x, size, np.random.default_rng(i)).tolist(), key).level is MarkLevel.PRESENT
                    for i, (x, _, key) in enumerate(marked)
                ]
            )
        )
        for name, attack in attacks_text.attacks().items()
    }
    ours, theirs = np.array([b for _, b, _ in marked]), np.array([b for _, b in free])
    return {
        "model": folder.name,
        "texts": texts,
        "tokens": length,
        "bits_per_token": {"unmarked": round(float(theirs.mean()), 3), "marked": round(float(ours.mean()), 3)},
        "paired_t_test_p": float(ttest_rel(ours, theirs).pvalue) if texts > 1 else None,
        "true_positive_rate": rates,
        "unmarked_present": sum(text.detect(x.tolist(), KEY).level is MarkLevel.PRESENT for x, _ in free),
        "choice_share_of_decoding": round(choices / (choices + model.step_seconds / 2), 4),
    }
