"""What an inference engine is, and the arithmetic every engine shares (positions, angles, live blocks).

An engine turns tokens into logits under ``model/spec.py``. It knows nothing of grammar, sampling or media. Engines:

| name     | module           | arithmetic                      | needs              |
|----------|------------------|---------------------------------|--------------------|
| native   | native/engine.py | float32, fixed order            | a C compiler       |
| numpy    | numpy_engine.py  | float32 (BLAS order), the oracle| -                  |
| torch    | torch_engine.py  | float32 on CPU or CUDA          | the ``torch`` extra|
| mlx      | mlx_engine.py    | float32                         | the ``mlx`` extra  |

What holds between them, and is tested:

- ``native`` gives the same bits on every processor, in every batch, sparse or dense: every output is one chain of
  separately rounded operations (checked between vector widths on x86-64; its NEON path has not been run).
- The others differ from ``numpy`` in the order of sums: logits agree within 1e-4 (measured: about 1e-5).
- All feed one float64 sampler, so one seed gives one output on all of them unless a draw falls within rounding of a
  boundary between two tokens: rare, not impossible. Greedy and sampled answers of every modality are compared on fixed
  seeds. Pixels and samples are made from ids by one numpy code, whatever the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from gensafe.core.errors import BackendError
from gensafe_backends.symphony.positions import PositionTracker
from gensafe_backends.symphony.vocab import ModalityId, vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gensafe_backends.symphony.config import SymphonyConfig

PAGE: Final = 64  # tokens per key/value page; caches grow by whole pages


@dataclass(frozen=True, slots=True, eq=False)
class TokenBatch:
    """Consecutive tokens of one sequence: ids, (t, y, x) positions, slots and modalities, all int64, T rows each."""

    ids: NDArray[np.int64]
    tyx: NDArray[np.int64]
    slots: NDArray[np.int64]
    modalities: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, start: int, stop: int) -> TokenBatch:
        """Rows ``start:stop``."""
        cut = slice(start, stop)
        return TokenBatch(self.ids[cut], self.tyx[cut], self.slots[cut], self.modalities[cut])


class Feeder:
    """Turns ids into ``TokenBatch``es, one token or many at a time, keeping track of positions."""

    def __init__(self, config: SymphonyConfig) -> None:
        self._tracker = PositionTracker(config)
        self._table = vocabulary(config).modality_table()

    def copy(self) -> Feeder:
        """An independent feeder in the same state (for branching off a shared prefix)."""
        twin = object.__new__(Feeder)
        twin._tracker, twin._table = self._tracker.copy(), self._table
        return twin

    def push(self, ids: Iterable[int]) -> TokenBatch:
        """Positions, slots and modalities of the tokens that follow everything pushed before."""
        tokens = np.fromiter(ids, dtype=np.int64)
        rows = [self._tracker.push(int(i)) for i in tokens]
        where = np.array([(p.t, p.y, p.x, p.slot) for p in rows], dtype=np.int64).reshape(-1, 4)
        return TokenBatch(tokens, where[:, :3], where[:, 3], self._table[tokens])


class Cache(Protocol):
    """Keys and values of one sequence."""

    length: int
    """Tokens held."""

    def nbytes(self) -> int:
        """Bytes of memory the keys and values take now."""

    def truncate(self, length: int) -> None:
        """Forget all tokens from index ``length`` on."""


class Engine(Protocol):
    """One set of weights on one kind of arithmetic. Thread-safe while each cache is used by one thread at a time."""

    name: str
    config: SymphonyConfig

    def new_cache(self) -> Cache:
        """An empty cache."""

    def cache_bytes(self, tokens: int) -> int:
        """The most bytes a cache takes while it grows to ``tokens`` tokens."""

    def forward(
        self, batch: TokenBatch, cache: Cache, *, live: range | None = None, last_only: bool = True
    ) -> NDArray[np.float32]:
        """Append ``batch`` to ``cache`` and return logits.

        Args:
            batch: T >= 1 tokens.
            cache: From this engine's ``new_cache``; grows by T.
            live: Vocabulary range wanted; None = all.
            last_only: Only the last token's logits.

        Returns:
            float32 (1 or T, len(live)).

        Raises:
            BackendError: empty batch, or ids outside the vocabulary.
        """


@dataclass(slots=True)
class Activity:
    """What a forward pass touched: bytes of weights read (as stored in float32) and heads evaluated."""

    weight_bytes: int = 0
    heads_run: int = 0
    heads_skipped: int = 0
    tokens: int = 0


def check_batch(batch: TokenBatch, config: SymphonyConfig) -> None:
    """Refuse what no engine can run.

    Raises:
        BackendError: an empty batch, or an id, slot or modality out of range.
    """
    if len(batch) == 0:
        raise BackendError("an empty batch has no logits")
    for values, bound in ((batch.ids, vocabulary(config).size), (batch.slots, config.slots), (batch.modalities, 4)):
        if int(values.min()) < 0 or int(values.max()) >= bound:
            raise BackendError("a token lies outside the model's vocabulary")


def head_blocks(config: SymphonyConfig) -> tuple[range, ...]:
    """The vocabulary as the blocks the output head is multiplied in: control + text, image, audio, video.

    Every live range is one of them. Multiplying block by block, always, makes the constrained head bit-identical to
    the full one (a BLAS may order sums differently for another shape).
    """
    v = vocabulary(config)
    return (range(0, v.text.stop), v.image, v.audio, v.video)


def live_blocks(config: SymphonyConfig, live: range | None) -> tuple[tuple[range, ...], slice]:
    """Blocks that cover ``live``, and where ``live`` lies in their concatenation."""
    blocks = head_blocks(config)
    if live is None:
        return blocks, slice(0, blocks[-1].stop)
    if live.start < 0 or live.stop > blocks[-1].stop or len(live) == 0 or live.step != 1:
        raise BackendError(f"no such vocabulary range: {live}")
    chosen = tuple(b for b in blocks if b.start < live.stop and live.start < b.stop)
    return chosen, slice(live.start - chosen[0].start, live.stop - chosen[0].start)


class RopeTable:
    """cos and sin of the rotary angles of equation 2d, computed in float64 once per coordinate, stored as float32."""

    def __init__(self, config: SymphonyConfig) -> None:
        self._frequencies = [
            np.float64(base) ** (-np.arange(n, dtype=np.float64) / n)
            for n, base in zip(config.rope_pairs, config.rope_bases, strict=True)
        ]
        self._tables = [self._rows(f, 0, 64) for f in self._frequencies]

    @staticmethod
    def _rows(frequencies: NDArray[np.float64], start: int, stop: int) -> NDArray[np.float32]:
        angles = np.arange(start, stop, dtype=np.float64)[:, None] * frequencies
        table = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return np.asarray(table, dtype=np.float32)

    def __call__(self, tyx: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(cos, sin), each float32 (T, head_dim / 2), for positions (T, 3), all >= 0."""
        parts = []
        for axis, frequencies in enumerate(self._frequencies):
            need = int(tyx[:, axis].max()) + 1
            table = self._tables[axis]
            if need > len(table):  # a new array each time: a reader in another thread keeps the old one
                grown = self._rows(frequencies, len(table), max(need, 2 * len(table)))
                table = self._tables[axis] = np.concatenate([table, grown])
            parts.append(table[tyx[:, axis]])
        both = np.concatenate(parts, axis=2)
        return np.ascontiguousarray(both[:, 0]), np.ascontiguousarray(both[:, 1])


