"""Film mark: the picture carrier, held still for a segment of frames and read from averaged residuals.

    marked = embed(frames, payload, key, fps=25)
    found = detect(marked, key)

Nothing has to be synchronised in time: within a segment every frame carries the same pattern, so dropped, repeated or
blended frames cost only their share. Averaging residuals over frames is what carries the mark through strong inter-
frame coding. Segments differ in layout, phase and turn, so that averaging a whole film does not bring one pattern
out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe.core.errors import CannotCarry, InvalidRequest
from gensafe.core.types import Detection, MarkLevel
from gensafe_watermark.image import detector, embedder, perception, selfcheck
from gensafe_watermark.prf import check_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEME: Final = "gensafe-video-1"
MEDIUM: Final = "video"
SEGMENT: Final = 64
"""Most frames under one pattern; a segment also ends where the shot does."""

START_PSNR: Final = 43.2  # dB over a segment, before the check raises it
_MARGIN: Final = 1.0  # as the picture's MARGIN; more, because no imitation of a coder here compensates motion
_ONSET: Final = np.array([1.5, 1.5, 1.35, 1.2], np.float32)
"""Amplitude of a shot's first frames. A coder codes them afresh and predicts the rest of the shot from them, and for
about a tenth of a second after a cut the eye sees little (Seyler and Budrikis, "Detail perception after scene changes
in television image presentations", IEEE Trans. IT 11(1), 1965)."""
_CUT: Final = 20.0  # mean change of luma, in grey levels, that begins a shot
_SHORTEST: Final = 8  # frames

_HEAD: Final = 4  # frames: looked at first, because every coded film begins with a frame coded afresh
_WINDOW: Final = 48  # frames the detector looks at together
_WINDOWS: Final = 8
_FRAMES: Final = 24  # of a window, evenly spaced
_CHECKED: Final = 4  # frames of a segment the embedder tests itself on
_QUALITY: Final = 25  # of the JPEG that stands for a coder's quantiser in that test


def embed(
    frames: NDArray[np.uint8], payload: bytes, key: bytes, fps: float = 25.0, strength: float = 1.0
) -> NDArray[np.uint8]:
    """Mark a film.

    Args:
        frames: uint8 (n, H, W, 3), sRGB.
        payload: PAYLOAD_BYTES bytes.
        key: 32 bytes.
        fps: frames per second (the mark itself does not depend on it).
        strength: factor on the starting amplitude; raise it once if the mark is gone after the final encoding.

    Returns:
        Marked frames of the same shape.

    Raises:
        CannotCarry: frames too small, or every segment too flat or saturated.
        InvalidRequest: not uint8 (n, H, W, 3), or a bad strength.
        KeyError_: the key is not 32 bytes.
    """
    check_key(key)
    _check(frames)
    if not 0.1 <= strength <= 10 or fps <= 0:
        raise InvalidRequest("strength lies between 0.1 and 10, fps above 0", field="strength")
    out, refusals = np.empty_like(frames), []
    segments = _segments(frames)
    for number, (start, stop, opens_a_shot) in enumerate(segments):
        part = frames[start:stop]
        try:
            out[start:stop] = _embed_segment(part, payload, key, number, strength, opens_a_shot)
        except CannotCarry as refusal:  # a black or white stretch in a film that carries elsewhere
            out[start:stop] = part
            refusals.append(refusal)
    if len(refusals) == len(segments):
        raise refusals[0]
    return out


def _segments(frames: NDArray[np.uint8]) -> list[tuple[int, int, bool]]:
    """(start, stop, opens a shot) of every stretch that gets its own pattern."""
    small = frames[:, ::8, ::8].astype(np.float32) @ perception.LUMA
    change = np.abs(np.diff(small, axis=0)).mean(axis=(1, 2))
    starts, opens = [0], [True]
    for i in range(1, len(frames)):
        cut = bool(change[i - 1] > _CUT) and i - starts[-1] >= _SHORTEST
        if cut or i - starts[-1] == SEGMENT:
            starts.append(i)
            opens.append(cut)
    return list(zip(starts, [*starts[1:], len(frames)], opens, strict=True))


def _embed_segment(
    frames: NDArray[np.uint8], payload: bytes, key: bytes, number: int, strength: float, opens_a_shot: bool
) -> NDArray[np.uint8]:
    # 1. lay out; look at a few frames
    layout = embedder.plan(frames.shape[1:3], payload, key, MEDIUM, number)
    chosen = np.unique(np.linspace(0, len(frames) - 1, _CHECKED).astype(int))
    planes = [perception.luma(frames[i]) for i in chosen]
    for plane in planes:
        embedder.check_range(plane)
    masks = [perception.mask(plane, layout.tile) for plane in planes]
    # 2. a pattern informed by those frames together
    onset = np.ones(len(frames), np.float32)
    if opens_a_shot:
        onset[: len(_ONSET)] = _ONSET[: len(frames)]
    start = float(np.mean([embedder.start_level(mask, START_PSNR) for mask in masks]))
    level = np.float32(strength * start / np.sqrt(np.mean(onset**2)))
    pattern = embedder.informed(layout, planes, [level * mask for mask in masks])
    # 3. raise the strength until strongly coded copies of those frames read clearly: together, or the first alone
    changes = [level * onset[i] * mask * pattern for i, mask in zip(chosen, masks, strict=True)]

    def reached(factor: float) -> float:
        marked = [embedder.added(p, np.float32(factor) * c) for p, c in zip(planes, changes, strict=True)]
        coded = [selfcheck.jpeg(plane, _QUALITY) for plane in marked]
        first = embedder.margin(layout.soft(coded[:1]))
        return first if first >= _MARGIN else max(first, embedder.margin(layout.soft(coded)))

    pattern *= level * np.float32(embedder.sufficient(reached, _MARGIN))
    # 4. every frame under its own mask
    out = np.empty_like(frames)
    for i, frame in enumerate(frames):
        change = perception.mask(perception.luma(frame), layout.tile)
        change *= pattern
        change *= onset[i]
        out[i] = perception.add(frame, change)
    return out


def detect(frames: NDArray[np.uint8], key: bytes) -> Detection:
    """Search a film for a mark under ``key``.

    Args:
        frames: uint8 (n, H, W, 3), sRGB, consecutive or thinned out.
        key: 32 bytes.

    Returns:
        As ``gensafe_watermark.image.detect``; the p-value holds all windows.

    Raises:
        InvalidRequest: not uint8 (n, H, W, 3).
        KeyError_: the key is not 32 bytes.
    """
    check_key(key)
    _check(frames)
    best: Detection | None = None
    attempts, windows = 0, _windows(len(frames))
    done = 0
    for chosen in windows:
        done += 1
        planes = [perception.luma(frames[i]) for i in chosen]
        found = detector.detect_planes(planes, key, MEDIUM, SCHEME)
        attempts += found.attempts
        if best is None or _order(found) > _order(best):
            best = found
        if found.level is MarkLevel.RECORD:
            break
    assert best is not None
    p = min(1.0, best.p_value * (attempts / best.attempts if best.level is MarkLevel.RECORD else done))
    detail = {**best.detail, "windows": done}
    return Detection(best.level, best.payload, p, SCHEME, attempts, detail)


def _order(found: Detection) -> tuple[int, float]:
    levels = (MarkLevel.UNDECIDABLE, MarkLevel.NONE, MarkLevel.PRESENT, MarkLevel.RECORD)
    return levels.index(found.level), -found.p_value


def _windows(count: int) -> list[NDArray[np.intp]]:
    """Indices of the frames of each window: the first few; then all of a short film, or up to eight stretches."""
    if count <= SEGMENT + _WINDOW // 2:
        spans = [(0, count)]
    else:
        number = min(_WINDOWS, count // _WINDOW)
        starts = np.linspace(0, count - _WINDOW, number).astype(int)
        spans = [(int(s), int(s) + _WINDOW) for s in starts]
    stretches = [np.unique(np.linspace(a, b - 1, min(_FRAMES, b - a)).astype(np.intp)) for a, b in spans]
    return [np.arange(_HEAD), *stretches] if count > 2 * _HEAD else stretches


def _check(frames: NDArray[np.uint8]) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        raise InvalidRequest(f"expected uint8 (n, H, W, 3), got {frames.dtype} {frames.shape}", field="frames")
