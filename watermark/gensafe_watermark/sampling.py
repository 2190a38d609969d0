"""Distortion-free keyed sampling: the Gumbel-max mark (Aaronson 2022; exact test as in Fernandez et al. 2023).

For every context of the last ``h`` token ids a keyed function gives each token ``v`` a number ``r_v`` in (0, 1), and
the sampler takes ``argmax r_v ** (1 / p_v)``. Over a random key that token is distributed exactly as ``p``, so a reader
sees ordinary samples, while a holder of the key sees that the chosen tokens have large ``r``.

The keyed function is BLAKE2b(key, context) -> key of a Philox4x64-10 counter generator, whose counter is the token id.
Counters make one token's number cheap to find again without drawing the others, whatever the vocabulary size, and the
second counter word separates up to 2**64 key ids (``key_shift``) under one key. BLAKE2b is what keeps the key secret:
Philox only expands one context's 128-bit key, and contexts do not share one.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import InvalidRequest
from gensafe_watermark import prf

KEY_IDS = 16  # what four bits of key epoch can name
MAX_CONTEXT = 8  # tokens; a longer context is lost by any edit near by, and the paper uses 2 to 4. A round number
_PERSON = b"gensafe-gumbel"
_M0, _M1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)  # Salmon et al. 2011, table 2
# Weyl constants of Philox4x64: golden ratio and sqrt(3) - 1 (Salmon et al. 2011)
_W0, _W1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
# the lower half of 64 bits, and its width: 64 x 64 -> 128 bits by halves
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_ROUNDS = 10  # Philox4x64-10: Salmon et al. 2011, with a margin over the 7 that pass every test


def check_parameters(key: bytes, h: int, key_shift: int = 0) -> None:
    """Reject a key, context length or key id that the scheme does not define.

    Raises:
        KeyError_: ``key`` is not 32 bytes.
        InvalidRequest: ``h`` is not 1..8, or ``key_shift`` not 0..15.
    """
    prf.check_key(key)
    if not 1 <= h <= MAX_CONTEXT:
        # h = 0 gives every position the same numbers: p-values break and the text degenerates (TextSeal, 2025)
        raise InvalidRequest(f"context length must be 1..{MAX_CONTEXT}", field="h")
    if not 0 <= key_shift < KEY_IDS:
        raise InvalidRequest(f"key id must be 0..{KEY_IDS - 1}", field="key_shift")


def sampling_key(key: bytes) -> bytes:
    """The 32-byte sub-key that contexts are hashed under."""
    return prf.derive(key, "gumbel", "text")


def context_key(key: bytes, context: Sequence[int]) -> tuple[int, int]:
    """The 128-bit Philox key of one context under a ``sampling_key``, as two 64-bit words."""
    data = struct.pack(f"<{len(context)}Q", *context)
    digest = hashlib.blake2b(data, key=key, digest_size=16, person=_PERSON).digest()
    low, high = struct.unpack("<2Q", digest)
    return low, high


def _multiply(a: NDArray[np.uint64], b: np.uint64) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """High and low words of the 128-bit product, from 32-bit halves."""
    al, ah = a & _LOW, a >> _HALF
    bl, bh = b & _LOW, b >> _HALF
    low = al * bl
    cross = ah * bl + (low >> _HALF)
    middle = al * bh + (cross & _LOW)
    return ah * bh + (cross >> _HALF) + (middle >> _HALF), a * b


def _to_unit(raw: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Top 53 bits to the open interval (0, 1): neither log(r) nor log(1 - r) can be infinite."""
    unit: NDArray[np.float64] = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return unit


