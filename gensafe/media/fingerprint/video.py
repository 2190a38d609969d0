"""Video fingerprints: the picture layout and the PDQ hash of frames taken at fixed times, aligned by offset.

A frame is taken every 0.25 s; above 64 frames the step doubles until they fit. PDQ per frame follows vPDQ (Meta,
ThreatExchange); the layout carries plain clips, in which PDQ's quality is too low. Sound is not part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.media.fingerprint.image import (
    PDQ_QUALITY_MIN,
    layout,
    layout_similarity,
    pdq,
    pdq_distance,
)

VPDQ: Final = "vpdq"
VLAYOUT: Final = "vlayout-8"
STEP_S: Final = 0.25
_FRAMES_MAX: Final = 64
_GRID: Final = 8
_PDQ_ZERO: Final = 104.0


def fingerprint_video(frames: NDArray[np.uint8], fps: float) -> dict[str, str]:
    """Fingerprint (n, H, W, 3) frames at ``fps``.

    Returns:
        ``vlayout-8``: one byte e (a frame each 0.25 s * 2**e), then 8 x 8 x 3 bytes a frame.
        ``vpdq``: 33 bytes a frame, hash and quality.
    """
    exponent = 0
    seconds = len(frames) / fps
    while seconds / (STEP_S * 2**exponent) > _FRAMES_MAX:
        exponent += 1
    step = STEP_S * 2**exponent
    chosen = [min(len(frames) - 1, int((i + 0.5) * step * fps)) for i in range(max(1, round(seconds / step)))]
    layouts, hashes = b"", b""
    for index in chosen:
        digest, quality = pdq(frames[index])
        hashes += digest.tobytes() + bytes([quality])
        layouts += layout(frames[index], _GRID).tobytes()
    return {VLAYOUT: f"{exponent:02x}" + layouts.hex(), VPDQ: hashes.hex()}


def similarity_video(a: Mapping[str, str], b: Mapping[str, str]) -> float:
    """0..1: the mean over the frames of the best alignment that covers at least half of the shorter one."""
    (grid_a, hash_a), (grid_b, hash_b) = _common_step(a, b)
    shorter = min(len(grid_a), len(grid_b))
    best = 0.0
    for offset in range(-(len(grid_b) - 1), len(grid_a)):
        first, last = max(0, offset), min(len(grid_a), offset + len(grid_b))
        if last - first < max(1, (shorter + 1) // 2):
            continue
        scores = [
            _frame_similarity(grid_a[i], hash_a[i], grid_b[i - offset], hash_b[i - offset]) for i in range(first, last)
        ]
        best = max(best, float(np.mean(scores)))
        if best > 0.95:
            break
    return best


def _frame_similarity(
    one: NDArray[np.uint8], hash_one: NDArray[np.uint8], two: NDArray[np.uint8], hash_two: NDArray[np.uint8]
) -> float:
    score = layout_similarity(one, two)
    if min(int(hash_one[32]), int(hash_two[32])) >= PDQ_QUALITY_MIN and layout_similarity(one, two, 128.0) > 0:
        score = max(score, 1.0 - pdq_distance(hash_one[:32], hash_two[:32]) / _PDQ_ZERO)
    return score


def _common_step(a: Mapping[str, str], b: Mapping[str, str]) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Both as (n, 8, 8, 3) layouts and (n, 33) hashes, the finer one thinned out to the coarser one's step."""
    parsed = []
    for entry in (a, b):
        raw = bytes.fromhex(entry[VLAYOUT])
        grids = np.frombuffer(raw[1:], np.uint8).reshape(-1, _GRID, _GRID, 3)
        parsed.append((raw[0], grids, np.frombuffer(bytes.fromhex(entry[VPDQ]), np.uint8).reshape(-1, 33)))
    coarse = max(p[0] for p in parsed)
    thinned = []
    for exponent, grids, hashes in parsed:
        stride = 2 ** (coarse - exponent)
        thinned.append((grids[stride // 2 :: stride], hashes[stride // 2 :: stride]))
    return thinned
