"""Reuse of what was read before: key/value pages of prompts, found again by the content of everything up to them.

Two prompts that begin alike (the same picture with another question, a talk that goes on) share the pages of that
beginning. A page is named by a SHA-256 over all ids from the first to its last, so a page is only ever found for
exactly the prefix it was computed from; full pages are never written again. The native engine gives the same bits
however a prompt is split, so an answer is the same with and without reuse.

The store holds derived content of prompts in memory, until newer pages push it out, and a prompt that begins like an
earlier one is answered sooner: who must hide that from other callers of the process switches it off (``prefix_mb=0``).
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gensafe_backends.symphony.model.engine import PAGE, Cache
from gensafe_backends.symphony.model.native.cache import NativeCache
from gensafe_backends.symphony.vocab import vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gensafe_backends.symphony.config import SymphonyConfig

    F32 = NDArray[np.float32]


class PrefixStore:
    """Pages of one model's prompts, the least recently used given up first.

    Args:
        config: The model's sizes.
        limit: Bytes of keys and values to hold; 0 keeps nothing.
    """

    def __init__(self, config: SymphonyConfig, limit: int) -> None:
        self.limit = limit
        self.reused = 0  # tokens that were not read again
        self._modalities = vocabulary(config).modality_table()
        self._pages: OrderedDict[bytes, tuple[F32, F32]] = OrderedDict()
        self._lock = threading.Lock()

    def fetch(self, ids: Sequence[int], cache: Cache) -> int:
        """Begin an empty cache with what is known of a prompt; returns how many tokens that is.

        At least one token is left to be read, for its logits.
        """
        if not isinstance(cache, NativeCache) or not self.limit:
            return 0
        found: list[tuple[F32, F32]] = []
        with self._lock:
            names = list(_names(ids, (len(ids) - 1) // PAGE))
            for name in names:
                if name not in self._pages:
                    break
                found.append(self._pages[name])
            for name in reversed(names[: len(found)]):  # a beginning is younger than what follows: it goes last
                self._pages.move_to_end(name)
            self.reused += len(found) * PAGE
        cache.adopt(found, self._modalities[np.asarray(ids[: len(found) * PAGE], dtype=np.int64)])
        return len(found) * PAGE

    def keep(self, ids: Sequence[int], cache: Cache) -> None:
        """Remember the full pages of a prompt that has been read into ``cache``."""
        if not isinstance(cache, NativeCache) or not self.limit:
            return
        full = list(zip(_names(ids, len(ids) // PAGE), cache.pages, strict=False))
        with self._lock:
            for name, (wide, local) in reversed(full):
                if local is not None:
                    self._pages[name] = (wide, local)
                    self._pages.move_to_end(name)
            while self.nbytes() > self.limit:
                self._pages.popitem(last=False)

    def nbytes(self) -> int:
        """Bytes of keys and values held."""
        return sum(wide.nbytes + local.nbytes for wide, local in self._pages.values())


def _names(ids: Sequence[int], count: int) -> Iterator[bytes]:
    """Names of the first ``count`` pages: a hash over all ids up to the page's end."""
    digest = hashlib.sha256()
    for page in range(count):
        digest.update(np.asarray(ids[page * PAGE : (page + 1) * PAGE], dtype="<i8").tobytes())
        yield digest.copy().digest()
