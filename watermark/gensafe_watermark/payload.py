"""The payload every medium carries: 56 payload bits, authenticated and encrypted, in a polar code.

    payload (4-bit version / key epoch, 52-bit record id)
      -> tag = first 40 bits of HMAC-SHA-256(mac key, medium, payload)
      -> block = (payload XOR SHAKE-256(cipher key, tag)), tag          96 bits, deterministic authenticated encryption
      -> polar code (N, 96), N = 512 by default                         list-decoded, the tag is the outer check
      -> XOR a keyed whitening sequence                                 N coded bits

Encrypting under the tag (the SIV construction, Rogaway and Shrimpton 2006) makes every coded bit depend on the
record, so nothing constant is left that averaging many marked media could bring out. Keys are separated by purpose and
medium with HKDF, so a tag from a picture never verifies in a sound. A wrong word passes the 40-bit check with
probability 2^-40 per candidate; ``statistics.p_value`` turns the candidates tried into the bound a detector reports.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe.core.types import PAYLOAD_BYTES
from gensafe_watermark import polar, prf

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAC_BITS: Final = 40  # a wrong word passes with 2^-40 for each candidate, see above; files depend on it
MAC_BYTES: Final = MAC_BITS // 8  # bytes
BLOCK_BITS: Final = 8 * PAYLOAD_BYTES + MAC_BITS  # 56 + 40 = 96
CODED_BITS: Final = 512  # rate 96/512, 0.19; a power of two, as polar codes are. Files depend on it
LIST_SIZE: Final = 8  # words kept: a trade of time for errors (Tal and Vardy, see ``polar``); not measured alone


@dataclass(frozen=True, slots=True)
class Decoded:
    """An authenticated payload. ``rank`` is its place in the decoder's list, ``candidates`` how many were checked."""

    payload: bytes
    rank: int
    candidates: int


def epoch_of(payload: bytes) -> int:
    """The 4-bit version / key epoch of a payload."""
    return payload[0] >> 4


def encode(payload: bytes, key: bytes, medium: str, length: int = CODED_BITS) -> NDArray[np.uint8]:
    """Encode a payload into coded bits.

    Args:
        payload: PAYLOAD_BYTES bytes.
        key: 32-byte watermark key.
        medium: "image", "audio" or "video"; a payload decodes only under the medium it was made for.
        length: N, a power of two of at least 128.

    Returns:
        (length,) uint8 of 0/1.

    Raises:
        KeyError_: the key is not 32 bytes.
        ValueError: wrong payload size or length.
    """
    block = _seal(payload, key, medium)
    coded = polar.encode(np.unpackbits(np.frombuffer(block, np.uint8)), length)
    return coded ^ _whitening(key, medium, length)


def decode(llr: NDArray[np.float32], key: bytes, medium: str, list_size: int = LIST_SIZE) -> Decoded | None:
    """Decode one word; see ``decode_many``."""
    return decode_many(np.asarray(llr, np.float32)[None], key, medium, list_size)[0]


def decode_many(llrs: NDArray[np.float32], key: bytes, medium: str, list_size: int = LIST_SIZE) -> list[Decoded | None]:
    """Decode a batch of words (far cheaper per word than one at a time).

    Args:
        llrs: (batch, N) float32, positive = coded bit 0; any common scale. Non-finite values count as erasures.
        key: 32-byte watermark key.
        medium: as at ``encode``.
        list_size: candidates per word; each counts as one attempt at the 40-bit check.

    Returns:
        One entry per word: the authenticated payload, or None.
    """
    soft: NDArray[np.float32] = np.nan_to_num(np.asarray(llrs, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if len(soft) == 0:
        return []
    # 1. a common scale per word, so that metrics cannot overflow; 2. undo the whitening
    scale = np.abs(soft).mean(axis=1, keepdims=True)
    sign = 1 - 2 * _whitening(key, medium, soft.shape[1]).astype(np.float32)
    soft = np.asarray(soft / np.where(scale > 0, scale, 1) * sign, np.float32)
    # 3. list decoding; 4. the first candidate whose tag holds
    blocks = np.packbits(polar.decode(soft, BLOCK_BITS, list_size).bits, axis=-1)
    found: list[Decoded | None] = []
    for word, level in zip(blocks, scale[:, 0], strict=True):
        opened = [_open(candidate.tobytes(), key, medium) for candidate in word] if level > 0 else []
        hit = next(((rank, payload) for rank, payload in enumerate(opened) if payload is not None), None)
        found.append(None if hit is None else Decoded(hit[1], hit[0], list_size))
    return found


def _tag(payload: bytes, key: bytes, medium: str) -> bytes:
    return hmac.digest(prf.derive(key, "mac", medium), payload, "sha256")[:MAC_BYTES]


def _mask(tag: bytes, key: bytes, medium: str) -> bytes:
    return hashlib.shake_256(prf.derive(key, "cipher", medium) + tag).digest(PAYLOAD_BYTES)


def _seal(payload: bytes, key: bytes, medium: str) -> bytes:
    if len(payload) != PAYLOAD_BYTES:
        raise ValueError(f"a payload has {PAYLOAD_BYTES} bytes, not {len(payload)}")
    tag = _tag(payload, key, medium)
    return bytes(a ^ b for a, b in zip(payload, _mask(tag, key, medium), strict=True)) + tag


def _open(block: bytes, key: bytes, medium: str) -> bytes | None:
    body, tag = block[:PAYLOAD_BYTES], block[PAYLOAD_BYTES:]
    payload = bytes(a ^ b for a, b in zip(body, _mask(tag, key, medium), strict=True))
    return payload if hmac.compare_digest(tag, _tag(payload, key, medium)) else None


def _whitening(key: bytes, medium: str, length: int) -> NDArray[np.uint8]:
    return prf.bits(key, length, "whitening", medium)
