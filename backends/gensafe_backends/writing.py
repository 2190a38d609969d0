"""A text while it is written token by token: what was chosen, what may be shown of it, and where it stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import BackendError
from gensafe.core.ports import SamplingMark
from gensafe.core.types import GenerationJob, Parameters
from gensafe_backends.sampling import probabilities


class Writing:
    """One text.

    Args:
        job: What was asked for; its seed drives every free choice.
        mark: Chooses where it wants to.
        decode: Token id -> the text that it completes; a character of several tokens comes with the last of them.
        wishes: The job's parameters with the model's own defaults filled in; None = the job's as they are.
    """

    def __init__(
        self,
        job: GenerationJob,
        mark: SamplingMark | None,
        decode: Callable[[int], str],
        wishes: Parameters | None = None,
    ) -> None:
        self._mark, self._decode = mark, decode
        self._wishes = wishes or job.parameters
        self._random = np.random.default_rng(job.seed)
        self._pending = ""  # the end of the text while it may be the start of a stop string
        self._asked = 0
        self._cut = False  # at a stop string: what the decoder still had lies behind it
        self.tokens: list[int] = []
        self.text = ""
        self.finish = ""
        self.mark_name = f"{mark.scheme}/{mark.key_id}" if mark else "not marked by sampling: none was asked for"
        if mark and self._wishes.temperature == 0:
            self.mark_name = "not marked by sampling: temperature 0 leaves nothing to choose"

    def choose(self, logits: NDArray[np.floating[Any]]) -> int:
        """The next token: the mark's choice, or a free one where it declines.

        Raises:
            BackendError: the logits leave nothing to choose from.
        """
        if np.isnan(logits).any() or not np.isfinite(logits.max()):
            raise BackendError("the model's numbers are not finite")
        p = probabilities(logits.astype(np.float32), self.tokens, self._wishes)
        self._asked += 1
        chosen = self._mark.choose(self.tokens, p) if self._mark else None
        return int(self._random.choice(len(p), p=p)) if chosen is None else chosen

    def stop(self) -> None:
        """The model ended the text by a token of its own, which is no part of it."""
        self.finish = "stop"
        self._asked -= 1

    def push(self, token: int) -> str:
        """Take in a token; returns what may be shown now."""
        self.tokens.append(token)
        self._pending += self._decode(token)
        for stop in self._wishes.stop:
            at = self._pending.find(stop)
            if at >= 0:
                self._pending, self.finish, self._cut = self._pending[:at], "stop", True
        if self.finish:
            return ""
        keep = max((_overlap(self._pending, stop) for stop in self._wishes.stop), default=0)
        return self._show(len(self._pending) - keep)

    def end(self, tail: str = "") -> str:
        """What was still held back, and ``tail``, which the decoder still had.

        Raises:
            BackendError: the mark was not asked once for each token, so that a record of it would not be true.
        """
        if self._asked != len(self.tokens):
            raise BackendError(f"the mark was asked {self._asked} times for {len(self.tokens)} tokens")
        if not self._cut:
            self._pending += tail
        return self._show(len(self._pending))

    def _show(self, count: int) -> str:
        shown, self._pending = self._pending[:count], self._pending[count:]
        self.text += shown
        return shown


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of ``text`` begin ``stop``."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
