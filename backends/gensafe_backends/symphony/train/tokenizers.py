"""Training the universal tokenizer: text merges, and per medium first the encoder, then the decoder.

Encoders are fitted on single patches, every distinct patch of the world equally often, against the pooled features
alone:
cheap, and codes stand for themselves without their neighbours. A pull towards the middle of each level keeps ids still
under noise. Then ids are frozen and a decoder that sees neighbouring codes learns the full pixels. Sound, whose
targets are
small, is fitted in one go. After the encoder stage the model can be trained; decoders may go on improving beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the name everyone knows

from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.tokenizers import pictures, stft
from gensafe_backends.symphony.tokenizers.coder import Coder, CoderConfig
from gensafe_backends.symphony.tokenizers.text import BYTES, TextTokenizer, learn_merges
from gensafe_backends.symphony.tokenizers.universal import FRAMES_PER_TOKEN, UniversalTokenizer
from gensafe_backends.symphony.train.bundle import stored_tokenizer
from gensafe_backends.symphony.train.coder_training import TorchCoder, train_coder
from gensafe_backends.symphony.world import captions, clip, edits, render, sample, scene, sound, stories

FloatArray = NDArray[np.float64]
Report = Callable[[str], None]
PAPER_TOLERANCE = 8  # grey levels a patch may differ from paper and still count as paper


def coder_configs(config: SymphonyConfig) -> dict[str, CoderConfig]:
    """Sizes of the three coders of a model config."""
    pooled = (config.image_patch // pictures.POOL) ** 2 * 3
    frames = config.video_frames
    return {
        "image": CoderConfig(
            features=pooled,
            outputs=config.image_patch**2 * 3,
            grid=(config.image_grid, config.image_grid),
            levels=config.image_levels,
            reach=(1, 1),
            hidden=256,
            background=True,
        ),
        "audio": CoderConfig(
            features=FRAMES_PER_TOKEN * stft.BANDS,
            outputs=FRAMES_PER_TOKEN * stft.BINS,
            grid=(1, config.audio_tokens),
            levels=config.audio_levels,
            reach=(0, 2),
            width=128,
        ),
        "video": CoderConfig(
            features=frames * (config.video_patch // pictures.POOL) ** 2 * 3,
            outputs=frames * config.video_patch**2 * 3,
            grid=(config.video_grid, config.video_grid),
            levels=config.video_levels,
            reach=(1, 1),
            background=True,
        ),
    }


# --- what there is to learn from -------------------------------------------------------------------------------------

Labelled = tuple[FloatArray, tuple[int, int]]  # pixel values of some patches, and the colour and shape they show


def _pictures(config: SymphonyConfig) -> Iterator[Labelled]:
    for n, colour in enumerate(scene.COLOURS):
        for m, shape in enumerate(scene.SHAPES):
            for size in scene.SIZES:
                board = scene.Board((scene.Thing(4, colour, shape, size),))
                yield pictures.to_patches(render.render(board)[None].astype(np.float64), config.image_patch), (n, m)
        chart = render.render(scene.Bars(((colour, 1), ("red", 1))))[None].astype(np.float64)
        yield pictures.to_patches(chart, config.image_patch), (-1, -1)


def _films(config: SymphonyConfig) -> Iterator[Labelled]:
    for n, colour in enumerate(scene.COLOURS):
        for m, shape in enumerate(scene.SHAPES):
            for motion in clip.MOTIONS:
                starts = ((16, True), (48, True), (48, False)) if motion.startswith("bounce") else ((16, True),)
                for start, forward in starts:
                    film = clip.Clip(colour, shape, motion, "centre", start, forward)
                    for chunk in _clip_chunks(film, config):
                        yield chunk, (n, m)


def _clip_chunks(film: clip.Clip, config: SymphonyConfig) -> Iterator[FloatArray]:
    frames = clip.render_frames(film).astype(np.float64)
    for k in range(config.video_chunks):
        yield pictures.to_patches(frames[k * config.video_frames : (k + 1) * config.video_frames], config.video_patch)


def distinct_patches(name: str, config: SymphonyConfig) -> tuple[FloatArray, NDArray[np.int64]]:
    """Every distinct patch of the world: features (n, features), and its (colour, shape) or (-1, -1), (n, 2).

    Paper is about one patch in a hundred.
    """
    features, labels = [], []
    for patches, label in _pictures(config) if name == "image" else _films(config):
        features.append(pictures.patch_features(patches))
        labels.append(np.tile(label, (len(patches), 1)))
    every, named = np.concatenate(features), np.concatenate(labels)
    _, first = np.unique(np.round(every * 12).astype(np.int8), axis=0, return_index=True)
    first = np.sort(first)
    found, named = every[first], named[first]
    is_paper = np.abs(found - np.median(every, axis=0)).max(axis=1) < 0.12
    named[is_paper] = -1
    kept = np.concatenate([np.flatnonzero(~is_paper), np.flatnonzero(is_paper)[: max(1, len(found) // 100)]])
    return found[kept], named[kept].astype(np.int64)


# --- stages ----------------------------------------------------------------------------------------------------------


def train_encoder(
    name: str, config: SymphonyConfig, *, seconds: float, report: Report
) -> dict[str, NDArray[np.float32]]:
    """Tensors of a trained encoder (names ``enc.*``).

    The codes must give back the features and, to a classifier that is thrown away, the colour and shape: squared error
    alone merges what looks alike. In the second half values are pulled to the middle of their level.
    """
    torch.manual_seed(1)
    full = coder_configs(config)[name]
    features, named = distinct_patches(name, config)
    patches, labels = torch.from_numpy(features.astype(np.float32)), torch.from_numpy(named)
    small = CoderConfig(full.features, full.features, (1, 1), full.levels, (0, 0), width=full.width, hidden=192)
    coder, colours = TorchCoder(small), len(scene.COLOURS)
    judge = nn.Sequential(
        nn.Linear(len(full.levels), 96),
        nn.SiLU(),
        nn.Linear(96, 96),
        nn.SiLU(),
        nn.Linear(96, colours + len(scene.SHAPES)),
    )
    optimiser = torch.optim.AdamW(
        [*coder.parameters(), *judge.parameters()], lr=4e-3, betas=(0.9, 0.99), weight_decay=0.0
    )
    begin, step = time.monotonic(), 0
    while (spent := (time.monotonic() - begin) / max(seconds, 1e-9)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 4e-3 * min(1.0, (step + 1) / 50) * max(0.02, 1 - spent)
        chosen = torch.randint(len(patches), (512,))
        clean = patches[chosen]
        grain = torch.randn(clean.shape) * 0.04 * torch.rand(512, 1) + torch.randn(512, 1) * 0.012
        codes = coder.encode(clean + grain)
        error = coder.decode(codes) - clean
        loss = (error * error).mean() + 0.1 * error.abs().mean() + (0.15 if spent > 0.5 else 0.0) * coder.margin
        guess, goal = judge(codes), labels[chosen]
        loss = loss + 0.06 * F.cross_entropy(guess[:, :colours], goal[:, 0], ignore_index=-1)
        loss = loss + 0.09 * F.cross_entropy(guess[:, colours:], goal[:, 1], ignore_index=-1)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(coder.parameters(), 1.0)
        optimiser.step()
        step += 1
    ids = Coder(small, coder.tensors()).encode(features)
    report(f"{name}: {len(set(ids.tolist()))} codes for {len(features)} distinct patches, {step} steps")
    return {k: v for k, v in coder.tensors().items() if k.startswith("enc.")}


def train_decoder(
    name: str, config: SymphonyConfig, encoder: dict[str, NDArray[np.float32]], *, seconds: float, report: Report
) -> Coder:
    """A whole picture or video coder around a trained encoder, which stays as it is."""
    full = coder_configs(config)[name]
    grids, drawn = _decoder_material(name, config)

    def batch(rng: np.random.Generator) -> tuple[NDArray[np.generic], ...]:
        chosen = rng.integers(0, len(grids), 24)
        patches = grids[chosen].reshape(-1, *grids.shape[2:]).astype(np.float32)
        inked = drawn[chosen].reshape(-1)
        rows = np.flatnonzero(inked | (rng.random(len(inked)) < 0.1))
        targets = ((patches[rows] - pictures.MID) / pictures.SPREAD).reshape(len(rows), -1).astype(np.float32)
        weights = np.where(inked[rows], 1.0, 2.5).reshape(-1, 1).astype(np.float32)
        return pictures.patch_features(patches.astype(np.float64)).astype(np.float32), rows, targets, weights

    coder = TorchCoder(full)
    with torch.no_grad():
        for key, value in encoder.items():
            coder.weight(key).copy_(torch.from_numpy(value))
    trained = train_coder(
        full, batch, seconds=seconds, seed=2, learning_rate=2e-3, start=coder, freeze_encoder=True, report=report
    )
    return Coder(full, trained.tensors())


def _decoder_material(name: str, config: SymphonyConfig) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Whole grids of patches (n, places, frames, p, p, 3), and which of them hold more than paper (n, places)."""
    rng = np.random.default_rng(5)
    if name == "image":
        made: Iterator[FloatArray] = (
            pictures.to_patches(render.render(_draw_picture(rng))[None].astype(np.float64), config.image_patch)
            for _ in range(1500)
        )
        sheet, patch = render.paper()[None].astype(np.float64), config.image_patch
    else:
        made = (chunk for _ in range(420) for chunk in _clip_chunks(clip.sample_clip(rng), config))
        side, patch = config.video_grid * config.video_patch, config.video_patch
        sheet = np.repeat(render.paper(side)[None].astype(np.float64), config.video_frames, axis=0)
    paper = pictures.to_patches(sheet, patch)
    grids, drawn = [], []
    for patches in made:
        grids.append(patches.astype(np.uint8))
        drawn.append(np.abs(patches - paper).max(axis=(1, 2, 3, 4)) > PAPER_TOLERANCE)
    return np.stack(grids), np.stack(drawn)