def length_scale(config: SymphonyConfig, start: int, count: int) -> NDArray[np.float32]:
    """c_i of equation 2e for global layers: float32 (count,) for token indices ``start ..``."""
    index = np.arange(start + 1, start + count + 1, dtype=np.float64)
    return np.asarray(np.maximum(1.0, np.log(index) / np.log(config.train_length)), dtype=np.float32)


def layer_kinds(config: SymphonyConfig) -> tuple[int, int]:
    """How many layers are global, how many local."""
    wide = sum(i in config.global_layers for i in range(config.layers))
    return wide, config.layers - wide


def kv_bytes_per_token(config: SymphonyConfig, bytes_per_value: int = 4) -> tuple[int, int]:
    """Key and value bytes of one token: in the global layers, which keep it, and in the local ones, which let it go."""
    wide, local = layer_kinds(config)
    each = 2 * config.kv_heads * config.head_dim * bytes_per_value
    return wide * each, local * each


def plain_cache_bytes(config: SymphonyConfig, tokens: int, growth: float) -> int:
    """``Engine.cache_bytes`` of an engine that keeps all tokens of all layers and grows by the factor ``growth``."""
    return -(-int(growth * tokens) // PAGE) * PAGE * sum(kv_bytes_per_token(config))


def present(modalities: NDArray[np.int64]) -> Sequence[ModalityId]:
    """The modalities that occur, in id order."""
    return [ModalityId(int(m)) for m in np.unique(modalities)]
