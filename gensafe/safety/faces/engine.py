"""The face detector: two sizes of the picture, one small network, boxes without doubles.

The network is Tiny Face Detector (a Tiny YOLO v2 of depthwise-separable convolutions, V. Mühler and V. Mandic, MIT),
which was trained on about 14,000 pictures that its author labelled.
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
from gensafe.media.shrink import resize
from gensafe.safety.onnx_session import Network

WEIGHTS: Final = "aba7aad34929f9aa6acbe027a596e492d96d471d293100be6c96c60d0d41ee7a"
SIZES: Final = (
    416,
    640,
)  # longer side at which the picture is looked at: large faces at one, smaller ones at the other
MIN_SCORE: Final = 0.5  # probability, 0..1; face-api.js' default for this network (``scoreThreshold``)
OVERLAP: Final = 0.3  # intersection over union above which two boxes are one face; chosen by eye, not measured
_CELL: Final = 32  # pixels a cell: the network halves its input five times
# mean RGB of the pictures it was trained on; in face-api.js, and a part of the network
_MEAN: Final = np.array([117.001, 114.697, 97.404], np.float32)
_ANCHORS: Final = np.array(  # width and height of the five shapes, in cells
    [[1.603231, 2.094468], [6.041143, 7.080126], [2.882459, 3.518061], [4.266906, 5.178857], [9.041765, 10.66308]]
)


@dataclass(frozen=True, slots=True)
class Face:
    """One face; ``score`` 0..1 is how sure the detector is."""

    box: Box
    score: float


class FaceEngine:
    """Thread-safe; about 45 ms a picture on one core, whatever its size.

    Raises:
        SafetyUnavailable: the weights are missing or not the pinned ones.
    """

    def __init__(self) -> None:
        self._session = _session()

    def find(self, pixels: NDArray[np.uint8], min_score: float = MIN_SCORE) -> list[Face]:
        """Faces in uint8 (H, W, 3) pixels, the surest first; from about 1/20 of the picture's longer side upwards."""
        found = [face for size in SIZES for face in self._at(pixels, size, min_score)]
        kept: list[Face] = []
        for face in sorted(found, key=lambda f: -f.score):
            if all(_overlap(face.box, other.box) < OVERLAP for other in kept):
                kept.append(face)
        return kept

    def _at(self, pixels: NDArray[np.uint8], size: int, min_score: float) -> list[Face]:
        height, width = pixels.shape[:2]
        scale = size / max(height, width)
        rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
        canvas = np.zeros((size, size, 3), np.float32)
        canvas[:rows, :columns] = resize(pixels, rows, columns)
        feed = np.ascontiguousarray(((canvas - _MEAN) / 255).transpose(2, 0, 1)[None])
        cells = size // _CELL
        boxes = self._session.run(None, {"pixels": feed})[0][0].reshape(5, 5, cells, cells).astype(np.float64)
        scores = _sigmoid(boxes[:, 4])
        found = []
        for anchor, row, column in zip(*np.nonzero(scores >= min_score), strict=True):
            x = (column + _sigmoid(boxes[anchor, 0, row, column])) * _CELL / scale
            y = (row + _sigmoid(boxes[anchor, 1, row, column])) * _CELL / scale
            half = np.exp(np.clip(boxes[anchor, 2:4, row, column], -8, 4)) * _ANCHORS[anchor] * _CELL / scale / 2
            left, top = max(0, round(x - half[0])), max(0, round(y - half[1]))
            box = Box(left, top, min(width, round(x + half[0])), min(height, round(y + half[1])))
            if box.left < box.right and box.top < box.bottom:
                found.append(Face(box, round(float(scores[anchor, row, column]), 4)))
        return found


def weights_digest() -> str:
    """Digest of the pinned model file."""
    return "sha256:" + WEIGHTS


def _session() -> Network:
    try:
        data = (files("gensafe.safety.faces") / "weights" / "faces.onnx").read_bytes()
    except OSError as error:
        raise SafetyUnavailable(f"the face detector cannot be loaded: {type(error).__name__}") from error
    if hashlib.sha256(data).hexdigest() != WEIGHTS:
        raise SafetyUnavailable("the face detector is not the pinned one", fix="reinstall gensafe")
    return Network(data)


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -60, 60))))


def _overlap(one: Box, two: Box) -> float:
    """Intersection over the smaller of two boxes."""
    wide = min(one.right, two.right) - max(one.left, two.left)
    tall = min(one.bottom, two.bottom) - max(one.top, two.top)
    if wide <= 0 or tall <= 0:
        return 0.0
    areas = ((b.right - b.left) * (b.bottom - b.top) for b in (one, two))
    return wide * tall / min(areas)


_lock = threading.Lock()
_engine: list[FaceEngine] = []


def shared_engine() -> FaceEngine:
    """One engine for the whole process, made on first use.

    Raises:
        SafetyUnavailable: the weights are missing or not the pinned ones.
    """
    with _lock:
        if not _engine:
            _engine.append(FaceEngine())
        return _engine[0]
