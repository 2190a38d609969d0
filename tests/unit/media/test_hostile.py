"""Hostile and odd files, read in the sandboxed worker and judged: handled, or refused with a reason, within limits.

Each test makes a real file. What is read is judged by the signal classifiers, so that a file which decodes but that
nobody could look at would be seen here as well.
"""

import io
import struct
import time
import zlib
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image as PilImage

from gensafe.core.errors import MediaLimitExceeded, UnreadableMedia
from gensafe.core.types import Action, Audio, Image, Modality, Stage, Video
from gensafe.media import encode, read_parts_untrusted
from gensafe.safety import SafetyRunner, judge_parts, load_policy
from gensafe.safety.classifiers import audio_signal, image_signal, image_symbols, text_rules, video_signal

RNG = np.random.default_rng(5)
NOISE = (60 + 120 * RNG.random((48, 64, 3))).astype(np.uint8)
TONE = Audio((0.2 * np.sin(np.arange(8000) / 7)).astype(np.float32)[None], 16_000)
CLIP = Video(np.stack([np.roll(NOISE, 4 * i, axis=1) for i in range(8)]), 8.0, TONE)


@pytest.fixture(scope="module")
def runner():
    classifiers = {
        Modality.TEXT: [text_rules.create({})],
        Modality.IMAGE: [image_signal.create({}), image_symbols.create({})],
        Modality.AUDIO: [audio_signal.create({})],
        Modality.VIDEO: [video_signal.create({})],
    }
    return SafetyRunner(load_policy(), classifiers)


def judged(runner, data):
    """(the medium itself, the verdict over all parts) of a file that must be read."""
    parts = read_parts_untrusted(data)
    return parts[0].media, judge_parts(runner, parts, Stage.INPUT)


def read_or_refuse(data):
    """The parts, or None where the file is refused with a reason; anything else fails the test."""
    try:
        return read_parts_untrusted(data)
    except (UnreadableMedia, MediaLimitExceeded) as refusal:
        if not refusal.message:
            raise
        return None


