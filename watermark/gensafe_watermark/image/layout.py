"""Sizes: how many tiles lie along the short side, and at what resolution the detector works."""

from __future__ import annotations

from typing import Final

MIN_SIDE: Final = 96
"""Pictures whose short side is under this are refused."""

TILES: Final = (1, 2, 4, 6)
"""Tiles along the short side that the embedder chooses between; the detector's nominal step tries all."""

_LIMITS: Final = ((200, 1), (300, 2), (720, 4))
_WORKING_SIDE: Final = 400  # the detector reduces larger pictures by a whole factor towards this short side


def tile_count(short_side: int) -> int:
    """Tiles along a short side of so many pixels: a tile stays wide enough for its finest wave to survive encoding."""
    return next((count for limit, count in _LIMITS if short_side < limit), TILES[-1])


def reduction(short_side: int, tiles: int = 4) -> int:
    """Whole factor by which pictures are reduced before analysis; keeps three pixels in the mark's finest wave."""
    return max(1, min(short_side // _WORKING_SIDE, int(short_side / tiles / 62)))
