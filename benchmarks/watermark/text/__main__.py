"""Power, exactness, distortion and cost of the text sampling mark.

    python -m benchmarks.watermark.text [--text DIR] [--model DIR] [--only SECTION ...] [--out FILE]

DIR is the data folder's ``safety_text``, for the null test and for the model learned from novels; without it those two
sections are left out. ``--model`` takes a causal language model of transformers (a folder ``save_pretrained`` wrote)
and measures the mark in its texts. All true-positive rates are at a p-value of 1e-6 after correction for every window
and all 16 key ids. Sections that are not run stay in the results file.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
from scipy.stats import binom, ttest_rel

from benchmarks.common.places import RESULTS
from benchmarks.watermark.text import attacks as attacks_text
from benchmarks.watermark.text import models as models_text
from benchmarks.watermark.text.local_model import on_model
from benchmarks.watermark.text.models import RandomModel, TrigramModel
from benchmarks.watermark.text.null import null
from benchmarks.watermark.text.symphony import own_stories
from gensafe.core.types import MarkLevel
from gensafe_watermark import text
from gensafe_watermark.sampling import GumbelMark
from gensafe_watermark.text.statistics import decidable

Model = RandomModel | TrigramModel
KEY = bytes(range(32))
PROMPT = 8


def write(model: Model, length: int, seed: int, mark: GumbelMark | None) -> tuple[np.ndarray, float]:
    """Sample one text after a random prompt; returns its tokens and its mean negative log-likelihood in bits."""
    rng = np.random.default_rng(seed)
    tokens = [int(t) for t in rng.integers(0, model.size, PROMPT)]
    bits = 0.0
    for _ in range(length):
        p = model.probabilities(tokens)
        token = None if mark is None else mark.choose(tokens[PROMPT:], p)
        if token is None:
            token = int(np.searchsorted(np.cumsum(p), rng.random() * p.sum()))
        bits -= float(np.log2(p[token]))
        tokens.append(token)
    return np.array(tokens[PROMPT:]), bits / length


class GreenList:
    """Kirchenbauer et al. 2023 as a peer: share 1/4, bias 2, context 1, exact binomial test, pairs counted once."""

    def __init__(self, size: int, seed: int = 7) -> None:
        rng = np.random.default_rng(seed)
        self.green = rng.random((509, size)).argsort(1) < size // 4

    def write(self, model: Model, length: int, seed: int) -> tuple[np.ndarray, float]:
        """Sample one text with the bias."""
        rng = np.random.default_rng(seed)
        tokens = [int(t) for t in rng.integers(0, model.size, PROMPT)]
        bits = 0.0
        for _ in range(length):
            p = model.probabilities(tokens)
            q = p * np.where(self.green[tokens[-1] % 509], np.exp(2.0), 1.0)
            token = int(np.searchsorted(np.cumsum(q), rng.random() * q.sum()))
            bits -= float(np.log2(p[token]))
            tokens.append(token)
        return np.array(tokens[PROMPT:]), bits / length

    def p_value(self, tokens: np.ndarray) -> float:
        """Exact binomial p-value of the whole text."""
        pairs = np.unique(np.stack([tokens[:-1], tokens[1:]]), axis=1)
        return float(binom.sf(self.green[pairs[0] % 509, pairs[1]].sum() - 1, pairs.shape[1], 0.25))


def power(bits: float, texts: int, length: int) -> dict[str, object]:
    """True-positive rate under every attack, beside the peer."""
    model = RandomModel(bits=bits)
    peer = GreenList(model.size)
    ours = [write(model, length, i, GumbelMark(KEY, key_shift=i % 16)) for i in range(texts)]
    free = [write(model, length, 10_000 + i, None) for i in range(texts)]
    green = [peer.write(model, length, i) for i in range(texts)]
    rates: dict[str, dict[str, float]] = {}
    wrong_key_id = 0
    for name, attack in attacks_text.attacks().items():
        found = [
            text.detect(attack(x, model.size, np.random.default_rng(i)).tolist(), KEY) for i, (x, _) in enumerate(ours)
        ]
        hits = [f.level is MarkLevel.PRESENT for f in found]
        wrong_key_id += sum(
            h and f.detail["key_id"] != i % 16 for i, (h, f) in enumerate(zip(hits, found, strict=True))
        )
        other = [
            peer.p_value(attack(x, model.size, np.random.default_rng(i))) <= 1e-6 for i, (x, _) in enumerate(green)
        ]
        rates[name] = {"gumbel": float(np.mean(hits)), "green_list": float(np.mean(other))}
    unmarked = [text.detect(x.tolist(), KEY) for x, _ in free]
    return {
        "entropy_bits": round(model.entropy, 3),
        "texts": texts,
        "tokens": length,
        "bits_per_token": {
            "unmarked": round(float(np.mean([b for _, b in free])), 3),
            "gumbel": round(float(np.mean([b for _, b in ours])), 3),
            "green_list": round(float(np.mean([b for _, b in green])), 3),
        },
        "true_positive_rate": rates,
        "mean": {k: round(float(np.mean([r[k] for r in rates.values()])), 3) for k in ("gumbel", "green_list")},
        "wrong_key_ids": wrong_key_id,
        "unmarked_present": sum(f.level is MarkLevel.PRESENT for f in unmarked),
        "unmarked_least_p": min(f.p_value for f in unmarked),
    }


def against_length(entropies: tuple[float, ...], lengths: tuple[int, ...], texts: int) -> dict[str, object]:
    """True-positive rate and median p-value against length and entropy."""
    out: dict[str, object] = {}
    for bits in entropies:
        model = RandomModel(bits=bits)
        written = [write(model, max(lengths), 20_000 + i, GumbelMark(KEY))[0] for i in range(texts)]
        rows = {}
        for length in lengths:
            found = [text.detect(x[:length].tolist(), KEY, bits_per_token=bits) for x in written]
            rows[str(length)] = {
                "rate": float(np.mean([f.level is MarkLevel.PRESENT for f in found])),
                "median_p": float(np.median([f.p_value for f in found])),
                "undecidable": float(np.mean([f.level is MarkLevel.UNDECIDABLE for f in found])),
            }
        out[f"{bits} bits"] = rows
    return out


def least_decidable(bits: float, tests: int) -> int:
    """Shortest text (scored tokens) of which the detector would say NONE."""
    return next(n for n in range(10, 100_000) if decidable(n, tests, bits, 1e-6))


def pasted(bits: float, lengths: tuple[int, ...], texts: int) -> dict[str, object]:
    """A marked text in ten times as much other text: with the windows, and with the whole document only."""
    model = RandomModel(bits=bits)
    written = [write(model, max(lengths), 40_000 + i, GumbelMark(KEY, key_shift=i % 16))[0] for i in range(texts)]
    rows = {}
    for length in lengths:
        attack = attacks_text.paste(0.1)
        inside = [attack(x[:length], model.size, np.random.default_rng(i)).tolist() for i, x in enumerate(written)]
        rows[str(length)] = {
            name: float(np.mean([text.detect(x, KEY, window_sizes=sizes).level is MarkLevel.PRESENT for x in inside]))
            for name, sizes in (("windows 64, 128, 256", (64, 128, 256)), ("no windows", ()))
        }
    return {"bits_per_token": bits, "texts": texts, "share_of_document": 0.1, "by_length": rows}


def distortion(model: TrigramModel, pairs: int, length: int) -> dict[str, object]:
    """Paired likelihood of marked and free texts after the same prompts, under a model learned from real books."""
    free = np.array([write(model, length, i, None)[1] for i in range(pairs)])
    # a new key per text: over keys the choice is distributed as the model says; one key makes one fixed set of choices
    marked = np.array([write(model, length, i, GumbelMark(i.to_bytes(32, "big")))[1] for i in range(pairs)])
    difference = marked - free
    found = [text.detect(write(model, length, i, GumbelMark(KEY))[0].tolist(), KEY) for i in range(pairs)]
    return {
        "pairs": pairs,
        "tokens": length,
        "bits_per_token_free": round(float(free.mean()), 4),
        "bits_per_token_marked": round(float(marked.mean()), 4),
        "mean_difference": round(float(difference.mean()), 4),
        "standard_error": round(float(difference.std(ddof=1) / np.sqrt(pairs)), 4),
        "paired_t_test_p": float(ttest_rel(marked, free).pvalue),
        "true_positive_rate": float(np.mean([f.level is MarkLevel.PRESENT for f in found])),
    }


def cost() -> dict[str, object]:
    """Processor time of one choice and of one detection."""
    out: dict[str, object] = {}
    rng = np.random.default_rng(0)
    for size in (4096, 32_768, 131_072):
        p = rng.dirichlet(np.full(size, 0.05))
        mark = GumbelMark(KEY)
        began = time.process_time()
        for i in range(100):
            mark.choose([i, 1, 2], p)
        out[f"choice_ms_vocabulary_{size}"] = round((time.process_time() - began) * 10, 3)
    tokens = rng.integers(0, 4096, 1000).tolist()
    began = time.process_time()
    for _ in range(5):
        text.detect(tokens, KEY)
    out["detect_1000_tokens_16_key_ids_ms"] = round((time.process_time() - began) * 200, 1)
    return out


def sections(options: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """Name -> what to run."""
    settings = {"3 bits, 400 tokens": (3.0, 400), "2 bits, 200 tokens": (2.0, 200), "1 bit, 400 tokens": (1.0, 400)}
    lengths = (50, 75, 100, 150, 200, 300, 400)
    table: dict[str, Callable[[], object]] = {
        "power": lambda: {name: power(bits, options.texts, n) for name, (bits, n) in settings.items()},
        "against_length": lambda: against_length((1.0, 2.0, 3.0), lengths, options.texts),
        "pasted": lambda: pasted(2.0, (50, 100, 200, 400), min(60, options.texts)),
        "least_decidable_tokens": lambda: {str(b): least_decidable(b, 16 * 8) for b in (0.5, 1.0, 2.0, 3.0)},
        "cost": cost,
        "own_stories": lambda: own_stories(options.pairs),
    }
    if options.model is not None:
        table["model"] = lambda: on_model(options.model, min(options.texts, options.pairs))
    if options.text is None:
        return table
    if not options.text.is_dir():
        raise SystemExit(f"--text {options.text}: no such folder")

    def learned() -> object:
        novels = sorted((options.text / "train/benign_books").glob("*.txt"))
        return distortion(TrigramModel(models_text.number(models_text.words(novels), 4096), 4096), options.pairs, 200)

    return table | {"distortion_on_learned_model": learned, "null": lambda: null(options.text, options.keys)}


def main() -> None:
    """Run and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, help="folder with real text")
    parser.add_argument("--model", type=Path, help="folder of a causal language model to measure the mark in")
    parser.add_argument("--texts", type=int, default=100, help="texts per setting")
    parser.add_argument("--pairs", type=int, default=100, help="pairs of the likelihood tests")
    parser.add_argument("--keys", type=int, default=4, help="keys of the null test, 16 key ids each")
    parser.add_argument("--only", nargs="*", help="sections to run")
    parser.add_argument("--out", type=Path, default=RESULTS / "watermark" / "text.json")
    options = parser.parse_args()
    header: dict[str, object] = {
        "benchmark": "watermark_text",
        "version": metadata.version("gensafe"),
        "scheme": "gumbel-h3",
        "p_threshold": 1e-6,
        "key_ids": 16,
    }
    report = json.loads(options.out.read_text()) if options.out.exists() else {}
    if any(report.get(key) != value for key, value in header.items()):
        report = dict(header)
    report["python"] = platform.python_version()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    table = sections(options)
    for name in options.only or table:
        if name not in table:
            raise SystemExit(f"no section {name!r}; there are {', '.join(table)}")
        report[name] = table[name]()
        print(f"{name}: {json.dumps(report[name])}", flush=True)
        options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
