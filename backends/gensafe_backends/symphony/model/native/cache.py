"""Keys and values of one sequence of the native engine, in pages."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gensafe.core.errors import BackendError
from gensafe_backends.symphony.model.engine import PAGE, layer_kinds
from gensafe_backends.symphony.model.native.structs import PANEL, POINTER, CallStruct
from gensafe_backends.symphony.vocab import vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gensafe_backends.symphony.config import SymphonyConfig

    F32 = NDArray[np.float32]


class NativeCache:
    """Pages of 64 tokens, float32: keys (transposed) and values of the global layers, apart from them the local ones'.

    Those are given back once no query can see them any more. A full page never changes again.
    """

    def __init__(self, config: SymphonyConfig) -> None:
        self._window = config.window
        self._sizes = [n * config.kv_heads * 2 * config.head_dim * PAGE for n in layer_kinds(config)]
        self.pages: list[tuple[F32, F32 | None]] = []
        self.pointers = (POINTER * 16)()
        self.seen = np.zeros(8 * PAGE, np.uint8)
        self.step: Step | None = None
        self.length = 0
        self._first = 0  # the first page whose local half is still there
        self._shared = 0  # pages from here on belong to this cache alone

    def reserve(self, count: int) -> None:
        """Make room for ``count`` more tokens; pages already there never move."""
        need = -(-(self.length + count) // PAGE)
        self._lengthen(need)
        while len(self.pages) < need:
            self._append(np.zeros(self._sizes[0], np.float32), np.zeros(self._sizes[1], np.float32))

    def _lengthen(self, need: int) -> None:
        """A page table for at least ``need`` pages."""
        if 2 * need > len(self.pointers):
            grown = (POINTER * max(2 * need, 2 * len(self.pointers)))()
            ctypes.memmove(grown, self.pointers, 2 * len(self.pages) * ctypes.sizeof(POINTER))
            self.pointers, self.step = grown, None  # a step's buffers point at the old table
            self.seen = np.concatenate([self.seen, np.zeros(len(grown) // 2 * PAGE - len(self.seen), np.uint8)])

    def _append(self, wide: F32, local: F32) -> None:
        at = 2 * len(self.pages)
        self.pointers[at], self.pointers[at + 1] = wide.ctypes.data, local.ctypes.data
        self.pages.append((wide, local))

    def advance(self, count: int) -> None:
        """``count`` tokens were appended: give back what lies more than a page before the window of the next query.

        The page that is kept lets a caller go back by up to ``PAGE`` tokens and on from there.
        """
        self.length += count
        while (self._first + 2) * PAGE <= self.length - self._window + 1:
            self.pages[self._first] = (self.pages[self._first][0], None)
            self.pointers[2 * self._first + 1] = None
            self._first += 1

    def nbytes(self) -> int:
        """Bytes held by keys and values."""
        return 4 * (len(self.pages) * self._sizes[0] + (len(self.pages) - self._first) * self._sizes[1])

    def truncate(self, length: int) -> None:
        """Forget all tokens from index ``length`` on; whole pages beyond are given back.

        Raises:
            BackendError: the local layers no longer hold what the token at ``length`` would see.
        """
        if length >= self.length:
            return
        if self._first > max(0, length - self._window + 1) // PAGE:
            raise BackendError(f"a cache of {self.length} tokens cannot go back to {length}: its window has moved on")
        self.length = length
        del self.pages[-(-length // PAGE) :]
        if length % PAGE and length // PAGE < self._shared:  # about to be written to: a copy of its own
            wide, local = self.pages.pop()
            assert local is not None
            self._append(wide.copy(), local.copy())
        self._shared = min(self._shared, length // PAGE)

    def adopt(self, pages: Sequence[tuple[F32, F32]], modalities: NDArray[np.int64]) -> None:
        """Begin an empty cache with full pages of another one, which both only read from now on."""
        self._lengthen(len(pages))
        for wide, local in pages:
            self._append(wide, local)
        self._shared = len(self.pages)
        self.length = self._shared * PAGE
        self.seen[: self.length] = modalities[: self.length]


class Step:
    """Buffers and the call structure for single-token passes on one cache, until the cache outgrows ``room``."""

    def __init__(self, kv: NativeCache, config: SymphonyConfig, work: int) -> None:
        self.room = len(kv.pointers) // 2 * PAGE
        self.ids, self.slots, self.modalities, self.index = (np.zeros(1, np.int64) for _ in range(4))
        self.live_panel, self.live_panels = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self.cos, self.sin = (np.zeros(config.head_dim // 2, np.float32) for _ in range(2))
        self.scale = np.zeros(1, np.float32)
        self.work = np.empty(work, np.float32)
        self.logits = np.empty(-(-vocabulary(config).size // PANEL) * PANEL, np.float32)
        self.pages, self.seen = (POINTER * 1)(ctypes.addressof(kv.pointers)), (POINTER * 1)(kv.seen.ctypes.data)
        self.out = (POINTER * 1)(self.logits.ctypes.data)
        self.call = CallStruct(
            count=1,
            ids=self.ids.ctypes.data, slots=self.slots.ctypes.data, modalities=self.modalities.ctypes.data,
            index=self.index.ctypes.data,
            cos=self.cos.ctypes.data, sin=self.sin.ctypes.data, scale=self.scale.ctypes.data,
            pages=ctypes.addressof(self.pages), seen=ctypes.addressof(self.seen),
            work=self.work.ctypes.data, logits=ctypes.addressof(self.out),
            live_panel=self.live_panel.ctypes.data, live_panels=self.live_panels.ctypes.data,
        )  # fmt: skip