def saved(picture, kind, **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def png(width, height, depth=8, colour=2, rows=b"", chunks=()):
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    extra = b"".join(chunk(n, b) for n, b in chunks)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def gif(width, height):
    """One pixel on a screen of any size."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return head + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00\x3b"


def wave(body, *, tag=1, channels=1, rate=16_000, bits=16, claimed=None):
    block = channels * bits // 8
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)
    size = len(body) if claimed is None else claimed
    head = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", size & 0xFFFFFFFF)
    return b"RIFF" + struct.pack("<I", (len(head) + size) & 0xFFFFFFFF) + head + body


def film(frames, times, *, rotation=0, container_format="mp4", codec="mpeg4"):
    """A clip of which frame i is shown from ``times[i]`` ms."""
    out = io.BytesIO()
    with av.open(out, "w", format=container_format) as container:
        track = container.add_stream(codec, rate=30)
        track.width, track.height, track.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        track.time_base = track.codec_context.time_base = Fraction(1, 1000)
        for pixels, at in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    data = out.getvalue()
    if rotation:  # the display matrix of a quarter turn in the track header (ISO/IEC 14496-12 §8.3.2)
        plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
        turned = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, frames.shape[1] << 16, 0, 1 << 30)
        at = data.index(plain, data.index(b"tkhd"))
        data = data[:at] + turned + data[at + len(plain) :]
    return data


BOMBS = {
    "a header that claims 60,000 x 60,000": (png(60_000, 60_000, rows=bytes(1000)), "max_pixels"),
    "16,000 x 16,000 of one colour in 100 KB": (png(16_000, 16_000, 1, 0, rows=bytes(16_000 * 2001)), "max_pixels"),
    "100,000 x 1": (png(100_000, 1, rows=bytes(300_001)), "max_side"),
    "1 x 100,000": (png(1, 100_000, rows=bytes(400_000)), "max_side"),
    "a GIF with the largest screen": (gif(65_535, 65_535), "max_"),
    "a sound of 255 channels": (wave(bytes(510 * 100), channels=255), "max_channels"),
    "a sound of two billion samples a second": (wave(bytes(2000), rate=2_000_000_000), "max_rate"),
    "eleven minutes of silence": (encode(Audio(np.zeros((1, 8000 * 660), np.float32), 8000), "audio/flac"), "max_dur"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_by_the_limit_they_break(name):
    data, limit = BOMBS[name]
    assert len(data) < 2_000_000
    begin = time.process_time()
    with pytest.raises(MediaLimitExceeded, match=limit):
        read_parts_untrusted(data)
    assert time.process_time() - begin < 5  # of this process: the worker's time is bounded by the kernel


def test_a_bomb_in_a_text_chunk_is_not_unpacked():
    body = b"comment\0\0" + zlib.compress(bytes(200_000_000), 9)
    rows = b"".join(b"\0" + bytes(row) for row in NOISE)
    data = png(64, 48, rows=rows, chunks=[(b"zTXt", body)])
    part = read_or_refuse(data)
    assert part is None or np.array_equal(part[0].media.pixels, NOISE)


def test_a_film_of_too_many_frames_is_refused():
    tiny = np.zeros((2, 16, 16, 3), np.uint8)
    with pytest.raises(MediaLimitExceeded, match="max_"):
        read_parts_untrusted(film(tiny, [0, 20_000_000]))  # two frames that a constant rate would make hundreds of


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "image/webp", "audio/flac", "audio/ogg", "video/mp4"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated_files_are_refused_or_read_as_what_is_left(runner, kind, share):
    medium = {"image": Image(NOISE), "audio": TONE, "video": CLIP}[kind.partition("/")[0]]
    whole = encode(medium, kind)
    parts = read_or_refuse(whole[: int(share * len(whole))])
    if parts is not None:  # streams may end anywhere: what is left is a sound, no longer than the whole, and looked at
        assert kind.startswith("audio") and parts[0].media.samples.shape[1] <= TONE.samples.shape[1] + 2000
        verdict = judge_parts(runner, parts, Stage.INPUT)
        assert verdict.coverage and not verdict.errors


def test_sixteen_bits_keep_their_upper_eight(runner):
    ramp = np.linspace(0, 65_535, 64 * 48).astype(np.uint16).reshape(48, 64)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in np.repeat(ramp, 3, axis=1))
    for data in (png(64, 48, 16, 2, rows=rows), saved(PilImage.fromarray(ramp), "PNG")):
        got, verdict = judged(runner, data)
        assert np.abs(got.pixels.astype(int) - (ramp >> 8)[:, :, None]).max() <= 1
        assert verdict.releasable and verdict.coverage


def test_cmyk_is_seen_in_its_colours(runner):
    red = PilImage.new("CMYK", (64, 48), (0, 255, 255, 0))
    red.paste((255, 0, 255, 0), (32, 0, 64, 48))
    for kind in ("JPEG", "TIFF"):
        got, verdict = judged(runner, saved(red, kind))
        left, right = got.pixels[24, 8].astype(int), got.pixels[24, 56].astype(int)
        assert left[0] > left[1] + 80 and left[0] > left[2] + 80
        assert right[1] > right[0] + 80 and right[1] > right[2] + 80
        assert verdict.coverage


def test_every_frame_of_an_animated_png_is_judged(runner):
    plain = PilImage.fromarray(NOISE)
    dark = [PilImage.fromarray(np.where(i % 2, 255, 0).astype(np.uint8) * np.ones_like(NOISE)) for i in range(20)]
    data = saved(plain, "PNG", save_all=True, append_images=dark, duration=50, default_image=True)
    got, verdict = judged(runner, data)
    assert np.array_equal(got.pixels, NOISE)  # what a viewer without animation shows
    assert verdict.action in (Action.BLOCK, Action.REVIEW) and "phy" in verdict.categories  # what another one plays
    assert any("animation" in d.finding.detail for d in verdict.decisions)


def test_a_variable_rate_hides_no_frame(runner):
    """A flash of 1 ms among frames of 100 ms: it must survive the way to a constant rate."""
    frames = np.full((12, 48, 64, 3), 100, np.uint8)
    frames[6] = 240
    times = [100 * i for i in range(6)] + [501] + [502 + 100 * i for i in range(5)]
    got, verdict = judged(runner, film(frames, times))
    assert max(f.mean() for f in got.frames) > 220
    assert verdict.coverage


def test_frames_before_an_edit_lists_start_are_judged(runner):
    """An edit list that starts late: players skip the strobe, so does the main part; the left-out frames are judged."""
    strobe = np.zeros((30, 48, 64, 3), np.uint8)
    strobe[:, :, :] = (40, 40, 40)
    strobe[2::4] = strobe[3::4] = 255
    calm = np.full((30, 48, 64, 3), 90, np.uint8)
    data = film(np.concatenate([strobe, calm]), [33 * i for i in range(60)])
    at = data.index(b"elst")
    version, entries = struct.unpack(">II", data[at + 4 : at + 12])
    assert (version, entries) == (0, 1)
    duration = struct.pack(">Ii", 990, 990)  # from 990 ms on, for 990 ms
    got, verdict = judged(runner, data[: at + 12] + duration + data[at + 20 :])
    assert len(got.frames) < 50
    assert "phy" in verdict.categories and verdict.action in (Action.BLOCK, Action.REVIEW)


def test_a_turned_film_is_judged_upright(runner):
    halves = np.zeros((4, 48, 64, 3), np.uint8)
    halves[:, :, :32] = (220, 30, 30)
    halves[:, :, 32:] = (30, 30, 220)
    got, verdict = judged(runner, film(halves, [0, 125, 250, 375], rotation=90))
    assert got.frames.shape[1:3] == (64, 48)
    assert got.frames[0, 8, 24, 0] > 150 and got.frames[0, 56, 24, 2] > 150  # red above, blue below
    assert verdict.coverage


@pytest.mark.parametrize("channels", [1, 8])
def test_one_sample_and_seven_point_one(runner, channels):
    one, verdict = judged(runner, wave(struct.pack("<h", 9000) * channels, channels=channels))
    assert one.samples.shape == (channels, 1) and verdict.coverage
    tones = np.stack([0.1 * np.sin(np.arange(8000) / (5 + c)) for c in range(channels)]).astype(np.float32)
    for kind in ("audio/wav", "audio/flac"):
        got, verdict = judged(runner, encode(Audio(tones, 16_000), kind))
        assert got.samples.shape == tones.shape and verdict.releasable
        assert any(c.unit == "channels" and c.examined == c.total == channels for c in verdict.coverage)


def test_a_carrier_in_the_last_of_eight_channels_is_found(runner):
    sound = np.stack([0.1 * np.sin(np.arange(48_000) / (20 + c)) for c in range(8)]).astype(np.float32)
    sound[7] += 0.05 * np.sin(2 * np.pi * 21_000 * np.arange(48_000) / 48_000).astype(np.float32)
    _, verdict = judged(runner, encode(Audio(sound, 48_000), "audio/wav"))
    assert any(d.finding.category == "hid" for d in verdict.decisions)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_numbers_that_are_none_and_huge_ones(runner, value):
    samples = (0.1 * np.sin(np.arange(4000) / 9)).astype("<f4")
    samples[2000] = value
    data = wave(samples.tobytes(), tag=3, bits=32)
    if np.isfinite(value):
        got, verdict = judged(runner, data)
        assert got.samples.max() == 1.0 and not verdict.errors
        assert any("true peak" in d.finding.detail for d in verdict.decisions)
    else:
        with pytest.raises(UnreadableMedia, match="not numbers"):
            read_parts_untrusted(data)


def test_a_wave_that_claims_more_than_it_holds(runner):
    body = (8000 * np.sin(np.arange(4000) / 9)).astype("<i2").tobytes()
    parts = read_or_refuse(wave(body, claimed=0xFFFFFFF0))
    if parts is not None:
        assert parts[0].media.samples.shape[1] <= 4000 and judge_parts(runner, parts, Stage.INPUT).coverage


# --- subtitles that are drawn ---------------------------------------------------------------------------------------


def presentation_graphics():
    """A Blu-ray subtitle (PGS): a bar of 16 x 8 pixels shown for 0.3 s."""

    def segment(at, kind, body):
        return b"PG" + struct.pack(">IIBH", at, 0, kind, len(body)) + body

    def composition(number, state, objects):
        shown = struct.pack(">HBBHH", 0, 0, 0, 4, 4) * objects
        return struct.pack(">HHBHBBBB", 64, 48, 0x10, number, state, 0, 0, objects) + shown

    window = struct.pack(">BBHHHH", 1, 0, 4, 4, 16, 8)
    palette = bytes([0, 0, 1, 235, 128, 128, 255])
    lines = bytes([0, 0x80 | 16, 1, 0, 0]) * 8
    drawn = struct.pack(">HBB", 0, 0, 0xC0) + (len(lines) + 4).to_bytes(3, "big") + struct.pack(">HH", 16, 8) + lines
    first = [(0x16, composition(0, 0x80, 1)), (0x17, window), (0x14, palette), (0x15, drawn), (0x80, b"")]
    last = [(0x16, composition(1, 0, 0)), (0x17, window), (0x80, b"")]
    return b"".join(segment(9000, k, b) for k, b in first) + b"".join(segment(36_000, k, b) for k, b in last)


def dvd_subtitle():
    """A DVD subpicture unit: a bar of 16 x 8 pixels."""
    line = bytes([0x00, 0x01])  # the rest of the line in colour 1
    fields, start = line * 8, 4
    control = start + len(fields)
    place = bytes([0, 0x40, 0x13, 0, 0x40, 0x0B])  # columns 4-19, rows 4-11
    show = bytes([3, 0x32, 0x10, 4, 0xFF, 0xF0, 5]) + place + bytes([6]) + struct.pack(">HH", start, start + 8)
    show += bytes([1, 0xFF])
    second = control + 4 + len(show)
    body = fields + struct.pack(">HH", 0, second) + show + struct.pack(">HH", 30, second) + bytes([2, 0xFF])
    return struct.pack(">HH", 4 + len(body), control) + body


@pytest.mark.parametrize("kind", ["pgssub", "dvdsub", "pgssub, cut short"])
def test_drawn_subtitles_block_the_file_as_unread(runner, kind):
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        track = container.add_stream("libvpx-vp9", rate=8)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        if kind == "dvdsub":
            drawn = container.add_stream("dvdsub")
            packets = [av.Packet(dvd_subtitle())]
            packets[0].pts = packets[0].dts = 100
            packets[0].duration, packets[0].time_base = 300, Fraction(1, 1000)
        else:
            source = av.open(io.BytesIO(presentation_graphics()), format="sup")
            drawn = container.add_stream_from_template(source.streams[0])
            packets = [p for p in source.demux(source.streams[0]) if p.dts is not None]
            packets = packets[:2] if "cut" in kind else packets  # nothing is ever drawn: a decoder stays silent
        for index, pixels in enumerate(CLIP.frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 8)
            container.mux(track.encode(frame))
        for packet in packets:
            packet.stream = drawn
            container.mux(packet)
        container.mux(track.encode(None))
    got, verdict = judged(runner, out.getvalue())
    assert isinstance(got, Video)
    assert verdict.action is Action.BLOCK and not verdict.releasable
    assert any("subtitle track" in e and "drawn as images" in e for e in verdict.errors), verdict.errors
