"""Clipping: samples that sit at the rails."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

RAIL: Final = 0.999  # share of full scale; 1.0 less the rounding of a coder or of 10 bits. Chosen by eye, not measured
MIN_RUN: Final = 3  # samples: a sine near full scale has one or two at its peak. Chosen by eye, not measured


def clipped_share(samples: NDArray[np.float32]) -> float:
    """Share of samples, 0..1, in runs of three or more at the same rail; a peak that just touches it is no clipping.

    Args:
        samples: (channels, n) in [-1, 1].
    """
    if samples.shape[1] < MIN_RUN:
        return 0.0
    clipped = 0
    for rail in (samples >= RAIL, samples <= -RAIL):
        full = rail[:, 2:] & rail[:, 1:-1] & rail[:, :-2]  # position i: samples i, i+1, i+2 are at the rail
        member = np.zeros_like(rail)
        member[:, 2:] |= full
        member[:, 1:-1] |= full
        member[:, :-2] |= full
        clipped += int(member.sum())
    return clipped / samples.size
