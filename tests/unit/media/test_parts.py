"""Every part of a file is read, or named with the reason why not."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image as PilImage

from gensafe.core.errors import MediaError
from gensafe.core.types import Audio, Image, Text, Video
from gensafe.media import decode, encode, read_parts, read_parts_untrusted, unread_parts

SOUND = Audio((0.3 * np.sin(np.arange(8000) / 9)).astype(np.float32)[None], 16000)
HIGH = Audio((0.3 * np.sin(np.arange(8000) / 2)).astype(np.float32)[None], 16000)
CLIP = Video(np.full((4, 32, 32, 3), 90, np.uint8), 8.0, SOUND)
SUBTITLES = """1
00:00:00,100 --> 00:00:00,200
first <i>line</i>

2
00:00:00,250 --> 00:00:00,400
second line
"""


def film(container_format, sounds=(), subtitles=None, attachment=b"", second_picture=False):
    """A VP9 clip of four grey frames with further tracks."""
    out = io.BytesIO()
    with av.open(out, "w", format=container_format) as container:
        pictures = [container.add_stream("libvpx-vp9", rate=8) for _ in range(2 if second_picture else 1)]
        for track in pictures:
            track.width = track.height = 32
            track.pix_fmt = "yuv420p"
        tracks = [container.add_stream("aac", rate=s.rate, layout="mono") for s in sounds]
        if subtitles:
            source = av.open(io.BytesIO(subtitles.encode()), format="srt")
            text = container.add_stream_from_template(source.streams[0])
        if attachment:
            container.add_attachment("letter.ttf", "application/x-truetype-font", attachment)
        for level, track in enumerate(pictures):
            for index, pixels in enumerate(CLIP.frames):
                frame = av.VideoFrame.from_ndarray(pixels // (level + 1), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 8)
                container.mux(track.encode(frame))
        for sound, track in zip(sounds, tracks, strict=True):
            frame = av.AudioFrame.from_ndarray(sound.samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = sound.rate, 0
            for part in av.AudioResampler("fltp", "mono", sound.rate, frame_size=1024).resample(frame):
                container.mux(track.encode(part))
        if subtitles:
            for packet in source.demux(source.streams[0]):
                if packet.dts is not None:
                    packet.stream = text
                    container.mux(packet)
        for track in (*pictures, *tracks):
            container.mux(track.encode(None))
    return out.getvalue()


@pytest.mark.parametrize(
    ("media", "kind"),
    [
        (Text("x"), "text/plain"),
        (Image(CLIP.frames[0]), "image/webp"),
        (SOUND, "audio/wav"),
        (SOUND, "audio/ogg"),
        (SOUND, "audio/mpeg"),
        (CLIP, "video/mp4"),
        (CLIP, "video/webm"),
    ],
)
def test_our_own_files_have_one_part(media, kind):
    (part,) = read_parts(encode(media, kind))
    assert part.name == "" and part.media.modality is media.modality


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_every_frame_of_an_animation(kind):
    out = io.BytesIO()
    frames = [PilImage.new("RGB", (8, 8), c) for c in ((255, 0, 0), (0, 128, 0), (0, 0, 255))]
    options = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(out, kind, save_all=True, append_images=frames[1:], duration=[40, 80, 40], **options)
    main, rest = read_parts(out.getvalue())
    assert isinstance(main.media, Image) and isinstance(rest.media, Video)
    assert rest.name == "animation of 3 frames" and rest.media.fps == pytest.approx(25.0)
    assert [tuple(int(v) for v in f[4, 4]) for f in rest.media.frames] == [
        (255, 0, 0),
        (0, 128, 0),
        (0, 128, 0),
        (0, 0, 255),
    ]


def test_second_tracks_are_read():
    data = film("mp4", (SOUND, HIGH), second_picture=True)
    assert decode(data).audio is not None
    main, picture, sound = read_parts(data)
    assert isinstance(main.media, Video) and main.media.frames.mean() == pytest.approx(90, abs=2)
    assert picture.name == "video track 2 (vp9)" and picture.media.frames.mean() == pytest.approx(45, abs=2)
    assert sound.name.startswith("audio track 4 (aac")
    spectrum = np.abs(np.fft.rfft(sound.media.samples[0, 2000:6000]))
    assert spectrum.argmax() * 16000 / 4000 == pytest.approx(16000 / (4 * np.pi), abs=10)


def test_subtitles_are_read_with_their_times():
    _, part = read_parts_untrusted(film("matroska", subtitles=SUBTITLES))
    assert part.name == "subtitle track 2 (srt)"
    assert part.media.text == "first line\nsecond line"
    assert part.cues == ((0, 10, 0.1, 0.2), (11, 22, 0.25, 0.4))


def test_frames_that_an_edit_list_leaves_out():
    frames = np.full((8, 32, 32, 3), (20, 20, 200), np.uint8)
    frames[:4] = (200, 20, 20)
    data = bytearray(encode(Video(frames, 8.0), "video/mp4; codecs=avc1"))
    assert len(read_parts(bytes(data))) == 1
    at = data.index(b"elst") + 12  # version, flags, number of entries; then duration, media time, rate
    timescale = int.from_bytes(data[data.index(b"mdhd") + 16 :][:4], "big")
    start = int.from_bytes(data[at + 4 : at + 8], "big")
    data[at + 4 : at + 8] = (start + timescale // 2).to_bytes(4, "big")  # begin half a second later
    main, hidden = read_parts(bytes(data))
    assert main.media.frames[..., 0].max() < 60
    assert hidden.name == "frames that the edit list leaves out"
    assert len(hidden.media.frames) == 8 and hidden.media.frames[0, ..., 0].min() > 150


def test_what_cannot_be_read_is_named():
    data = film("matroska", attachment=b"not a font")
    main, part = read_parts(data)
    assert main.media is not None and part.media is None
    assert unread_parts(data) == (f"{part.name}: attachment tracks cannot be examined",)


def test_pages_of_different_size():
    out = io.BytesIO()
    pages = [PilImage.new("RGB", size, "white") for size in ((8, 8), (9, 4))]
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    assert [p.name for p in read_parts(out.getvalue())] == ["", "page 2 of 2"]


def test_a_cover_picture_is_read():
    out = io.BytesIO()
    PilImage.new("RGB", (16, 16), (200, 30, 30)).save(out, "PNG")
    picture = out.getvalue()
    mp3 = encode(SOUND, "audio/mpeg")
    body = b"\x00image/png\x00\x03\x00" + picture
    frame = b"APIC" + len(body).to_bytes(4, "big") + b"\x00\x00" + body
    size = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
    if mp3[:3] == b"ID3":
        mp3 = mp3[10 + sum((v & 127) << shift for v, shift in zip(mp3[6:10], (21, 14, 7, 0), strict=True)) :]
    _, cover = read_parts(b"ID3\x03\x00\x00" + size + frame + mp3)
    assert cover.name == "cover image"
    assert tuple(cover.media.pixels[8, 8]) == (200, 30, 30)


def test_rubbish_is_refused():
    for data in (b"", b"\x00\x01", b"\x00\x00\x00\x18ftypisom" + b"\x00" * 40):
        with pytest.raises(MediaError):
            read_parts(data)


def test_a_jpeg_with_stray_bytes_between_segments_is_read():
    data = encode(Image(CLIP.frames[0]), "image/jpeg")
    at = 4 + int.from_bytes(data[4:6], "big")  # behind the first segment
    assert decode(data[:at] + b"\x00\x00" + data[at:]).pixels.shape == (32, 32, 3)
