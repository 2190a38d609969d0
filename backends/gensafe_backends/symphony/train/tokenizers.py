"""Training the universal tokenizer: text merges, and per medium first the encoder, then the decoder.

Encoders are fitted on single patches, every distinct patch of the world equally often, against the pooled features
alone:
cheap, and codes stand for themselves without their neighbours. A pull towards the middle of each level keeps ids still
under noise. Then ids are frozen and a decoder that sees neighbouring codes learns the full pixels. Sound, whose
targets are
small, is fitted in one go. After the encoder stage the model can be trained; decoders may go on improving beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

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


# --- what there is to learn from ------------------------------------------------------------------------------------


def _single_pictures() -> Iterator[FloatArray]:
    for colour in scene.COLOURS:
        for shape in scene.SHAPES:
            for size in scene.SIZES:
                yield render.render(scene.Board((scene.Thing(4, colour, shape, size),)))[None].astype(np.float64)
        yield render.render(scene.Bars(((colour, 1), ("red", 1))))[None].astype(np.float64)


def _all_clips() -> Iterator[clip.Clip]:
    for colour in scene.COLOURS:
        for shape in scene.SHAPES:
            for motion in clip.MOTIONS:
                starts = ((16, True), (48, True), (48, False)) if motion.startswith("bounce") else ((16, True),)
                for start, forward in starts:
                    yield clip.Clip(colour, shape, motion, "centre", start, forward)


def _clip_chunks(film: clip.Clip, config: SymphonyConfig) -> Iterator[FloatArray]:
    frames = clip.render_frames(film).astype(np.float64)
    for k in range(config.video_chunks):
        yield pictures.to_patches(frames[k * config.video_frames : (k + 1) * config.video_frames], config.video_patch)


def distinct_patches(name: str, config: SymphonyConfig) -> FloatArray:
    """Features of every distinct patch of the world (n, features), paper about one in a hundred."""
    if name == "image":
        made = [pictures.patch_features(pictures.to_patches(p, config.image_patch)) for p in _single_pictures()]
    else:
        made = [pictures.patch_features(c) for film in _all_clips() for c in _clip_chunks(film, config)]
    features = np.concatenate(made)
    _, first = np.unique(np.round(features * 12).astype(np.int8), axis=0, return_index=True)
    found = features[np.sort(first)]
    is_paper = np.abs(found - np.median(features, axis=0)).max(axis=1) < 0.12
    return np.concatenate([found[~is_paper], found[is_paper][: max(1, len(found) // 100)]])


# --- stages ---------------------------------------------------------------------------------------------------------


def train_encoder(
    name: str, config: SymphonyConfig, *, seconds: float, report: Report
) -> dict[str, NDArray[np.float32]]:
    """Tensors of a trained encoder (names ``enc.*``)."""
    full = coder_configs(config)[name]
    patches = distinct_patches(name, config).astype(np.float32)
    small = CoderConfig(full.features, full.features, (1, 1), full.levels, (0, 0), width=full.width, hidden=192)

    def batch(rng: np.random.Generator) -> tuple[NDArray[np.float32], ...]:
        clean = patches[rng.integers(0, len(patches), 512)]
        grain = rng.standard_normal(clean.shape) * 0.04 * rng.random((512, 1)) + rng.standard_normal((512, 1)) * 0.012
        return (clean + grain).astype(np.float32), np.arange(512), clean, np.ones((512, 1), np.float32)  # type: ignore[return-value]

    coder: TorchCoder | None = None
    for share, rate, pull in ((0.65, 4e-3, 0.0), (0.35, 1.5e-3, 0.15)):
        coder = train_coder(
            small,
            batch,
            seconds=seconds * share,
            seed=1,
            learning_rate=rate,
            commitment=pull,
            start=coder,
            report=report,
        )
    assert coder is not None
    ids = Coder(small, coder.tensors()).encode(patches.astype(np.float64))
    report(f"{name}: {len(set(ids.tolist()))} codes for {len(patches)} distinct patches")
    return {k: v for k, v in coder.tensors().items() if k.startswith("enc.")}


def train_decoder(
    name: str, config: SymphonyConfig, encoder: dict[str, NDArray[np.float32]], *, seconds: float, report: Report
) -> Coder:
    """A whole picture or video coder around a trained encoder, which stays as it is."""
    full = coder_configs(config)[name]
    rng = np.random.default_rng(5)
    if name == "image":
        scenes = [_draw_picture(rng) for _ in range(1500)]
        made = [pictures.to_patches(render.render(s)[None].astype(np.float64), config.image_patch) for s in scenes]
        paper = pictures.to_patches(render.paper()[None].astype(np.float64), config.image_patch)
    else:
        films = [clip.sample_clip(rng) for _ in range(420)]
        made = [c for film in films for c in _clip_chunks(film, config)]
        side = config.video_grid * config.video_patch
        sheet = np.repeat(render.paper(side)[None].astype(np.float64), config.video_frames, axis=0)
        paper = pictures.to_patches(sheet, config.video_patch)
    grids = np.stack([m.astype(np.uint8) for m in made])
    drawn = np.stack([np.abs(m - paper).max(axis=(1, 2, 3, 4)) > PAPER_TOLERANCE for m in made])

    def batch(rng: np.random.Generator) -> tuple[NDArray[np.generic], ...]:
        chosen = rng.integers(0, len(grids), 24)
        patches = grids[chosen].reshape(-1, *grids.shape[2:]).astype(np.float32)
        inked = drawn[chosen].reshape(-1)
        rows = np.flatnonzero(inked | (rng.random(len(inked)) < 0.1))
        targets = ((patches[rows] - pictures.MID) / pictures.SPREAD).reshape(len(rows), -1).astype(np.float32)
        weights = np.where(inked[rows], 1.0, 1.5).reshape(-1, 1).astype(np.float32)
        return pictures.patch_features(patches.astype(np.float64)).astype(np.float32), rows, targets, weights

    coder = TorchCoder(full)
    with torch.no_grad():
        for key, value in encoder.items():
            getattr(coder, key.replace(".", "__")).copy_(torch.from_numpy(value))
    trained = train_coder(
        full, batch, seconds=seconds, seed=2, learning_rate=2e-3, start=coder, freeze_encoder=True, report=report
    )
    return Coder(full, trained.tensors())


def _draw_picture(rng: np.random.Generator) -> scene.Scene:
    """Mostly scenes as they are asked for; huge shapes have many patches and get more than their share."""
    if rng.random() < 0.25:
        colour, shape = captions.pick(rng, tuple(scene.COLOURS)), captions.pick(rng, scene.SHAPES)
        return scene.Board((scene.Thing(4, colour, shape, "huge"),))
    return sample.sample_scene(rng)


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
