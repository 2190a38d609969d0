"""Detector-only encoders: copies of the tokenizers' encoders, taught to read ids back from decoded, damaged media.

The reverse cycle of WMAR (arXiv 2506.16349) with the decoder left alone: what is generated does not change, only how a
detector reads it. For ids z, decoder D, attack a and encoder copy E', least squares on the bounded values before
rounding: || E'(a(D(z))) - z ||^2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812 - the name everyone knows

from benchmarks.watermark.audio import attacks as attacks_audio
from benchmarks.watermark.image import attacks as pictures
from benchmarks.watermark.joint.attacks import Attack, after_payload, film, picture, sound
from benchmarks.watermark.video import attacks as films
from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.sequence import split_video
from gensafe_backends.symphony.tokenizers.coder import Coder
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_backends.symphony.train.coder_training import TorchCoder
from gensafe_backends.symphony.vocab import ModalityId, vocabulary

ENCODER = ("enc.0", "enc.1", "enc.2")


class Recorder(Coder):
    """A coder that keeps the features it is asked to encode."""

    kept: list[NDArray[np.float64]]

    def encode(self, features: NDArray[np.float64]) -> NDArray[np.int64]:
        """As the coder does."""
        self.kept.append(features)
        return super().encode(features)


def recorder(coder: Coder) -> Recorder:
    """A copy that records."""
    copy = Recorder(coder.config, _tensors(coder))
    copy.kept = []
    return copy


def _tensors(coder: Coder) -> dict[str, NDArray[np.float32]]:
    return {name: coder.tensor(name).astype(np.float32) for name in coder.config.shapes()}


def fit(
    coder: Coder,
    features: NDArray[np.float64],
    ids: NDArray[np.int64],
    *,
    steps: int,
    batch: int = 1024,
    rate: float = 1e-3,
    seed: int = 0,
) -> Coder:
    """The coder with its encoder taught to give ``ids`` (n,) for ``features`` (n, features)."""
    torch.manual_seed(seed)
    net = TorchCoder(coder.config)
    with torch.no_grad():
        for name, value in _tensors(coder).items():
            net.weight(name).copy_(torch.from_numpy(value))
    levels = np.asarray(coder.config.levels)
    basis = np.concatenate([[1], np.cumprod(levels[:-1])])
    wanted = (ids[:, None] // basis) % levels - levels // 2
    x, y = torch.from_numpy(features.astype(np.float32)), torch.from_numpy(wanted.astype(np.float32))
    own = [net.weight(f"{name}.{part}") for name in ENCODER for part in ("weight", "bias")]
    optimiser = torch.optim.AdamW(own, lr=rate, weight_decay=0.0)
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * max(0.02, 1 - step / steps)
        rows = torch.randint(0, len(x), (batch,), generator=generator)
        z = x[rows]
        for i, name in enumerate(ENCODER):
            z = F.linear(z, net.weight(f"{name}.weight"), net.weight(f"{name}.bias"))
            z = F.silu(z) if i < len(ENCODER) - 1 else z
        bounded = torch.tanh(z + net.shift) * net.scale - net.offset
        loss = F.mse_loss(bounded, y[rows])
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
    return Coder(coder.config, net.tensors())


def with_coders(tokenizer: UniversalTokenizer, coders: Mapping[str, Coder]) -> UniversalTokenizer:
    """The tokenizer with some coders replaced."""
    return UniversalTokenizer(tokenizer.config, tokenizer.text, {**tokenizer.coders, **coders})


def parts(ids: Sequence[int], modality: ModalityId, config: SymphonyConfig) -> dict[str, list[int]]:
    """FSQ ids of a medium by coder, in the order in which the tokenizer encodes them."""
    vocab = vocabulary(config)
    if modality is ModalityId.VIDEO:
        picture, sound = split_video(ids, config)
        return {"video": [t - vocab.video.start for t in picture], "audio": [t - vocab.audio.start for t in sound]}
    return {modality.name.lower(): [t - vocab.range_of(modality).start for t in ids]}


def damages(modality: ModalityId, rng: np.random.Generator) -> list[Attack]:
    """Kinds of damage as in the test, at other strengths, drawn anew for every medium; the first is none."""
    none: Attack = lambda media, rng: media  # noqa: E731 - one of a list of such
    if modality is ModalityId.IMAGE:
        return [
            none,
            picture(pictures.codec("JPEG", int(rng.integers(30, 96)))),
            picture(pictures.scale(float(rng.uniform(0.4, 0.9)), back=True)),
            picture(pictures.noise(float(rng.uniform(0.005, 0.04)))),
            after_payload(none),
        ]
    if modality is ModalityId.AUDIO:
        return [
            none,
            sound(attacks_audio.codec("libmp3lame", "mp3", int(rng.choice((48, 80, 96, 160))) * 1000)),
            sound(attacks_audio.noise(float(rng.uniform(15, 40)))),
            sound(attacks_audio.resampled(int(rng.choice((7000, 9600, 11_025, 12_000))))),
            after_payload(none),
        ]
    tone = attacks_audio.codec("libmp3lame", "mp3", int(rng.choice((48, 80, 96, 160))) * 1000)
    return [
        none,
        film(films.encode("libx264", int(rng.integers(18, 34))), tone),
        film(films.each(pictures.scale(float(rng.uniform(0.4, 0.9)), back=True)), attacks_audio.noise(35)),
        film(films.each(pictures.noise(float(rng.uniform(0.005, 0.04)))), attacks_audio.noise(25)),
    ]