def _draw_picture(rng: np.random.Generator) -> scene.Scene:
    """Full boards teach most per picture; huge shapes have many patches and get more than their share."""
    kind = rng.random()
    if kind > 0.8:
        return sample.sample_scene(rng)
    colours = [captions.pick(rng, sample.COLOUR_NAMES) for _ in scene.PLACES]
    shapes = [captions.pick(rng, scene.SHAPES) for _ in scene.PLACES]
    if kind < 0.22:
        return scene.Board((scene.Thing(4, colours[0], shapes[0], "huge"),))
    sizes = ["small" if rng.random() < 0.45 else "medium" for _ in scene.PLACES]
    places = [p for p in range(len(scene.PLACES)) if rng.random() < 0.75]
    return scene.Board(tuple(scene.Thing(p, colours[p], shapes[p], sizes[p]) for p in places))


def train_sound(config: SymphonyConfig, *, seconds: float, report: Report) -> Coder:
    """The sound coder, encoder and decoder together; the encoder hears noise and other levels."""
    full, rng = coder_configs(config)["audio"], np.random.default_rng(5)
    heard, wanted = [], []
    for i in range(700):
        clean = np.zeros(config.audio_tokens * config.audio_hop)
        made = clip.render_track(clip.sample_clip(rng)) if i % 5 == 0 else sound.render_sound(sound.sample_sound(rng))
        clean[: len(made)] = made
        noisy = (clean + rng.standard_normal(len(clean)) * 10 ** rng.uniform(-4.5, -2.7)) * 10 ** rng.uniform(
            -0.12, 0.12
        )
        wanted.append(stft.log_magnitude(np.abs(stft.stft(clean))).reshape(config.audio_tokens, -1).astype(np.float32))
        heard.append(stft.band_features(np.abs(stft.stft(noisy)), FRAMES_PER_TOKEN).astype(np.float32))
    features, targets = np.stack(heard), np.stack(wanted)

    def batch(rng: np.random.Generator) -> tuple[NDArray[np.generic], ...]:
        chosen = rng.integers(0, len(features), 16)
        goal = targets[chosen].reshape(-1, full.outputs)
        return features[chosen].reshape(-1, full.features), np.arange(len(goal)), goal, 1.15 + goal

    trained = train_coder(full, batch, seconds=seconds, seed=1, learning_rate=3e-3, report=report)
    return Coder(full, trained.tensors())


