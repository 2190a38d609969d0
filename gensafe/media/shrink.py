"""Fast area averaging of many frames to a small grid, for checks that look at every frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage


def shrink(frames: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Area-average each frame: uint8 (n, H, W, 3) to uint8 (n, height, width, 3), rounded; about 2 ms for 720p."""
    out = np.empty((len(frames), height, width, 3), np.uint8)
    for index, pixels in enumerate(frames):
        picture = PilImage.fromarray(np.ascontiguousarray(pixels))
        out[index] = np.asarray(picture.resize((width, height), PilImage.Resampling.BOX))
    return out