def uniforms_at(keys: NDArray[np.uint64], tokens: NDArray[np.int64], shifts: NDArray[np.uint64]) -> NDArray[np.float64]:
    """``r`` of one token per context, for every key id.

    Args:
        keys: (n, 2) Philox keys from ``context_key``.
        tokens: (n,) token ids, >= 0.
        shifts: (m,) key ids.

    Returns:
        (m, n) float64 in (0, 1); equal to what ``Draws`` gives at those tokens.
    """
    token = tokens.astype(np.uint64)
    shape = (len(shifts), len(token))
    # numpy's generator steps its counter before the first block, hence the 1
    c0 = np.broadcast_to((token >> np.uint64(2)) + np.uint64(1), shape)
    c1 = np.broadcast_to(shifts.astype(np.uint64)[:, None], shape)
    c2 = c3 = np.zeros(shape, np.uint64)
    k0, k1 = keys[:, 0].copy(), keys[:, 1].copy()
    for _ in range(_ROUNDS):
        h0, l0 = _multiply(c0, _M0)
        h1, l1 = _multiply(c2, _M1)
        c0, c1, c2, c3 = h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0
        k0, k1 = k0 + _W0, k1 + _W1
    lane = np.broadcast_to(token & np.uint64(3), shape)
    return _to_unit(np.choose(lane.astype(np.intp), [c0, c1, c2, c3]))


class Draws:
    """``r`` of many tokens for one context at a time, under one key id.

    Args:
        key_shift: Key id.
    """

    def __init__(self, key_shift: int) -> None:
        self._generator = np.random.Philox(counter=np.array([0, key_shift, 0, 0], np.uint64), key=0)
        self._start: Any = self._generator.state  # setting it is a fifth of the cost of a new generator

    def __call__(self, key: tuple[int, int], tokens: NDArray[np.intp]) -> NDArray[np.float64]:
        """Numbers in (0, 1) of the ascending ``tokens`` under a context's Philox key, of the same shape."""
        self._start["state"]["key"] = np.array(key, np.uint64)
        self._generator.state = self._start
        return _to_unit(self._generator.random_raw(int(tokens[-1]) + 1)[tokens])


class GumbelMark:
    """The sampling mark of *one* text; implements ``gensafe.core.ports.SamplingMark``.

    A context that this text has already used is sampled freely (``choose`` returns None): choosing again with the same
    numbers would repeat the same token and distort the text. Make a new instance for every text.

    Args:
        key: 32 secret bytes.
        h: Context length in tokens. 3 for prose; 1 or 2 for code, where edits are frequent and repeats harmless.
        key_shift: Key id 0..15, found again by the detector.
    """

    def __init__(self, key: bytes, h: int = 3, key_shift: int = 0) -> None:
        check_parameters(key, h, key_shift)
        self._key, self._h, self._draws = sampling_key(key), h, Draws(key_shift)
        self._seen: set[tuple[int, ...]] = set()
        self.scheme = f"gumbel-h{h}"
        self.key_id = str(key_shift)
        self.chosen = 0  # tokens picked by the key; the rest were sampled freely or had one candidate only

    def resume(self, text: Sequence[int]) -> None:
        """Go on with a text that another instance began: its contexts count as used."""
        self._seen |= {tuple(map(int, text[i : i + self._h])) for i in range(len(text) - self._h + 1)}

    def choose(self, context: Sequence[int], probabilities: NDArray[np.float64]) -> int | None:
        """Pick the next token id, or None to sample freely (context too short, or used before in this text).

        Args:
            context: Token ids of this text so far, oldest first.
            probabilities: (vocabulary,) sums to 1; zeros are never picked.

        Raises:
            InvalidRequest: no token has a probability above 0.
        """
        weights = np.asarray(probabilities, np.float64)
        candidates = (weights > 0).nonzero()[0]
        if not len(candidates):
            raise InvalidRequest("no token has a probability above 0", field="probabilities")
        if len(candidates) == 1:
            return int(candidates[0])  # nothing is drawn, so the context stays unused
        if len(context) < self._h:
            return None
        window = tuple(map(int, context[-self._h :]))
        if window in self._seen:
            return None
        self._seen.add(window)
        self.chosen += 1
        r = self._draws(context_key(self._key, window), candidates)
        # argmax r ** (1/p) = argmax log(r) / p, which does not underflow
        return int(candidates[np.argmax(np.log(r) / weights[candidates])])
