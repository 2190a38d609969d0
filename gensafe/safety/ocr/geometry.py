"""From the detector's probability map to rotated boxes (differentiable binarisation, Liao et al., AAAI 2020)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

MAP_THRESHOLD: Final = 0.3  # probability; PaddleOCR's default (``det_db_thresh``)
BOX_THRESHOLD: Final = 0.5  # mean probability in a box; RapidOCR's default for these models (``box_thresh``)
UNCLIP: Final = 1.6  # growth of a box: area times this over perimeter; RapidOCR's default (``unclip_ratio``)
MIN_SIDE: Final = 3.0  # pixels of the map; PaddleOCR's ``min_size``
MAX_BOXES: Final = 300  # of one tile, so that a picture full of texture ends; a round number, not measured


def boxes_from_map(probability: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Text boxes in a probability map.

    Args:
        probability: (H, W) in 0..1.

    Returns:
        Up to 300 boxes of (4, 2) corners x, y: top left, top right, bottom right, bottom left of the text as it is
        read.
    """
    mask = ndimage.binary_dilation(probability > MAP_THRESHOLD, structure=np.ones((2, 2), bool))
    labels, count = ndimage.label(mask, structure=np.ones((3, 3), int))
    found: list[NDArray[np.float32]] = []
    for index, region in enumerate(ndimage.find_objects(labels), 1):
        if region is None or len(found) >= MAX_BOXES:
            continue
        inside = labels[region] == index
        if float(probability[region][inside].mean()) < BOX_THRESHOLD:
            continue
        rows, columns = np.nonzero(inside)
        points = np.stack([columns + region[1].start, rows + region[0].start], axis=1).astype(np.float32)
        corners = smallest_rectangle(points)
        sides = np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[3] - corners[0])
        if min(sides) < MIN_SIDE:
            continue
        found.append(unclip(corners))
    return found if count else []


def smallest_rectangle(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rectangle of least area around (n, 2) points, as four corners in reading order.

    One side of it lies on an edge of the convex hull (Freeman and Shapira 1975). Pixels count as unit squares.
    """
    spread = np.concatenate([points + offset for offset in ((0, 0), (1, 0), (0, 1), (1, 1))])
    try:
        hull = spread[ConvexHull(spread).vertices]
    except QhullError:
        hull = spread
    edges = np.diff(np.vstack([hull, hull[:1]]), axis=0)
    angles = np.unique(np.round(np.arctan2(edges[:, 1], edges[:, 0]) % (np.pi / 2), 4))
    best: tuple[float, NDArray[np.float32]] | None = None
    for angle in angles:
        axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
        turned = hull @ axes.T
        low, high = turned.min(axis=0), turned.max(axis=0)
        area = float(np.prod(high - low))
        if best is None or area < best[0] - 1e-6:
            square = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]], np.float32)
            best = area, (square @ axes).astype(np.float32)
    assert best is not None
    return reading_order(best[1])


def reading_order(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """Top left, top right, bottom right, bottom left; the first edge is the longer one that points right.

    A box more than 1.5 times as high as wide holds a vertical line; it is turned so that it reads left to right.
    """
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left = by_x[:2][np.argsort(by_x[:2, 1])]
    right = by_x[2:][np.argsort(by_x[2:, 1])]
    ordered = np.array([left[0], right[0], right[1], left[1]], np.float32)
    width, height = np.linalg.norm(ordered[1] - ordered[0]), np.linalg.norm(ordered[3] - ordered[0])
    return np.roll(ordered, -1, axis=0) if height > 1.5 * width else ordered


def unclip(corners: NDArray[np.float32], ratio: float = UNCLIP) -> NDArray[np.float32]:
    """Grow a rectangle on all sides by area * ratio / perimeter: the detector is trained on shrunken boxes."""
    along, down = corners[1] - corners[0], corners[3] - corners[0]
    width, height = float(np.linalg.norm(along)), float(np.linalg.norm(down))
    grow = width * height * ratio / (2 * (width + height))
    u, v = along / max(width, 1e-6) * grow, down / max(height, 1e-6) * grow
    return (corners + np.array([-u - v, u - v, u + v, v - u], np.float32)).astype(np.float32)
