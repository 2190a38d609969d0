"""QR and bar codes, read by ZXing-C++ (Apache-2.0)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import zxingcpp
from numpy.typing import NDArray

from gensafe.core.types import Box


@dataclass(frozen=True, slots=True)
class Code:
    """What a code says, and where it is."""

    text: str
    kind: str
    box: Box


def read_codes(pixels: NDArray[np.uint8]) -> list[Code]:
    """All readable codes in uint8 (H, W, 3) pixels: QR, Data Matrix, Aztec, PDF417 and the usual bar codes."""
    found = []
    for code in zxingcpp.read_barcodes(np.ascontiguousarray(pixels)):
        if not code.text:
            continue
        place = code.position
        xs = [p.x for p in (place.top_left, place.top_right, place.bottom_right, place.bottom_left)]
        ys = [p.y for p in (place.top_left, place.top_right, place.bottom_right, place.bottom_left)]
        left, top = max(0, min(xs)), max(0, min(ys))
        box = Box(left, top, max(left + 1, max(xs)), max(top + 1, max(ys)))
        found.append(Code(code.text, str(code.format), box))
    return found
