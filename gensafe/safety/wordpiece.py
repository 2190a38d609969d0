"""WordPiece tokenisation (Wu et al. 2016, as in BERT uncased) without dependencies, with a cache of words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

_PIECES: Final = re.compile(
    r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]|[^\W_]+|[^\w\s]|_",
)
MAX_WORD: Final = 100  # longer runs become [UNK], as in BERT
# words: more than the encoder's vocabulary of 30,522; bounds memory. A round number, not measured
CACHE: Final = 50_000


class WordPiece:
    """Tokenizer over a fixed vocabulary.

    Args:
        vocabulary: Pieces in id order; must hold [PAD], [UNK], [CLS] and [SEP].
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._ids = {piece: i for i, piece in enumerate(vocabulary)}
        self.pad, self.unknown = self._ids["[PAD]"], self._ids["[UNK]"]
        self.first, self.last = self._ids["[CLS]"], self._ids["[SEP]"]
        self._cache: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """Ids of the pieces of ``text``, without [CLS] and [SEP]."""
        ids: list[int] = []
        for word in _PIECES.findall(_plain(text)):
            known = self._cache.get(word)
            if known is None:
                known = self._word(word)
                if len(self._cache) < CACHE:
                    self._cache[word] = known
            ids.extend(known)
        return ids

    def _word(self, word: str) -> list[int]:
        if len(word) > MAX_WORD:
            return [self.unknown]
        ids: list[int] = []
        start = 0
        while start < len(word):
            end = len(word)
            while end > start:
                piece = ("##" if start else "") + word[start:end]
                if piece in self._ids:
                    ids.append(self._ids[piece])
                    break
                end -= 1
            else:
                return [self.unknown]
            start = end
        return ids


def _plain(text: str) -> str:
    text = text.lower()
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) not in ("Mn", "Cf", "Cc"))
