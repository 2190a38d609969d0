"""The shipped universal tokenizer: round trips, ids that do not move, refusals, altered files."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gensafe.core.errors import ConfigError, InvalidRequest, UnsupportedMedia
from gensafe.core.types import Audio, Image, Modality, Text, Video
from gensafe_backends.symphony.tokenizers import fsq, pictures, stft
from gensafe_backends.symphony.tokenizers.text import TextTokenizer
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_backends.symphony.weights import ASSETS
from gensafe_backends.symphony.world import checkers, clip, render, sample, scene, sound

NANO = ASSETS / "symphony-nano"


@pytest.fixture(scope="module")
def tokenizer() -> UniversalTokenizer:
    return UniversalTokenizer.load(NANO)


def film(drawn: clip.Clip) -> Video:
    return Video(clip.render_frames(drawn), float(clip.FPS), Audio(clip.render_track(drawn)[None], 16000))


def test_pictures_survive_the_round_trip(tokenizer: UniversalTokenizer) -> None:
    r = np.random.default_rng(100)
    right, quality = 0, []
    for _ in range(20):
        drawn = sample.sample_scene(r)
        pixels = render.render(drawn)
        out = tokenizer.decode(Modality.IMAGE, tokenizer.encode(Image(pixels)))
        assert isinstance(out, Image) and out.pixels.shape == (256, 256, 3) and out.pixels.dtype == np.uint8
        right += checkers.check_image(out.pixels, drawn)["exact"] == 1.0
        quality.append(10 * np.log10(255**2 / np.mean((out.pixels.astype(float) - pixels) ** 2)))
    assert right >= 19
    assert np.median(quality) > 34


def test_sounds_survive_the_round_trip(tokenizer: UniversalTokenizer) -> None:
    r = np.random.default_rng(101)
    right = 0
    for _ in range(12):
        drawn = sound.sample_sound(r)
        out = tokenizer.decode(Modality.AUDIO, tokenizer.encode(Audio(sound.render_sound(drawn)[None], 16000)))
        assert isinstance(out, Audio) and out.samples.shape == (1, 32000) and out.rate == 16000
        assert float(np.abs(out.samples).max()) <= 1.0
        right += checkers.check_audio(out.samples[0], drawn)["exact"] == 1.0
    assert right >= 11


def test_ids_stand_still_under_small_noise(tokenizer: UniversalTokenizer) -> None:
    r = np.random.default_rng(102)
    same = []
    for _ in range(10):
        pixels = render.render(sample.sample_scene(r))
        noisy = np.clip(pixels + r.normal(0, 3, pixels.shape), 0, 255).round().astype(np.uint8)
        same.append(np.mean(np.array(tokenizer.encode(Image(pixels))) == tokenizer.encode(Image(noisy))))
    assert np.mean(same) > 0.98


def test_different_films_have_different_ids(tokenizer: UniversalTokenizer) -> None:
    made = {
        tuple(tokenizer.encode(film(clip.Clip(colour, shape, "right"))))
        for colour in scene.COLOURS
        for shape in scene.SHAPES
    }
    assert len(made) == len(scene.COLOURS) * len(scene.SHAPES)


def test_ids_of_fixed_inputs_are_fixed(tokenizer: UniversalTokenizer) -> None:
    expected = json.loads((Path(__file__).parent / "tokenizer_ids.json").read_text(encoding="utf-8"))
    assert digests(tokenizer) == expected


def digests(tokenizer: UniversalTokenizer) -> dict[str, str]:
    """SHA-256 of the ids of fixed inputs per modality."""
    r = np.random.default_rng(7)
    ids = {
        "text": tokenizer.encode(Text("draw a red circle; émigré \U0001f600 42")),
        "image": [i for _ in range(6) for i in tokenizer.encode(Image(render.render(sample.sample_scene(r))))],
        "audio": [
            i for _ in range(4) for i in tokenizer.encode(Audio(sound.render_sound(sound.sample_sound(r))[None], 16000))
        ],
        "video": [i for _ in range(3) for i in tokenizer.encode(film(clip.sample_clip(r)))],
    }
    return {name: hashlib.sha256(json.dumps(values).encode()).hexdigest() for name, values in ids.items()}


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_text_comes_back(text: str) -> None:
    tokenizer = TextTokenizer([(97, 98), (32, 256), (257, 99)], 300)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.lists(st.integers(-3, 300), max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_text_ids_decode_or_are_refused(ids: list[int]) -> None:
    tokenizer = TextTokenizer([(97, 98)], 280)
    if all(0 <= i < 280 for i in ids):
        assert isinstance(tokenizer.decode(ids), str)
    else:
        with pytest.raises(InvalidRequest):
            tokenizer.decode(ids)


@given(st.lists(st.integers(2, 9), min_size=1, max_size=5).map(tuple), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_fsq_ids_and_codes_agree(levels: tuple[int, ...], seed: int) -> None:
    z = np.random.default_rng(seed).normal(0, 3, (40, len(levels)))
    digits = fsq.quantise(z, levels)
    assert digits.min() >= 0 and (digits < np.array(levels)).all()
    ids = fsq.digits_to_ids(digits, levels)
    codes = fsq.ids_to_codes(ids, levels)
    assert np.allclose(codes * (np.array(levels) // 2) + np.array(levels) // 2, digits)
    assert np.abs(codes).max() <= 1.0


def test_every_fsq_level_is_reached() -> None:
    levels = (8, 5, 6)
    z = np.linspace(-6, 6, 4001)[:, None].repeat(3, axis=1)
    digits = fsq.quantise(z, levels)
    assert [len(set(digits[:, i].tolist())) for i in range(3)] == list(levels)


def test_spectra_are_inverted() -> None:
    t = np.arange(16000) / 16000
    wave = 0.5 * np.sin(2 * np.pi * 440 * t) * np.minimum(1, t * 20)
    assert np.abs(stft.istft(stft.stft(wave)) - wave)[300:-300].max() < 1e-9
    magnitude = np.abs(stft.stft(wave))
    again = np.abs(stft.stft(stft.griffin_lim(magnitude, 30)))
    assert np.linalg.norm(again - magnitude) / np.linalg.norm(magnitude) < 0.1
    assert np.allclose(stft.from_log_magnitude(stft.log_magnitude(magnitude)), magnitude, atol=1e-9)


def test_resize_keeps_flat_pictures_flat_and_patches_invert() -> None:
    flat = np.full((77, 131, 3), 93, np.uint8)
    assert np.allclose(pictures.resize(flat, 256, 256), 93.0)
    frames = np.random.default_rng(0).normal(size=(2, 64, 96, 3))
    assert np.array_equal(pictures.from_patches(pictures.to_patches(frames, 32), 2, 3), frames)


def test_media_of_other_sizes_are_taken(tokenizer: UniversalTokenizer) -> None:
    drawn = scene.Board((scene.Thing(4, "red", "circle", "huge"),))
    large = np.repeat(np.repeat(render.render(drawn), 2, axis=0), 2, axis=1)
    same = np.mean(np.array(tokenizer.encode(Image(large))) == tokenizer.encode(Image(render.render(drawn))))
    assert same > 0.95
    stereo = np.zeros((2, 44100), np.float32)
    assert len(tokenizer.encode(Audio(stereo, 44100))) == 64
    short = Video(np.zeros((3, 40, 30, 3), np.uint8), 25.0, None)
    assert len(tokenizer.encode(short)) == 144


def test_what_cannot_be_read_is_refused(tokenizer: UniversalTokenizer) -> None:
    for media in (
        Image(np.zeros((0, 5, 3), np.uint8)),
        Audio(np.zeros((1, 0), np.float32), 16000),
        Video(np.zeros((0, 8, 8, 3), np.uint8), 8.0, None),
    ):
        with pytest.raises(UnsupportedMedia):
            tokenizer.encode(media)
    ids = tokenizer.encode(Image(np.full((256, 256, 3), 240, np.uint8)))
    for wrong in (ids[:-1], [ids[0] + 1000, *ids[1:]], [-1, *ids[1:]]):
        with pytest.raises(InvalidRequest):
            tokenizer.decode(Modality.IMAGE, wrong)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer.safetensors", "config.json"])
def test_an_altered_bundle_is_refused(tmp_path: Path, name: str) -> None:
    shutil.copytree(NANO, tmp_path / "b")
    data = bytearray((tmp_path / "b" / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "b" / name).write_bytes(bytes(data))
    with pytest.raises(ConfigError):
        UniversalTokenizer.load(tmp_path / "b")
