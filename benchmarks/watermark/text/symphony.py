"""The text mark on the bundled model's own stories: entropy, likelihood, cost and power, as the product writes them."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ttest_rel

from benchmarks.watermark.joint.marks import ListeningSampler
from gensafe.core.ports import SamplingMark
from gensafe.core.types import MarkLevel
from gensafe_backends.symphony import plugin
from gensafe_backends.symphony.generate import DecodeParams, Tally, decode
from gensafe_backends.symphony.model.open import open_engine
from gensafe_backends.symphony.sampler import Sampler, SamplingParams, probabilities
from gensafe_backends.symphony.sequence import TokenSpan, prompt_ids
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_backends.symphony.vocab import ModalityId
from gensafe_backends.symphony.weights import load_model
from gensafe_backends.symphony.world import stories
from gensafe_watermark import text
from gensafe_watermark.sampling import GumbelMark
from gensafe_watermark.text.common import NO_PASSAGES, shipped

KEY = bytes(range(32))
SEED = 900_000_000  # training never uses seeds from here on
HOW = SamplingParams(1.0, 0.98)  # as shipped for stories
LENGTHS = (50, 100, 200, 300)


class Weighing(ListeningSampler):
    """Notes what each drawn text token cost, in bits, under the distribution it was drawn from."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.costs: list[float] = []

    def choose_marked(
        self,
        logits: NDArray[np.float32] | NDArray[np.float64],
        mark: SamplingMark | None,
        context: Sequence[int],
        *,
        allowed: NDArray[np.bool_] | None = None,
        params: SamplingParams | None = None,
    ) -> tuple[int, bool]:
        """As the base does."""
        token, chosen = super().choose_marked(logits, mark, context, allowed=allowed, params=params)
        self.costs.append(-float(np.log2(probabilities(logits, params or self.params, allowed)[token])))
        return token, chosen


class Writer:
    """The bundled model, writing stories."""

    def __init__(self) -> None:
        bundle = plugin.default_bundle()
        config, tensors = load_model(bundle)
        self.engine = open_engine("auto", config, tensors)
        self.tokenizer = UniversalTokenizer.load(bundle)

    def write(self, sampler: Sampler, seed: int, mark: GumbelMark | None) -> list[int]:
        """Ids of one story for the prompt of that seed."""
        asked, _ = stories.story_exchange(np.random.default_rng(SEED + seed))
        words = TokenSpan(ModalityId.TEXT, tuple(self.tokenizer.encode_text(asked)))
        tally = Tally()
        for _ in decode(
            self.engine,
            prompt_ids([words], self.tokenizer.config),
            ModalityId.TEXT,
            sampler,
            DecodeParams({ModalityId.TEXT: HOW}),
            cancelled=lambda: False,
            mark=mark,
            max_text=plugin.MAX_TEXT,
            tally=tally,
        ):
            pass
        return tally.ids


def own_stories(pairs: int) -> dict[str, object]:
    """Paired likelihood, entropy, overhead and rates.

    Likelihood is paired over prompts with a new key per text: over keys the choice is distributed as the model says.
    """
    writer = Writer()
    writer.write(Sampler(0), 0, GumbelMark(KEY))  # builds the engine's caches
    spent: dict[str, list[float]] = {"free": [], "marked": []}
    cost: dict[str, list[float]] = {"free": [], "marked": []}
    bits: list[float] = []
    tokens = {"free": 0, "marked": 0}
    for i in range(pairs):
        for name in ("free", "marked") if i % 2 else ("marked", "free"):  # neither always runs on a warm cache
            mark = GumbelMark((SEED + i).to_bytes(32, "big")) if name == "marked" else None
            sampler = Weighing(i)
            ids = writer.write(sampler, i, mark)
            cost[name].append(float(np.mean(sampler.costs)))
            if name == "free":
                bits.append(float(np.mean(sampler.bits)))
            began = time.process_time()
            mark = GumbelMark((SEED + i).to_bytes(32, "big")) if name == "marked" else None
            again = writer.write(Sampler(i), i, mark)  # timed without the bookkeeping
            spent[name].append(time.process_time() - began)
            tokens[name] += len(again)
            assert again == ids
    per_token = {name: 1000 * sum(spent[name]) / tokens[name] for name in spent}
    written = [writer.write(Sampler(5000 + i), 5000 + i, GumbelMark(KEY, key_shift=i % 16)) for i in range(pairs)]
    read = [writer.tokenizer.encode_text(writer.tokenizer.decode_text(ids)) for ids in written]
    difference = np.array(cost["marked"]) - np.array(cost["free"])
    common, scored = shipped()[0], {}
    rates: dict[str, dict[str, object]] = {}
    for name, passages in (("common passages not scored", common), ("everything scored", NO_PASSAGES)):
        rates[name] = {}
        for length in LENGTHS:
            some = [text.detect(ids[:length], KEY, common=passages) for ids in read if len(ids) >= length]
            rates[name][str(length)] = {
                "texts": len(some),
                "rate": round(float(np.mean([f.level is MarkLevel.PRESENT for f in some])), 3) if some else None,
            }
        scored[name] = float(np.mean([text.detect(ids, KEY, common=passages).detail["scored"] for ids in read]))
    return {
        "pairs": pairs,
        "tokens_mean": round(float(np.mean([len(ids) for ids in read])), 1),
        "read_back_as_written": round(float(np.mean([a == b for a, b in zip(written, read, strict=True)])), 3),
        "entropy_bits_per_token": round(float(np.mean(bits)), 4),
        "entropy_bits_per_token_5_to_95_percent": [round(float(q), 3) for q in np.quantile(bits, (0.05, 0.95))],
        "likelihood": {
            "bits_per_token_free": round(float(np.mean(cost["free"])), 4),
            "bits_per_token_marked": round(float(np.mean(cost["marked"])), 4),
            "mean_difference": round(float(difference.mean()), 4),
            "standard_error": round(float(difference.std(ddof=1) / np.sqrt(pairs)), 4),
            "paired_t_test_p": float(ttest_rel(cost["marked"], cost["free"]).pvalue),
        },
        "decode_ms_per_token": {name: round(value, 4) for name, value in per_token.items()},
        "overhead_share": round(per_token["marked"] / per_token["free"] - 1, 4),
        "scored_tokens_mean": {name: round(value, 1) for name, value in scored.items()},
        "true_positive_rate": rates,
    }
