"""Films to mark and the key they are marked with."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.watermark.image import attacks as pictures

KEY = bytes(range(32))
Frames = NDArray[np.uint8]


def synthetic(seed: int, size: int, frames: int = 20) -> Frames:
    """One flat shape moving over a plain, lightly textured ground."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:size, :size]
    ground = rng.integers(20, 245, 3) + ndimage.gaussian_filter(rng.normal(size=(size, size)), 2)[..., None] * 6
    colour, start, speed = rng.integers(0, 256, 3), rng.uniform(0.2, 0.5, 2) * size, rng.uniform(-0.02, 0.02, 2) * size
    radius, disc = rng.uniform(0.1, 0.2) * size, rng.random() < 0.5
    out = []
    for number in range(frames):
        x, y = xx - start[0] - speed[0] * number, yy - start[1] - speed[1] * number
        frame = ground.copy()
        frame[(x * x + y * y < radius**2) if disc else (np.maximum(abs(x), abs(y)) < radius)] = colour
        out.append(np.clip(np.rint(frame), 0, 255).astype(np.uint8))
    return np.stack(out)


def load(path: Path, limit: int, side: int, skip: int = 0) -> tuple[Frames, float]:
    """Up to ``limit`` frames after ``skip``, reduced to ``side`` pixels, and the frame rate."""
    out = []
    with av.open(str(path)) as source:
        fps = float(source.streams.video[0].average_rate or 25)
        for number, frame in enumerate(source.decode(video=0)):
            if number < skip:
                continue
            pixels = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            factor = min(1.0, side / max(pixels.shape[:2]))
            out.append(
                pictures.resize(pixels, pixels.shape[1] * factor, pixels.shape[0] * factor) if factor < 1 else pixels
            )
            if len(out) == limit:
                break
    if len(out) < limit / 2:
        raise ValueError(f"{len(out)} frames after the first {skip}")
    return np.stack(out), fps
