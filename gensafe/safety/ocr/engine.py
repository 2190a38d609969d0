"""The OCR engine: find lines of text, straighten each, read it."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.types import Box
from gensafe.media.shrink import cut_quad, resize
from gensafe.safety.ocr.geometry import boxes_from_map
from gensafe.safety.onnx_session import Network

WEIGHTS: Final = {
    "detect": "22c646c3c7dd0c8e66f78af10a36f52ab8739648c104851919605fe7b4aa4004",
    "read": "40a498989c530f8a5809d029da46cd6df85c08358ba348159702aeaf5dbf6dd2",
}
MIN_SIDE: Final = 512  # small pictures are enlarged to this shorter side, but at most twofold
MAX_SIDE: Final = 1280  # larger ones are read in overlapping tiles of this side, never shrunk
# pixels that two tiles share: a line up to this tall is whole in one of them. Chosen by eye, not measured
OVERLAP: Final = 160
LINE_HEIGHT: Final = 48  # pixels: the input height of the PP-OCRv4 recogniser
MAX_LINE: Final = 1600  # pixels, 33 times the height; longer lines are squeezed. Chosen for memory, not measured
# mean probability of the letters, 0..1: lower readings are mostly texture. Chosen by eye, not measured
MIN_SCORE: Final = 0.6
SURE_SCORE: Final = 0.85  # below, a line is read again upside down; chosen by eye, not measured
BATCH: Final = 8  # lines read at once, a trade of memory for time; not measured


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line as it was read; ``score`` is the mean probability of its characters."""

    text: str
    box: Box
    score: float


