"""What may come next: a finite-state machine that makes every answer well-formed by construction.

An answer is ``<span> eos`` after ``asst`` (see ``sequence.py``). Places whose token is certain are *forced*: the model
is not asked. Elsewhere the machine names the live range, over which the softmax is normalised (the model was trained
that way), and within it the ids allowed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from gensafe.core.errors import BackendError
from gensafe_backends.symphony.sequence import place_range, span_length
from gensafe_backends.symphony.vocab import BEGIN, END, EOS, ModalityId, vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gensafe_backends.symphony.config import SymphonyConfig


def live_range(config: SymphonyConfig, span: ModalityId | None, place: int = 0) -> range:
    """Ids over which the softmax is normalised.

    Args:
        config: Vocabulary and span geometry.
        span: The open non-text span, or None outside spans (text and control).
        place: Index of the token to come inside the span; beyond its last place comes the closing control token.
    """
    if span is None or span is ModalityId.TEXT or place >= span_length(span, config):
        return range(0, vocabulary(config).text.stop)
    return place_range(span, place, config)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What the machine says about the next token.

    Attributes:
        live: Range of the softmax.
        forced: The only possible id, or None.
        allowed: bool (len(live),), or None = all of ``live``.
        modality: What kind of token it is (decides the sampling parameters).
    """

    live: range
    forced: int | None
    allowed: NDArray[np.bool_] | None
    modality: ModalityId


@lru_cache(maxsize=32)
def _text_mask(config: SymphonyConfig, may_end: bool) -> NDArray[np.bool_]:
    """Text ids, and ``eos`` where the text may end, over ``range(0, text.stop)``."""
    text = vocabulary(config).text
    mask = np.zeros(text.stop, dtype=np.bool_)
    mask[text.start :] = True
    mask[EOS] = may_end
    mask.flags.writeable = False
    return mask


class AnswerGrammar:
    """One answer of one modality.

    Args:
        config: Vocabulary and span geometry.
        modality: What is to be written.
        max_text: Text tokens at most; then ``eos`` is forced. At least 1.
    """

    def __init__(self, config: SymphonyConfig, modality: ModalityId, max_text: int = 256) -> None:
        if max_text < 1:
            raise BackendError("an answer needs room for at least one token", field="max_tokens")
        self._config = config
        self._modality = modality
        self._max_text = max_text
        self._begin = BEGIN.get(modality)
        self._length = 0 if modality is ModalityId.TEXT else span_length(modality, config)
        self._place = 0  # tokens taken, the opening control token included
        self.finished = False

    @property
    def total(self) -> int:
        """Tokens of a complete answer; for text the bound."""
        return self._max_text + 1 if self._begin is None else self._length + 3

    def step(self) -> Step:
        """The next place.

        Raises:
            BackendError: the answer is complete.
        """
        if self.finished:
            raise BackendError("the answer is complete")
        c, i = self._config, self._place
        outside = live_range(c, None)
        if self._begin is None:
            if i >= self._max_text:
                return Step(outside, EOS, None, ModalityId.TEXT)
            return Step(outside, None, _text_mask(c, i > 0), ModalityId.TEXT)
        if i == 0:
            return Step(outside, self._begin, None, self._modality)
        if i <= self._length:
            live = place_range(self._modality, i - 1, c)
            return Step(live, None, None, vocabulary(c).modality_of(live.start))
        return Step(outside, END[self._modality] if i == self._length + 1 else EOS, None, self._modality)

    def accept(self, token: int) -> None:
        """Take ``token``.

        Raises:
            BackendError: it cannot stand here.
        """
        step = self.step()
        wrong = token != step.forced if step.forced is not None else token not in step.live
        if wrong or (step.allowed is not None and not step.allowed[token - step.live.start]):
            raise BackendError(f"token {token} breaks the grammar at place {self._place}")
        self._place += 1
        self.finished = token == EOS
