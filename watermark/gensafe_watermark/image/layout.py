"""Sizes: how many tiles lie along the short side, and at what resolution the detector works."""

from __future__ import annotations

from typing import Final

MIN_SIDE: Final = 96
"""Pictures whose short side is under this are refused."""

# (short side up to, tiles along it): by trial on the tuning pictures; marked files depend on it
_PICTURE: Final = ((200, 1), (300, 2), (720, 4), (1 << 30, 6))
_FILM: Final = ((200, 1), (300, 2), (720, 3), (1 << 30, 6))  # wider waves: coders of films drop fine detail first
_WORKING_SIDE: Final = 400  # the detector reduces larger pictures by a whole factor towards this short side


def tile_count(short_side: int, medium: str = "image") -> int:
    """Tiles along a short side of so many pixels: a tile stays wide enough for its finest wave to survive encoding."""
    return next(count for limit, count in _limits(medium) if short_side < limit)


def tile_counts(medium: str = "image") -> tuple[int, ...]:
    """All tile counts the embedder chooses between; the detector's nominal step tries each."""
    return tuple(count for _, count in _limits(medium))


def _limits(medium: str) -> tuple[tuple[int, int], ...]:
    return _FILM if medium == "video" else _PICTURE


def reduction(short_side: int, tiles: int = 4) -> int:
    """Whole factor by which pictures are reduced before analysis; keeps three pixels in the mark's finest wave."""
    return max(1, min(short_side // _WORKING_SIDE, int(short_side / tiles / 62)))
