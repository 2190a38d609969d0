"""Detection of the Gumbel mark that a vLLM server makes itself (``--watermark-config``, algorithm ``gumbel``).

The scheme is public: vLLM's documentation (docs.vllm.ai, features/watermarking, version 0.33) and its generator
``philox4x32-10-v1``. Implemented from that description:

1. A context is the last ``context_width`` token ids (-1 before the start of the text), as 32-bit words.
2. State = ("WMCX", width, 0, 0). For each four words of context, at offset o: state = Philox4x32-10(state XOR words,
   key = (k0 XOR o, k1)); word i of four that is beyond the context is 2**32 - 1 - i. k0, k1: halves of the 64-bit key.
3. The number of token t is word t mod 4 of Philox4x32-10((t div 4, s0, s1, s2), key = (k0 XOR s3, k1 XOR "WMTK")), as
   u = (top 24 bits + 1) / (2**24 + 1).
4. The server picks argmax of logit - log(-log u). Unmarked text has uniform u, so the sum of -log(1 - u) over n tokens
   with contexts that occur for the first time is Gamma(n, 1); 24 bits change it by less than one part in a million.

The generator is no cryptographic one: who sees enough marked text may learn the key and forge the mark. It shows that a
text came from a server with this key as long as nobody meant to deceive; it is no proof against someone who does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.types import Detection
from gensafe_watermark.text.engine_gumbel import WIDTH, EngineGumbel, first_contexts, judged, read_width

KEY_BYTES: Final = 8  # the key is one number of 64 bits; its file holds it little-endian
_CONTEXT, _TOKEN = 0x574D4358, 0x574D544B  # "WMCX", "WMTK"
_M: Final = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))  # multipliers of Philox4x32: Salmon et al. 2011, table 2
_W: Final = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))  # its Weyl constants, ibid.
_ROUNDS: Final = 10  # Philox4x32-10
_MASK, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)  # one word of 32 bits, and its width

Words = NDArray[np.uint64]  # words of 32 bits, kept in 64 so that products fit


def philox(counter: Sequence[Words], key: Sequence[Words]) -> tuple[Words, Words, Words, Words]:
    """Philox4x32-10 of every counter under its key: four arrays of words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        a, b = c0 * _M[0], c2 * _M[1]
        c0, c1, c2, c3 = (b >> _HALF) ^ c1 ^ k0, b & _MASK, (a >> _HALF) ^ c3 ^ k1, a & _MASK
        k0, k1 = (k0 + _W[0]) & _MASK, (k1 + _W[1]) & _MASK
    return c0, c1, c2, c3


def uniforms(key: int, contexts: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """The number in (0, 1) of each token after its context.

    Args:
        key: 0 to 2**64 - 1.
        contexts: (n, width) token ids, -1 before the start of the text.
        tokens: (n,) token ids.

    Returns:
        (n,) float64.
    """
    count, width = contexts.shape
    words = contexts.astype(np.uint64) & _MASK
    k0, k1 = (np.full(count, half, np.uint64) for half in (key & int(_MASK), key >> int(_HALF)))
    state: Sequence[Words] = [np.full(count, first, np.uint64) for first in (_CONTEXT, width, 0, 0)]
    for offset in range(0, width, 4):
        block = [
            words[:, offset + i] if offset + i < width else np.full(count, int(_MASK) - i, np.uint64) for i in range(4)
        ]
        mixed = [s ^ b for s, b in zip(state, block, strict=True)]
        state = philox(mixed, (k0 ^ np.uint64(offset), k1))
    token = tokens.astype(np.uint64) & _MASK
    counter = (token >> np.uint64(2), state[0], state[1], state[2])
    out = philox(counter, (k0 ^ state[3], k1 ^ np.uint64(_TOKEN)))
    word = np.choose((token & np.uint64(3)).astype(np.intp), out)
    return np.asarray(((word >> np.uint64(8)).astype(np.float64) + 1.0) / (2.0**24 + 1.0))


def detect(token_ids: Sequence[int], key: int, width: int = WIDTH) -> Detection:
    """Test whether a text was sampled by a vLLM server with this key.

    Args:
        token_ids: The text in the server's tokenizer, without its prompt.
        key: As in the server's ``--watermark-config``.
        width: Its ``context_width``.

    Returns:
        PRESENT at p <= 1e-6, else UNDECIDABLE under 200 scored tokens, else NONE.
    """
    contexts, tokens = first_contexts([-1] * width + [int(t) for t in token_ids], width)
    return judged(f"vllm-gumbel-w{width}", len(token_ids), uniforms(key, contexts, tokens))


def create(options: Mapping[str, str]) -> EngineGumbel:
    """Plugin factory. Option: ``context_width`` (1 to 64, default 4), as the server's.

    Raises:
        ConfigError: an unknown option, or a width out of range.
    """
    width = read_width(options)
    words = "int.to_bytes(8, 'little') of the server's key"
    return EngineGumbel(
        f"vllm-gumbel-w{width}",
        width,
        (KEY_BYTES,),
        words,
        lambda ids, key, width: detect(ids, int.from_bytes(key, "little"), width),
    )
