"""What ``decode`` does not read is named."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image as PilImage

from gensafe.core.errors import MediaError
from gensafe.core.types import Audio, Image, Text, Video
from gensafe.media import decode, encode, unread_parts

SOUND = Audio((0.3 * np.sin(np.arange(8000) / 9)).astype(np.float32)[None], 16000)
CLIP = Video(np.full((4, 32, 32, 3), 90, np.uint8), 8.0, SOUND)


@pytest.mark.parametrize(
    ("media", "kind"),
    [
        (Text("x"), "text/plain"),
        (Image(CLIP.frames[0]), "image/webp"),
        (SOUND, "audio/wav"),
        (SOUND, "audio/ogg"),
        (CLIP, "video/mp4"),
        (CLIP, "video/webm"),
    ],
)
def test_our_own_files_are_read_whole(media, kind):
    assert unread_parts(encode(media, kind)) == ()


def test_frames_of_an_animation():
    out = io.BytesIO()
    frames = [PilImage.new("RGB", (8, 8), c) for c in ("red", "green", "blue")]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    assert unread_parts(out.getvalue()) == ("2 further frames",)


def test_second_tracks():
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        tracks = [container.add_stream("mpeg4", rate=8), *(container.add_stream("aac", rate=16000) for _ in range(2))]
        tracks[0].width = tracks[0].height = 32
        tracks[0].pix_fmt = "yuv420p"
        for index, pixels in enumerate(CLIP.frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 8)
            container.mux(tracks[0].encode(frame))
        for track in tracks[1:]:
            frame = av.AudioFrame.from_ndarray(SOUND.samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, 0
            for part in av.AudioResampler("fltp", track.codec_context.layout.name, 16000, frame_size=1024).resample(
                frame
            ):
                container.mux(track.encode(part))
        for track in tracks:
            container.mux(track.encode(None))
    data = out.getvalue()
    assert decode(data).audio is not None
    assert unread_parts(data) == ("sound track aac",)


def test_rubbish_is_refused():
    for data in (b"", b"\x00\x01", b"\x00\x00\x00\x18ftypisom" + b"\x00" * 40):
        with pytest.raises(MediaError):
            unread_parts(data)


def test_a_jpeg_with_stray_bytes_between_segments_is_read():
    data = encode(Image(CLIP.frames[0]), "image/jpeg")
    at = 4 + int.from_bytes(data[4:6], "big")  # behind the first segment
    assert decode(data[:at] + b"\x00\x00" + data[at:]).pixels.shape == (32, 32, 3)
