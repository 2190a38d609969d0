"""Every built-in image, audio and video classifier keeps the Classifier contract."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from gensafe.core import plugins
from gensafe.core.types import Audio, Image, Video
from gensafe.testing.classifier_contract import check_classifier


def page(text: str) -> np.ndarray:
    picture = PilImage.new("RGB", (200, 80), "white")
    ImageDraw.Draw(picture).text((8, 20), text, font=ImageFont.load_default(18), fill="black")
    return np.asarray(picture)


def hiss(*shape: int) -> np.ndarray:
    return (np.random.default_rng(0).standard_normal(shape) * 0.1).astype(np.float32)


IMAGES = (
    Image(np.zeros((1, 1, 3), np.uint8)),
    Image(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)),
    Image(page("ann@example.org")),
    Image(np.full((2, 300, 3), 7, np.uint8)),
)
SOUNDS = (
    Audio(np.zeros((1, 1), np.float32), 16000),
    Audio(hiss(2, 8000), 48000),
    Audio(hiss(8, 1000), 8000),
    Audio(np.array([[0.1, np.nan]], np.float32), 16000),
)
CLIPS = (
    Video(np.zeros((1, 8, 8, 3), np.uint8), 8.0),
    Video(np.stack([page("ann@example.org")] * 3), 25.0, SOUNDS[1]),
    Video(np.random.default_rng(1).integers(0, 256, (4, 24, 40, 3), dtype=np.uint8), 0.5),
)


@pytest.mark.parametrize(
    "name", ["image_signal", "image_hashlist", "image_text", "image_likeness", "image_symbols", "image_nudity"]
)
def test_images(name: str):
    check_classifier(plugins.load("gensafe.classifiers", name), IMAGES)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("audio_signal", {}),
        ("audio_likeness", {}),
        ("audio_hashlist", {}),
        ("audio_text", {"transcriber": "none"}),
        ("audio_text", {"transcriber": "pocketsphinx"}),
        ("audio_script", {"script": "one two three"}),
    ],
)
def test_sounds(name: str, options: dict[str, str]):
    if options.get("transcriber") == "pocketsphinx" or name == "audio_script":
        pytest.importorskip("pocketsphinx", reason="the speech extra is not installed")
    sounds = SOUNDS[:3] if name in ("audio_text", "audio_script") else SOUNDS
    check_classifier(plugins.load("gensafe.classifiers", name, options), sounds)


@pytest.mark.parametrize("name", ["video_signal", "video_hashlist", "video_frames"])
def test_clips(name: str):
    check_classifier(plugins.load("gensafe.classifiers", name, {"transcriber": "none"}), CLIPS)
