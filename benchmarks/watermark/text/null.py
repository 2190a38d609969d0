"""Unmarked texts: whether each key id's p-values are uniform on 20,000 of them, with common passages scored or not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.watermark.text import real_texts as texts_real
from gensafe.core.types import MarkLevel
from gensafe_backends.symphony.plugin import default_bundle
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_watermark import text
from gensafe_watermark.text.common import NO_PASSAGES, Passages, common_passages, shipped

TEXTS = 20_000
LENGTH = {"bundled tokenizer": 60, "words": 20}
VOCABULARY = 32_768
PASSAGES = 16_000
DETECTED = 2_000  # texts that the whole detector, with its windows, is run on


def _words(found: str) -> list[str]:
    return re.findall(r"[a-z']+|[.,;:!?]", found.lower())


def _keys(count: int) -> list[bytes]:
    return [bytes(range(32)), *(np.random.default_rng(i).bytes(32) for i in range(1, count))]


def _one(pieces: Sequence[Sequence[int]], keys: int, common: Passages) -> dict[str, object]:
    rows = []
    for key in _keys(keys):
        rows += [(check, key) for check in text.check_keys(pieces, key, common=common)]
    distances = np.array([check.ks_p for check, _ in rows])
    return {
        "texts": len(pieces),
        "tokens_each": len(pieces[0]),
        "key_ids_tested": len(rows),
        "key_ids_passed": int(sum(check.usable for check, _ in rows)),
        "passed_by_key": [[check.key_shift for check, of in rows if of == key and check.usable] for key in _keys(keys)],
        "ks_p_quantiles_5_50_95": [float(q) for q in np.quantile(distances, (0.05, 0.5, 0.95))],
        "mean_p_range": [round(float(f([c.mean_p for c, _ in rows])), 4) for f in (min, max)],
        "least_p": min(check.least_p for check, _ in rows),
        "texts_times_key_ids": len(pieces) * len(rows),
    }


def null(folder: Path, keys: int) -> dict[str, object]:
    """Both tokenizers, with and without common passages left out.

    The passages come from other texts than those tested: for the bundled tokenizer those that ship.

    Args:
        folder: ``safety_text`` of the data folder.
        keys: How many keys, 16 key ids each, for the bundled tokenizer; the word tokenizer gets one.
    """
    tokenizer = UniversalTokenizer.load(default_bundle())
    found = texts_real.texts(folder)
    halves = {name: [t for t in found if texts_real.side(t) == name] for name in ("table", "test")}
    ranks = Counter(word for t in found for word in _words(t)).most_common(VOCABULARY - 1)
    number = {word: i for i, (word, _) in enumerate(ranks)}
    out: dict[str, object] = {}
    for name, encode, count in (
        ("bundled tokenizer", tokenizer.encode_text, keys),
        ("words", lambda t: [number.get(word, VOCABULARY - 1) for word in _words(t)], 1),
    ):
        pieces = texts_real.pieces(halves["test"], encode, LENGTH[name], TEXTS)
        if name == "bundled tokenizer":
            common = shipped()[0]
        else:
            common = common_passages(texts_real.pieces(halves["table"], encode, LENGTH[name], 10**6), PASSAGES)
        out[name] = {
            "everything scored": _one(pieces, count, NO_PASSAGES),
            "common passages not scored": _one(pieces, count, common),
        }
        print(f"  {name}: {out[name]}", flush=True)
        found_by = [text.detect(piece, bytes(range(32)), common=common) for piece in pieces[:DETECTED]]
        p = np.array([f.p_value for f in found_by])
        out[f"{name}, whole detector"] = {
            "texts": len(found_by),
            "present": sum(f.level is MarkLevel.PRESENT for f in found_by),
            "undecidable": sum(f.level is MarkLevel.UNDECIDABLE for f in found_by),
            "least_p": float(p.min()),
            "share_at_or_below_0.01": float((p <= 0.01).mean()),
        }
    return out