class OcrEngine:
    """Detector and reader. Thread-safe; about 0.3 s for a 256 x 256 picture on one core.

    Raises:
        SafetyUnavailable: the weights are missing or not the pinned ones.
    """

    def __init__(self) -> None:
        self._detect = _session("detect")
        self._read = _session("read")
        characters = self._read.metadata["character"].splitlines()
        self._alphabet = ["", *characters, " "]

    def read(self, pixels: NDArray[np.uint8]) -> list[TextLine]:
        """All lines of text in a picture, from top to bottom.

        Args:
            pixels: uint8 (H, W, 3) sRGB. Large pictures are examined whole, in tiles.
        """
        quads: list[NDArray[np.float32]] = []
        for top, left, part in _tiles(pixels):
            quads += [q + np.array([left, top], np.float32) for q in self._find(part)]
        quads = _without_doubles(quads)
        lines = self._recognise(pixels, quads)
        return sorted(lines, key=lambda line: (line.box.top, line.box.left))

    def _find(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        height, width = pixels.shape[:2]
        scale = min(2.0, max(1.0, MIN_SIDE / min(height, width)))
        target = [max(32, round(side * scale / 32) * 32) for side in (height, width)]
        shown = resize(pixels, target[0], target[1])
        probability = self._detect.run(None, {"x": _normalise(shown)[None]})[0][0, 0]
        factors = np.array([width / target[1], height / target[0]], np.float32)
        return [quad * factors for quad in boxes_from_map(probability)]

    def _recognise(self, pixels: NDArray[np.uint8], quads: list[NDArray[np.float32]]) -> list[TextLine]:
        """Read each box; one that reads badly is tried upside down too (which also turns vertical lines about)."""
        found = self._read_boxes(pixels, quads)
        doubtful = [i for i, (_, score) in enumerate(found) if score < SURE_SCORE]
        turned = self._read_boxes(pixels, [np.roll(quads[i], 2, axis=0) for i in doubtful])
        for i, other in zip(doubtful, turned, strict=True):
            found[i] = max(found[i], other, key=lambda pair: pair[1])
        return [
            TextLine(text, _bounds(quad, pixels.shape), score)
            for quad, (text, score) in zip(quads, found, strict=True)
            if text.strip() and score >= MIN_SCORE
        ]

    def _read_boxes(self, pixels: NDArray[np.uint8], quads: list[NDArray[np.float32]]) -> list[tuple[str, float]]:
        crops: list[tuple[NDArray[np.uint8], int]] = []
        for index, quad in enumerate(quads):
            length = float(np.linalg.norm(quad[1] - quad[0]))
            height = max(1.0, float(np.linalg.norm(quad[3] - quad[0])))
            width = int(np.clip(round(LINE_HEIGHT * length / height), 16, MAX_LINE))
            crops.append((cut_quad(pixels, quad, LINE_HEIGHT, width), index))
        crops.sort(key=lambda pair: pair[0].shape[1])
        found = [("", 0.0)] * len(quads)
        for first in range(0, len(crops), BATCH):
            group = crops[first : first + BATCH]
            widest = max(crop.shape[1] for crop, _ in group)
            batch = np.zeros((len(group), 3, LINE_HEIGHT, -(-widest // 32) * 32), np.float32)
            for row, (crop, _) in zip(batch, group, strict=True):
                row[:, :, : crop.shape[1]] = _normalise(crop)
            probabilities = self._read.run(None, {"x": batch})[0]
            for steps, (_, index) in zip(probabilities, group, strict=True):
                found[index] = self._decode(steps)
        return found

    def _decode(self, steps: NDArray[np.float32]) -> tuple[str, float]:
        """Greedy CTC: drop repeats, then blanks (index 0)."""
        best = steps.argmax(axis=1)
        keep = (best != 0) & np.concatenate([[True], best[1:] != best[:-1]])
        if not keep.any():
            return "", 0.0
        text = "".join(self._alphabet[i] for i in best[keep])
        return text, float(steps.max(axis=1)[keep].mean())


def weights_digest() -> str:
    """Digest over both pinned model files."""
    joined = "".join(WEIGHTS[name] for name in sorted(WEIGHTS))
    return "sha256:" + hashlib.sha256(joined.encode()).hexdigest()


def _session(name: str) -> Network:
    try:
        data = (files("gensafe.safety.ocr") / "weights" / f"{name}.onnx").read_bytes()
    except OSError as error:
        raise SafetyUnavailable(f"the OCR model {name} cannot be loaded: {type(error).__name__}") from error
    if hashlib.sha256(data).hexdigest() != WEIGHTS[name]:
        raise SafetyUnavailable(f"the OCR model {name} is not the pinned one", fix="reinstall gensafe")
    return Network(data)


def _normalise(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, 3) sRGB to the models' (3, H, W) in -1..1; they were trained on blue-green-red order."""
    scaled = pixels[..., ::-1].astype(np.float32) / 127.5 - 1.0
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


def _tiles(pixels: NDArray[np.uint8]) -> list[tuple[int, int, NDArray[np.uint8]]]:
    """(top, left, part) tiles of at most MAX_SIDE, overlapping by OVERLAP, that cover the picture."""
    starts: list[list[int]] = []
    for side in pixels.shape[:2]:
        count = 1 if side <= MAX_SIDE else -(-(side - OVERLAP) // (MAX_SIDE - OVERLAP))
        last = max(0, side - MAX_SIDE)
        starts.append(sorted({round(i * last / max(1, count - 1)) for i in range(count)}))
    return [(y, x, pixels[y : y + MAX_SIDE, x : x + MAX_SIDE]) for y in starts[0] for x in starts[1]]


def _bounds(quad: NDArray[np.float32], shape: tuple[int, ...]) -> Box:
    low, high = np.floor(quad.min(axis=0)), np.ceil(quad.max(axis=0))
    left, top = max(0, int(low[0])), max(0, int(low[1]))
    return Box(left, top, max(left + 1, min(shape[1], int(high[0]))), max(top + 1, min(shape[0], int(high[1]))))


def _without_doubles(quads: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Drop boxes that lie for the most part inside a larger one (tiles overlap)."""
    kept: list[tuple[NDArray[np.float32], Any]] = []
    for quad in sorted(quads, key=lambda q: -float(np.prod(q.max(axis=0) - q.min(axis=0)))):
        low, high = quad.min(axis=0), quad.max(axis=0)
        area = float(np.prod(high - low))
        overlaps = (float(np.prod(np.clip(np.minimum(high, h) - np.maximum(low, lo), 0, None))) for _, (lo, h) in kept)
        if all(overlap < 0.7 * area for overlap in overlaps):
            kept.append((quad, (low, high)))
    return [quad for quad, _ in kept]


_lock = threading.Lock()
_engine: list[OcrEngine] = []


def shared_engine() -> OcrEngine:
    """One engine for the whole process, made on first use (about 0.5 s, 60 MB).

    Raises:
        SafetyUnavailable: the weights are missing or not the pinned ones.
    """
    with _lock:
        if not _engine:
            _engine.append(OcrEngine())
        return _engine[0]
