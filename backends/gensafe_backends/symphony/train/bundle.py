"""Writing bundles: config, weights, tokenizer and card in one directory, replaced as a whole file by file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.tokenizers.coder import Coder
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_backends.symphony.weights import MODEL_FILE, load_tensors, pack_tensors, write_card


def stored(tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Tensors as they will be read back: rounded to what the file keeps."""
    return load_tensors(pack_tensors(tensors))


def stored_tokenizer(tokenizer: UniversalTokenizer) -> UniversalTokenizer:
    """The tokenizer as it will be read back. Training data must be made with this one, or ids may differ."""
    coders = {name: Coder(c.config, stored(coder_tensors(c))) for name, c in tokenizer.coders.items()}
    return UniversalTokenizer(tokenizer.config, tokenizer.text, coders)


def coder_tensors(coder: Coder) -> dict[str, NDArray[np.float32]]:
    """A coder's tensors by name."""
    return {name: coder.tensor(name).astype(np.float32) for name in coder.config.shapes()}


def write_bundle(
    directory: Path,
    config: SymphonyConfig,
    tensors: Mapping[str, NDArray[np.float32]],
    tokenizer: UniversalTokenizer,
    facts: Mapping[str, Any],
) -> None:
    """Write every file of a bundle and, last, the card with their digests."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(config.to_json(), encoding="utf-8")
    (directory / MODEL_FILE).write_bytes(pack_tensors(tensors))
    (directory / "tokenizer.json").write_text(tokenizer.metadata(), encoding="utf-8")
    coders = {f"{name}.{key}": value for name, c in tokenizer.coders.items() for key, value in coder_tensors(c).items()}
    (directory / "tokenizer.safetensors").write_bytes(pack_tensors(coders))
    write_card(directory, facts)
