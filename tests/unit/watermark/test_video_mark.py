"""The film mark on small synthetic clips, through real encoders."""

import io

import av
import numpy as np
import pytest
from scipy import ndimage

from gensafe.core.errors import CannotCarry, InvalidRequest
from gensafe.core.types import MarkLevel
from gensafe_watermark import video
from gensafe_watermark.image import perception

KEY = bytes(range(32))
PAYLOAD = bytes.fromhex("0123456789abcd")


def clip(seed: int, size: int = 128, frames: int = 16) -> np.ndarray:
    """One flat shape moving over a plain, lightly textured ground."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:size, :size]
    ground = rng.integers(30, 240, 3) + ndimage.gaussian_filter(rng.normal(size=(size, size)), 2)[..., None] * 6
    colour, start, speed = rng.integers(0, 255, 3), rng.uniform(0.25, 0.5, 2) * size, rng.uniform(-0.02, 0.02, 2) * size
    out = []
    for i in range(frames):
        x, y = start + speed * i
        frame = ground.copy()
        frame[(xx - x) ** 2 + (yy - y) ** 2 < (0.17 * size) ** 2] = colour
        out.append(np.clip(np.round(frame), 0, 255).astype(np.uint8))
    return np.stack(out)


def recode(frames: np.ndarray, crf: int, codec: str = "libx264") -> np.ndarray:
    data = io.BytesIO()
    with av.open(data, "w", "mp4") as container:
        stream = container.add_stream(codec, rate=8)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.options = {"crf": str(crf)}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    data.seek(0)
    with av.open(data) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


@pytest.mark.parametrize("size", [128, 256])
def test_survives_h264_at_crf_28(size):
    for seed in range(2):
        before = clip(seed, size)
        after = video.embed(before, PAYLOAD, KEY, fps=8)
        assert perception.psnr(before, after) >= 38
        found = video.detect(recode(after, 28), KEY)
        assert found.payload == PAYLOAD and found.level is MarkLevel.RECORD and found.p_value < 1e-6


def test_needs_no_frame_synchronisation():
    after = video.embed(clip(3), PAYLOAD, KEY, fps=8)
    halves = ((after[:-1].astype(int) + after[1:]) // 2).astype(np.uint8)
    for attacked in (after[::2], after[5:9], after[::-1], halves):
        assert video.detect(np.ascontiguousarray(attacked), KEY).payload == PAYLOAD


def test_segments_of_a_long_film_differ_but_all_read():
    film = np.concatenate([clip(4, 128, 10)] * 14)[: 2 * video.SEGMENT + 6]
    after = video.embed(film, PAYLOAD, KEY)
    first, second = after[0].astype(int) - film[0], after[video.SEGMENT + 6].astype(int) - film[video.SEGMENT + 6]
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.5
    assert video.detect(after, KEY).payload == PAYLOAD
    assert video.detect(after[video.SEGMENT :], KEY).payload == PAYLOAD


def test_a_black_stretch_does_not_stop_the_rest():
    film = np.concatenate([np.zeros((video.SEGMENT, 128, 128, 3), np.uint8), clip(5, 128, 10)])
    after = video.embed(film, PAYLOAD, KEY)
    assert np.array_equal(after[: video.SEGMENT], film[: video.SEGMENT])
    assert video.detect(after[video.SEGMENT :], KEY).payload == PAYLOAD
    with pytest.raises(CannotCarry, match="black"):
        video.embed(film[: video.SEGMENT], PAYLOAD, KEY)


def test_pictures_and_films_do_not_read_as_each_other():
    from gensafe_watermark import image

    after = video.embed(clip(6), PAYLOAD, KEY)
    assert image.detect(after[0], KEY).payload is None


def test_unmarked_and_malformed():
    assert video.detect(clip(7), KEY).level is MarkLevel.NONE
    with pytest.raises(InvalidRequest):
        video.detect(np.zeros((0, 128, 128, 3), np.uint8), KEY)
    with pytest.raises(InvalidRequest):
        video.embed(clip(7), PAYLOAD, KEY, fps=0)


FLAT = {
    "one colour": np.full((6, 96, 128, 3), 90, np.uint8),
    "a fade": np.stack([np.full((90, 120, 3), 20 * i, np.uint8) for i in range(6)]),
    "one pixel": np.pad(np.full((6, 1, 1, 3), 255, np.uint8), ((0, 0), (60, 59), (80, 79), (0, 0))),
    "half of it": np.pad(np.full((6, 96, 64, 3), 200, np.uint8), ((0, 0), (0, 0), (0, 64), (0, 0))),
}


@pytest.mark.parametrize("name", FLAT)
def test_flat_films_show_nothing(name):
    found = video.detect(FLAT[name], KEY)
    assert found.level is MarkLevel.NONE and found.payload is None


def test_a_shot_has_its_own_pattern_and_opens_stronger():
    dark, bright = clip(8, 128, 12) // 3, 255 - clip(9, 128, 12) // 3
    film = np.concatenate([dark, bright])
    assert [(start, stop) for start, stop, _ in video._segments(film)] == [(0, 12), (12, 24)]
    after = video.embed(film, PAYLOAD, KEY)
    change = after.astype(int) - film
    power = (change**2).mean(axis=(1, 2, 3))
    assert power[0] > 1.5 * power[8] and power[12] > 1.5 * power[20]
    assert abs(np.corrcoef(change[8].ravel(), change[20].ravel())[0, 1]) < 0.3
    for shot in (after[:12], after[12:]):
        assert video.detect(shot, KEY).payload == PAYLOAD


def test_motion_leaves_the_mark_in_the_frames_coded_afresh():
    """Later frames carry displaced copies; the reader must find the few that do not."""
    still = video.embed(clip(2, 128, 8), PAYLOAD, KEY)
    moved = [np.roll(still[7], (5 * i, 3 * i), axis=(0, 1)) for i in range(1, 17)]
    film = np.concatenate([np.stack(moved[:9]), still[1:3], np.stack(moved[9:])])
    assert video.detect(film, KEY).payload == PAYLOAD
