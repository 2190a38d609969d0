"""Audio watermark: two verbs, ``embed`` and ``detect``, and a streaming embedder.

A spread-spectrum mark in the log-magnitude short-time spectrum between 0.3 and 6 kHz, in blocks of 1.92 s. See
docs/watermark-audio.md for what it survives and what beats it.
"""

from gensafe_watermark.audio.verbs import StreamEmbedder, detect, embed

__all__ = ["StreamEmbedder", "detect", "embed"]
