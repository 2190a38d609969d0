"""sRGB to linear light, as looked-up tables (IEC 61966-2-1)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_CODE: Final = np.arange(256) / 255  # the 8-bit codes as shares of full scale
LINEAR: Final[NDArray[np.float32]] = np.where(_CODE <= 0.04045, _CODE / 12.92, ((_CODE + 0.055) / 1.055) ** 2.4).astype(
    np.float32
)
"""Linear light 0..1 of each 8-bit code."""

# of R, G and B in luminance: ITU-R BT.709, the primaries of sRGB
_WEIGHTS: Final = np.array([0.2126, 0.7152, 0.0722], np.float32)


def luminance(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """Relative luminance 0..1 of linear RGB (..., 3) (WCAG 2.2 definition; BT.709 primaries)."""
    out: NDArray[np.float32] = linear @ _WEIGHTS
    return out