def train_text(config: SymphonyConfig) -> TextTokenizer:
    """Merges learned on the prompts and answers of the world."""
    rng = np.random.default_rng(0)
    texts: list[str] = []
    for i in range(6000):
        picture = sample.sample_scene(rng)
        texts += [captions.scene_prompt(picture, rng), captions.describe_scene(picture)]
        texts.append(edits.sample_edit(sample.sample_board(rng), rng)[0])
        if i % 2:
            heard, film = sound.sample_sound(rng), clip.sample_clip(rng)
            texts += [captions.sound_prompt(heard, rng), captions.describe_sound(heard)]
            texts += [captions.clip_prompt(film, rng), captions.describe_clip(film)]
        if i % 12 == 0:
            texts += stories.story_exchange(rng)
        if i % 5 == 0:
            texts += stories.question_exchange(rng)
    for questions in (captions.IMAGE_QUESTIONS, captions.AUDIO_QUESTIONS, captions.VIDEO_QUESTIONS):
        texts += [q for q in questions for _ in range(50)]
    return TextTokenizer(learn_merges([" " + t for t in texts], config.text_vocab - BYTES), config.text_vocab)


def train_tokenizer(config: SymphonyConfig, *, seconds: float, report: Report) -> UniversalTokenizer:
    """Everything, rounded to what a bundle stores: encoders an eighth of the time each, decoders the rest."""
    coders = {"audio": train_sound(config, seconds=seconds / 4, report=report)}
    for name in ("image", "video"):
        encoder = train_encoder(name, config, seconds=seconds / 8, report=report)
        coders[name] = train_decoder(name, config, encoder, seconds=seconds / 4, report=report)
    return stored_tokenizer(UniversalTokenizer(config, train_text(config), coders))
