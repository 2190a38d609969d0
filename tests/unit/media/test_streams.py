"""Films and sounds as streams: the same pictures and samples as the whole decoders give, with their own times."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from gensafe.core.errors import UnreadableMedia
from gensafe.core.types import GRID, KEPT, Audio, AudioStream, Image, Text, Video, VideoStream
from gensafe.media import decode, encode, open_file, open_parts, overview
from gensafe.media.shrink import shrink
from gensafe.media.spool import BLOCK, BytesSource, SourceFile, View
from gensafe.media.streams import SHORT_S, ArrayVideo, _checked, whole_video


def scene(count, height=120, width=200):
    """A ground with a bar that moves to the right."""
    y, x = np.mgrid[:height, :width]
    ground = np.stack([x % 256, y % 256, (x + y) % 256], axis=-1).astype(np.uint8)
    frames = np.repeat(ground[None], count, axis=0)
    for i, frame in enumerate(frames):
        frame[:, 2 * (i % (width // 2)) : 2 * (i % (width // 2)) + 20] = (230, 40, 40)
    return frames


def film(stamps_ms, frames, rotation=0):
    """A lossless Matroska film whose frames appear at ``stamps_ms``."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        track = container.add_stream("ffv1", rate=1000)
        track.height, track.width = frames.shape[1:3]
        track.pix_fmt = "yuv420p"
        track.codec_context.time_base = Fraction(1, 1000)
        for stamp, pixels in zip(stamps_ms, frames, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return out.getvalue()


STAMPS = [0, 40, 48, 1000, *range(1040, 1040 + 40 * 146, 40)]
FRAMES = scene(len(STAMPS))
DATA = film(STAMPS, FRAMES)


def opened(data):
    (part,) = open_parts(data)
    assert isinstance(part.media, VideoStream)
    return part.media


def test_frames_come_as_they_are_coded_with_their_own_times():
    """The whole decoder gave a film with gaps back at the rate of its shortest gap: 19,201 frames for three."""
    whole = decode(DATA)
    stream = opened(DATA)
    times, count = [], 0
    for chunk in stream.chunks():
        assert chunk.first == count
        times += chunk.times[:-1].tolist()
        count += len(chunk)
        for index in range(max(0, chunk.first - KEPT), chunk.first + len(chunk), 9):
            assert abs(chunk.pixels(index).astype(int) - FRAMES[index]).mean() < 12  # 4:2:0 of hard edges
    assert count == len(STAMPS) < len(whole.frames)
    assert times == pytest.approx([s / 1000 for s in STAMPS], abs=1e-6)
    assert chunk.last
    assert (stream.height, stream.width, stream.sound) == (120, 200, None)


def test_pixels_are_those_of_the_whole_decoder_and_can_be_read_again():
    data = encode(Video(scene(20), 10.0), "video/webm")
    whole, stream = decode(data), opened(data)
    for _ in range(2):  # re-iterable
        (chunk,) = stream.chunks()
        assert len(chunk) == 20
    with pytest.raises(UnreadableMedia, match="closed"):
        chunk.pixels(3)  # the film is over
    for chunk in stream.chunks():
        assert np.array_equal(chunk.pixels(7), whole.frames[7])
        with pytest.raises(IndexError):
            chunk.pixels(20)
    assert np.array_equal(whole_video(stream).frames, whole.frames)


def test_the_small_copies_are_area_averages():
    """Taken in the coded planes, they may differ by rounding and by how chroma lies on the pixels."""
    data = encode(Video(scene(3, 360, 640), 10.0), "video/mp4")
    whole = decode(data)
    (chunk,) = opened(data).chunks()
    assert chunk.small.shape == (3, *GRID, 3)
    difference = np.abs(chunk.small.astype(int) - shrink(whole.frames, *GRID))
    assert difference.mean() < 2
    assert difference.max() <= 24


def test_a_film_that_is_left_early_frees_its_worker():
    stream = opened(DATA)
    for _ in range(5):  # more than there are workers
        chunks = stream.chunks()
        next(chunks)
        chunks.close()
    assert sum(len(c) for c in stream.chunks()) == len(STAMPS)


def test_damage_is_named_where_it_is_reached():
    noise = np.random.default_rng(0).integers(0, 256, (100, 48, 64, 3), dtype=np.uint8)
    data = bytearray(encode(Video(noise, 25.0), "video/mp4; codecs=avc1"))
    place = len(data) * 9 // 10
    data[place : place + 4000] = b"\xff" * 4000
    chunks = opened(bytes(data)).chunks()
    assert next(chunks).first == 0
    with pytest.raises(UnreadableMedia):
        list(chunks)
    with pytest.raises(UnreadableMedia):
        open_parts(DATA[: len(DATA) // 2])


def test_what_a_worker_hands_over_is_checked():
    times, small = np.arange(3.0), np.zeros((2, *GRID, 3), np.uint8)
    good = ("chunk", 0, times, small, True)
    assert len(_checked(good, 0, -1.0, None)) == 2
    for bad in (
        None,
        ("chunk", 1, times, small, True),
        ("chunk", 0, times[::-1].copy(), small, True),
        ("chunk", 0, times[:2], small, True),
        ("chunk", 0, np.array([0, np.nan, 2]), small, True),
        ("chunk", 0, times, small[:, :10], True),
        ("chunk", 0, times, small.astype(np.int16), True),
    ):
        with pytest.raises(UnreadableMedia):
            _checked(bad, 0, -1.0, None)
    with pytest.raises(UnreadableMedia):
        _checked(good, 0, -1.0, lambda _: "no array").pixels(0)


def tone(seconds, rate=8000):
    return Audio((0.4 * np.sin(np.arange(round(seconds * rate)) / 7)).astype(np.float32)[None], rate)


def test_a_long_sound_is_a_stream_of_the_same_samples():
    long = tone(SHORT_S + 11)
    data = encode(long, "audio/flac")
    (part,) = open_parts(data)
    assert isinstance(part.media, AudioStream)
    assert (part.media.rate, part.media.channels) == (8000, 1)
    samples = np.concatenate([c.samples for c in part.media.chunks()], axis=1)
    assert np.array_equal(samples, decode(data).samples)
    (short,) = open_parts(encode(tone(1), "audio/flac"))
    assert isinstance(short.media, Audio)


def test_a_sound_of_more_than_the_whole_decoder_takes_is_accepted():
    """An hour of sound was refused: max_duration_s is 600."""
    quiet = Audio(np.zeros((1, 3700 * 1000), np.float32), 1000)
    (part,) = open_parts(encode(quiet, "audio/wav"))
    assert isinstance(part.media, AudioStream)
    assert sum(c.samples.shape[1] for c in part.media.chunks()) == 3700 * 1000


def test_the_sound_of_a_film_starts_with_its_first_frame():
    data = encode(Video(scene(30), 10.0, tone(3, 48000)), "video/mp4")
    whole, stream = decode(data), opened(data)
    samples = np.concatenate([c.samples for c in stream.sound.chunks()], axis=1)
    assert np.array_equal(samples, whole.audio.samples)


def test_other_parts_and_other_kinds(tmp_path):
    out = io.BytesIO()
    with av.open(io.BytesIO(DATA)) as source, av.open(out, "w", format="matroska") as container:
        first = container.add_stream_from_template(source.streams[0])
        sounds = [container.add_stream("flac", rate=8000, layout="mono") for _ in range(2)]
        for packet in source.demux(source.streams[0]):
            if packet.dts is not None:
                packet.stream = first
                container.mux(packet)
        for track in sounds:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8000, 0
            for part in (*av.AudioResampler("s16", "mono", 8000, frame_size=1024).resample(frame), None):
                container.mux(track.encode(part))
    path = tmp_path / "film.mkv"
    path.write_bytes(out.getvalue())
    main, other = open_file(path)
    assert main.media.sound is not None
    assert isinstance(other.media, AudioStream)
    assert other.name.startswith("audio track 3")
    for text in ("a text", "\N{HIRAGANA LETTER A}" * 400_000):
        assert open_parts(text.encode())[0].media == Text(text)
    assert isinstance(open_parts(encode(Image(FRAMES[0]), "image/png"))[0].media, Image)
    for bad in (tmp_path, tmp_path / "none"):
        with pytest.raises(UnreadableMedia):
            open_file(bad)


def test_an_overview_spans_the_film():
    shown = overview(opened(DATA))
    assert isinstance(shown, Video)
    assert 16 <= len(shown.frames) <= 64
    assert len(shown.frames) / shown.fps == pytest.approx(STAMPS[-1] / 1000, abs=0.1)


def test_an_array_is_a_stream_too():
    video = Video(scene(150), 25.0)
    chunks = list(ArrayVideo(video).chunks())
    assert [len(c) for c in chunks] == [64, 64, 22]
    assert [c.last for c in chunks] == [False, False, True]
    assert chunks[1].times[0] == 64 / 25
    assert np.array_equal(chunks[2].pixels(130), video.frames[130])


def test_a_view_reads_as_bytes_do():
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, 3 * BLOCK + 77, dtype=np.uint8).tobytes()
    view = View(BytesSource(data))
    for at in (slice(0, 10), slice(BLOCK - 3, BLOCK + 3), slice(-5, None), slice(7, 7000, 188), slice(9, 3)):
        assert view[at] == data[at]
    assert view[-1] == data[-1]
    part = data[2 * BLOCK - 2 : 2 * BLOCK + 3]  # over a border
    assert view.find(part) == data.find(part)
    assert view.find(part, 2 * BLOCK) == -1
    assert view.rfind(part) == data.rfind(part)
    assert part in view
    assert view.startswith((b"x", data[:4]))
    file = SourceFile(BytesSource(data), 5)
    assert file.read(4) == data[5:9]
    assert file.seek(-3, io.SEEK_END) == len(data) - 8
    assert file.read() == data[-3:]
