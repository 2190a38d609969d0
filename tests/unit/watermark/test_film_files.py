"""The film mark through real files: what cameras and programs write, decoded, marked, encoded and read back."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from scipy import ndimage

from gensafe import media
from gensafe.core.errors import CannotCarry
from gensafe.core.types import Audio, MarkLevel, Video
from gensafe_watermark.audio.layout import SCHEME as SOUND_SCHEME
from gensafe_watermark.plugin import create_audio, create_video

KEY = bytes(range(32))
PAYLOAD = bytes.fromhex("0123456789abcd")


def scenes(count: int, height: int = 144, width: int = 192) -> list[np.ndarray]:
    """A camera that moves over smooth texture, two pixels a frame."""
    rng = np.random.default_rng(5)
    noise = ndimage.gaussian_filter(rng.normal(size=(height, width + 2 * count, 3)), (6, 6, 0))
    ground = np.clip(120 + 25 * noise / noise.std(), 0, 255).astype(np.uint8)
    return [np.ascontiguousarray(ground[:, 2 * i : 2 * i + width]) for i in range(count)]


def speech(seconds: float, rate: int = 16000) -> np.ndarray:
    """Noise in syllables: (1, n)."""
    rng, t = np.random.default_rng(1), np.arange(int(seconds * rate)) / rate
    return (rng.normal(size=t.size) * 0.1 * (0.3 + np.sin(8 * t) ** 2))[None].astype(np.float32)


def write(frames: list[np.ndarray], stamps: list[int] | None = None, rotation: float | None = None) -> bytes:
    """An H.264 MP4 as a telephone makes it; ``stamps`` in hundredths of a second."""
    data = io.BytesIO()
    with av.open(data, "w", "mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 100)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for i, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = (stamps[i] if stamps else 4 * i), Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return data.getvalue()


def mark(data: bytes, container: str = "video/mp4") -> tuple[Video, bytes]:
    """(what the source shows, the marked file)."""
    before = media.decode(data)
    return before, media.encode(create_video({}).embed(before, PAYLOAD, KEY), container)


def read(data: bytes) -> MarkLevel:
    found = create_video({}).detect(media.decode(data), KEY)
    assert found.payload in (None, PAYLOAD)
    return found.level


def test_variable_frame_rate():
    """Frames 20 to 120 ms apart: they come out at a constant rate, none lost, the mark in all."""
    stamps = [0, 2, 4, 16, 20, 26, 38, 40, 50, 54]
    before, marked = mark(write(scenes(10), stamps))
    after = media.decode(marked)
    assert len(after.frames) == len(before.frames) > 10 and after.fps == pytest.approx(before.fps)
    assert read(marked) is MarkLevel.RECORD


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_metadata(rotation):
    """Marked as it is shown; the copy needs no metadata, and reads even if a program had ignored it."""
    before, marked = mark(write(scenes(6), rotation=rotation))
    assert before.frames.shape[1:3] == ((192, 144) if abs(rotation) == 90 else (144, 192))
    assert media.decode(marked).frames.shape == before.frames.shape and read(marked) is MarkLevel.RECORD
    turned = np.rot90(media.decode(marked).frames, 1, axes=(1, 2))
    assert read(media.encode(Video(np.ascontiguousarray(turned), 25.0), "video/mp4")) is MarkLevel.RECORD


@pytest.mark.parametrize(("height", "width"), [(145, 193), (241, 135), (320, 180)])
@pytest.mark.parametrize("container", ["video/mp4", "video/webm"])
def test_odd_sides_and_portrait(height, width, container):
    source = media.encode(Video(np.stack(scenes(6, height, width)), 25.0), "video/mp4")
    _, marked = mark(source, container)
    assert media.decode(marked).frames.shape[1:3] == (height, width) and read(marked) is MarkLevel.RECORD


@pytest.mark.parametrize("count", [1, 2, 5])
def test_films_of_a_few_frames(count):
    _, marked = mark(write(scenes(count)))
    assert len(media.decode(marked).frames) == count and read(marked) is MarkLevel.RECORD


def test_a_film_fades_in_from_black():
    frames = scenes(12)
    faded = [(f * min(1.0, i / 5)).astype(np.uint8) for i, f in enumerate(frames)]
    _, marked = mark(write(faded))
    assert read(marked) is MarkLevel.RECORD
    with pytest.raises(CannotCarry, match="black or white"):
        mark(write([np.zeros_like(frames[0])] * 12))


def test_a_second_shot_is_marked_under_its_own_first_frame():
    """Strongly coded, and the first shot cut off: the second one's first frame carries the payload."""
    second = [np.ascontiguousarray(255 - f[:, ::-1]) for f in scenes(16)]
    before = media.decode(write([np.ascontiguousarray(f // 4) for f in scenes(16)] + second))
    after = create_video({}).embed(before, PAYLOAD, KEY)
    change = (after.frames.astype(float) - before.frames).std(axis=(1, 2, 3))
    assert change[0] > 1.3 * change[1] and change[16] > 1.3 * change[17]
    data = io.BytesIO()
    with av.open(data, "w", "mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "32"})
        stream.height, stream.width, stream.pix_fmt = 144, 192, "yuv420p"
        for pixels in after.frames[8:]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
    assert read(data.getvalue()) is MarkLevel.RECORD


@pytest.mark.parametrize("container", ["video/mp4", "video/webm"])
def test_a_sound_track_carries_its_own_mark(container):
    """One payload in both: with the frames gone dark, the sound alone still leads back."""
    film = Video(np.stack(scenes(12)), 1.0, Audio(speech(12), 16000))
    marked = media.encode(create_video({}).embed(film, PAYLOAD, KEY), container)
    after = media.decode(marked)
    assert create_video({}).detect(after, KEY).payload == PAYLOAD
    assert create_audio({}).detect(after.audio, KEY).payload == PAYLOAD
    dark = create_video({}).detect(Video(np.zeros_like(after.frames), 1.0, after.audio), KEY)
    assert dark.payload == PAYLOAD and dark.scheme == SOUND_SCHEME and dark.detail["found_in"] == "sound"


def test_a_sound_track_too_short_for_a_mark_is_left_as_it_is():
    film = Video(np.stack(scenes(6)), 25.0, Audio(speech(0.24), 16000))
    after = create_video({}).embed(film, PAYLOAD, KEY)
    assert after.audio is film.audio and create_video({}).detect(after, KEY).payload == PAYLOAD
