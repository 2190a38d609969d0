"""Pictures of scenes: the training targets of the tokenizer (generated pictures come from tokens, never from here)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gensafe_backends.symphony.world.scene import (
    BAR_BASE_ROW,
    BAR_COLUMNS,
    CELL,
    COLOURS,
    INK,
    PAPER,
    SIDE,
    SIZES,
    Bars,
    Board,
    Scene,
    Sign,
    place_centre,
    sign_cells,
)


@lru_cache(maxsize=4)
def paper(side: int = SIDE) -> NDArray[np.float32]:
    """The paper everything lies on: a fixed fine grain of about two grey levels. float32 (side, side, 3)."""
    rng = np.random.default_rng(20260101)
    grain = rng.standard_normal((side, side)).astype(np.float32)
    moved = [np.roll(grain, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    smooth = np.asarray(sum(moved) / 3.0)
    return np.asarray(PAPER, dtype=np.float32) + 1.6 * smooth[:, :, None].astype(np.float32)


def coverage(shape: str, cy: float, cx: float, r: float, height: int, width: int) -> NDArray[np.float32]:
    """How much of each pixel a shape covers, 0..1, (height, width): its signed distance, with edges one pixel wide."""
    y = np.arange(height, dtype=np.float32)[:, None] + 0.5 - cy
    x = np.arange(width, dtype=np.float32)[None, :] + 0.5 - cx
    if shape == "circle":
        d = np.sqrt(y * y + x * x) - r
    elif shape == "square":
        d = np.maximum(np.abs(y), np.abs(x)) - 0.86 * r
    elif shape == "triangle":
        s = np.float32(np.sqrt(3) / 2)
        d = np.maximum(y - 0.72 * r, np.abs(x) * s - y * 0.5 - 0.5 * r)
    elif shape == "star":
        angle = np.arctan2(x, -y)
        sector = 2 * np.pi / 5
        fold = np.abs((angle + sector / 2) % sector - sector / 2)
        rho = np.sqrt(y * y + x * x)
        px, py = rho * np.cos(fold), rho * np.sin(fold)
        ax, ay = r, 0.0
        bx, by = 0.46 * r * np.cos(sector / 2), 0.46 * r * np.sin(sector / 2)
        nx, ny = by - ay, ax - bx
        d = ((px - ax) * nx + (py - ay) * ny) / np.hypot(nx, ny)
    else:
        raise ValueError(shape)
    return np.asarray(np.clip(0.5 - d, 0.0, 1.0), dtype=np.float32)


def _blend(canvas: NDArray[np.float32], alpha: NDArray[np.float32], colour: tuple[int, int, int]) -> None:
    ink = np.asarray(colour, dtype=np.float32)
    canvas += alpha[:, :, None] * (ink + 0.5 * (canvas - np.asarray(PAPER, dtype=np.float32)) - canvas)


def _fill(canvas: NDArray[np.float32], row: int, column: int, colour: tuple[int, int, int]) -> None:
    view = canvas[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
    _blend(view, np.ones(view.shape[:2], dtype=np.float32), colour)


def render_float(scene: Scene, jitter: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float32]:
    """A scene as float32 (256, 256, 3) in 0..255. ``jitter`` moves shapes by (dy, dx) pixels."""
    canvas = paper().copy()
    if isinstance(scene, Board):
        for thing in scene.things:
            cy, cx = place_centre(thing.place)
            r = SIZES[thing.size]
            _blend(canvas, coverage(thing.shape, cy + jitter[0], cx + jitter[1], r, SIDE, SIDE), COLOURS[thing.colour])
    elif isinstance(scene, Sign):
        for row, column in sign_cells(scene.text):
            _fill(canvas, row, column, COLOURS[scene.colour])
    elif isinstance(scene, Bars):
        for (colour, height), column in zip(scene.bars, BAR_COLUMNS[len(scene.bars)], strict=True):
            for row in range(BAR_BASE_ROW - height, BAR_BASE_ROW):
                _fill(canvas, row, column, COLOURS[colour])
        line = np.zeros((SIDE, SIDE), dtype=np.float32)
        line[BAR_BASE_ROW * CELL : BAR_BASE_ROW * CELL + 4] = 1.0
        _blend(canvas, line, INK)
    return canvas


def render(scene: Scene) -> NDArray[np.uint8]:
    """A scene as uint8 (256, 256, 3)."""
    return np.clip(np.rint(render_float(scene)), 0, 255).astype(np.uint8)
