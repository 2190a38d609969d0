"""Bundles of trained weights: ``config.json``, ``model.safetensors``, ``tokenizer.*`` and a ``card.json`` with digests.

Matrices are stored as float16 and norms, biases and tables as float32; both are upcast to float32 on load, exactly,
with
numpy alone. Nothing is used before its SHA-256 agrees with the card.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from gensafe.core.errors import ConfigError
from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.model.spec import tensor_shapes

ASSETS = Path(__file__).parent / "assets"
MODEL_FILE = "model.safetensors"
FILES = ("config.json", MODEL_FILE, "tokenizer.json", "tokenizer.safetensors")


def sha256(data: bytes) -> str:
    """``sha256:<hex>``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def read_verified(directory: Path, name: str) -> bytes:
    """Bytes of one file of a bundle, checked against the card.

    Raises:
        ConfigError: the file is missing or not the one the card names.
    """
    try:
        card: dict[str, Any] = json.loads((directory / "card.json").read_text(encoding="utf-8"))
        data = (directory / name).read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigError(f"model bundle {directory.name}: {error}", field=name) from error
    if card.get("files", {}).get(name) != sha256(data):
        raise ConfigError(f"model bundle {directory.name}: {name} is not the file its card names", field=name)
    return data


def load_tensors(data: bytes) -> dict[str, NDArray[np.float32]]:
    """Tensors of a safetensors file, float16 upcast to float32."""
    try:
        return {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in load(data).items()}
    except (SafetensorError, ValueError, KeyError) as error:
        raise ConfigError(f"weights are not readable: {error}", field=MODEL_FILE) from error


def load_model(directory: Path) -> tuple[SymphonyConfig, dict[str, NDArray[np.float32]]]:
    """Config and float32 weights of a bundle, digests and shapes checked.

    Raises:
        ConfigError: anything is missing, altered or of the wrong shape.
    """
    config = SymphonyConfig.from_json(read_verified(directory, "config.json").decode("utf-8"))
    tensors = load_tensors(read_verified(directory, MODEL_FILE))
    expected = tensor_shapes(config)
    found = {name: value.shape for name, value in tensors.items()}
    if found != expected:
        wrong = sorted(set(found.items()) ^ set(expected.items()))
        raise ConfigError(f"weights do not fit the config: {wrong[:3]}", field=MODEL_FILE)
    return config, tensors


def weights_digest(directory: Path) -> str:
    """``sha256:<hex>`` over the card's file digests: one name for config, weights and tokenizer together."""
    lines = "".join(f"{name} {sha256(read_verified(directory, name))}\n" for name in FILES)
    return sha256(lines.encode("ascii"))


def pack_tensors(tensors: Mapping[str, NDArray[np.float32]]) -> bytes:
    """Safetensors bytes: matrices as float16, everything else as float32."""
    return bytes(
        save(
            {k: v.astype(np.float16 if v.ndim == 2 else np.float32) for k, v in tensors.items()}
        )  # sorted by name inside
    )


def write_card(directory: Path, facts: Mapping[str, Any]) -> None:
    """Write ``card.json`` with ``facts`` and the digest of every file of the bundle."""
    card = {**facts, "files": {name: sha256((directory / name).read_bytes()) for name in FILES}}
    (directory / "card.json").write_text(json.dumps(card, indent=2, sort_keys=True) + "\n", encoding="utf-8")
