"""Byte-level BPE: 256 bytes plus merges learned on the texts of the world. Nothing is ever out of vocabulary."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from gensafe.core.errors import ConfigError, InvalidRequest

_PIECES = re.compile(r" ?[A-Za-z]+| ?[0-9]| ?[^\sA-Za-z0-9]+|\s+")
BYTES = 256  # values of a byte: the first ids
CACHED_PIECES = 4096  # bounds memory. A round number, not measured


def pieces(text: str) -> list[str]:
    """Words with their leading space, single digits, runs of other signs, spaces: merges never cross them."""
    return _PIECES.findall(text)


def learn_merges(texts: Iterable[str], count: int) -> list[tuple[int, int]]:
    """The ``count`` most useful merges, ties broken by the ids themselves."""
    words: Counter[tuple[int, ...]] = Counter()
    for text in texts:
        words.update(tuple(piece.encode("utf-8")) for piece in pieces(text))
    merges: list[tuple[int, int]] = []
    table = dict(words)
    for n in range(count):
        pairs: Counter[tuple[int, int]] = Counter()
        for word, times in table.items():
            for pair in pairwise(word):
                pairs[pair] += times
        if not pairs:
            break
        best = max(pairs, key=lambda p: (pairs[p], -p[0], -p[1]))
        merges.append(best)
        table = {_merge(word, best, BYTES + n): times for word, times in table.items()}
    return merges


def _merge(word: tuple[int, ...], pair: tuple[int, int], new: int) -> tuple[int, ...]:
    out: list[int] = []
    i = 0
    while i < len(word):
        if i + 1 < len(word) and (word[i], word[i + 1]) == pair:
            out.append(new)
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


class TextTokenizer:
    """Text <-> BPE ids 0..255+merges (without the vocabulary's offset).

    A text is encoded with one space before it, so that its first word is the token that word is everywhere; decoding
    takes it off again. Ids of merges beyond the learned ones are reserved and decode to nothing.
    """

    def __init__(self, merges: Sequence[tuple[int, int]], size: int) -> None:
        if len(merges) > size - BYTES:
            raise ConfigError(f"{len(merges)} merges do not fit a text range of {size}", field="tokenizer.json")
        self.merges = [(int(a), int(b)) for a, b in merges]
        self.size = size
        self._rank = {pair: i for i, pair in enumerate(self.merges)}
        self._bytes = [bytes([i]) for i in range(BYTES)]
        for a, b in self.merges:
            if not (0 <= a < len(self._bytes) and 0 <= b < len(self._bytes)):
                raise ConfigError("a merge names an id that comes after it", field="tokenizer.json")
            self._bytes.append(self._bytes[a] + self._bytes[b])
        self._cache: dict[str, tuple[int, ...]] = {}

    def _piece(self, piece: str) -> tuple[int, ...]:
        known = self._cache.get(piece)
        if known is None:
            known = self._encode_piece(piece)
            if len(self._cache) < CACHED_PIECES:
                self._cache[piece] = known
        return known

    def _encode_piece(self, piece: str) -> tuple[int, ...]:
        word = tuple(piece.encode("utf-8", errors="surrogatepass"))
        while len(word) > 1:
            ranked = [(self._rank[p], p) for p in pairwise(word) if p in self._rank]
            if not ranked:
                break
            rank, pair = min(ranked)
            word = _merge(word, pair, BYTES + rank)
        return word

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""
        return [i for piece in pieces(" " + text) for i in self._piece(piece)]

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """UTF-8 bytes of ids, leading space included (streaming callers hold back incomplete characters)."""
        if any(not 0 <= i < self.size for i in ids):
            raise InvalidRequest("a text id is outside the text range")
        return b"".join(self._bytes[i] for i in ids if i < len(self._bytes))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; broken UTF-8 becomes replacement characters."""
        text = self.decode_bytes(ids).decode("utf-8", errors="replace")
        return text[1:] if text.startswith(" ") else text
