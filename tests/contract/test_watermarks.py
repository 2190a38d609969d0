"""The bundled watermark plugins keep the contract every plugin must keep."""

import numpy as np
import pytest
from scipy import ndimage

from gensafe.core import plugins
from gensafe.core.errors import ConfigError, PluginError
from gensafe.core.types import Audio, Image, MarkLevel, Video
from gensafe.testing import watermark_contract
from gensafe.testing.watermark_contract import KEY, PAYLOAD

GROUP = "gensafe.watermarks"


def picture(size: int = 128, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ground = rng.integers(60, 200, 3) + 8 * ndimage.gaussian_filter(rng.normal(size=(size, size)), 2)[..., None]
    ground[size // 4 : size // 2, size // 3 : size // 2] = rng.integers(0, 255, 3)
    return np.clip(np.rint(ground), 0, 255).astype(np.uint8)


def sound(seconds: float, rate: int = 16_000, seed: int = 0) -> Audio:
    rng = np.random.default_rng(seed)
    n = int(seconds * rate)
    time = np.arange(n) / rate
    voice = sum(np.sin(2 * np.pi * 140 * k * time + rng.uniform(0, 6)) / k for k in range(1, 30))
    envelope = 0.3 + 0.7 * np.abs(np.sin(2 * np.pi * 1.3 * time))
    samples = 0.1 * envelope * (voice + 0.3 * rng.normal(size=n))
    return Audio(np.clip(samples, -1, 1).astype(np.float32)[None], rate)


class TestImage(watermark_contract.WatermarkContract):
    def watermarker(self):
        return plugins.load(GROUP, "image")

    def media(self):
        return Image(picture())

    def tiny(self):
        return Image(picture(40))


class TestAudio(watermark_contract.WatermarkContract):
    def watermarker(self):
        return plugins.load(GROUP, "audio")

    def media(self):
        return sound(8)

    def tiny(self):
        return sound(0.3)


class TestVideo(watermark_contract.WatermarkContract):
    def watermarker(self):
        return plugins.load(GROUP, "video")

    def media(self):
        return Video(np.stack([picture()] * 4), 8.0, sound(8))

    def tiny(self):
        return Video(np.stack([picture(40)] * 2), 8.0)


def test_a_silent_film_is_marked_in_its_frames_alone():
    plugin = plugins.load(GROUP, "video")
    marked = plugin.embed(Video(np.stack([picture()] * 3), 8.0), PAYLOAD, KEY)
    found = plugin.detect(marked, KEY)
    assert found.payload == PAYLOAD and found.detail["sound"] == "no track"


def test_a_film_is_still_found_by_its_sound_when_the_frames_are_replaced():
    plugin = plugins.load(GROUP, "video")
    marked = plugin.embed(Video(np.stack([picture()] * 3), 8.0, sound(8)), PAYLOAD, KEY)
    replaced = Video(np.stack([picture(seed=5)] * 3), 8.0, marked.audio)
    found = plugin.detect(replaced, KEY)
    assert found.level is MarkLevel.RECORD and found.payload == PAYLOAD and found.detail["found_in"] == "sound"


def test_a_short_sound_track_is_left_alone():
    plugin = plugins.load(GROUP, "video")
    film = Video(np.stack([picture()] * 3), 8.0, sound(0.3))
    assert np.array_equal(plugin.embed(film, PAYLOAD, KEY).audio.samples, film.audio.samples)


@pytest.mark.parametrize("options", [{"strength": "loud"}, {"strength": "0"}, {"volume": "1"}])
def test_bad_options_are_refused(options):
    with pytest.raises(ConfigError):
        plugins.load(GROUP, "image", options)


def test_unknown_plugins_are_named_in_the_error():
    with pytest.raises(PluginError, match="image"):
        plugins.load(GROUP, "no such mark")
