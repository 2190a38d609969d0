"""Parts that differ are seen although the whole is alike. On the fingerprints of ed72f70 the review saw
captions, small boxes, another sound track and replaced frames "match"; the other edits are their siblings.
"""

import numpy as np
import pytest
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFilter

from gensafe.core.types import Audio, Image, Video
from gensafe.media import decode, encode
from gensafe.media.fingerprint import fingerprint, matches, odd_parts

RATE = 16000


def drawing(seed=1, size=256):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size]
    base = np.stack([x * 0.6 + 40, y * 0.5 + 60, (x + y) * 0.3 + 30], -1)
    for _ in range(6):
        cx, cy, r = rng.integers(20, size - 20, 3)
        base[(x - cx) ** 2 + (y - cy) ** 2 < (r / 4 + 10) ** 2] = rng.integers(30, 220, 3)
    return Image(np.clip(base + rng.normal(0, 6, base.shape), 0, 255).astype(np.uint8))


def scene():
    picture = PilImage.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((50, 80, 130, 160), fill="red")
    draw.rectangle((150, 90, 220, 160), fill="blue")
    return Image(np.asarray(picture))


def drawn(image, work):
    picture = PilImage.fromarray(image.pixels)
    work(ImageDraw.Draw(picture), picture)
    return Image(np.asarray(picture))


def resized(image, factor):
    picture = PilImage.fromarray(image.pixels)
    size = round(picture.width * factor), round(picture.height * factor)
    return Image(np.asarray(picture.resize(size, PilImage.Resampling.LANCZOS)))


def jpeg(image, quality):
    return decode(encode(image, "image/jpeg", quality=quality))


def box(draw, _):
    draw.rectangle([128, 128, 152, 152], fill=(0, 0, 0))


def lines_of_text(draw, _):
    for y in range(4, 250, 12):
        draw.text((4, y), "THIS TEXT WAS NEVER MADE BY THE SERVICE", fill=(0, 0, 0))


def one_line(draw, _):
    draw.text((4, 100), "NEVER MADE BY THE SERVICE", fill=(0, 0, 0))


def with_captions(image):
    """A foreign line drawing and two captions, their blurred part taken away so that cells keep their mean."""
    page = PilImage.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(page)
    draw.ellipse([100, 40, 140, 80], outline=0)
    draw.line([120, 80, 120, 160], fill=0)
    draw.text((20, 230), "Mayor X threatens Y, 29 Nov 2026", fill=0)
    draw.text((20, 10), "OFFICIAL NOTICE: EVACUATE NOW", fill=0)
    fine = np.asarray(page, np.float32) - np.asarray(page.filter(ImageFilter.GaussianBlur(8)), np.float32)
    return Image(np.clip(image.pixels.astype(np.float32) + fine, 0, 255).astype(np.uint8))


EDITS = {
    "a black box": lambda i: drawn(i, box),
    "21 lines of text": lambda i: drawn(i, lines_of_text),
    "one line of text": lambda i: drawn(i, one_line),
    "foreign captions": with_captions,
}
COPIES = {
    "same": lambda i: i,
    "JPEG 50": lambda i: jpeg(i, 50),
    "JPEG 70, 0.75": lambda i: jpeg(resized(i, 0.75), 70),
    "half size": lambda i: resized(i, 0.5),
    "double size": lambda i: resized(i, 2),
    "brighter": lambda i: Image(np.clip(i.pixels * 1.1 + 8, 0, 255).astype(np.uint8)),
}
PICTURES = {"noisy drawing": drawing, "another": lambda: drawing(2), "flat scene": scene}


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("edit", EDITS)
def test_edits_of_a_picture_are_seen_also_after_coding(picture, edit):
    original = PICTURES[picture]()
    edited = EDITS[edit](original)
    for copy in (edited, jpeg(edited, 70), jpeg(resized(edited, 0.75), 70)):
        assert odd_parts(fingerprint(original), fingerprint(copy)), edit


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("name", COPIES)
def test_copies_of_a_picture_have_no_odd_part(picture, name):
    original = PICTURES[picture]()
    assert odd_parts(fingerprint(original), fingerprint(COPIES[name](original))) == ()


def test_the_place_of_an_edit_is_named():
    (part, *more) = odd_parts(fingerprint(scene()), fingerprint(EDITS["a black box"](scene())))
    assert not more and part.what == "area"
    assert (round(part.left, 1), round(part.top, 1)) == (0.5, 0.5)
    assert "50 to" in str(part)


def test_a_crop_is_no_edit():
    image = drawing()
    cut = Image(np.ascontiguousarray(image.pixels[10:-10, 10:-10]))
    assert matches(fingerprint(image), fingerprint(cut))
    assert odd_parts(fingerprint(image), fingerprint(cut)) == ()


