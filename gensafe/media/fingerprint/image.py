"""Picture fingerprints: PDQ (structure, 256 bits) beside a 16 x 16 colour layout.

PDQ (Facebook, "PDQ & TMK + PDQF", 2019) sees luminance structure only, and little of it in a plain drawing: a red and
a blue disc at one place are the same to it. The layout is a thumbnail of mean colours: it tells those apart, and
carries the comparison when PDQ's own quality says the picture is too plain. Where the picture was cropped, the layout
is searched for in the other one's crops.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

import numpy as np
import pdqhash
from numpy.typing import NDArray

from gensafe.media.fingerprint.detail import areas, detail, odd_tiles
from gensafe.media.fingerprint.parts import Part
from gensafe.media.fingerprint.resize import area_resize, weights

PDQ: Final = "pdq-256"
LAYOUT: Final = "layout-16"
TILES: Final = "tiles-32"  # since 1.0; older entries lack it
TILE_GRID: Final = 32  # tiles a side: 1,024 in all, the grid that detail's bounds were chosen at
GRID: Final = 16  # cells a side; chosen by the author, not measured against other numbers
PDQ_QUALITY_MIN: Final = 50  # below it PDQ's authors advise not to match (ThreatExchange pdq/README)
_PDQ_ZERO: Final = 104.0  # bits at which similarity is 0: unrelated photographs were never nearer than 102
_LAYOUT_ZERO: Final = 64.0  # levels of the most different cells at which similarity is 0
_CROP_ZERO: Final = 80.0  # as _LAYOUT_ZERO and wider, since a crop is found among many places. Chosen, not measured
_CROP_MARGIN: Final = 0.05  # a crop explains an uncropped edit no better: both leave it over
# cells a side in the search for a crop: coarser, so that the search is cheap. Chosen, not measured
_CROP_GRID: Final = 10
_CROPS: Final = (0.03, 0.06, 0.1, 0.15, 0.2, 0.25)  # shares of a side that a crop may take away; chosen, not measured
# where a crop may lie, as shares of the room that it leaves; chosen, not measured
_PLACES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)


def pdq(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """PDQ hash as 32 bytes, and its quality 0..100.

    Args:
        pixels: uint8 (H, W, 3).
    """
    bits, quality = pdqhash.compute(np.ascontiguousarray(pixels))
    return np.packbits(bits.astype(np.uint8)), int(quality)


def layout(pixels: NDArray[np.uint8], grid: int = GRID) -> NDArray[np.uint8]:
    """Mean colours of ``grid`` x ``grid`` cells: uint8 (grid, grid, 3), area-averaged for any picture size."""
    return np.rint(area_resize(pixels, grid, grid)).astype(np.uint8)


def fingerprint_image(pixels: NDArray[np.uint8]) -> dict[str, str]:
    """``pdq-256``: 64 hex digits and 2 of quality. ``layout-16``: 16 x 16 x 3 bytes. ``tiles-32``: see ``detail``."""
    digest, quality = pdq(pixels)
    return {
        PDQ: digest.tobytes().hex() + f"{quality:02x}",
        LAYOUT: layout(pixels).tobytes().hex(),
        TILES: detail(pixels, TILE_GRID).hex(),
    }


def odd_areas(known: Mapping[str, str], other: Mapping[str, str]) -> list[Part]:
    """Areas of ``other`` that are not those of ``known``; [] for a crop, where tiles are of other places."""
    if TILES not in known or TILES not in other:
        return []
    one, two = (np.frombuffer(bytes.fromhex(f[LAYOUT]), np.uint8).reshape(GRID, GRID, 3) for f in (known, other))
    cropped = max(crop_similarity(one, two), crop_similarity(two, one))
    if cropped >= 0.7 and cropped > _uncropped(one, two) + _CROP_MARGIN:
        return []
    return areas(odd_tiles(bytes.fromhex(known[TILES]), bytes.fromhex(other[TILES]), TILE_GRID))


def parse_pdq(text: str) -> tuple[NDArray[np.uint8], int]:
    """Inverse of the ``pdq-256`` entry: 32 bytes and the quality."""
    raw = bytes.fromhex(text)
    return np.frombuffer(raw[:32], np.uint8), raw[32]


def pdq_distance(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> int:
    """Hamming distance of two 32-byte hashes, 0..256."""
    return int(np.bitwise_count(one ^ two).sum())


def similarity_image(a: Mapping[str, str], b: Mapping[str, str]) -> float:
    """0..1; see ``MATCH_THRESHOLD``. 0.70 is PDQ distance 31, or the most different cells 19 levels apart."""
    one, two = (np.frombuffer(bytes.fromhex(f[LAYOUT]), np.uint8).reshape(GRID, GRID, 3) for f in (a, b))
    score = layout_similarity(one, two)
    (hash_a, quality_a), (hash_b, quality_b) = parse_pdq(a[PDQ]), parse_pdq(b[PDQ])
    if score < 0.7:
        score = max(score, crop_similarity(one, two), crop_similarity(two, one))
    if min(quality_a, quality_b) >= PDQ_QUALITY_MIN:
        structure = 1.0 - pdq_distance(hash_a, hash_b) / _PDQ_ZERO
        alike = layout_similarity(one, two, 2 * _LAYOUT_ZERO) > 0  # same structure in other colours is another picture
        score = max(score, structure if alike else 0.0)
    return float(max(0.0, score))


def layout_similarity(one: NDArray[np.uint8], two: NDArray[np.uint8], zero: float = _LAYOUT_ZERO) -> float:
    """1 - D / zero, where D is the mean difference of the 5 % most different cells, in levels of 0..255."""
    gap = np.abs(one.astype(np.float32) - two.astype(np.float32)).max(axis=-1).reshape(-1)
    worst = np.sort(gap)[-max(1, gap.size // 20) :].mean()
    return max(0.0, 1.0 - float(worst) / zero)


def crop_similarity(whole: NDArray[np.uint8], part: NDArray[np.uint8]) -> float:
    """How well ``part`` agrees with the best of 150 crops (3 to 25 % of each side) of ``whole``; both are layouts."""
    full = weights(GRID, _CROP_GRID)
    wanted = np.einsum("yi,xj,ijc->yxc", full, full, part.astype(np.float32), optimize=True)
    best, count = np.inf, _CROP_GRID**2 // 10
    for windows in _crop_windows():
        rows = np.einsum("ayi,ijc->ayjc", windows, whole.astype(np.float32))
        cells = np.einsum("bxj,ayjc->abyxc", windows, rows)
        gaps = np.abs(cells - wanted).max(axis=-1).reshape(len(_PLACES) ** 2, -1)
        best = min(best, float(np.sort(gaps, axis=1)[:, -count:].mean(axis=1).min()))
    return max(0.0, 1.0 - best / _CROP_ZERO)


def _uncropped(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> float:
    """As ``crop_similarity``, without a crop: what a crop must explain better."""
    full = weights(GRID, _CROP_GRID)
    cells = np.einsum("yi,xj,ijc->yxc", full, full, one.astype(np.float32) - two.astype(np.float32), optimize=True)
    worst = np.sort(np.abs(cells).max(axis=-1).reshape(-1))[-(_CROP_GRID**2 // 10) :].mean()
    return max(0.0, 1.0 - float(worst) / _CROP_ZERO)


@cache
def _crop_windows() -> tuple[NDArray[np.float32], ...]:
    """For each crop: (places, crop grid, GRID) weights of the windows it can leave."""
    found = []
    for share in _CROPS:
        room, side = GRID * share, GRID * (1 - share)
        found.append(np.stack([weights(GRID, _CROP_GRID, room * p, room * p + side) for p in _PLACES]))
    return tuple(found)
