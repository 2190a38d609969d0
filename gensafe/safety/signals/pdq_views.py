"""PDQ hashes of a picture as it may have been turned, mirrored or cropped.

PDQ is linear up to its last step, the comparison with the median: the picture is smoothed and sampled to 64 x 64
points, of which 16 x 16 cosine coefficients are taken (Facebook, "PDQ & TMK + PDQF", 2019). So the coefficients of any
window of a picture are one pair of small matrices away, and hundreds of windows cost a few milliseconds. That is how a
cropped copy is found:

1. *As the rest of a larger picture.* For each way in which up to 10 % of the width and the height may have been cut off
   the four edges, the picture is put back in its place, what is missing is filled by reflection, and the whole is
   hashed. Needs nothing but the hash of the whole picture on the list; about a fifth of what is compared is
   guesswork, so the distance is larger than between true copies (see ``CROP_BITS``).
2. *By what is left in any case.* A crop of up to 10 % leaves the middle 80 % whole. Lists made from the pictures
   themselves (``listing_hashes``) hold its hash, and here it is cut out of the picture at each place where it may be.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import pdqhash
from numpy.typing import NDArray

from gensafe.media.shrink import brightness, shrink, shrink_grey

CROPS: Final = tuple(round(0.025 * i, 3) for i in range(1, 9))  # share of each side cut off in all: 2.5 % .. 20 %
CROP_BITS: Final = 47  # the nearest of 200 unrelated photographs to any of these views was 74 bits away
_CUTS: Final = (0.0, 0.025, 0.05, 0.075, 0.1)  # shares cut off one edge that are tried; two edges together: up to 10 %
_MIDDLE: Final = 0.1  # of each side: what a crop of up to 10 % may have cut off, see step 2
_GRID: Final = 256  # the picture is squashed to this side first: four points for each that PDQ samples
_SAMPLES: Final = 64  # points a side that PDQ samples
_SIGNS: Final = (-1.0) ** np.arange(1, 17)  # mirroring changes the sign of every other cosine coefficient


def pdq(pixels: NDArray[np.uint8]) -> tuple[bytes, int]:
    """PDQ hash (32 bytes) and quality (0..100) of uint8 (H, W, 3) pixels."""
    bits, quality = pdqhash.compute(np.ascontiguousarray(pixels))
    return np.packbits(bits.astype(np.uint8)).tobytes(), int(quality)


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
            digest, found = pdq(np.rot90(mirrored, turns))
            hashes.append(digest)
            quality = found if len(hashes) == 1 else quality
    return hashes, quality


def crop_hashes(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Hashes of what the picture may have been before it was cropped by up to 10 %, and of what a crop leaves of it.

    Args:
        pixels: uint8 (H, W, 3).

    Returns:
        uint8 (3600, 32): 15 x 15 ways to cut the four edges, two hypotheses each (see above), in eight turns and mirror
        images. Within a few bits of what PDQ gives for the same window; about 60 ms.
    """
    grey = shrink_grey(brightness(pixels), _GRID, _GRID).astype(np.float64)
    found = []
    for matrix in _window_matrices():
        count = len(matrix) // 16
        blocks = (matrix @ grey @ matrix.T).reshape(count, 16, count, 16).transpose(0, 2, 1, 3).reshape(-1, 16, 16)
        for turned in (blocks, blocks.transpose(0, 2, 1)):
            for rows in (1.0, _SIGNS[:, None]):
                for columns in (1.0, _SIGNS[None]):
                    found.append(_hash(turned * rows * columns))
    return np.concatenate(found)


def listing_hashes(pixels: NDArray[np.uint8]) -> list[str]:
    """Hashes to put on a list for a picture one holds: whole, at half size, and centre crops by 2.5 % up to 20 %.

    A cropped copy is then found with certainty rather than likelihood: the last of these is what any crop of up to 10 %
    leaves whole, and ``crop_hashes`` looks for it.

    Args:
        pixels: uint8 (H, W, 3).

    Returns:
        10 hashes of 64 hex digits.
    """
    height, width = pixels.shape[:2]
    views = [shrink(pixels[None], max(1, height // 2), max(1, width // 2))[0]]
    for share in (0.0, *CROPS):
        top, left = round(height * share / 2), round(width * share / 2)
        views.append(pixels[top : height - top, left : width - left])
    return [pdq(view)[0].hex() for view in views]


def _hash(coefficients: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(n, 16, 16) coefficients to uint8 (n, 32), in pdqhash's order of bits."""
    flat = coefficients.reshape(-1, 256)
    median = np.partition(flat, 127, axis=1)[:, 127:128]
    return np.packbits((flat > median)[:, ::-1], axis=1)


@cache
def _window_matrices() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two (15 * 16, _GRID) matrices, one block of 16 rows for each (cut before, cut after): whole, and middle."""
    cuts = [(a, b) for a in _CUTS for b in _CUTS if a + b <= _CUTS[-1] + 1e-9]
    whole, middle = [], []
    for before, after in cuts:
        left = 1 - before - after
        whole.append(_coefficients(-before / left, 1 + after / left))
        middle.append(_coefficients((_MIDDLE - before) / left, (1 - _MIDDLE - before) / left))
    return np.concatenate(whole), np.concatenate(middle)


def _coefficients(start: float, end: float) -> NDArray[np.float64]:
    """(16, _GRID): PDQ's smoothing, sampling and cosine transform along one side of the window [start, end).

    The side of the picture is [0, 1); beyond it the picture is reflected. The smoothing is PDQ's Jarosz filter, twice a
    box of 1/128 of the side, which comes to a triangle.
    """
    radius = (end - start) / 128
    points = start + (np.arange(_SAMPLES) + 0.5) / _SAMPLES * (end - start)
    offsets = (np.arange(-8, 8) + 0.5) / 8 * radius
    places = points[:, None] + offsets
    weights = np.where((places >= start) & (places <= end), 1 - np.abs(offsets) / radius, 0.0)
    places = np.abs(places)
    places = np.where(places > 1, 2 - places, places)
    cells = np.clip((places * _GRID).astype(int), 0, _GRID - 1)
    samples = np.zeros((_SAMPLES, _GRID))
    np.add.at(samples, (np.arange(_SAMPLES)[:, None], cells), weights)
    samples /= samples.sum(axis=1, keepdims=True)
    frequency, at = np.arange(1, 17)[:, None], np.arange(_SAMPLES)[None]
    cosines = np.sqrt(2 / _SAMPLES) * np.cos(np.pi / (2 * _SAMPLES) * frequency * (2 * at + 1))
    found: NDArray[np.float64] = cosines @ samples
    return found
