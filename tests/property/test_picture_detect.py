"""No picture, however odd, makes the detector fail or claim a mark."""

import numpy as np
import pytest

from gensafe.core.types import MarkLevel
from gensafe_watermark import image

KEY = bytes(range(32))


def stripes(height: int, width: int, period: int) -> np.ndarray:
    row = np.where(np.arange(width) // period % 2, 220, 40).astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


PICTURES = {
    "one pixel": np.zeros((1, 1, 3), np.uint8),
    "even grey": np.full((64, 90, 3), 77, np.uint8),
    "black": np.zeros((120, 64, 3), np.uint8),
    "stripes": stripes(100, 140, 4),
    "halftone": np.where(np.add.outer(np.arange(120), np.arange(120)) % 6 < 2, 255, 0)[..., None]
    .repeat(3, 2)
    .astype(np.uint8),
    "noise": np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8),
    "one bright pixel": np.pad(np.full((1, 1, 3), 255, np.uint8), ((40, 60), (50, 60), (0, 0))),
    "ribbon": np.random.default_rng(1).integers(0, 256, (50, 900, 3), dtype=np.uint8),
}


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_is_claimed(name):
    found = image.detect(PICTURES[name], KEY)
    assert found.payload is None
    assert found.level in (MarkLevel.NONE, MarkLevel.UNDECIDABLE)
    assert 1e-6 < found.p_value <= 1
    assert found.attempts >= 1
