"""The decode loop: prompt ids in, answer ids out, one grammar-checked token at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe.core.errors import Cancelled
from gensafe_backends.symphony.grammar import AnswerGrammar, Step
from gensafe_backends.symphony.model.engine import Feeder
from gensafe_backends.symphony.sampler import Sampler, SamplingParams
from gensafe_backends.symphony.vocab import EOS, ModalityId, vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gensafe.core.ports import CancelCheck, SamplingMark
    from gensafe_backends.symphony.model.engine import Cache, Engine
    from gensafe_backends.symphony.prefix import PrefixStore

PREFILL_CHUNK: Final = 64  # tokens between two looks at ``cancelled`` while reading the prompt


@dataclass(frozen=True, slots=True)
class DecodeParams:
    """Sampling parameters by the modality of the token to be drawn."""

    by_modality: Mapping[ModalityId, SamplingParams]

    def of(self, modality: ModalityId) -> SamplingParams:
        """Parameters for one kind of token; greedy if not stated."""
        return self.by_modality.get(modality, SamplingParams())


@dataclass(slots=True)
class Tally:
    """What happened while decoding: text tokens drawn, and how many of them the sampling mark chose."""

    drawn: int = 0
    text_drawn: int = 0
    marked: int = 0
    ids: list[int] = field(default_factory=list)


def decode(
    engine: Engine,
    prompt: Sequence[int],
    modality: ModalityId,
    sampler: Sampler,
    params: DecodeParams,
    *,
    cancelled: CancelCheck,
    mark: SamplingMark | None = None,
    max_text: int = 256,
    tally: Tally | None = None,
    prefixes: PrefixStore | None = None,
) -> Iterator[int]:
    """Write one answer, token by token, ``eos`` included.

    Args:
        engine: Any engine.
        prompt: ``sequence.prompt_ids``; the whole history of the exchange.
        modality: What to answer in.
        sampler: Draws every token; its seed decides the answer.
        params: How to draw.
        cancelled: Asked before every token and between chunks of the prompt.
        mark: Chooses text tokens, if given. Its context is the answer's own text ids, as a reader of the text has them.
        max_text: Bound on the text tokens of the answer.
        tally: Filled while decoding.
        prefixes: What was read before, to begin with and to add to.

    Raises:
        Cancelled: the caller is gone.
        BackendError: the model gave no usable score.
    """
    tally = tally if tally is not None else Tally()
    grammar = AnswerGrammar(engine.config, modality, max_text)
    size = vocabulary(engine.config).size
    feeder, cache = Feeder(engine.config), engine.new_cache()
    known = prefixes.fetch(prompt, cache) if prefixes else 0
    feeder.push(prompt[:known])
    pending = list(prompt[known:])
    while not grammar.finished:
        if cancelled():
            raise Cancelled("the request was cancelled while generating")
        step = grammar.step()
        if step.forced is not None:
            token = step.forced
        else:
            logits = _read(engine, feeder, pending, cache, step.live, cancelled)
            if prefixes and tally.drawn == 0:
                prefixes.keep(prompt, cache)
            token = _draw(step, logits, sampler, params.of(step.modality), mark, tally, size)
        grammar.accept(token)
        pending.append(token)
        if token != EOS:
            tally.ids.append(token)
        yield token


def _read(
    engine: Engine, feeder: Feeder, pending: list[int], cache: Cache, live: range, cancelled: CancelCheck
) -> NDArray[np.float32]:
    """Read all that is pending, in chunks; the scores of the live ids after it. ``pending`` is empty then."""
    while len(pending) > PREFILL_CHUNK:
        engine.forward(feeder.push(pending[:PREFILL_CHUNK]), cache, live=live)
        del pending[:PREFILL_CHUNK]
        if cancelled():
            raise Cancelled("the request was cancelled while reading the prompt")
    logits: NDArray[np.float32] = engine.forward(feeder.push(pending), cache, live=live)[0]
    pending.clear()
    return logits


def _draw(
    step: Step,
    logits: NDArray[np.float32],
    sampler: Sampler,
    how: SamplingParams,
    mark: SamplingMark | None,
    tally: Tally,
    size: int,
) -> int:
    """The next token; the mark chooses among text tokens, over the whole vocabulary of ``size`` ids."""
    tally.drawn += 1
    if step.modality is not ModalityId.TEXT:
        return step.live.start + sampler.choose(logits, allowed=step.allowed, params=how)
    wide = _widen(logits, step.live, size)
    allowed = None if step.allowed is None else _widen_mask(step.allowed, step.live, size)
    token, chosen = sampler.choose_marked(wide, mark, tally.ids, allowed=allowed, params=how)
    tally.text_drawn += 1
    tally.marked += chosen
    return token


def _widen(logits: NDArray[np.float32], live: range, size: int) -> NDArray[np.float64]:
    """Scores over the whole vocabulary; what is not live cannot be drawn."""
    wide = np.full(size, -np.inf)
    wide[live.start : live.stop] = logits
    return wide


def _widen_mask(allowed: NDArray[np.bool_], live: range, size: int) -> NDArray[np.bool_]:
    wide = np.zeros(size, dtype=np.bool_)
    wide[live.start : live.stop] = allowed
    return wide
