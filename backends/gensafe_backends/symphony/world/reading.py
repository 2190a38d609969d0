"""Exact readers of generated media, by synthesis: what would the world have rendered that is closest to this?

Candidates are rendered (or looked up) and compared; the best one is the reading, with its root-mean-square distance.
A reading is refused (None) when even the best candidate is far off, so that noise is not read as anything.
The readers know nothing of the model; on the world's own renderings they return the truth.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.types import Audio, Video
from gensafe_backends.symphony.tokenizers.stft import HOP, band_features, stft
from gensafe_backends.symphony.world.clip import (
    FPS,
    LANES,
    MOTIONS,
    RATE,
    STARTS,
    Clip,
    bounces,
    render_frames,
)
from gensafe_backends.symphony.world.render import paper, render
from gensafe_backends.symphony.world.scene import (
    BAR_BASE_ROW,
    BAR_COLUMNS,
    CELL,
    COLOURS,
    SHAPES,
    WORDS,
    Bars,
    Board,
    Scene,
    Sign,
    Thing,
    place_centre,
    sign_cells,
)
from gensafe_backends.symphony.world.sound import (
    BEEP_SPACING,
    BEEPS,
    LIMITS,
    NOTE_SAMPLES,
    NOTES,
    SAMPLES,
    Sound,
    render_sound,
)
from gensafe_backends.symphony.world.speech import SPOKEN, WORD_SAMPLES

Pixels = NDArray[np.uint8]
FAR_PICTURE: Final = 30.0  # grey levels RMS over the whole picture; readings of clean pictures lie below 3
# grey levels RMS of pooled frames, lower than FAR_PICTURE as pooling smooths; by eye, not measured
FAR_FILM: Final = 12.0
FAR_SOUND: Final = 0.55  # of the log band levels' scale


# --- pictures --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _stamps() -> tuple[list[tuple[str, str, str]], NDArray[np.float32]]:
    """Every shape as it looks on the middle place: (names, values (n, 96, 96, 3)), the empty place last."""
    names = [(c, s, z) for c in COLOURS for s in SHAPES for z in ("small", "medium")]
    y, x = place_centre(4)
    cut = np.s_[y - 48 : y + 48, x - 48 : x + 48]
    views = [render(Board((Thing(4, c, s, z),)))[cut] for c, s, z in names] + [render(Board(()))[cut]]
    return names, np.stack(views).astype(np.float32)


def _board(pixels: NDArray[np.float32]) -> Board:
    names, stamps = _stamps()
    things = []
    for place in range(9):
        y, x = place_centre(place)
        reach = 32
        view = pixels[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach]
        own = stamps[:, 48 - reach : 48 - reach + view.shape[0], 48 - reach : 48 - reach + view.shape[1]]
        best = int(np.argmin(((own - view) ** 2).mean(axis=(1, 2, 3))))
        if best < len(names):
            things.append(Thing(place, *names[best]))
    return Board(tuple(things))


def _cells(pixels: NDArray[np.float32]) -> NDArray[np.int64]:
    """Colour index of each of the 8x8 patches, len(COLOURS) = paper."""
    means = pixels.reshape(8, CELL, 8, CELL, 3)[:, 8:24, :, 8:24].mean(axis=(1, 3))
    inks = np.array([*COLOURS.values(), paper().mean(axis=(0, 1))])
    return np.asarray(np.argmin(((means[:, :, None] - inks) ** 2).sum(axis=-1), axis=-1), dtype=np.int64)


@lru_cache(maxsize=1)
def _sign_masks() -> tuple[list[str], NDArray[np.bool_]]:
    texts = [str(n) for n in range(100)] + list(WORDS)
    masks = np.zeros((len(texts), 8, 8), dtype=np.bool_)
    for mask, text in zip(masks, texts, strict=True):
        for row, column in sign_cells(text):
            mask[row, column] = True
    return texts, masks


def _sign(cells: NDArray[np.int64]) -> Sign | None:
    inked = cells < len(COLOURS)
    if not inked.any():
        return None
    texts, masks = _sign_masks()
    text = texts[int(np.argmin((masks != inked).sum(axis=(1, 2))))]
    return Sign(text, list(COLOURS)[int(np.bincount(cells[inked]).argmax())])


def _bars(cells: NDArray[np.int64]) -> Bars | None:
    inked = cells < len(COLOURS)
    for columns in BAR_COLUMNS.values():
        heights = [int(inked[:BAR_BASE_ROW, c].sum()) for c in columns]
        others = [c for c in range(8) if c not in columns]
        if all(1 <= h <= 6 for h in heights) and not inked[:BAR_BASE_ROW, others].any():
            colours = [list(COLOURS)[int(cells[BAR_BASE_ROW - 1, c]) % len(COLOURS)] for c in columns]
            return Bars(tuple(zip(colours, heights, strict=True)))
    return None


def read_picture(pixels: Pixels) -> Scene | None:
    """The scene a 256x256 picture shows, or None."""
    values = pixels.astype(np.float32)
    cells = _cells(values)
    huge = [Board((Thing(4, c, s, "huge"),)) for c in COLOURS for s in SHAPES]
    found: list[Scene | None] = [_board(values), _sign(cells), _bars(cells), *huge]
    candidates = [s for s in found if s is not None]
    errors = [float(np.sqrt(np.mean((_render(s) - values) ** 2))) for s in candidates]
    best = int(np.argmin(errors))
    return candidates[best] if errors[best] < FAR_PICTURE else None


@lru_cache(maxsize=4096)
def _render(scene: Scene) -> NDArray[np.float32]:
    return render(scene).astype(np.float32)


# --- films -----------------------------------------------------------------------------------------------------------

_POOL: Final = 8  # pixels a side averaged before films are compared, for speed; not measured


def _pooled(frames: Pixels) -> NDArray[np.float32]:
    n, h, w, _ = frames.shape
    z = frames.reshape(n, h // _POOL, _POOL, w // _POOL, _POOL, 3).astype(np.float32)
    return np.asarray(z.mean(axis=(2, 4)), dtype=np.float32)


@lru_cache(maxsize=1)
def _films() -> tuple[list[Clip], NDArray[np.float32]]:
    clips = [
        Clip(colour, shape, motion, lane, start, forward)
        for colour in COLOURS
        for shape in SHAPES
        for motion in MOTIONS
        for lane in LANES
        for start in (STARTS if motion.startswith("bounce") else STARTS[:1])
        for forward in ((True, False) if motion.startswith("bounce") else (True,))
    ]
    return clips, np.stack([_pooled(render_frames(c)) for c in clips])


def read_film(video: Video) -> Clip | None:
    """The film a 12-frame video shows, or None."""
    clips, views = _films()
    errors = np.sqrt(((views - _pooled(video.frames)) ** 2).mean(axis=(1, 2, 3, 4)))
    best = int(np.argmin(errors))
    return clips[best] if errors[best] < FAR_FILM else None


def knock_frames(audio: Audio) -> list[int]:
    """Frames of the film at which its sound track knocks: onsets of the band around the knock's 700 and 1650 Hz."""
    power = np.abs(stft(audio.samples[0].astype(np.float64))) ** 2
    level = power[:, 48:58].sum(axis=1)  # 1500-1810 Hz: the hum has nothing there
    loud = level > max(1e-4, 0.15 * float(level.max()))
    starts = np.flatnonzero(loud & ~np.concatenate([[False], loud[:-1]]))
    kept: list[int] = []
    for s in starts:
        if not kept or s - kept[-1] > RATE // FPS // HOP:  # one knock rings for about one frame
            kept.append(int(s))
    return [round((s + 1) * HOP * FPS / RATE) for s in kept]


