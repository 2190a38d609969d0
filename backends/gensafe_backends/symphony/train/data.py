"""Training rows of OmniNet-mini: drawn tasks packed into rows; all from a seed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.model.torch_model import PackedRows
from gensafe_backends.symphony.positions import positions
from gensafe_backends.symphony.sequence import Example
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_backends.symphony.train.heard import Heard
from gensafe_backends.symphony.train.mix import STAGES, Leaning, Phase, phase_at
from gensafe_backends.symphony.train.tasks import TaskSource
from gensafe_backends.symphony.vocab import EOA, EOI, EOV, PAD, vocabulary

LONG_ROW = 384  # tokens of the rows that have room for a story, or for a film, a sound and another film
# Text targets of a long answer count less each, or stories would drown captions in the mean over text tokens.
SHORT_TEXT = 16
# What local layers see of a talk whose facts are asked for: mostly less than all of it, or they would learn to look
# themselves and nothing would be found beyond their window.
TALK_WINDOWS = (32, 96, 256)
HELD_OUT_SEED = 900_000_000  # seeds from here on are never used in training


class ExampleSource(TaskSource):
    """Draws rows of tasks.

    Args:
        config: Model config.
        tokenizer: The trained tokenizer.
        mix: How often each task is drawn; None = what the phase of a step says.
        phases: The stage's phases.
        heard: What becomes of ids on the way through decoder, mark and file; None = nothing.
    """

    def __init__(
        self,
        config: SymphonyConfig,
        tokenizer: UniversalTokenizer,
        mix: Mapping[str, float] | None = None,
        phases: tuple[Phase, ...] = STAGES["words"],
        heard: Heard | None = None,
    ) -> None:
        super().__init__(config, tokenizer, heard)
        self.mix, self.phases = mix, phases

    def rows(self, seed: int, step: int, *, count: int, length: int) -> PackedRows:
        """The batch of one step: rows filled with whole exchanges of the mix. A function of its arguments alone.

        Every so many batches, as the phase says, one holds about as many tokens in longer rows, and longer tasks.
        """
        rng = np.random.default_rng((seed, step))
        phase = phase_at(step, self.phases)
        mix, lean = (phase.tasks, phase.lean) if self.mix is None else (self.mix, Leaning())
        if step % phase.long_every == phase.long_every - 1 and length < LONG_ROW:
            count, length, mix = max(1, count * length // LONG_ROW), LONG_ROW, phase.long
        names, weights = tuple(mix), np.array(tuple(mix.values()))
        packer = _Packer(self.config, count, length)
        while True:
            name = str(rng.choice(names, p=weights / weights.sum()))
            window = int(rng.choice(TALK_WINDOWS)) if name == "memory" else self.config.window
            if not packer.add(self.draw(name, rng, length=length, lean=lean).spans, window):
                return packer.rows()


class _Packer:
    """Fills rows first-fit; stops once an example fits nowhere for the second time."""

    def __init__(self, config: SymphonyConfig, count: int, length: int) -> None:
        self._config, self._length, self._misses = config, length, 0
        shape = (count, length)
        self._ids = np.full(shape, PAD, dtype=np.int64)
        self._tyx = np.zeros((*shape, 3), dtype=np.float32)
        self._slots, self._index = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        self._exchange = np.full(shape, -1, dtype=np.int64)
        self._loss = np.zeros(shape, dtype=bool)
        self._live = np.zeros(shape, dtype=np.int64)
        self._weight = np.ones(shape, dtype=np.float32)
        self._window = np.full(shape, config.window, dtype=np.int64)
        self._used = [0] * count
        vocab = vocabulary(config)
        self._range = np.array([m if i >= vocab.image.start else 0 for i, m in enumerate(vocab.modality_table())])

    def add(self, spans: Example, window: int) -> bool:
        """Place an example, of which local layers see ``window`` tokens; False when the rows are full."""
        n = len(spans.ids)
        row = next((r for r, used in enumerate(self._used) if used + n <= self._length), None)
        if row is None:
            self._misses += 1
            return self._misses < 4
        a = self._used[row]
        part = slice(a, a + n)
        ids = np.array(spans.ids)
        self._ids[row, part] = ids
        self._tyx[row, part], self._slots[row, part] = positions(spans.ids, self._config)
        self._index[row, part] = np.arange(n)
        self._exchange[row, part] = a
        self._loss[row, part] = np.array(spans.loss) & ~np.isin(ids, (EOI, EOA, EOV))
        self._live[row, part] = self._range[ids]
        texts = int((self._loss[row, part] & (self._live[row, part] == 0)).sum())
        self._weight[row, part] = min(1.0, SHORT_TEXT / max(texts, 1)) if texts > 1 else 1.0
        self._window[row, part] = window
        self._used[row] = a + n
        return True

    def rows(self) -> PackedRows:
        """What was packed."""
        arrays: tuple[NDArray[np.generic], ...] = (
            self._ids,
            self._tyx,
            self._slots,
            self._index,
            self._exchange,
            self._loss,
            self._live,
            self._weight,
            self._window,
        )
        return PackedRows(*(torch.from_numpy(a) for a in arrays))
