"""Animated pictures, written and read again: every frame, its time, the number of plays, transparency."""

import io

import numpy as np
import pytest
from PIL import Image

from gensafe.core.errors import MediaLimitExceeded, UnreadableMedia, UnsupportedMedia
from gensafe.media.animations import Animation, decode_animation, encode_animation
from gensafe.media.limits import Limits

KINDS = ("image/png", "image/webp", "image/gif")


def moving(frames: int = 4, alpha: bool = True) -> Animation:
    """A grey gradient with a square moving over it; outside the gradient nothing is there."""
    out = np.zeros((frames, 40, 56, 4), np.uint8)
    out[..., :3] = np.linspace(40, 200, 56).astype(np.uint8)[None, None, :, None]
    out[..., 3] = 255
    if alpha:
        out[:, 30:, :, 3] = 0
    for i in range(frames):
        out[i, 5:15, 5 + 8 * i : 15 + 8 * i, :3] = (220, 30, 60)
    return Animation(out, tuple(40 + 30 * i for i in range(frames)), plays=3)


@pytest.mark.parametrize("kind", KINDS)
def test_comes_back_with_time_plays_and_transparency(kind):
    before = moving()
    after = decode_animation(encode_animation(before, kind))
    assert after.durations_ms == before.durations_ms and after.plays == 3
    assert np.array_equal(after.frames[..., 3], before.frames[..., 3])
    there = before.frames[..., 3] == 255
    error = np.abs(after.frames[..., :3].astype(int) - before.frames[..., :3])[there]
    assert error.max() == 0 if kind == "image/png" else error.mean() < 4
    red = (after.shown().frames[:, :, :, 0].astype(int) - after.shown().frames[:, :, :, 1] > 100).any(axis=1)
    assert [int(np.flatnonzero(row)[0]) for row in red] == pytest.approx([5, 13, 21, 29], abs=1)  # nothing left behind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("plays", [0, 1])
def test_without_end_and_once(kind, plays):
    before = moving(alpha=False)
    before = Animation(before.frames, before.durations_ms, plays)
    assert decode_animation(encode_animation(before, kind)).plays == plays


def test_gif_times_are_rounded_without_drift():
    before = Animation(moving(6).frames, (33,) * 6)
    after = decode_animation(encode_animation(before, "image/gif"))
    assert set(after.durations_ms) == {30, 40} and abs(sum(after.durations_ms) - 6 * 33) <= 5


def test_disposal_and_partial_frames_are_composed():
    """A GIF as programs write them: the second frame is a small patch over the first."""
    first = Image.new("RGB", (40, 40), (200, 200, 200))
    second = first.copy()
    second.paste((10, 20, 200), (4, 4, 12, 12))
    data = io.BytesIO()
    first.save(data, "GIF", save_all=True, append_images=[second], duration=[50, 70], loop=0)
    found = decode_animation(data.getvalue())
    assert found.frames.shape == (2, 40, 40, 4) and found.plays == 0 and found.durations_ms == (50, 70)
    assert found.frames[1, 8, 8, 2] > 150 and found.frames[1, 30, 30, 0] > 150


def test_a_change_goes_into_the_colours_and_leaves_transparency():
    before = moving()
    shown = before.shown()
    changed = shown.frames.copy()
    changed[:, :10] = np.minimum(changed[:, :10], 250) + 3
    after = before.with_shown(changed)
    assert np.array_equal(after.frames[..., 3], before.frames[..., 3])
    assert (after.frames[0, 0, :, :3].astype(int) - before.frames[0, 0, :, :3] == 3).all()
    assert np.array_equal(after.frames[:, 10:], before.frames[:, 10:])


def test_the_still_of_an_apng_stays_its_still():
    before = moving(alpha=False)
    before = Animation(before.frames, (0, 40, 40, 40), 0, still_first=True)
    after = decode_animation(encode_animation(before, "image/png"))
    assert after.still_first and np.array_equal(after.frames, before.frames) and after.durations_ms == (0, 40, 40, 40)
    assert len(decode_animation(encode_animation(before, "image/gif")).frames) == 3


def test_stills_and_other_files_are_none():
    data = io.BytesIO()
    Image.new("RGB", (8, 8)).save(data, "PNG")
    assert decode_animation(data.getvalue()) is None and decode_animation(b"only text") is None


def test_refusals():
    data = encode_animation(moving(), "image/gif")
    with pytest.raises(MediaLimitExceeded):
        decode_animation(data, Limits(max_frames=3))
    with pytest.raises(UnreadableMedia):
        decode_animation(encode_animation(moving(), "image/png")[:-400])
    with pytest.raises(UnsupportedMedia, match="no animation"):
        encode_animation(moving(), "image/jpeg")
