"""Text fingerprint: MinHash over word shingles (Broder 1997), 128 values.

Words are compared after NFKC, case folding and removal of invisible characters and punctuation, so that quoting, line
breaks and marks carried in invisible characters do not matter. Scripts without spaces are cut into characters.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

MINHASH: Final = "minhash-128"
SHINGLE: Final = 3  # words; few enough for short texts, enough that common pairs do not match. Chosen, not measured
_COUNT: Final = 128  # values: a similarity is off by about 1/sqrt(128) = 0.09 (Broder 1997)
_UNSPACED: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e00-\u0e7f"
_WORDS: Final = re.compile(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+")


def words(text: str) -> list[str]:
    """The normalised words of ``text``."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    visible = "".join(c for c in plain if unicodedata.category(c) not in ("Cf", "Mn", "Cc") or c in "\n\t\r ")
    return _WORDS.findall(visible)


def fingerprint_text(text: str) -> dict[str, str]:
    """``minhash-128``: 128 big-endian 32-bit minima; all ones for a text without words."""
    found = words(text)
    size = min(SHINGLE, max(1, len(found)))
    shingles = {" ".join(found[i : i + size]) for i in range(len(found) - size + 1)} if found else set()
    if not shingles:
        return {MINHASH: "ff" * (4 * _COUNT)}
    hashes = np.array(
        [int.from_bytes(hashlib.blake2b(s.encode(), digest_size=8).digest(), "big") for s in sorted(shingles)],
        np.uint64,
    )
    factors, offsets = _permutations()
    minima = np.full(_COUNT, np.iinfo(np.uint32).max, np.uint32)
    for first in range(0, hashes.size, 4096):  # in blocks: memory stays small for long texts
        block = hashes[first : first + 4096]
        mixed = (factors[:, None] * block[None, :] + offsets[:, None]) >> np.uint64(32)
        minima = np.minimum(minima, mixed.min(axis=1).astype(np.uint32))
    return {MINHASH: minima.astype(">u4").tobytes().hex()}


@cache
def _permutations() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Multiply-shift hashing (Dietzfelbinger et al. 1997): odd factors and offsets, fixed permanently."""
    stream = hashlib.shake_256(b"gensafe minhash-128 v1").digest(16 * _COUNT)
    values = np.frombuffer(stream, ">u8").astype(np.uint64)
    return values[:_COUNT] | np.uint64(1), values[_COUNT:]


def similarity_text(a: Mapping[str, str], b: Mapping[str, str]) -> float:
    """Estimated Jaccard similarity of the shingle sets, standard error at most 0.045; 0 if either has no words."""
    one, two = (np.frombuffer(bytes.fromhex(f[MINHASH]), ">u4") for f in (a, b))
    nothing = np.uint32(0xFFFFFFFF)
    if (one == nothing).all() or (two == nothing).all():
        return 0.0
    return float((one == two).mean())
