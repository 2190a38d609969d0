"""A mark on content the service never made. Each was "proved by recovery", exit 0: likeness was taken for proof."""

import json

import numpy as np
import pytest
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFilter

from gensafe import media
from gensafe.core.types import Audio, Conclusion, Image, Outcome, Video
from gensafe.core.types.caller import OneTenant, Public
from gensafe.verify import EXIT_CODES, verify_bytes
from gensafe.verify.render import report_dict, report_text


def line(report, name):
    return next((c for c in report.checks if c.name == name), None)


def captions(pixels):
    """A foreign drawing and two captions at full contrast, without what a coarse comparison would see of them."""
    page = PilImage.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(page)
    draw.ellipse([100, 40, 140, 80], outline=0)
    draw.line([120, 80, 120, 160], fill=0)
    draw.rectangle([180, 94, 215, 102], outline=0)
    draw.text((20, 230), "Mayor X threatens Y, 29 Nov 2026", fill=0)
    draw.text((20, 10), "OFFICIAL NOTICE: EVACUATE NOW", fill=0)
    fine = np.asarray(page, np.float32) - np.asarray(page.filter(ImageFilter.GaussianBlur(8)), np.float32)
    return np.clip(pixels.astype(np.float32) + fine, 0, 255).astype(np.uint8)


def text_all_over(pixels):
    picture = PilImage.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    for y in range(4, 250, 24):
        draw.text((4, y), "THIS TEXT WAS NEVER MADE BY THE SERVICE", fill=(0, 0, 0))
    return np.asarray(picture)


def black_box(pixels):
    changed = pixels.copy()
    changed[116:140, 116:140] = 20
    return changed


@pytest.mark.parametrize("edit", [captions, text_all_over, black_box])
@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg"])
def test_an_edited_picture_is_altered_and_the_place_is_shown_to_its_owner(edit, media_type, outputs, deployment):
    pixels = media.decode(outputs["image"].data, "image/png").pixels
    data = media.encode(Image(edit(pixels)), media_type)
    report = verify_bytes(data, name="x", context=deployment.context)
    assert report.conclusion in (Conclusion.ALTERED, Conclusion.TRANSPLANTED_MARK), report_text(report)
    assert EXIT_CODES[report.conclusion] == 1
    assert line(report, "difference").outcome is Outcome.FAIL
    assert "of the width" in line(report, "difference").evidence["difference"][0]
    for scope in (OneTenant("another"), Public()):
        other = verify_bytes(data, name="x", context=deployment.context, scope=scope)
        assert other.conclusion is report.conclusion
        assert line(other, "difference") is None
        assert "odd_parts" not in json.dumps(report_dict(other))


def test_a_copy_is_derived_and_no_part_is_said_to_differ(outputs, deployment):
    pixels = media.decode(outputs["image"].data, "image/png")
    report = verify_bytes(media.encode(pixels, "image/jpeg", quality=70), name="x", context=deployment.context)
    assert report.conclusion is Conclusion.DERIVED and EXIT_CODES[report.conclusion] == 5
    assert line(report, "difference").outcome is Outcome.ABSENT


def test_a_picture_without_its_manifest_is_derived_even_pixel_by_pixel(outputs, deployment):
    """The signature covers the file's bytes, not its pixels: the same pixels in another file are other bytes."""
    bare = media.encode(media.decode(outputs["image"].data, "image/png"), "image/png")
    assert verify_bytes(bare, name="x", context=deployment.context).conclusion is Conclusion.DERIVED


def test_a_replaced_stretch_of_sound_is_never_proved(outputs, deployment):
    sound = media.decode(outputs["audio"].data, "audio/wav")
    samples = sound.samples.copy()
    rate = sound.rate
    samples[:, rate : rate + rate // 2] = 0.3 * np.sign(np.sin(2 * np.pi * 900 * np.arange(rate // 2) / rate))
    report = verify_bytes(media.encode(Audio(samples, rate), "audio/wav"), name="x", context=deployment.context)
    assert EXIT_CODES[report.conclusion] == 1, report_text(report)
    parts = line(report, "difference").evidence["parts"]  # a louder edit hides faint cells elsewhere: there are others
    assert any(part["start_s"] <= 1.2 and part["end_s"] >= 1.3 for part in parts), parts


@pytest.fixture(scope="module")
def film(deployment):
    y, x = np.mgrid[0:192, 0:192]
    ground = np.stack([x * 0.5 + 60, y * 0.4 + 80, (x + y) * 0.2 + 60], -1).astype(np.uint8)
    frames = np.stack([ground] * 16)
    for i, frame in enumerate(frames):
        frame[60:110, 6 * i : 6 * i + 50] = (200, 40, 40)
    rng = np.random.default_rng(6)
    t = np.arange(32000) / 16000
    sound = 0.2 * np.sin(2 * np.pi * 220 * t) * (np.sin(2 * np.pi * 2 * t) > 0) + rng.normal(0, 0.02, t.size)
    released = deployment.release(Video(frames, 8.0, Audio(sound.astype(np.float32)[None], 16000)), "video/mp4")
    return media.decode(released.data, "video/mp4")


def other_tone(film):
    count = film.audio.samples.shape
    tone = 0.3 * np.sin(2 * np.pi * 700 * np.arange(count[1]) / film.audio.rate)
    return Video(film.frames, film.fps, Audio(np.broadcast_to(tone, count).astype(np.float32).copy(), film.audio.rate))


def without_sound(film):
    return Video(film.frames, film.fps, None)


def four_frames(film):
    frames = film.frames.copy()
    frames[8:12] = np.random.default_rng(1).integers(0, 255, frames[:4].shape, dtype=np.uint8)
    return Video(frames, film.fps, film.audio)


@pytest.mark.parametrize(("edit", "word"), [(other_tone, "sound"), (without_sound, "sound"), (four_frames, " s")])
def test_a_film_with_other_sound_or_frames_is_altered(edit, word, film, deployment):
    data = media.encode(edit(film), "video/mp4")
    report = verify_bytes(data, name="x", context=deployment.context)
    assert line(report, "watermark").outcome is Outcome.PASS
    assert EXIT_CODES[report.conclusion] == 1, report_text(report)
    assert word in line(report, "difference").summary


def test_a_film_coded_again_is_derived(film, deployment):
    report = verify_bytes(media.encode(film, "video/mp4", quality=28), name="x", context=deployment.context)
    assert report.conclusion is Conclusion.DERIVED, report_text(report)
