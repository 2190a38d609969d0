"""What the detectors of Gumbel marks that remote engines make have in common: the exact test, and the plugin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import ConfigError, InvalidRequest, KeyError_
from gensafe.core.ports import SamplingMark
from gensafe.core.types import Detection, MarkLevel
from gensafe_watermark.text.detector import P_PRESENT
from gensafe_watermark.text.statistics import p_values

WIDTH: Final = 4  # default context of vLLM and SGLang, in tokens
MOST_WIDTH: Final = 64  # the bound that SGLang and TensorRT-LLM have; vLLM warns above 16
LEAST_TOKENS: Final = 200  # scored tokens under which no answer is given but "present"; as for SynthID-Text


def first_contexts(padded: Sequence[int], width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each context of ``width`` tokens at its first occurrence, and the token after it: (n, width) and (n,)."""
    first: dict[tuple[int, ...], int] = {}
    for at in range(width, len(padded)):
        first.setdefault(tuple(padded[at - width : at]), padded[at])
    return np.array(list(first), np.int64).reshape(-1, width), np.array(list(first.values()), np.int64)


def judged(scheme: str, tokens: int, u: NDArray[np.float64]) -> Detection:
    """Test the numbers of the tokens that count, which are uniform in (0, 1) where a text is not marked.

    Returns:
        PRESENT at p <= 1e-6, else UNDECIDABLE under 200 scored tokens, else NONE.
    """
    count = len(u)
    p = float(p_values(np.array([-np.log1p(-u).sum()]), count)[0]) if count else 1.0
    detail: dict[str, str | float | int] = {"tokens": tokens, "scored": count}
    if p <= P_PRESENT:
        return Detection(MarkLevel.PRESENT, None, p, scheme, detail=detail)
    if count < LEAST_TOKENS:
        detail["reason"] = "too short for the mark to show at p <= 1e-6"
        return Detection(MarkLevel.UNDECIDABLE, None, p, scheme, detail=detail)
    return Detection(MarkLevel.NONE, None, p, scheme, detail=detail)


@dataclass(frozen=True, slots=True)
class EngineGumbel:
    """A scheme with its width fixed, as ``openai_http`` uses it to prove the mark of a remote engine.

    Args:
        scheme: Name as it stands in records.
        width: Tokens of context.
        key_bytes: Lengths that a key may have.
        key_words: How a key file is made, for errors.
        test: (token ids, key, width) -> what was found.
    """

    scheme: str
    width: int
    key_bytes: tuple[int, ...]
    key_words: str
    test: Callable[[Sequence[int], bytes, int], Detection]
    modality = "text"

    def sampler(self, key: bytes) -> SamplingMark:
        """Not here: the remote engine makes the mark.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("this mark is made by the engine, not here", field="watermark.text")

    def detect(self, token_ids: Sequence[int], key: bytes) -> Detection:
        """Test the token ids of one text under a key.

        Raises:
            KeyError_: the key has another length.
        """
        if len(key) not in self.key_bytes:
            lengths = " or ".join(map(str, self.key_bytes))
            raise KeyError_(f"a key of {self.scheme} has {lengths} bytes", fix=self.key_words)
        return self.test(token_ids, key, self.width)

    def test_keys(self, texts: Sequence[Sequence[int]], key: bytes) -> Mapping[int, float]:
        """Not for this scheme: it has one key.

        Raises:
            InvalidRequest: always.
        """
        raise InvalidRequest("the engine's mark has no key ids to test", field="texts")


def read_width(options: Mapping[str, str]) -> int:
    """The option ``context_width`` (1 to 64, default 4), as the server's.

    Raises:
        ConfigError: another option, or a width out of range.
    """
    unknown = sorted(set(options) - {"context_width"})
    if unknown:
        raise ConfigError(f"unknown option {unknown[0]!r}", field="context_width")
    text = options.get("context_width", str(WIDTH))
    if not text.isdecimal() or not 1 <= int(text) <= MOST_WIDTH:
        raise ConfigError(f"is not a number from 1 to {MOST_WIDTH}", field="context_width")
    return int(text)
