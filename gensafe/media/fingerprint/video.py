"""Video fingerprints: the picture layout and the PDQ hash of frames taken at fixed times, aligned by offset.

A frame is taken every 0.25 s; above 64 frames the step doubles until they fit. PDQ per frame follows vPDQ (Meta,
ThreatExchange); the layout carries plain clips, in which PDQ's quality is too low. Beside them: the tiles of each such
frame, the extremes of coarse cells over all frames in between (a single odd frame shows there), and the sound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.types import Audio
from gensafe.media.fingerprint.audio import SPECTRUM, fingerprint_audio, odd_seconds, similarity_audio
from gensafe.media.fingerprint.detail import areas, detail, odd_tiles
from gensafe.media.fingerprint.image import (
    PDQ_QUALITY_MIN,
    layout,
    layout_similarity,
    pdq,
    pdq_distance,
)
from gensafe.media.fingerprint.parts import Part, spans

VPDQ: Final = "vpdq"
VLAYOUT: Final = "vlayout-8"
STEP_S: Final = 0.25  # seconds between frames; vPDQ takes one a second, clips here are short. Chosen, not measured
_FRAMES_MAX: Final = 64  # 16 s at the first step; bounds what an entry stores. Chosen, not measured
_GRID: Final = 8  # cells a side: a quarter of an image's, since a clip stores up to 64 of them. Chosen, not measured
_PDQ_ZERO: Final = 104.0  # as in fingerprint.image
VTILES: Final = "vtiles-16"  # these three since 1.0; older entries lack them
VRANGE: Final = "vrange-4"
VSOUND: Final = "vsound"
TILE_GRID: Final = 16  # tiles a side: a quarter of an image's, for as the line above reason as _GRID
AREAS_MAX: Final = 3  # named of one frame
SOUND_ALIKE: Final = 0.80  # as MATCH_THRESHOLD of a sound
_CELLS: Final = 4  # cells a side in which extremes are kept; a foreign frame shows in any. Chosen, not measured
_RANGE_MAX: Final = 32  # levels between the extremes of a step: coding a drawn clip at CRF 20 to 40 moved them by 2


def fingerprint_video(frames: NDArray[np.uint8], fps: float, sound: Audio | None = None) -> dict[str, str]:
    """Fingerprint (n, H, W, 3) frames at ``fps``.

    Returns:
        ``vlayout-8``: one byte e (a frame each 0.25 s * 2**e), then 8 x 8 x 3 bytes a frame.
        ``vpdq``: 33 bytes a frame, hash and quality.
        ``vtiles-16``: ``detail`` of each such frame. ``vrange-4``: 4 x 4 smallest, then largest mean brightness of
        the frames of its step. ``vsound``: the sound's ``spectrum-64x4``, or "" without sound.
    """
    exponent = 0
    seconds = len(frames) / fps
    while seconds / (STEP_S * 2**exponent) > _FRAMES_MAX:
        exponent += 1
    step = STEP_S * 2**exponent
    chosen = [min(len(frames) - 1, int((i + 0.5) * step * fps)) for i in range(max(1, round(seconds / step)))]
    layouts, hashes, tiles = b"", b"", b""
    for index in chosen:
        digest, quality = pdq(frames[index])
        hashes += digest.tobytes() + bytes([quality])
        layouts += layout(frames[index], _GRID).tobytes()
        tiles += detail(frames[index], TILE_GRID)
    return {
        VLAYOUT: f"{exponent:02x}" + layouts.hex(),
        VPDQ: hashes.hex(),
        VTILES: tiles.hex(),
        VRANGE: _ranges(frames, fps, step, len(chosen)).hex(),
        VSOUND: fingerprint_audio(sound.samples, sound.rate)[SPECTRUM] if sound is not None else "",
    }


def _ranges(frames: NDArray[np.uint8], fps: float, step_s: float, count: int) -> bytes:
    """The extremes of 4 x 4 cells over the frames of each step: (count, 2, 16) bytes."""
    found = b""
    for i in range(count):
        first, last = (min(len(frames) - 1, int((i + part) * step_s * fps)) for part in (0, 1))
        cells = np.stack([layout(frame, _CELLS).mean(axis=-1) for frame in frames[first : max(last, first + 1)]])
        found += np.rint(np.stack([cells.min(axis=0), cells.max(axis=0)])).astype(np.uint8).tobytes()
    return found


def odd_moments(known: Mapping[str, str], other: Mapping[str, str]) -> list[Part]:
    """What of ``other`` is not as in ``known``, at the best alignment: areas and times of the picture, the sound."""
    if VTILES not in known or VTILES not in other:
        return []
    found = _odd_sound(known[VSOUND], other[VSOUND])
    (grid_a, hash_a), (grid_b, hash_b) = _common_step(known, other)
    _, offset = _align(grid_a, hash_a, grid_b, hash_b)
    step_a, step_b = (int(f[VLAYOUT][:2], 16) for f in (known, other))
    if step_a != step_b:
        return found  # tiles are of other moments then
    size = 2 * TILE_GRID * TILE_GRID
    tiles_a, tiles_b = (bytes.fromhex(f[VTILES]) for f in (known, other))
    ranges_a, ranges_b = (
        np.frombuffer(bytes.fromhex(f[VRANGE]), np.uint8).reshape(-1, 2 * _CELLS * _CELLS).astype(int)
        for f in (known, other)
    )
    step_s = STEP_S * 2**step_a
    changed = []
    for i in range(len(grid_b)):
        j = i + offset
        if not 0 <= j < len(grid_a):
            changed.append(j < 0 or j > len(grid_a))  # one step more at the end is rounding, not an addition
            continue
        odd = odd_tiles(tiles_a[j * size : (j + 1) * size], tiles_b[i * size : (i + 1) * size], TILE_GRID)
        apart = int(np.abs(ranges_a[j] - ranges_b[i]).max())
        found += areas(odd, i * step_s, (i + 1) * step_s)[:AREAS_MAX]
        changed.append(apart > _RANGE_MAX and not odd.any())
    return found + spans("picture", changed, step_s)


def _odd_sound(known: str, other: str) -> list[Part]:
    if bool(known) != bool(other):
        return [Part("sound")]
    if not known:
        return []
    a, b = {SPECTRUM: known}, {SPECTRUM: other}
    if similarity_audio(a, b) < SOUND_ALIKE:
        return [Part("sound")]
    return odd_seconds(a, b)


def similarity_video(a: Mapping[str, str], b: Mapping[str, str]) -> float:
    """0..1: the mean over the frames of the best alignment that covers at least half of the shorter one."""
    (grid_a, hash_a), (grid_b, hash_b) = _common_step(a, b)
    return _align(grid_a, hash_a, grid_b, hash_b)[0]


def _align(
    grid_a: NDArray[np.uint8], hash_a: NDArray[np.uint8], grid_b: NDArray[np.uint8], hash_b: NDArray[np.uint8]
) -> tuple[float, int]:
    """(similarity, offset of b in a) of the best alignment; no offset is tried first."""
    shorter = min(len(grid_a), len(grid_b))
    best, at = 0.0, 0
    for offset in sorted(range(-(len(grid_b) - 1), len(grid_a)), key=abs):
        first, last = max(0, offset), min(len(grid_a), offset + len(grid_b))
        if last - first < max(1, (shorter + 1) // 2):
            continue
        scores = [
            _frame_similarity(grid_a[i], hash_a[i], grid_b[i - offset], hash_b[i - offset]) for i in range(first, last)
        ]
        if float(np.mean(scores)) > best:
            best, at = float(np.mean(scores)), offset
        if best > 0.95:
            break
    return best, at


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
