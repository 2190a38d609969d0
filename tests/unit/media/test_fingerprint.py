"""Fingerprints: copies stay above the threshold, other media below it."""

from itertools import combinations

import numpy as np
import pytest
from PIL import Image as PilImage
from PIL import ImageDraw

from gensafe.core.errors import UnsupportedMedia
from gensafe.core.types import Audio, Image, Modality, Text, Video
from gensafe.media import decode, encode
from gensafe.media.fingerprint import MATCH_THRESHOLD, fingerprint, matches, similarity


def scene(colour="red", shape="disc", centre=(90, 120), size=40, ground="white"):
    picture = PilImage.new("RGB", (256, 256), ground)
    x, y = centre
    box = (x - size, y - size, x + size, y + size)
    draw = ImageDraw.Draw(picture)
    if shape == "disc":
        draw.ellipse(box, fill=colour)
    else:
        draw.rectangle(box, fill=colour)
    return Image(np.asarray(picture))


def resized(image, factor):
    picture = PilImage.fromarray(image.pixels)
    return Image(np.asarray(picture.resize((round(picture.width * factor), round(picture.height * factor)))))


def cropped(image, share):
    cut = round(image.pixels.shape[0] * share / 2)
    return Image(np.ascontiguousarray(image.pixels[cut:-cut, cut:-cut]))


def tone(hertz, seconds=2.0, rate=16000):
    return Audio(
        (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate))[None].astype(np.float32), rate
    )


def clip(direction, colour=(220, 30, 30)):
    frames = np.full((16, 128, 128, 3), 245, np.uint8)
    for i, frame in enumerate(frames):
        at = 6 * i if direction > 0 else 90 - 6 * i
        frame[50:80, at : at + 30] = colour
    return Video(frames, 8.0)


SCENES = [
    scene(),
    scene(colour="blue"),
    scene(shape="box"),
    scene(centre=(170, 80)),
    scene(size=18),
    scene(ground="black"),
]


def test_copies_of_pictures_match():
    for original in SCENES:
        known = fingerprint(original)
        small = resized(original, 0.75)
        copies = {
            "jpeg": decode(encode(original, "image/jpeg", quality=70)),
            "scaled": small,
            "both": decode(encode(small, "image/jpeg", quality=70)),
            "cropped": cropped(original, 0.06),
        }
        for name, copy in copies.items():
            assert matches(known, fingerprint(copy)), name


def test_different_pictures_do_not_match():
    found = [fingerprint(s) for s in SCENES if s is not SCENES[2]]
    for a, b in combinations(found, 2):
        assert not matches(a, b)


def test_sounds():
    for sound in (tone(440), tone(880)):
        assert matches(fingerprint(sound), fingerprint(decode(encode(sound, "audio/mpeg", quality=128))))
        assert matches(fingerprint(sound), fingerprint(Audio(sound.samples * 0.4, sound.rate)))
    assert not matches(fingerprint(tone(440)), fingerprint(tone(523)))
    silence = Audio(np.zeros((1, 16000), np.float32), 16000)
    assert similarity(fingerprint(silence), fingerprint(tone(440))) == 0.0
    assert similarity(fingerprint(silence), fingerprint(silence)) == 1.0


def test_a_cut_out_of_a_long_sound_matches():
    rng = np.random.default_rng(0)
    melody = np.concatenate([tone(hz, 0.5).samples for hz in rng.choice([262, 330, 392, 523, 659], 20)], axis=1)
    part = Audio(np.ascontiguousarray(melody[:, 32000:96000]), 16000)
    assert matches(fingerprint(Audio(melody, 16000)), fingerprint(part))


def test_videos():
    right = clip(1)
    copy = decode(encode(right, "video/mp4", quality=40))
    assert matches(fingerprint(right), fingerprint(copy))
    assert matches(fingerprint(right), fingerprint(Video(right.frames[4:], 8.0)))
    assert not matches(fingerprint(right), fingerprint(clip(-1)))
    assert not matches(fingerprint(right), fingerprint(clip(1, (30, 30, 220))))


def test_long_videos_are_thinned_out():
    frames = np.repeat(np.random.default_rng(0).integers(0, 255, (40, 16, 16, 3), dtype=np.uint8), 4, axis=0)
    slow = Video(frames, 4.0)  # 40 s: 160 frames at 0.25 s, 80 at 0.5 s, 40 at 1 s
    known = fingerprint(slow)
    assert int(known["vlayout-8"][:2], 16) == 2
    assert similarity(known, fingerprint(Video(frames[:80], 4.0))) > 0.9


def test_texts():
    words = "the quick brown fox jumps over the lazy dog while a red kite circles above the old stone mill by the river"
    known = fingerprint(Text(words))
    assert similarity(known, fingerprint(Text(words.upper().replace(" ", "\n")))) == 1.0
    assert similarity(known, fingerprint(Text("\u200b".join(words)))) == 1.0  # invisible characters do not matter
    assert matches(known, fingerprint(Text(words.replace("red kite", "grey kite"))))
    other = "an entirely different sentence about the price of tin in the year the harbour froze over twice"
    assert similarity(known, fingerprint(Text(other))) < 0.1
    assert similarity(fingerprint(Text("")), fingerprint(Text(""))) == 0.0
    assert similarity(fingerprint(Text("猫が好きです")), fingerprint(Text("猫が好きです"))) == 1.0


def test_fingerprints_are_stable():
    """Stored fingerprints must keep their meaning: the text one is pure integer arithmetic and is pinned."""
    assert fingerprint(Text("hello world"))["minhash-128"][:32] == PINNED


PINNED = "489eb7c1cdd407b1a6e227669e802c2f"


def test_malformed_fingerprints_are_refused():
    good = fingerprint(scene())
    for bad in ({}, {"pdq-256": "zz", "layout-16": "00"}, {"pdq-256": "00", "layout-16": good["layout-16"]}):
        with pytest.raises(UnsupportedMedia):
            similarity(good, bad)
    assert similarity(good, fingerprint(Text("a"))) == 0.0
    assert set(MATCH_THRESHOLD) == set(Modality)