def test_entries_from_before_are_still_read():
    known = {k: v for k, v in fingerprint(scene()).items() if k in ("pdq-256", "layout-16")}
    assert matches(known, fingerprint(scene()))
    assert odd_parts(known, fingerprint(EDITS["a black box"](scene()))) == ()
    film = {k: v for k, v in fingerprint(clip()).items() if k in ("vpdq", "vlayout-8")}
    assert matches(film, fingerprint(clip())) and odd_parts(film, fingerprint(clip())) == ()


# --- sound -----------------------------------------------------------------------------------------------------------


def speech(seed=1, seconds=4.0):
    rng = np.random.default_rng(seed)
    t = np.arange(int(RATE * seconds)) / RATE
    pitch = 110 + 40 * np.sin(2 * np.pi * 0.7 * t)
    tone = sum(np.sin(2 * np.pi * k * np.cumsum(pitch) / RATE) / k for k in range(1, 9))
    envelope = np.clip(np.sin(2 * np.pi * 2.2 * t) + 0.3, 0, 1)
    return Audio(((tone * 0.15 + rng.normal(0, 0.01, t.size)) * envelope).astype(np.float32)[None], RATE)


def test_copies_of_a_sound_have_no_odd_seconds():
    for sound in (speech(), speech(2)):
        known = fingerprint(sound)
        for copy in (
            decode(encode(sound, "audio/mpeg", quality=128)),
            decode(encode(sound, "audio/mpeg", quality=64)),
            Audio(sound.samples * 0.4, RATE),
            Audio(np.ascontiguousarray(sound.samples[:, RATE:]), RATE),
        ):
            assert odd_parts(known, fingerprint(copy)) == ()


@pytest.mark.parametrize("seconds", [0.25, 0.5, 1.0])
def test_a_replaced_stretch_of_sound_is_seen_and_named(seconds):
    sound = speech()
    samples = sound.samples.copy()
    first, count = 2 * RATE, int(seconds * RATE)
    samples[:, first : first + count] = 0.3 * np.sin(2 * np.pi * 900 * np.arange(count) / RATE)
    for copy in (Audio(samples, RATE), decode(encode(Audio(samples, RATE), "audio/mpeg", quality=128))):
        parts = odd_parts(fingerprint(sound), fingerprint(copy))
        assert parts and any(p.start_s <= 2.2 and p.end_s >= 2.0 for p in parts), [str(p) for p in parts]


# --- film ------------------------------------------------------------------------------------------------------------


def clip(sound=True):
    frames = np.full((16, 128, 128, 3), 225, np.uint8)
    for i, frame in enumerate(frames):
        frame[50:80, 6 * i : 6 * i + 30] = (220, 30, 30)
    return Video(frames, 8.0, speech(seconds=2.0) if sound else None)


def replaced(count):
    film = clip()
    frames = film.frames.copy()
    frames[8 : 8 + count] = np.random.default_rng(1).integers(0, 255, frames[:count].shape, dtype=np.uint8)
    return Video(frames, 8.0, film.audio)


def dark_frame():
    film = clip()
    frames = film.frames.copy()
    frames[8] = 20  # between two frames that are sampled
    return Video(frames, 8.0, film.audio)


def tone():
    t = np.arange(2 * RATE) / RATE
    return Video(clip().frames, 8.0, Audio((0.3 * np.sin(2 * np.pi * 700 * t)).astype(np.float32)[None], RATE))


def text_over():
    film = clip()
    frames = np.stack(
        [drawn(Image(f), lambda d, _: d.text((4, 4), "NEVER MADE", fill=(0, 0, 0))).pixels for f in film.frames]
    )
    return Video(frames, 8.0, film.audio)


FILMS = {
    "other sound": tone,
    "sound removed": lambda: clip(sound=False),
    "4 of 16 frames": lambda: replaced(4),
    "one frame": dark_frame,
    "text over every frame": text_over,
}


@pytest.mark.parametrize("edit", FILMS)
def test_edits_of_a_film_are_seen(edit):
    known, film = fingerprint(clip()), FILMS[edit]()
    for copy in (film, decode(encode(film, "video/mp4", quality=28))):
        parts = odd_parts(known, fingerprint(copy))
        assert parts, edit
        assert any("sound" in p.what for p in parts) == ("sound" in edit), [str(p) for p in parts]


def test_copies_of_a_film_have_no_odd_part():
    known = fingerprint(clip())
    for quality in (20, 28, 36):
        copy = decode(encode(clip(), "video/mp4", quality=quality))
        assert odd_parts(known, fingerprint(copy)) == (), [str(p) for p in odd_parts(known, fingerprint(copy))]
