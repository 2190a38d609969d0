"""Stock phrases: passages so common that scoring them would tie a key's luck to everybody's texts.

One key's numbers are fixed, so a key that happens to like "one of the" likes it in every text that says so: under that
key the p-values of unmarked texts are no longer uniform (a Kolmogorov-Smirnov test on 20,000 texts rejected two of
three key ids; see docs/watermark-text.md). Passages of h + 1 tokens that many unmarked texts share are therefore not
scored. Which tokens are left out depends on the text alone, not on the key, so p-values over keys stay exact.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Final

import numpy as np

from gensafe.core.errors import ConfigError, InvalidRequest
from gensafe_watermark.text.pairs import score_all

Passages = frozenset[tuple[int, ...]]
NO_PASSAGES: Final[Passages] = frozenset()
SHIPPED: Final = "common-symphony.npz"
SHIPPED_CONTEXT: Final = 3  # the h it was made for


def common_passages(texts: Sequence[Sequence[int]], count: int, *, h: int = 3) -> Passages:
    """The ``count`` passages of h + 1 tokens that most of ``texts`` hold.

    Args:
        texts: Token ids of unmarked texts, 20,000 or more, in the id space the sampler sees; others than those that a
            key is tested on later.
        count: How many; 16,000 of 30,000 texts left no key id of 128 with a failing test.
        h: Context length of the mark.

    Raises:
        InvalidRequest: no passages wanted.
    """
    if count < 1:
        raise InvalidRequest("at least one passage is needed", field="count")
    scored = score_all(texts, h)
    shared = np.bincount(scored.pair, minlength=len(scored.token_of_pair))
    top = np.argsort(-shared, kind="stable")[:count]
    rows = np.concatenate([scored.contexts[scored.context_of_pair[top]], scored.token_of_pair[top, None]], axis=1)
    return frozenset(map(tuple, rows.tolist()))


def pack(passages: Passages, tokenizer: str) -> bytes:
    """The bytes of a table file; ``tokenizer`` names the tokenizer its ids are of."""
    buffer = io.BytesIO()
    rows = np.array(sorted(passages), np.uint16)
    np.savez_compressed(buffer, passages=rows, tokenizer=np.array(tokenizer))
    return buffer.getvalue()


@lru_cache(maxsize=1)
def shipped() -> tuple[Passages, str]:
    """The table for the bundled model's tokenizer, and the digest that names that tokenizer.

    Raises:
        ConfigError: the file is damaged.
    """
    data = resources.files(__package__).joinpath(SHIPPED).read_bytes()
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as table:
            return frozenset(map(tuple, table["passages"].tolist())), str(table["tokenizer"])
    except (ValueError, KeyError, OSError) as error:
        raise ConfigError(f"the table of common passages is not readable: {error}", field=SHIPPED) from error


def check(passages: Passages, h: int) -> None:
    """Reject a table that was made for another context length.

    Raises:
        InvalidRequest: a passage has not h + 1 tokens.
    """
    if passages and len(next(iter(passages))) != h + 1:
        raise InvalidRequest(f"the common passages are not of {h + 1} tokens", field="common")
