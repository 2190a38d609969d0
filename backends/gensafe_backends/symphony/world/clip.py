"""Short films of the world: one shape that moves or bounces, and the sound that belongs to it. 1.5 s, 8 frames/s."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gensafe_backends.symphony.world.render import coverage, paper
from gensafe_backends.symphony.world.scene import COLOURS, PAPER, SHAPES

# 1.5 s of 128 x 128 pixels, sound at 16 kHz: drawn by hand, small enough for CPUs
FRAMES, FPS, SIDE, RADIUS, RATE = 12, 8, 128, 14, 16000
NEAR, FAR = 16, 112  # centres at the walls
LANES: dict[str, int] = {"first": 32, "centre": 64, "last": 96}  # top/left, middle, bottom/right
MOTIONS = ("right", "left", "up", "down", "bounce across", "bounce up")
STARTS = (16, 48, 80)  # pixels, where a bounce begins: by hand, multiples of 16 so that both walls are met exactly
FRAME_SAMPLES = RATE // FPS


@dataclass(frozen=True, slots=True)
class Clip:
    """One shape on its way. ``start`` and ``forward`` (towards larger coordinates) matter only when it bounces."""

    colour: str
    shape: str
    motion: str
    lane: str = "centre"
    start: int = 16
    forward: bool = True


def track(clip: Clip) -> list[tuple[int, int]]:
    """Centre (y, x) in every frame."""
    across = clip.motion in ("right", "left", "bounce across")
    lane = LANES[clip.lane]
    along: list[int] = []
    if clip.motion.startswith("bounce"):
        p, step = clip.start, 16 if clip.forward else -16
        for _ in range(FRAMES):
            along.append(p)
            if not NEAR <= p + step <= FAR:
                step = -step
            p += step
    else:
        forward = clip.motion in ("right", "down")
        along = [NEAR + 8 * f if forward else FAR - 8 * f for f in range(FRAMES)]
    return [(lane, p) if across else (p, lane) for p in along]


def bounces(clip: Clip) -> list[int]:
    """Frames at which the shape touches a wall and turns (never frame 0)."""
    if not clip.motion.startswith("bounce"):
        return []
    axis = 1 if clip.motion == "bounce across" else 0
    p = [c[axis] for c in track(clip)]
    return [f for f in range(1, FRAMES - 1) if (p[f] - p[f - 1]) * (p[f + 1] - p[f]) < 0]


@lru_cache(maxsize=2)
def _paper() -> NDArray[np.float32]:
    return paper(SIDE)


def render_frames(clip: Clip) -> NDArray[np.uint8]:
    """Frames as uint8 (12, 128, 128, 3)."""
    frames = np.repeat(_paper()[None], FRAMES, axis=0)
    ink = np.asarray(COLOURS[clip.colour], dtype=np.float32)
    for canvas, (cy, cx) in zip(frames, track(clip), strict=True):
        alpha = coverage(clip.shape, cy, cx, RADIUS, SIDE, SIDE)[:, :, None]
        canvas += alpha * (ink + 0.5 * (canvas - np.asarray(PAPER, dtype=np.float32)) - canvas)
    return np.clip(np.rint(frames), 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _tok() -> NDArray[np.float32]:
    t = np.arange(2000) / RATE
    tone = np.sin(2 * np.pi * 700 * t) + 0.5 * np.sin(2 * np.pi * 1650 * t)
    return (0.45 * tone * np.exp(-t * 38) * np.minimum(1.0, t / 0.001)).astype(np.float32)


def render_track(clip: Clip) -> NDArray[np.float32]:
    """The sound track, float32 (24000,): a low hum while it moves, a knock at each bounce."""
    t = np.arange(FRAMES * FRAME_SAMPLES) / RATE
    out = (0.05 * np.sin(2 * np.pi * 250 * t) + 0.02 * np.sin(2 * np.pi * 500 * t)).astype(np.float32)
    for frame in bounces(clip):
        out[frame * FRAME_SAMPLES : frame * FRAME_SAMPLES + 2000] += _tok()
    return out


def sample_clip(rng: np.random.Generator) -> Clip:
    """A random film."""
    motion = str(rng.choice(MOTIONS))
    lane = str(rng.choice(tuple(LANES), p=(0.25, 0.5, 0.25)))
    colour, shape = str(rng.choice(tuple(COLOURS))), str(rng.choice(SHAPES))
    if motion.startswith("bounce"):
        return Clip(colour, shape, motion, lane, int(rng.choice(STARTS)), bool(rng.random() < 0.5))
    return Clip(colour, shape, motion, lane)
