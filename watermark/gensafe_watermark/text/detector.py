"""The two verbs of the text mark: ``sampler`` for the writer, ``detect`` for the reader."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gensafe.core.errors import ConfigError, InvalidRequest
from gensafe.core.ports import SamplingMark, TextTokenizer
from gensafe.core.types import Detection, MarkLevel
from gensafe_watermark.sampling import KEY_IDS, GumbelMark, check_parameters
from gensafe_watermark.text import statistics
from gensafe_watermark.text.common import NO_PASSAGES, SHIPPED_CONTEXT, Passages, check, shipped

# scored tokens, doubling: a marked passage fills half of one; p-values pay for their number. By eye
WINDOWS = (64, 128, 256)
P_PRESENT = 1e-6  # the bound on a false claim that all GenSafe marks share (docs/watermark-text.md)
BITS_PER_TOKEN = 1.3  # of the bundled model's stories, 1.23 to 1.43 for nine in ten (benchmarks.watermark.text)
MAX_TOKENS = 1_000_000  # far beyond a book; bounds time and memory. A round number, not measured
_MAX_TOKEN_ID = 1 << 40  # beyond any vocabulary, and far below the 64 bits of a counter


@dataclass(frozen=True, slots=True)
class Evidence:
    """The strongest of all tests made on one text, before correction."""

    key_id: int
    p_value: float
    start: int  # token index of the window
    end: int
    scored: int  # scored tokens in the window
    tests: int  # windows x key ids tried


def sampler(key: bytes, h: int = 3, key_shift: int = 0) -> SamplingMark:
    """A mark for one text, to be handed to the backend that writes it.

    Args:
        key: 32 secret bytes.
        h: Context length; 3 for prose, 1 or 2 for code. The detector needs the same.
        key_shift: Key id 0..15.

    Raises:
        KeyError_: the key has the wrong length.
        InvalidRequest: ``h`` or ``key_shift`` out of range.
    """
    return GumbelMark(key, h, key_shift)


def _token_list(text_or_tokens: str | Sequence[int], tokenizer: TextTokenizer | None) -> list[int]:
    if isinstance(text_or_tokens, str):
        if tokenizer is None:
            raise InvalidRequest("the tokenizer the text was written with is needed", field="tokenizer")
        text_or_tokens = tokenizer.encode(text_or_tokens)
    if len(text_or_tokens) > MAX_TOKENS:
        raise InvalidRequest(f"more than {MAX_TOKENS} tokens", field="tokens", fix="split the text")
    try:
        tokens = [operator.index(token) for token in text_or_tokens]
    except TypeError as error:
        raise InvalidRequest("token ids must be integers", field="tokens") from error
    if tokens and not (min(tokens) >= 0 and max(tokens) < _MAX_TOKEN_ID):
        raise InvalidRequest("token ids must be 0..2**40-1", field="tokens")
    return tokens


def _strongest(scored: statistics.Scored, key_ids: Sequence[int], sizes: Sequence[int]) -> Evidence:
    count = len(scored.positions)
    sums = np.concatenate([np.zeros((len(key_ids), 1)), np.cumsum(scored.scores, axis=1)], axis=1)
    best = Evidence(key_id=key_ids[0], p_value=1.0, start=0, end=0, scored=0, tests=0)
    tests = 0
    for start, end in statistics.windows(count, sizes):
        p = statistics.p_values(sums[:, end] - sums[:, start], end - start)
        tests += len(key_ids)
        row = int(np.argmin(p))
        if p[row] < best.p_value:
            first, last = int(scored.positions[start]), int(scored.positions[end - 1]) + 1
            best = Evidence(key_ids[row], float(p[row]), first, last, end - start, 0)
    return Evidence(best.key_id, best.p_value, best.start, best.end, best.scored, tests)


def detect(
    text_or_tokens: str | Sequence[int],
    key: bytes,
    *,
    tokenizer: TextTokenizer | None = None,
    h: int = 3,
    key_ids: Sequence[int] = tuple(range(KEY_IDS)),
    window_sizes: Sequence[int] = WINDOWS,
    bits_per_token: float = BITS_PER_TOKEN,
    common: Passages = NO_PASSAGES,
) -> Detection:
    """Test whether a text was sampled under ``key``.

    Each context counts once. The whole text and half-overlapping windows of 64, 128 and 256 scored tokens (for pasted
    passages) are tested under every key id; the p-value returned is the smallest one times the number of tests.

    Args:
        text_or_tokens: Text (then ``tokenizer`` is needed) or token ids in the id space the sampler saw.
        key: 32 secret bytes.
        tokenizer: The tokenizer of the model that is suspected to have written the text.
        h: Context length the sampler used.
        key_ids: Key ids to try; each counts.
        window_sizes: Sizes of pasted passages looked for, in scored tokens.
        bits_per_token: Entropy the suspected model usually has. It never makes a text "present"; it decides only
            between NONE and UNDECIDABLE, together with the text's own token histogram.
        common: Passages of h + 1 tokens that are not scored, see ``gensafe_watermark.text.common``.

    Returns:
        PRESENT at a corrected p <= 1e-6 (``detail["key_id"]`` names the key id); NONE where a marked text of this
        length and entropy would have shown itself with probability >= 0.9; else UNDECIDABLE. Never "unmarked".

    Raises:
        KeyError_: the key has the wrong length.
        InvalidRequest: no tokenizer for a string, ids out of range, or a parameter out of range.
    """
    check_parameters(key, h)
    for shift in key_ids:
        check_parameters(key, h, shift)
    if not key_ids or any(size < 1 for size in window_sizes):
        raise InvalidRequest("at least one key id, and window sizes above 0, are needed", field="key_ids")
    if not bits_per_token > 0:
        raise InvalidRequest("entropy must be above 0", field="bits_per_token")
    check(common, h)
    tokens = _token_list(text_or_tokens, tokenizer)
    scored = statistics.score_tokens(tokens, key, h, key_ids, common)
    count = len(scored.positions)
    found = _strongest(scored, list(key_ids), window_sizes)
    p_value = min(1.0, found.p_value * max(found.tests, 1))
    entropy = min(bits_per_token, statistics.unigram_bits(tokens))
    if p_value <= P_PRESENT:
        level = MarkLevel.PRESENT
    elif statistics.decidable(count, found.tests, entropy, P_PRESENT):
        level = MarkLevel.NONE
    else:
        level = MarkLevel.UNDECIDABLE
    detail: dict[str, str | float | int] = {"tokens": len(tokens), "scored": count, "assumed_bits_per_token": entropy}
    if level is MarkLevel.PRESENT:
        detail |= {"key_id": found.key_id, "window_start": found.start, "window_end": found.end}
    elif level is MarkLevel.UNDECIDABLE:
        detail["reason"] = "too short or too predictable for the mark to show at p <= 1e-6"
    return Detection(level, None, p_value, f"gumbel-h{h}", attempts=max(found.tests, 1), detail=detail)


@dataclass(frozen=True, slots=True)
class SamplingScheme:
    """The sampling mark with its settings fixed, as the service creates it from configuration.

    ``key_ids`` are the ids that passed their null test (``text.usable_key_ids``): others are neither written nor
    searched for. ``common`` are passages that the detector does not score.
    """

    h: int = 3
    key_shift: int = 0
    bits_per_token: float = BITS_PER_TOKEN
    key_ids: tuple[int, ...] = tuple(range(KEY_IDS))
    common: Passages = NO_PASSAGES
    modality = "text"

    @property
    def scheme(self) -> str:
        """Name as it stands in records, e.g. ``gumbel-h3``."""
        return f"gumbel-h{self.h}"

    def sampler(self, key: bytes) -> SamplingMark:
        """A mark for one text; see ``sampler``."""
        return sampler(key, self.h, self.key_shift)

    def detect(self, token_ids: Sequence[int], key: bytes) -> Detection:
        """Test token ids under every key id in use; see ``detect``."""
        return detect(
            token_ids, key, h=self.h, key_ids=self.key_ids, bits_per_token=self.bits_per_token, common=self.common
        )

    def test_keys(self, texts: Sequence[Sequence[int]], key: bytes) -> Mapping[int, float]:
        """Kolmogorov-Smirnov p-value per key id in use, on unmarked texts; see ``text.check_keys``."""
        from gensafe_watermark.text.keys import check_keys

        tested = check_keys(texts, key, h=self.h, key_ids=self.key_ids, common=self.common)
        return {one.key_shift: one.ks_p for one in tested}


def create_sampling(options: Mapping[str, str]) -> SamplingScheme:
    """Plugin factory.

    Args:
        options: ``context`` (1..8, default 3), ``key_id`` (0..15, default the first of ``key_ids``), ``key_ids`` (those
            in use, e.g. "0,3,7"; default all 16), ``bits_per_token`` (default 1.3), ``common`` ("shipped": do not score
            the common passages of the bundled model's tokenizer, the default for context 3; or "none").

    Raises:
        ConfigError: an unknown option, a value out of range, or a ``key_id`` that is not in use.
    """
    unknown = set(options) - {"context", "key_id", "key_ids", "bits_per_token", "common"}
    if unknown:
        raise ConfigError(f"unknown option {sorted(unknown)[0]!r}", field="watermark.text")
    try:
        h = int(options.get("context", "3"))
        key_ids = (
            tuple(dict.fromkeys(int(part) for part in options["key_ids"].split(","))) if "key_ids" in options else ()
        )
        key_ids = key_ids or tuple(range(KEY_IDS))
        shift = int(options.get("key_id", key_ids[0]))
        bits = float(options.get("bits_per_token", str(BITS_PER_TOKEN)))
        for key_id in (shift, *key_ids):
            check_parameters(bytes(32), h, key_id)
    except (ValueError, InvalidRequest) as error:
        raise ConfigError(str(error), field="watermark.text") from error
    if shift not in key_ids:
        raise ConfigError(f"key id {shift} is not among the key ids in use", field="watermark.text.key_id")
    if not 0 < bits < 64:
        raise ConfigError("bits_per_token must be above 0 and below 64", field="watermark.text")
    table = options.get("common", "shipped" if h == SHIPPED_CONTEXT else "none")
    if table not in ("shipped", "none") or (table == "shipped" and h != SHIPPED_CONTEXT):
        raise ConfigError(f"shipped (with context {SHIPPED_CONTEXT}) or none", field="watermark.text.common")
    return SamplingScheme(h, shift, bits, key_ids, shipped()[0] if table == "shipped" else NO_PASSAGES)
