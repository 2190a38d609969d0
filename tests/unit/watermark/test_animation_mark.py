"""The mark on animated pictures, through the files they are kept in."""

import numpy as np
import pytest
from scipy import ndimage

from gensafe.core.types import Image, MarkLevel, Video
from gensafe.media.animations import Animation, decode_animation, encode_animation
from gensafe_watermark import animation, image
from gensafe_watermark.plugin import create_image

KEY = bytes(range(32))
PAYLOAD = bytes.fromhex("0123456789abcd")


def drawn(seed: int = 1, frames: int = 6, size: int = 160) -> Animation:
    """A cartoon: a disc over flat, faintly textured ground; the corners are transparent."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:size, :size]
    ground = rng.integers(60, 200, 3) + ndimage.gaussian_filter(rng.normal(size=(size, size)), 2)[..., None] * 40
    out = np.zeros((frames, size, size, 4), np.uint8)
    for i in range(frames):
        frame = ground.copy()
        frame[np.hypot(xx - 30 - 12 * i, yy - 80) < 22] = (210, 40, 60)
        out[i, ..., :3] = np.clip(np.rint(frame), 0, 255)
    out[..., 3] = np.where(xx + yy < 30, 0, 255)
    return Animation(out, (80,) * frames)


@pytest.mark.parametrize("kind", ["image/png", "image/webp", "image/gif"])
def test_every_container_keeps_it_and_one_frame_suffices(kind):
    """GIF too: 255 colours and dithering leave the mark's wide waves alone."""
    before = drawn()
    marked = animation.embed(before.shown().frames, PAYLOAD, KEY)
    after = decode_animation(encode_animation(before.with_shown(marked), kind))
    found = animation.detect(after.shown().frames, KEY)
    assert found.payload == PAYLOAD and found.level is MarkLevel.RECORD and found.p_value < 1e-6
    for frame in after.shown().frames[[0, 5]]:
        assert image.detect(frame, KEY).payload == PAYLOAD
    assert np.array_equal(after.frames[..., 3], before.frames[..., 3])


def test_the_picture_plugin_takes_frames_and_any_of_them_alone():
    plugin, before = create_image({}), drawn(2).shown()
    after = plugin.embed(before, PAYLOAD, KEY)
    assert isinstance(after, Video) and after.fps == before.fps and after.frames.shape == before.frames.shape
    assert plugin.detect(after, KEY).payload == PAYLOAD
    assert plugin.detect(Image(after.frames[3]), KEY).payload == PAYLOAD
    assert plugin.detect(before, KEY).level is MarkLevel.NONE


def test_strength_is_even_over_time():
    """Films begin stronger; an animation is repeated, and its beginning would be seen to flicker."""
    before = drawn(3, frames=12).shown().frames
    change = animation.embed(before, PAYLOAD, KEY).astype(float) - before
    energy = (change**2).mean(axis=(1, 2, 3))
    assert energy.max() < 1.15 * energy.min()
