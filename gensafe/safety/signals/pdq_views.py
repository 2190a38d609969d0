"""PDQ hashes of a picture as it may have been turned, mirrored or cropped."""

from __future__ import annotations

from typing import Final

import numpy as np
import pdqhash
from numpy.typing import NDArray

from gensafe.media.shrink import shrink

CROPS: Final = tuple(round(0.025 * i, 3) for i in range(1, 9))  # share of each side cut off in all: 2.5 % .. 20 %


def dihedral_hashes(pixels: NDArray[np.uint8]) -> tuple[list[bytes], int]:
    """The hashes of the four turns and their mirror images, and the quality (0..100) of the picture as it stands.

    The picture itself is turned: PDQ's own shortcut, which permutes the cosine coefficients, is only near to it.

    Args:
        pixels: uint8 (H, W, 3).
    """
    hashes: list[bytes] = []
    quality = 0
    for mirrored in (pixels, pixels[:, ::-1]):
        for turns in range(4):
            bits, found = pdqhash.compute(np.ascontiguousarray(np.rot90(mirrored, turns)))
            hashes.append(np.packbits(bits.astype(np.uint8)).tobytes())
            quality = int(found) if len(hashes) == 1 else quality
    return hashes, quality


def listing_hashes(pixels: NDArray[np.uint8]) -> list[str]:
    """Hashes to put on a list for a picture one holds: whole, at half size, and centre crops by 2.5 % up to 20 %.

    A list of hashes alone cannot find cropped copies: PDQ changes by more than 31 bits at a crop of 5 %. Whoever holds
    the picture can list its crops too.
    """
    height, width = pixels.shape[:2]
    views = [shrink(pixels[None], max(1, height // 2), max(1, width // 2))[0]]
    for share in (0.0, *CROPS):
        top, left = round(height * share / 2), round(width * share / 2)
        views.append(pixels[top : height - top, left : width - left])
    hashes = (pdqhash.compute(np.ascontiguousarray(view))[0] for view in views)
    return [np.packbits(bits.astype(np.uint8)).tobytes().hex() for bits in hashes]
