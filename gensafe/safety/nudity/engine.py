"""The nudity network: five class scores for a whole picture.

The network is NSFWJS' "MobileNetV2Mid" (MobileNet V2 1.4, 224 x 224; Infinite Red, MIT). The picture is brought to its
size as NSFWJS does it, because the scores depend on that: an antialiased resize moves them by 0.04 on average.
"""

from __future__ import annotations

import hashlib
import threading
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import SafetyUnavailable
from gensafe.media.shrink import resize
from gensafe.safety.onnx_session import Network

WEIGHTS: Final = "640f44663d45307627a8db4330990e057461662888ad200d52b7d62f4b8056b2"
CLASSES: Final = ("drawing", "hentai", "neutral", "porn", "sexy")  # order of the outputs: nsfw_classes.js
SIDE: Final = 224  # pixels: the input of the graph that ``build`` writes
MAX_SIDE: Final = 960  # larger pictures are averaged down first: sampled points would skip most of their pixels


class NudityEngine:
    """Thread-safe; about 45 ms of CPU time a picture.

    Raises:
        SafetyUnavailable: the weights are missing or not the pinned ones.
    """

    def __init__(self) -> None:
        self._session = _session()

    def scores(self, pixels: NDArray[np.uint8]) -> dict[str, float]:
        """Class -> score in 0..1, together 1, of uint8 (H, W, 3) pixels."""
        height, width = pixels.shape[:2]
        scale = MAX_SIDE / max(height, width)
        if scale < 1:
            pixels = resize(pixels, max(1, round(height * scale)), max(1, round(width * scale)))
        feed = np.ascontiguousarray(sampled(pixels, SIDE).transpose(2, 0, 1)[None])
        (found,) = self._session.run(["scores"], {"input": feed})
        return {name: float(min(1.0, max(0.0, s))) for name, s in zip(CLASSES, found[0], strict=True)}


def sampled(pixels: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Bilinear samples with corners on corners, as ``tf.image.resizeBilinear(..., alignCorners=true)`` takes them.

    uint8 (H, W, 3) to float32 (side, side, 3) in 0..1.
    """
    height, width = pixels.shape[:2]
    rows, columns = (np.linspace(0, n - 1, side) for n in (height, width))
    top, left = rows.astype(int), columns.astype(int)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down = (rows - top).astype(np.float32)[:, None, None]
    across = (columns - left).astype(np.float32)[None, :, None]

    def row(at: NDArray[np.int64]) -> NDArray[np.float32]:
        line = pixels[at].astype(np.float32)
        return np.asarray(line[:, left] * (1 - across) + line[:, right] * across)

    return np.asarray((row(top) * (1 - down) + row(bottom) * down) / 255, np.float32)


def weights_digest() -> str:
    """Digest of the pinned model file."""
    return "sha256:" + WEIGHTS


def _session() -> Network:
    try:
        data = (files("gensafe.safety.nudity") / "weights" / "nudity.onnx").read_bytes()
    except OSError as error:
        raise SafetyUnavailable(f"the nudity network cannot be loaded: {type(error).__name__}") from error
    if hashlib.sha256(data).hexdigest() != WEIGHTS:
        raise SafetyUnavailable("the nudity network is not the pinned one", fix="reinstall gensafe")
    return Network(data)


_lock = threading.Lock()
_engine: list[NudityEngine] = []


def shared_engine() -> NudityEngine:
    """One engine for the whole process, made on first use.

    Raises:
        SafetyUnavailable: the weights are missing or not the pinned ones.
    """
    with _lock:
        if not _engine:
            _engine.append(NudityEngine())
        return _engine[0]
