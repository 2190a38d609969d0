"""Plain transformations of decoded media, for re-encoding in demos and tests."""

from __future__ import annotations

import numpy as np

from gensafe.core.types import Image


def resize(image: Image, factor: float) -> Image:
    """Scale an image by ``factor`` (> 0) with a Lanczos filter; at least 1x1 pixel."""
    from PIL import Image as Pil

    height, width = image.pixels.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return Image(np.asarray(Pil.fromarray(image.pixels).resize(size, Pil.Resampling.LANCZOS)))
