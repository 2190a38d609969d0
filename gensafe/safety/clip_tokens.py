"""CLIP's byte-level BPE (Radford et al., 2021; Sennrich et al., 2016) from the two files that come with its weights."""

from __future__ import annotations

import json
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

from gensafe.core.errors import ConfigError

START: Final = "<|startoftext|>"
END: Final = "<|endoftext|>"
_WORD: Final = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+", re.IGNORECASE)


@cache
def byte_letters() -> dict[int, str]:
    """A printable letter for each byte, as the vocabulary writes it."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = {b: chr(b) for b in plain}
    rest = [b for b in range(256) if b not in letters]
    return letters | {b: chr(256 + i) for i, b in enumerate(rest)}


class ClipTokens:
    """Text to token ids.

    Args:
        vocabulary: Token -> id.
        merges: Pairs of tokens in the order in which they are joined.
    """

    def __init__(self, vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> None:
        self._ids = vocabulary
        self._rank = {pair: i for i, pair in enumerate(merges)}

    def encode(self, text: str, length: int) -> list[int]:
        """``length`` ids: start, the text cut to fit, end, padded with the end token."""
        ids = [self._ids[START]]
        for word in _WORD.findall(" ".join(text.lower().split())):
            letters = "".join(byte_letters()[b] for b in word.encode())
            ids += [self._ids.get(piece, self._ids[END]) for piece in self._joined(letters)]
        ids = [*ids[: length - 1], self._ids[END]]
        return ids + [self._ids[END]] * (length - len(ids))

    def _joined(self, letters: str) -> list[str]:
        pieces = [*letters[:-1], letters[-1] + "</w>"]
        while len(pieces) > 1:
            ranked = [(self._rank.get(pair, len(self._rank)), i) for i, pair in enumerate(pairwise(pieces))]
            rank, at = min(ranked)
            if rank == len(self._rank):
                break
            pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
        return pieces


def read_tokens(vocabulary: Path, merges: Path) -> ClipTokens:
    """Read ``vocab.json`` and ``merges.txt``.

    Raises:
        ConfigError: one of them cannot be read or lacks the start or end token.
    """
    try:
        ids = {str(k): int(v) for k, v in json.loads(vocabulary.read_text(encoding="utf-8")).items()}
        lines = merges.read_text(encoding="utf-8").splitlines()
        pairs = [
            (a, b) for a, b in (line.split() for line in lines if line.strip() and not line.startswith("#version"))
        ]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"the vocabulary cannot be read: {type(error).__name__}", field="image_clip.vocabulary"
        ) from error
    if START not in ids or END not in ids:
        raise ConfigError(f"lacks {START} or {END}", field="image_clip.vocabulary")
    return ClipTokens(ids, pairs)
