"""Key hygiene: a key whose null p-values are not uniform on real unmarked text is not used (after TextSeal, 2025).

One key's numbers are fixed. If they happen to be large at the word sequences that every text contains ("one of the"),
that key would accuse too often; a Kolmogorov-Smirnov test on many unmarked texts shows it before the key is taken up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kstest

from gensafe.core.errors import InvalidRequest
from gensafe_watermark.sampling import KEY_IDS, check_parameters
from gensafe_watermark.text.statistics import p_values, score_tokens

REJECT_BELOW = 0.01
MIN_TEXTS = 100


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """Null behaviour of one key id on unmarked texts."""

    key_shift: int
    texts: int
    mean_p: float
    least_p: float
    ks_p: float  # of a two-sided Kolmogorov-Smirnov test against uniform

    @property
    def usable(self) -> bool:
        """Whether the key id may be used."""
        return self.ks_p >= REJECT_BELOW


def null_p_values(
    texts: Sequence[Sequence[int]], key: bytes, *, h: int = 3, key_ids: Sequence[int] = tuple(range(KEY_IDS))
) -> NDArray[np.float64]:
    """Exact whole-text p-values of unmarked texts: (key ids, texts). Texts without a scored token give 1."""
    check_parameters(key, h)
    out = np.ones((len(key_ids), len(texts)))
    for column, tokens in enumerate(texts):
        scored = score_tokens(tokens, key, h, key_ids)
        count = len(scored.positions)
        if count:
            out[:, column] = p_values(scored.scores.sum(axis=1), count)
    return out


def check_keys(
    texts: Sequence[Sequence[int]], key: bytes, *, h: int = 3, key_ids: Sequence[int] = tuple(range(KEY_IDS))
) -> tuple[KeyCheck, ...]:
    """Test every key id on unmarked texts.

    Args:
        texts: Token ids of unmarked texts, >= 100 of them (20,000 for a production key), without shared passages.
        key: 32 secret bytes.
        h: Context length.
        key_ids: Key ids to test.

    Raises:
        InvalidRequest: fewer than 100 texts.
        KeyError_: the key has the wrong length.
    """
    if len(texts) < MIN_TEXTS:
        raise InvalidRequest(f"a null test needs at least {MIN_TEXTS} texts", field="texts")
    table = null_p_values(texts, key, h=h, key_ids=key_ids)
    return tuple(
        KeyCheck(shift, len(texts), float(row.mean()), float(row.min()), float(kstest(row, "uniform").pvalue))
        for shift, row in zip(key_ids, table, strict=True)
    )


def usable_key_ids(texts: Sequence[Sequence[int]], key: bytes, *, h: int = 3) -> tuple[int, ...]:
    """Key ids whose null test passes, in order; give ``sampler`` and ``detect`` only these."""
    return tuple(check.key_shift for check in check_keys(texts, key, h=h) if check.usable)
