"""The sentence encoder: an int8 ONNX MiniLM and a small network over its pooled features. onnxruntime on one thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import SafetyUnavailable
from gensafe.safety.onnx_session import Network
from gensafe.safety.wordpiece import WordPiece

MAX_TOKENS: Final = 128  # with [CLS] and [SEP]; longer texts are scored in windows by the caller


class Encoder:
    """Texts to pooled features.

    Args:
        model: An ONNX file made by ``training.text_classifiers.encoder``.
        vocabulary: WordPiece vocabulary in id order.

    Raises:
        SafetyUnavailable: the model cannot be loaded.
    """

    def __init__(self, model: bytes, vocabulary: Sequence[str]) -> None:
        try:
            self._session = Network(model)
            self._pieces = WordPiece(vocabulary)
            self.width = int(self._session.outputs[0].shape[1])
        except Exception as error:
            raise SafetyUnavailable(f"the encoder cannot be loaded: {type(error).__name__}") from error

    def encode(self, text: str) -> list[int]:
        """Token ids with [CLS] and [SEP], cut to MAX_TOKENS."""
        p = self._pieces
        return [p.first, *p.encode(text)[: MAX_TOKENS - 2], p.last]

    def windows(self, text: str) -> list[list[int]]:
        """Token ids of the whole text in overlapping windows of MAX_TOKENS; nothing is cut off."""
        p = self._pieces
        ids, size = p.encode(text), MAX_TOKENS - 2
        starts = range(0, max(1, len(ids) - size // 2), size // 2) if len(ids) > size else range(1)
        return [[p.first, *ids[s : s + size], p.last] for s in starts]

    def features(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(batch, width) pooled features of token ids.

        Raises:
            SafetyUnavailable: the runtime failed.
        """
        longest = max(map(len, batch))
        ids = np.full((len(batch), longest), self._pieces.pad, np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        try:
            return np.asarray(self._session.run(None, {"ids": ids, "mask": mask})[0], np.float32)
        except Exception as error:
            raise SafetyUnavailable(f"the encoder failed: {type(error).__name__}") from error


@dataclass(frozen=True)
class Heads:
    """Features -> logits: w2 relu(w1 x + b1) + b2."""

    w1: NDArray[np.float32]
    b1: NDArray[np.float32]
    w2: NDArray[np.float32]
    b2: NDArray[np.float32]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(batch, heads) logits."""
        hidden = np.maximum(features @ self.w1 + self.b1, 0)
        return np.asarray(hidden @ self.w2 + self.b2, np.float32)
