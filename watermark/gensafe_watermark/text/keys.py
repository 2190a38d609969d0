"""Key hygiene: a key whose null p-values are not uniform on real unmarked text is not used (after TextSeal, 2025).

One key's numbers are fixed. If they happen to be large at the word sequences that every text contains ("one of the"),
that key would accuse too often; a Kolmogorov-Smirnov test on many unmarked texts shows it before the key is taken up.
Leaving out common passages (``common``) removes the cause; the test shows what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc
from scipy.stats import kstest

from gensafe.core.errors import InvalidRequest
from gensafe_watermark.sampling import KEY_IDS, check_parameters, context_key, sampling_key, uniforms_at
from gensafe_watermark.text.common import NO_PASSAGES, Passages, check
from gensafe_watermark.text.pairs import score_all

REJECT_BELOW = 0.01  # p-value of the Kolmogorov-Smirnov test: one good key in a hundred is refused for nothing
MIN_TEXTS = 100  # the test sees a distance of about 0.16 at 1 % with so many (1.63 / sqrt(n))


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
    texts: Sequence[Sequence[int]],
    key: bytes,
    *,
    h: int = 3,
    key_ids: Sequence[int] = tuple(range(KEY_IDS)),
    common: Passages = NO_PASSAGES,
) -> NDArray[np.float64]:
    """Exact whole-text p-values of unmarked texts: (key ids, texts). Texts without a scored token give 1.

    The same numbers as ``statistics.score_tokens`` gives text by text, but each different context is hashed once and
    all texts are scored together: 20,000 texts of 60 tokens under 16 key ids take seconds.
    """
    check_parameters(key, h)
    check(common, h)
    scored = score_all(texts, h)
    secret = sampling_key(key)
    keys = np.array([context_key(secret, row) for row in scored.contexts.tolist()], np.uint64).reshape(-1, 2)
    passages = np.concatenate([scored.contexts[scored.context_of_pair], scored.token_of_pair[:, None]], axis=1)
    kept = np.array([tuple(row) not in common for row in passages.tolist()], bool)[scored.pair]
    owner, pair = scored.owner[kept], scored.pair[kept]
    counts = np.bincount(owner, minlength=len(texts)).astype(np.float64)
    out = np.ones((len(key_ids), len(texts)))
    some = counts > 0
    for row, shift in enumerate(key_ids):
        r = uniforms_at(keys[scored.context_of_pair], scored.token_of_pair, np.array([shift], np.uint64))[0]
        sums = np.bincount(owner, weights=-np.log1p(-r)[pair], minlength=len(texts))
        out[row, some] = gammaincc(counts[some], sums[some])
    return out


def check_keys(
    texts: Sequence[Sequence[int]],
    key: bytes,
    *,
    h: int = 3,
    key_ids: Sequence[int] = tuple(range(KEY_IDS)),
    common: Passages = NO_PASSAGES,
) -> tuple[KeyCheck, ...]:
    """Test every key id on unmarked texts.

    Args:
        texts: Token ids of unmarked texts, >= 100 of them (20,000 for a production key), without shared passages.
        key: 32 secret bytes.
        h: Context length.
        key_ids: Key ids to test.
        common: Passages that the detector will not score; the same as it will be given.

    Raises:
        InvalidRequest: fewer than 100 texts.
        KeyError_: the key has the wrong length.
    """
    if len(texts) < MIN_TEXTS:
        raise InvalidRequest(f"a null test needs at least {MIN_TEXTS} texts", field="texts")
    table = null_p_values(texts, key, h=h, key_ids=key_ids, common=common)
    return tuple(
        KeyCheck(shift, len(texts), float(row.mean()), float(row.min()), float(kstest(row, "uniform").pvalue))
        for shift, row in zip(key_ids, table, strict=True)
    )


def usable_key_ids(
    texts: Sequence[Sequence[int]], key: bytes, *, h: int = 3, common: Passages = NO_PASSAGES
) -> tuple[int, ...]:
    """Key ids whose null test passes, in order; give ``sampler`` and ``detect`` only these."""
    return tuple(tested.key_shift for tested in check_keys(texts, key, h=h, common=common) if tested.usable)
