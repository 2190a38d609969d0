"""What becomes of ids on the way through decoder, watermark and file: a channel, measured and drawn from.

The vocoder guesses phases, a mark adds what nobody hears, film codecs smooth. Read again, some ids differ from those
that were written. A model that has only read clean ids fails on its own output, so part of what it reads in training
goes through this channel: each id is replaced by one of those that came back for it, as often as they did.
``benchmarks/symphony/heard.py`` measures the channel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gensafe.core.errors import ConfigError


class Heard:
    """The channel.

    Args:
        counts: For each id that was written, how often each id came back. An id without an entry comes back as it is.
    """

    def __init__(self, counts: Mapping[int, Mapping[int, int]]) -> None:
        self._back: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for written, found in counts.items():
            if set(found) != {written}:
                ids = np.array(sorted(found))
                times = np.array([found[int(i)] for i in ids], dtype=np.float64)
                self._back[written] = ids, np.cumsum(times) / times.sum()

    @classmethod
    def load(cls, path: Path) -> Heard:
        """Read the ``counts`` of a result of ``benchmarks/symphony/heard.py``.

        Raises:
            ConfigError: the file is missing or malformed.
        """
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))["counts"]
            return cls({int(k): {int(i): int(n) for i, n in v.items()} for k, v in raw.items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"not a measured channel: {error}", field="heard") from error

    def read(self, ids: Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
        """The ids as they might come back."""
        out = list(ids)
        for n, (written, chance) in enumerate(zip(ids, rng.random(len(ids)), strict=True)):
            if written in self._back:
                found, share = self._back[written]
                out[n] = int(found[int(np.searchsorted(share, chance, side="right"))])
        return tuple(out)
