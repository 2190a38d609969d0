"""PocketSphinx in worker processes of its own.

It holds Python's lock while it decodes: in this process a block of 30 seconds would stop every other request for as
long as the block takes (4 to 16 s were seen on two busy cores). The workers are like those that decode media, with
their protections: a recogniser that crashes or hangs ends as ``SafetyUnavailable``, and the service goes on.
"""

from __future__ import annotations

import atexit
import os
from functools import cache
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import MediaError, SafetyUnavailable
from gensafe.media.sandbox import WorkerLimits, WorkerPool

RATE: Final = 16_000  # Hz: what PocketSphinx' English acoustic model was trained on
NAME: Final = "pocketsphinx-5"
_MOST_WORKERS: Final = 4  # each keeps a decoder of about 100 MB
_START_S: Final = 60  # seconds to start a worker and read its model, on a busy machine: ten times what was seen
_SLOWEST: Final = 4.0  # times real time after which a call is given up: eight times what was seen under load
_ANSWER_BYTES: Final = 1 << 20  # words with their times; an hour of speech has 50 kB


def require() -> None:
    """Fail where PocketSphinx is not installed.

    Raises:
        SafetyUnavailable: it is not.
    """
    if find_spec("pocketsphinx") is None:
        raise SafetyUnavailable("pocketsphinx is not installed", fix="pip install gensafe[speech]")


def in_worker(target: str, samples: NDArray[np.float32], *args: object) -> Any:  # noqa: ANN401 - plain data
    """Call ``target`` ("module:function") in a worker.

    Args:
        target: Gets the sound as 16-bit little-endian samples, then ``args``.
        samples: float32 (n,) in [-1, 1], mono at 16 kHz.
        args: Plain data.

    Raises:
        SafetyUnavailable: the recogniser crashed, or took too long.
    """
    pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    most = _START_S + _SLOWEST * samples.size / RATE
    limits = WorkerLimits(wall_s=most, cpu_s=int(most), output_bytes=_ANSWER_BYTES)
    try:
        return _pool().run(target, pcm, *args, limits=limits)
    except MediaError as error:
        raise SafetyUnavailable(f"the speech recogniser failed: {error.message}") from error


@cache
def _pool() -> WorkerPool:
    pool = WorkerPool(size=max(1, min(_MOST_WORKERS, os.cpu_count() or 1)))
    atexit.register(pool.close)
    return pool
