"""Keyed pseudo-random sequences: HKDF-SHA-256 (RFC 5869) for keys, SHAKE-256 (FIPS 202) for the streams.

Everything a mark spreads its payload over comes from here. Only hashes are used, never a numpy bit generator, so a
sequence is the same on every platform and every library version, for as long as a marked file may live.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe.core.errors import KeyError_

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEY_BYTES: Final = 32  # 256 bits, the output of the hash: RFC 5869 asks for no more
_DOMAIN: Final = b"gensafe/watermark/v1"


def check_key(key: bytes) -> bytes:
    """Return ``key`` if it is usable.

    Raises:
        KeyError_: not exactly KEY_BYTES bytes.
    """
    if not isinstance(key, bytes) or len(key) != KEY_BYTES:
        raise KeyError_(f"a watermark key has {KEY_BYTES} bytes", field="key")
    return key


def hkdf(key: bytes, info: bytes, length: int = 32, salt: bytes = b"") -> bytes:
    """HKDF-SHA-256 (RFC 5869): ``length`` bytes (at most 8160) bound to ``info``."""
    if not 0 < length <= 255 * 32:
        raise ValueError("HKDF-SHA-256 gives 1 to 8160 bytes")
    pseudo_random_key = hmac.digest(salt or bytes(32), key, "sha256")
    block, out = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.digest(pseudo_random_key, block + info + bytes([counter]), "sha256")
        out += block
    return out[:length]


@lru_cache(maxsize=256)
def derive(key: bytes, *labels: str) -> bytes:
    """A 32-byte sub-key for one purpose, e.g. ``derive(key, "mac", "image")``.

    Labels are length-prefixed, so no two label tuples collide.

    Raises:
        KeyError_: ``key`` is not KEY_BYTES bytes.
    """
    parts = [label.encode() for label in labels]
    return hkdf(check_key(key), b"".join(len(p).to_bytes(2, "big") + p for p in parts), salt=_DOMAIN)


def epoch_key(master: bytes, epoch: int) -> bytes:
    """The 32-byte key of one of 16 key epochs of a master key; the payload carries the epoch in its first 4 bits.

    Rotating epochs bounds how many media share one pattern (see docs/watermark-image.md, collusion).
    """
    if not 0 <= epoch < 16:
        raise ValueError("an epoch has 4 bits")
    return derive(master, "epoch", str(epoch))


def stream(key: bytes, length: int, *labels: str) -> bytes:
    """``length`` pseudo-random bytes under ``key`` for ``labels``."""
    return hashlib.shake_256(derive(key, *labels)).digest(length)


def bits(key: bytes, count: int, *labels: str) -> NDArray[np.uint8]:
    """(count,) pseudo-random bits as uint8 0/1."""
    raw = np.frombuffer(stream(key, -(-count // 8), *labels), np.uint8)
    return np.unpackbits(raw)[:count]


def signs(key: bytes, shape: tuple[int, ...], *labels: str) -> NDArray[np.float32]:
    """``shape`` pseudo-random signs as float32 -1/+1."""
    count = int(np.prod(shape))
    return (1.0 - 2.0 * bits(key, count, *labels).astype(np.float32)).reshape(shape)


def integers(key: bytes, count: int, *labels: str) -> NDArray[np.uint64]:
    """(count,) pseudo-random 64-bit integers."""
    return np.frombuffer(stream(key, 8 * count, *labels), "<u8").astype(np.uint64)


def permutation(key: bytes, count: int, *labels: str) -> NDArray[np.intp]:
    """A pseudo-random permutation of ``range(count)`` (ranks of 64-bit draws; a tie has probability < count^2/2^65)."""
    return np.argsort(integers(key, count, *labels), kind="stable")
