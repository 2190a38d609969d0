"""The symbol detector: a fully convolutional network over a pyramid of the grey picture, and a second look.

0. A picture of more than 960 pixels a side is shrunk to that: every later step looks at 480 pixels at most.
1. The picture is looked at in thirteen sizes; each window of 48 x 48 pixels gets a probability for each symbol.
2. The likeliest windows are looked at again, shifted by a few pixels and turned by what the symbol's own symmetry
   leaves unchanged (quarter turns; half turns for the runes). A symbol keeps its score in every turn; clutter does not.

It was trained by ``training.symbols`` on drawings over made-up grounds; no photograph was used.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.types import Box
from gensafe.media.shrink import brightness, shrink, shrink_grey
from gensafe.safety.onnx_session import Network

WEIGHTS: Final = "766691f0a6f3b2721dce29ba75e0bd030659e9a71f8d1357e016e14f9a70cf84"
SYMBOLS: Final = ("hooked cross", "double sig rune", "sun wheel")
RUNES: Final = 1  # the index of the one symbol that only a half turn leaves unchanged
SIZES: Final = (
    44,
    52,
    62,
    74,
    88,
    104,
    124,
    148,
    176,
    208,
    248,
    340,
    480,
)  # longer side at which the picture is looked at
WORKING_SIDE: Final = 960  # longer side to which a larger picture is shrunk once, not for each of the sizes
FIRST_LOOK: Final = 0.5  # probability from which a window is looked at again
SECOND_LOOKS: Final = 12  # windows looked at again in each size, at most: the likeliest
# Twice the odds of the highest score that each had on 100 photographs kept for this (benchmarks.media_safety.symbols).
MIN_SCORES: Final = (0.786, 0.9911, 0.9983)
WINDOW: Final = 48  # pixels: what the shipped network sees, fixed by its training
STEP: Final = 8  # pixels between windows: the network halves its input three times
SHIFT: Final = 3  # pixels, a little under half a STEP: the second look covers what lies between two windows
INNER: Final = 0.8  # of a window: what a symbol fills


@dataclass(frozen=True, slots=True)
class Symbol:
    """One find: which of SYMBOLS, where, and how sure (0..1)."""

    kind: str
    box: Box
    score: float


class SymbolEngine:
    """Thread-safe; what a picture costs is in the card.

    Args:
        working_side: Longer side to which larger pictures are shrunk first.

    Raises:
        SafetyUnavailable: the weights are missing or not the pinned ones.
    """

    def __init__(self, working_side: int = WORKING_SIDE) -> None:
        self._session = _session()
        self._working_side = working_side

    def find(self, pixels: NDArray[np.uint8], min_scores: tuple[float, ...] = MIN_SCORES) -> list[Symbol]:
        """Symbols in uint8 (H, W, 3) pixels, the surest first; from about 1/13 of the longer side upwards."""
        grey = self._grey(pixels)
        found: list[Symbol] = []
        for size in SIZES:
            found += self._at(grey, pixels.shape[:2], size, min_scores)
        kept: list[Symbol] = []
        for symbol in sorted(found, key=lambda s: -s.score):
            if not any(_overlap(symbol.box, other.box) > 0.3 for other in kept):
                kept.append(symbol)
        return kept

    def _grey(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        height, width = pixels.shape[:2]
        scale = self._working_side / max(height, width)
        if scale < 1:
            pixels = shrink(pixels[None], max(1, round(height * scale)), max(1, round(width * scale)))[0]
        return brightness(pixels)

    def _at(
        self, whole: NDArray[np.float32], shape: tuple[int, int], size: int, min_scores: tuple[float, ...]
    ) -> list[Symbol]:
        """Symbols seen with the longer side at ``size``; boxes are in the picture's own ``shape``."""
        height, width = shape
        scale = size / max(height, width)
        rows, columns = max(8, round(height * scale)), max(8, round(width * scale))
        grey = shrink_grey(whole, rows, columns)
        above, before = max(STEP, (WINDOW - rows + 1) // 2), max(STEP, (WINDOW - columns + 1) // 2)
        padded = np.pad(grey / 127.5 - 1, ((above, above), (before, before)), mode="edge").astype(np.float32)
        classes = self._run(padded[None, None])[0]
        best, score = classes[1:].argmax(axis=0), classes[1:].max(axis=0)
        places = np.argwhere(score >= FIRST_LOOK)
        places = places[np.argsort(-score[tuple(places.T)], kind="stable")][:SECOND_LOOKS]
        found = []
        margin = WINDOW * (1 - INNER) / 2
        side = WINDOW * INNER / scale
        for row, column in places:
            kind = int(best[row, column])
            sure, y, x = self._second_look(padded, STEP * int(row), STEP * int(column), kind)
            if sure < min_scores[kind]:
                continue
            top, left = (y + margin - above) / scale, (x + margin - before) / scale
            corner = (min(max(0, round(left)), width - 1), min(max(0, round(top)), height - 1))
            box = Box(
                *corner,
                min(width, max(round(left + side), corner[0] + 1)),
                min(height, max(round(top + side), corner[1] + 1)),
            )
            found.append(Symbol(SYMBOLS[kind], box, round(sure, 4)))
        return found

    def _second_look(self, padded: NDArray[np.float32], row: int, column: int, kind: int) -> tuple[float, int, int]:
        """The mean probability over the turns at the best shift, and the row and column of that window."""
        places = [
            (y, x)
            for y in (row - SHIFT, row, row + SHIFT)
            for x in (column - SHIFT, column, column + SHIFT)
            if 0 <= y <= padded.shape[0] - WINDOW and 0 <= x <= padded.shape[1] - WINDOW
        ]
        windows = np.stack([padded[y : y + WINDOW, x : x + WINDOW] for y, x in places])
        turns = [np.rot90(windows, quarter, axes=(1, 2)) for quarter in ((0, 2) if kind == RUNES else range(4))]
        chances = self._run(np.ascontiguousarray(np.concatenate(turns))[:, None])[:, 1 + kind, 0, 0]
        means = chances.reshape(len(turns), len(places)).mean(axis=0)
        at = int(means.argmax())
        return float(means[at]), *places[at]

    def _run(self, feed: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (n, 4, rows, columns) of brightness -1..1 (n, 1, height, width)."""
        return np.asarray(self._session.run(None, {"pixels": feed})[0], np.float32)


def weights_digest() -> str:
    """Digest of the pinned model file."""
    return "sha256:" + WEIGHTS


def _session() -> Network:
    try:
        data = (files("gensafe.safety.symbols") / "weights" / "symbols.onnx").read_bytes()
    except OSError as error:
        raise SafetyUnavailable(f"the symbol detector cannot be loaded: {type(error).__name__}") from error
    if hashlib.sha256(data).hexdigest() != WEIGHTS:
        raise SafetyUnavailable("the symbol detector is not the pinned one", fix="reinstall gensafe")
    return Network(data)


def _overlap(one: Box, two: Box) -> float:
    """Intersection over the smaller of two boxes."""
    wide = min(one.right, two.right) - max(one.left, two.left)
    tall = min(one.bottom, two.bottom) - max(one.top, two.top)
    if wide <= 0 or tall <= 0:
        return 0.0
    return wide * tall / min((b.right - b.left) * (b.bottom - b.top) for b in (one, two))


_lock = threading.Lock()
_engine: list[SymbolEngine] = []


def shared_engine() -> SymbolEngine:
    """One engine for the whole process, made on first use.

    Raises:
        SafetyUnavailable: the weights are missing or not the pinned ones.
    """
    with _lock:
        if not _engine:
            _engine.append(SymbolEngine())
        return _engine[0]
