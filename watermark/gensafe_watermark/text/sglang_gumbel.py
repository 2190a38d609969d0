"""Detection of the Gumbel mark that an SGLang server makes itself (``--enable-watermark``, its default algorithm).

The scheme is public: the design note of SGLang 0.5.23 (``sglang/srt/sampling/watermarking/README.md`` in its wheel) and
docs.sglang.io, "Text Watermarking". Written from that description; words are of 32 bits:

1. A context is the last ``context_window`` tokens, of the prompt too. H(words) is MurmurHash3 x86 32 of their bytes,
   seed 0. Its number is c = H(context).
2. The number of token t is u = (H(k0, k1, c, t) + 1/2) / 2**32. k0, k1: low and high half of the 64-bit key.
3. With a second key (speculative decoding), the first one is used where H(a0, a1, b0, b1, c) < P * 2**32, where P is
   the server's ``mixing_probability``; here always 1/2, its default.
4. The server picks argmax of log(u) / p, and marks each context once, up to 4096 of them. Unmarked text has uniform u,
   so the sum of -log(1 - u) over n contexts is Gamma(n, 1).

The prompt is not known here, so the first ``context_window`` tokens of a text do not count. The hash is not a
cryptographic one: as with vLLM's mark, this shows origin as long as nobody means to deceive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.types import Detection
from gensafe_watermark.text.engine_gumbel import WIDTH, EngineGumbel, first_contexts, judged, read_width

KEY_BYTES: Final = (8, 16)  # one key, or two: numbers of 64 bits, little-endian
MOST_CONTEXTS: Final = 4096  # that a server marks in one text; later ones are sampled freely
HALF: Final = 1 << 31  # P * 2**32 at the default mixing probability of 1/2
_MASK: Final = np.uint64(0xFFFFFFFF)  # one word of 32 bits
_M1, _M2, _M3, _A = (np.uint64(n) for n in (0xCC9E2D51, 0x1B873593, 5, 0xE6546B64))  # MurmurHash3 x86 32: body
_F1, _F2 = np.uint64(0x85EBCA6B), np.uint64(0xC2B2AE35)  # MurmurHash3: finaliser

Words = NDArray[np.uint64]  # words of 32 bits, kept in 64 so that products fit


def murmur3(words: Sequence[Words]) -> Words:
    """MurmurHash3 x86 32 with seed 0 of each row of words: ``words[i]`` holds the i-th word of every row, (n,)."""
    state = np.zeros_like(words[0])
    for word in words:
        value = (word * _M1) & _MASK
        value = (_turned(value, 15) * _M2) & _MASK
        state = (_turned(state ^ value, 13) * _M3 + _A) & _MASK
    state ^= np.uint64(4 * len(words))
    state = ((state ^ (state >> np.uint64(16))) * _F1) & _MASK
    state = ((state ^ (state >> np.uint64(13))) * _F2) & _MASK
    return np.asarray(state ^ (state >> np.uint64(16)))


def _turned(value: Words, by: int) -> Words:
    return np.asarray(((value << np.uint64(by)) | (value >> np.uint64(32 - by))) & _MASK)


def uniforms(keys: Sequence[int], contexts: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """The number in (0, 1) of each token after its context.

    Args:
        keys: One or two, each 0 to 2**64 - 1.
        contexts: (n, width) token ids.
        tokens: (n,) token ids.

    Returns:
        (n,) float64.
    """
    halves = [np.full(len(tokens), half, np.uint64) for key in keys for half in (key & 0xFFFFFFFF, key >> 32)]
    context = murmur3(list(contexts.astype(np.uint64).T & _MASK))
    token = tokens.astype(np.uint64) & _MASK
    hashed = murmur3([*halves[:2], context, token])
    if len(keys) > 1:
        first = murmur3([*halves, context]) < HALF
        hashed = np.where(first, hashed, murmur3([*halves[2:], context, token]))
    return np.asarray((hashed.astype(np.float64) + 0.5) / 2.0**32)


def detect(token_ids: Sequence[int], keys: Sequence[int], width: int = WIDTH) -> Detection:
    """Test whether a text was sampled by an SGLang server with these keys.

    Args:
        token_ids: The text in the server's tokenizer, without its prompt.
        keys: The server's ``key``, and its ``key_b`` where it has one.
        width: Its ``context_window``.

    Returns:
        PRESENT at p <= 1e-6, else UNDECIDABLE under 200 scored tokens, else NONE.
    """
    contexts, tokens = first_contexts([int(t) for t in token_ids], width)
    u = uniforms(keys, contexts[:MOST_CONTEXTS], tokens[:MOST_CONTEXTS])
    return judged(f"sglang-gumbel-w{width}", len(token_ids), u)


def create(options: Mapping[str, str]) -> EngineGumbel:
    """Plugin factory. Option: ``context_width`` (1 to 64, default 4), as the server's ``context_window``.

    Raises:
        ConfigError: an unknown option, or a width out of range.
    """
    width = read_width(options)
    words = "int(hex, 16).to_bytes(8, 'little') of the server's key, then of its key_b if it has one"
    return EngineGumbel(f"sglang-gumbel-w{width}", width, KEY_BYTES, words, _detect)


def _detect(token_ids: Sequence[int], key: bytes, width: int) -> Detection:
    keys = [int.from_bytes(key[at : at + 8], "little") for at in range(0, len(key), 8)]
    return detect(token_ids, keys, width)
