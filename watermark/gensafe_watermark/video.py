"""Film mark: the picture carrier, held still for a segment of frames and read from averaged residuals.

    marked = embed(frames, payload, key, fps=25)
    found = detect(marked, key)

Nothing has to be synchronised in time: within a segment every frame carries the same pattern, so dropped, repeated or
blended frames cost only their share. Averaging residuals over frames is what carries the mark through strong inter-
frame coding. Segments differ in layout, phase and turn, so that averaging a whole film does not bring one pattern
out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe.core.errors import CannotCarry, InvalidRequest
from gensafe.core.types import Detection, MarkLevel
from gensafe_watermark import image
from gensafe_watermark.image import detector, embedder, perception, selfcheck
from gensafe_watermark.image.layout import MIN_SIDE, tile_counts
from gensafe_watermark.image.reading import Reader
from gensafe_watermark.prf import check_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

SCHEME: Final = "gensafe-video-1"
MEDIUM: Final = "video"
SEGMENT: Final = 64
"""Most frames under one pattern; a segment also ends where the shot does."""

START_PSNR: Final = 43.2  # dB over a segment, before the check raises it
_MARGIN: Final = 1.0  # soft-bit margin to be read back; ample, because no imitation of a coder here compensates motion
_ONSET: Final = np.array([3.0, 1.5, 1.3, 1.1], np.float32)
"""Amplitude of a shot's first frames. A coder codes the first afresh and predicts the rest of the shot from it, and for
about a tenth of a second after a cut the eye sees little (Seyler and Budrikis, "Detail perception after scene changes
in television image presentations", IEEE Trans. IT 11(1), 1965)."""
_TEXTURED: Final = (0.75, 1.0)
"""Share of the film's usual mask from and up to which the onset counts: beside texture, strong coding keeps nothing of
the mark in flat areas, and there it would be seen in a film's first frame, which stands still as its poster."""
_CUT: Final = 20.0  # mean change of luma, in grey levels, that begins a shot
_SHORTEST: Final = 8  # frames

_HEADS: Final = 8  # first frames of shots looked at alone: coded afresh, and marked most strongly
_WINDOW: Final = 48  # frames the detector looks at together
# looked at, at most, spread over the film; bounds the time for long films. Chosen for speed, not measured
_WINDOWS: Final = 8
_FRAMES: Final = 24  # of a window, evenly spaced
_CHECKED: Final = 4  # frames of a segment the embedder tests itself on
_QUALITY: Final = {MEDIUM: 25, image.MEDIUM: 50}  # of the JPEG that stands for a coder's quantiser in that test


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
    if fps <= 0:
        raise InvalidRequest("fps lies above 0", field="fps")
    return mark(frames, payload, key, MEDIUM, strength)


def mark(frames: NDArray[np.uint8], payload: bytes, key: bytes, medium: str, strength: float) -> NDArray[np.uint8]:
    """``embed`` for frames of any medium: those of an animated picture are marked as pictures are."""
    check_key(key)
    _check(frames)
    if not 0.1 <= strength <= 10:
        raise InvalidRequest("strength lies between 0.1 and 10", field="strength")
    out, refusals = np.empty_like(frames), []
    segments = _segments(frames)
    for number, (start, stop, opens_a_shot) in enumerate(segments):
        part = frames[start:stop]
        # an animated picture is repeated: a stronger beginning would flicker
        starts = (0,) if opens_a_shot and medium == MEDIUM else ()
        try:
            layout = embedder.plan((frames.shape[1], frames.shape[2]), payload, key, medium, number)
            out[start:stop] = mark_segment(part, layout, strength, onset(stop - start, starts))
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


def onset(count: int, starts: Iterable[int]) -> NDArray[np.float32]:
    """Amplitude over ``count`` frames: 1, and more at each of ``starts``."""
    out = np.ones(count, np.float32)
    for start in starts:
        after = out[start : start + len(_ONSET)]
        np.maximum(after, _ONSET[: len(after)], out=after)
    return out


def mark_segment(
    frames: NDArray[np.uint8], layout: embedder.Plan, strength: float, over_time: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Frames (n, H, W, 3) of one segment under one pattern, with amplitude ``over_time`` (n,)."""
    # 1. look at a few frames, black and white ones (a fade) left out
    chosen, planes, refusal = [], [], None
    for i in np.unique(np.linspace(0, len(frames) - 1, _CHECKED).astype(int)).tolist():
        plane = perception.luma(frames[i])
        try:
            embedder.check_range(plane)
        except CannotCarry as error:
            refusal = error
            continue
        chosen.append(i)
        planes.append(plane)
    if refusal and not planes:
        raise refusal
    masks = [perception.mask(plane, layout.tile) for plane in planes]
    # 2. a pattern informed by those frames together
    start = float(np.mean([embedder.start_level(mask, START_PSNR) for mask in masks]))
    usual = np.float32(np.mean([np.mean(mask) for mask in masks]))
    more = [
        np.mean(_timed(mask, o, usual) ** 2) / np.mean(mask * mask) - 1 for mask in masks for o in over_time if o > 1
    ]
    level = np.float32(strength * start / np.sqrt(1 + sum(more) / (len(masks) * len(over_time))))
    pattern = embedder.informed(layout, planes, [level * mask for mask in masks])
    # 3. raise the strength until strongly coded copies of those frames read clearly: together, or the first alone
    changes = [level * _timed(mask, over_time[i], usual) * pattern for i, mask in zip(chosen, masks, strict=True)]

    def reached(factor: float) -> float:
        marked = [embedder.added(p, np.float32(factor) * c) for p, c in zip(planes, changes, strict=True)]
        coded = [selfcheck.jpeg(plane, _QUALITY[layout.medium]) for plane in marked]
        first = embedder.margin(layout.soft(coded[:1]))
        return first if first >= _MARGIN else max(first, embedder.margin(layout.soft(coded)))

    pattern *= level * np.float32(embedder.sufficient(reached, _MARGIN))
    # 4. every frame under its own mask
    out = np.empty_like(frames)
    for i, frame in enumerate(frames):
        change = _timed(perception.mask(perception.luma(frame), layout.tile), over_time[i], usual)
        change *= pattern
        out[i] = perception.add(frame, change)
    return out


def _timed(mask: NDArray[np.float32], onset: np.float32, usual: np.float32) -> NDArray[np.float32]:
    """The mask of a frame, raised by ``onset`` where there is texture."""
    if onset == 1:
        return mask
    low, high = _TEXTURED
    share = np.clip((mask / usual - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return np.asarray(mask * (1 + (onset - 1) * share), np.float32)


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
    return search(frames, key, MEDIUM, SCHEME)


def search(frames: NDArray[np.uint8], key: bytes, medium: str, scheme: str) -> Detection:
    """``detect`` for frames of any medium."""
    check_key(key)
    _check(frames)
    if min(frames.shape[1:3]) < MIN_SIDE // 2:
        return detector.detect_planes([perception.luma(frames[0])], key, medium, scheme)
    attempts, found = 0, list[Detection]()
    heads, stretches = [[i] for i in _heads(frames)], _stretches(len(frames))
    # 1. the unchanged grid everywhere: cheap, and enough for most films
    for chosen in heads + stretches:
        reader = Reader(key, medium, scheme)
        read = reader.read(detector.nominal_grids(_planes(frames, chosen), tile_counts(medium)), "nominal")
        attempts += reader.attempts
        found.append(read or reader.give_up())
        if read is not None:
            break
    else:
        # 2. crops, turns, stretches, perspective: the very first frame, then the stretches
        for chosen in [[0], *stretches]:
            found.append(detector.detect_planes(_planes(frames, chosen), key, medium, scheme))
            attempts += found[-1].attempts
            if found[-1].level is MarkLevel.RECORD:
                break
    best = max(found, key=_order)
    p = min(1.0, best.p_value * (attempts / best.attempts if best.level is MarkLevel.RECORD else len(found)))
    return replace(best, p_value=p, attempts=attempts, detail={**best.detail, "windows": len(found)})


def _planes(frames: NDArray[np.uint8], chosen: Iterable[int]) -> list[NDArray[np.float32]]:
    return [perception.luma(frames[i]) for i in chosen]


def _order(found: Detection) -> tuple[int, float]:
    levels = (MarkLevel.UNDECIDABLE, MarkLevel.NONE, MarkLevel.PRESENT, MarkLevel.RECORD)
    return levels.index(found.level), -found.p_value


def _heads(frames: NDArray[np.uint8]) -> list[int]:
    """First frames of up to eight shots, the film's own among them."""
    starts = [start for start, _, opens in _segments(frames) if opens]
    return [starts[i] for i in np.unique(np.linspace(0, len(starts) - 1, _HEADS).astype(int))]


def _stretches(count: int) -> list[list[int]]:
    """Indices of the frames looked at together: all of a short film, or up to eight stretches, thinned out."""
    if count <= SEGMENT + _WINDOW // 2:
        spans = [(0, count)]
    else:
        number = min(_WINDOWS, count // _WINDOW)
        starts = np.linspace(0, count - _WINDOW, number).astype(int)
        spans = [(int(s), int(s) + _WINDOW) for s in starts]
    return [np.unique(np.linspace(a, b - 1, min(_FRAMES, b - a)).astype(int)).tolist() for a, b in spans]


def _check(frames: NDArray[np.uint8]) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        raise InvalidRequest(f"expected uint8 (n, H, W, 3), got {frames.dtype} {frames.shape}", field="frames")
