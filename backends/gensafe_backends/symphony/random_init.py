"""Random weights of the right shapes: for tests, and for measuring speed and memory of sizes nobody has trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gensafe_backends.symphony.model.spec import tensor_shapes
from gensafe_backends.symphony.tokenizers.coder import Coder, CoderConfig
from gensafe_backends.symphony.tokenizers.pictures import POOL
from gensafe_backends.symphony.tokenizers.stft import BANDS, BINS
from gensafe_backends.symphony.tokenizers.text import TextTokenizer, learn_merges
from gensafe_backends.symphony.tokenizers.universal import FRAMES_PER_TOKEN, UniversalTokenizer
from gensafe_backends.symphony.weights import MODEL_FILE, load_tensors, pack_tensors, write_card

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gensafe_backends.symphony.config import SymphonyConfig


def random_tensors(config: SymphonyConfig, seed: int = 0, gain: float = 1.0) -> dict[str, NDArray[np.float32]]:
    """Float32 tensors that are exact in float16, as stored bundles are.

    Matrices are normal with variance ``gain^2 / fan_in``, norms lie around 1, tables and biases around 0.
    """
    rng = np.random.default_rng(seed)
    out: dict[str, NDArray[np.float32]] = {}
    for name, shape in tensor_shapes(config).items():
        noise = rng.standard_normal(shape)
        if "norm" in name:
            value = 1.0 + 0.1 * noise
        elif len(shape) == 2 and "bias" not in name:
            value = gain * noise / np.sqrt(shape[1])
        else:
            value = 0.5 * noise
        out[name] = value.astype(np.float16).astype(np.float32)
    return out


def write_random_bundle(directory: Path, config: SymphonyConfig, seed: int = 0) -> None:
    """Write a complete bundle (config, weights, tokenizer, card) that nobody trained: it runs, and says nonsense."""
    c = config
    rng = np.random.default_rng(seed)
    picture = (c.image_patch, 1, c.image_grid, c.image_levels)
    film = (c.video_patch, c.video_frames, c.video_grid, c.video_levels)
    sizes = {
        name: CoderConfig(frames * (patch // POOL) ** 2 * 3, frames * patch * patch * 3, (grid, grid), levels, (1, 1),
                          blocks=1, width=16, hidden=16)
        for name, (patch, frames, grid, levels) in (("image", picture), ("video", film))
    }  # fmt: skip
    sizes["audio"] = CoderConfig(
        FRAMES_PER_TOKEN * BANDS, FRAMES_PER_TOKEN * BINS, (1, c.audio_tokens), c.audio_levels, (0, 2),
        blocks=1, width=16, hidden=16,
    )  # fmt: skip
    tensors = {
        f"{name}.{key}": (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        for name, size in sizes.items()
        for key, shape in size.shapes().items()
    }
    tensors = load_tensors(pack_tensors(tensors))
    coders = {
        name: Coder(size, {key: tensors[f"{name}.{key}"] for key in size.shapes()}) for name, size in sizes.items()
    }
    merges = learn_merges(["a red circle and a blue square", "tell me a story about a quiet fox"] * 3, 40)
    tokenizer = UniversalTokenizer(c, TextTokenizer(merges, c.text_vocab), coders)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(c.to_json(), encoding="utf-8")
    (directory / MODEL_FILE).write_bytes(pack_tensors(random_tensors(c, seed)))
    (directory / "tokenizer.json").write_text(tokenizer.metadata(), encoding="utf-8")
    (directory / "tokenizer.safetensors").write_bytes(pack_tensors(tensors))
    write_card(directory, {"name": c.name, "trained": False})