def in_sync(video: Video, clip: Clip) -> bool:
    """Whether the sound knocks exactly as often as the shape bounces, each within one frame."""
    if video.audio is None:
        return False
    heard, seen = knock_frames(video.audio), bounces(clip)
    return len(heard) == len(seen) and all(abs(a - b) <= 1 for a, b in zip(heard, seen, strict=True))


# --- sounds ----------------------------------------------------------------------------------------------------------


def _bands(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    return band_features(np.abs(stft(samples.astype(np.float64))), 1)


@lru_cache(maxsize=1)
def _alphabets() -> dict[str, tuple[int, list[str], NDArray[np.float64]]]:
    """Per kind: samples per slot, item names ("" = silence last), band levels of each item (n, frames, bands)."""
    out: dict[str, tuple[int, list[str], NDArray[np.float64]]] = {}
    for kind, slot, items in (
        ("words", WORD_SAMPLES, list(SPOKEN)),
        ("melody", NOTE_SAMPLES, list(NOTES)),
        ("dial", NOTE_SAMPLES, [str(d) for d in range(10)]),
        ("beeps", BEEP_SPACING, list(BEEPS)),
    ):
        frames = slot // HOP
        sounds = [render_sound(Sound(kind, (item,))) for item in items]  # type: ignore[arg-type]
        sounds.append(np.zeros(SAMPLES, dtype=np.float32))
        out[kind] = (frames, items, np.stack([_bands(s)[:frames] for s in sounds]))
    return out


def read_sound(audio: Audio) -> Sound | None:
    """The sound a two-second clip holds, or None."""
    levels = _bands(audio.samples[0])
    best: tuple[float, Sound] | None = None
    for kind, (frames, items, shapes) in _alphabets().items():
        names: list[str] = []
        explained = np.full_like(levels, float(shapes[-1].min()))
        for i in range(LIMITS[kind]):
            piece = levels[i * frames : (i + 1) * frames]
            errors = ((shapes[:, : len(piece)] - piece) ** 2).mean(axis=(1, 2))
            n = int(np.argmin(errors))
            if n == len(items):
                break
            names.append(items[n])
            explained[i * frames : i * frames + len(piece)] = shapes[n, : len(piece)]
        error = float(np.sqrt(((explained - levels) ** 2).mean()))
        if names and (best is None or error < best[0]):
            best = (error, Sound(kind, tuple(names)))  # type: ignore[arg-type]
    return best[1] if best is not None and best[0] < FAR_SOUND else None
