"""Codecs: what goes in comes out, equal input gives equal bytes, and damage never decodes silently."""

import io
import struct
import zlib
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from PIL import Image as PilImage

from gensafe.core.errors import MediaError, MediaLimitExceeded, UnreadableMedia, UnsupportedMedia
from gensafe.core.types import Audio, Image, Modality, Text, Video
from gensafe.media import DEFAULT_MEDIA_TYPE, ENCODABLE, LIMITS, Limits, decode, encode, modality_of, sniff
from gensafe.media.images import frame_count
from gensafe.media.video import constant_rate


def picture(height=64, width=96):
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    pixels = np.stack([np.tile(ramp, (height, 1)), np.tile(ramp[::-1], (height, 1)), np.full((height, width), 90)], -1)
    return Image(np.ascontiguousarray(pixels.astype(np.uint8)))


def tone(seconds=1.0, rate=16000, channels=1, hertz=440.0):
    t = np.arange(round(seconds * rate)) / rate
    rows = [0.5 * np.sin(2 * np.pi * hertz * (c + 1) * t) for c in range(channels)]
    return Audio(np.asarray(rows, dtype=np.float32), rate)


def clip(frames=12, size=64, fps=8.0, sound=True):
    pixels = np.full((frames, size, size, 3), (40, 90, 200), np.uint8)
    for i, frame in enumerate(pixels):
        frame[size // 4 : size // 2, 3 * i : 3 * i + size // 4] = (220, 30, 30)
    return Video(pixels, fps, tone(frames / fps) if sound else None)


SAMPLES = [
    *[(picture(), t) for t in ENCODABLE[Modality.IMAGE]],
    *[(tone(), t) for t in ENCODABLE[Modality.AUDIO]],
    *[(clip(), t) for t in ENCODABLE[Modality.VIDEO]],
    (Text("héllo\nworld"), "text/plain"),
]


def png(mode, size=(8, 4), value=0, **options):
    out = io.BytesIO()
    PilImage.new(mode, size, value).save(out, options.pop("format", "PNG"), **options)
    return out.getvalue()


@pytest.mark.parametrize(("media", "kind"), SAMPLES, ids=[k for _, k in SAMPLES])
def test_bytes_are_deterministic_and_sniffed_as_what_was_written(media, kind):
    data = encode(media, kind)
    assert data == encode(media, kind)
    assert sniff(data) == kind
    assert modality_of(kind) is media.modality
    assert decode(data, kind).modality is media.modality


@pytest.mark.parametrize(("media", "kind"), [s for s in SAMPLES if s[1] != "text/plain"], ids=lambda v: str(v)[:12])
def test_truncated_files_are_unreadable(media, kind):
    data = encode(media, kind)
    marker = {"image/png": 12, "image/jpeg": 2}.get(kind, 0)  # bytes of an end marker that carries no sample
    for cut in (1, 2, 9, 40, len(data) // 3, len(data) - 20):
        if cut <= marker:
            continue  # test_common_files.py: read as players read them
        with pytest.raises(MediaError):
            decode(data[:-cut], kind)


def test_lossless_containers_are_lossless():
    pixels = np.random.default_rng(0).integers(0, 256, (33, 47, 3), dtype=np.uint8)
    assert np.array_equal(decode(encode(Image(pixels), "image/png")).pixels, pixels)
    steps = np.random.default_rng(1).integers(-32768, 32768, (2, 5000)).astype(np.float32) / 32768
    for kind in ("audio/wav", "audio/flac"):
        assert np.array_equal(decode(encode(Audio(steps, 44100), kind)).samples, steps)


def test_lossy_sound_keeps_length_and_alignment():
    sound = Audio((np.random.default_rng(0).standard_normal((1, 16000)) * 0.1).astype(np.float32), 16000)
    found = decode(encode(sound, "audio/mpeg", quality=128))
    assert found.rate == 16000
    assert found.samples.shape == sound.samples.shape
    lags = np.correlate(found.samples[0, 4000:8000], sound.samples[0, 4200:7800], "valid")
    assert int(np.argmax(lags)) == 200


def test_video_keeps_frames_rate_and_sound():
    for kind in ("video/mp4", "video/webm"):
        found = decode(encode(clip(), kind))
        assert found.frames.shape == (12, 64, 64, 3)
        assert found.fps == 8.0
        assert found.audio is not None
        assert abs(found.audio.samples.shape[1] / found.audio.rate - 1.5) < 0.001
        error = np.mean((found.frames.astype(float) - clip().frames) ** 2)
        assert 10 * np.log10(255**2 / error) > 28


def test_video_of_odd_sides_and_of_one_frame():
    one = Video(np.full((1, 17, 23, 3), 120, np.uint8), 8.0)
    assert decode(encode(one, "video/mp4")).frames.shape == (1, 17, 23, 3)


def test_default_mp4_does_not_use_a_gpl_encoder():
    with av.open(io.BytesIO(encode(clip(), "video/mp4"))) as container:
        assert container.streams.video[0].codec_context.name == "vp9"


def test_h264_is_opt_in():
    if not {"libx264", "libopenh264", "h264_videotoolbox"} & av.codecs_available:
        pytest.skip("this FFmpeg build has no H.264 encoder")
    data = encode(clip(), "video/mp4; codecs=avc1", quality=28)
    with av.open(io.BytesIO(data)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
    assert decode(data).frames.shape == (12, 64, 64, 3)


def test_defaults_are_encodable():
    for modality, kind in DEFAULT_MEDIA_TYPE.items():
        assert ENCODABLE[modality][0] == kind


def test_picture_modes_become_srgb():
    assert decode(png("L", value=77)).pixels[0, 0].tolist() == [77, 77, 77]
    assert decode(png("RGBA", value=(0, 0, 0, 0))).pixels[0, 0].tolist() == [255, 255, 255]
    assert decode(png("RGBA", value=(200, 0, 0, 128))).pixels[0, 0].tolist() == [227, 127, 127]
    assert decode(png("LA", value=(10, 255))).pixels[0, 0].tolist() == [10, 10, 10]
    assert decode(png("1", value=1)).pixels[0, 0].tolist() == [255, 255, 255]
    sixteen = io.BytesIO()
    PilImage.fromarray(np.full((4, 4), 32896, np.uint16)).save(sixteen, "PNG")
    assert decode(sixteen.getvalue()).pixels[0, 0].tolist() == [128, 128, 128]
    cmyk = decode(png("CMYK", value=(0, 255, 255, 0), format="JPEG")).pixels[0, 0]
    assert cmyk[0] > 240 and cmyk[1] < 20 and cmyk[2] < 20


def test_float_pictures_with_nan_are_refused():
    out = io.BytesIO()
    PilImage.fromarray(np.array([[np.nan, 1.0]], dtype=np.float32)).save(out, "TIFF")
    with pytest.raises(UnreadableMedia, match="not numbers"):
        decode(out.getvalue())


def test_exif_orientation_is_applied_and_dropped():
    exif = PilImage.Exif()
    exif[0x0112] = 6  # shown turned 90 degrees clockwise
    data = png("RGB", size=(8, 4), format="JPEG", exif=exif)
    found = decode(data)
    assert found.pixels.shape == (8, 4, 3)
    assert b"Exif" in data and b"Exif" not in encode(found, "image/jpeg")


def test_of_an_animation_the_first_frame_is_taken():
    out = io.BytesIO()
    frames = [PilImage.new("RGB", (6, 6), c) for c in ("red", "blue")]
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:])
    assert frame_count(out.getvalue(), "image/png") == 2
    assert decode(out.getvalue()).pixels[0, 0].tolist() == [255, 0, 0]


def test_trailing_data_does_not_survive_a_decode():
    data = encode(picture(), "image/png") + b"PK\x03\x04 a zip hides here"
    assert b"PK\x03\x04" not in encode(decode(data), "image/png")


def test_limits_name_themselves():
    cases = [
        (encode(picture(), "image/png"), Limits(max_pixels=100), "max_pixels"),
        (encode(picture(1, 200), "image/png"), Limits(max_side=100), "max_side"),
        (encode(tone(2.0), "audio/wav"), Limits(max_duration_s=1.0), "max_duration_s"),
        (encode(tone(2.0), "audio/mpeg"), Limits(max_duration_s=1.0), "max_duration_s"),
        (encode(tone(0.1, channels=2), "audio/flac"), Limits(max_channels=1), "max_channels"),
        (encode(clip(), "video/mp4"), Limits(max_frames=5), "max_frames"),
        (encode(clip(), "video/webm"), Limits(max_decoded_bytes=50_000), "max_decoded_bytes"),
        (b"x" * 200, Limits(max_characters=100), "max_characters"),
        (b"x" * 200, Limits(max_bytes=100), "max_bytes"),
    ]
    for data, limits, name in cases:
        with pytest.raises(MediaLimitExceeded) as caught:
            decode(data, limits=limits)
        assert caught.value.field == name


def test_a_bomb_is_refused_on_its_header():
    header = struct.pack(">IIBBBBB", 100_000, 1, 8, 2, 0, 0, 0)

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(MediaLimitExceeded):
        decode(data)


def test_a_claim_the_bytes_contradict_is_refused():
    with pytest.raises(UnreadableMedia, match="claimed"):
        decode(encode(picture(), "image/png"), "image/jpeg")
    with pytest.raises(UnsupportedMedia):
        decode(b"%PDF-1.7 ...")
    assert decode(encode(picture(), "image/jpeg"), "image/jpg").modality is Modality.IMAGE


def test_sniff_refuses_what_it_does_not_know():
    rng = np.random.default_rng(3)
    for data in (
        b"",
        b"\x00",
        b"\x00" * 64,
        b"abc\x00def",
        b"\xff\xfea\x00\x00\x00",
        *(rng.bytes(48) for _ in range(500)),
    ):
        with pytest.raises(UnreadableMedia):
            sniff(data)


def test_pixels_and_samples_of_the_wrong_kind_are_refused():
    with pytest.raises(UnsupportedMedia):
        encode(Image(np.zeros((4, 4), np.uint8)), "image/png")
    with pytest.raises(UnsupportedMedia):
        encode(Image(np.zeros((4, 4, 3), np.float32)), "image/png")
    with pytest.raises(UnsupportedMedia, match="not numbers"):
        encode(Audio(np.array([[0.0, np.nan]], np.float32), 16000), "audio/wav")
    with pytest.raises(UnsupportedMedia):
        encode(picture(), "audio/wav")
    with pytest.raises(UnsupportedMedia):
        encode(Audio(np.zeros((6, 100), np.float32), 48000), "audio/mpeg")


def test_float_wave_with_nan_is_refused():
    body = struct.pack("<3f", 0.1, float("nan"), 0.2)
    form = struct.pack("<HHIIHH", 3, 1, 16000, 64000, 4, 32)
    data = b"RIFF" + struct.pack("<I", 36 + len(body)) + b"WAVEfmt " + struct.pack("<I", 16) + form
    with pytest.raises(UnreadableMedia, match="not numbers"):
        decode(data + b"data" + struct.pack("<I", len(body)) + body)


@pytest.mark.parametrize(("bits", "raw"), [(8, b"\x80\xff\x00"), (24, b"\0\0\0\xff\xff\x7f\0\0\x80")])
def test_wave_bit_depths(bits, raw):
    form = struct.pack("<HHIIHH", 1, 1, 8000, 8000 * bits // 8, bits // 8, bits)
    head = b"RIFF" + struct.pack("<I", 36 + len(raw)) + b"WAVEfmt " + struct.pack("<I", 16) + form
    found = decode(head + b"data" + struct.pack("<I", len(raw)) + raw).samples[0]
    assert found == pytest.approx([0.0, 1.0, -1.0], abs=0.01)


def test_one_sample_and_eight_channels():
    assert decode(encode(Audio(np.full((1, 1), 0.25, np.float32), 16000), "audio/wav")).samples.tolist() == [[0.25]]
    eight = tone(0.2, 48000, 8, 100.0)
    for kind in ("audio/wav", "audio/flac", "audio/ogg"):
        assert decode(encode(eight, kind)).samples.shape[0] == 8


def write_mp4(frames, stamps, rotation=None, rate=30):
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=rate, options={"qscale": "2"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 600)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for pixels, stamp in zip(frames, stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 600)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def test_variable_rate_is_resampled_without_losing_a_frame():
    levels = [20, 60, 100, 140, 180, 220]
    frames = np.stack([np.full((32, 32, 3), v, np.uint8) for v in levels])
    found = decode(write_mp4(frames, [0, 20, 60, 80, 140, 160]))  # 1/30 s steps, some twice or thrice as long
    means = found.frames.mean(axis=(1, 2, 3))
    assert found.fps == pytest.approx(30)
    assert len(means) == 9
    assert [min(levels, key=lambda v: abs(v - m)) for m in means] == [20, 60, 60, 100, 140, 140, 140, 180, 220]


def test_rotation_is_applied():
    frames = np.zeros((2, 32, 64, 3), np.uint8)
    frames[:, :16] = 200  # bright above
    upright = decode(write_mp4(frames, [0, 20])).frames[0]
    turned = decode(write_mp4(frames, [0, 20], rotation=90)).frames[0]
    assert upright.shape == (32, 64, 3)
    assert turned.shape == (64, 32, 3)
    assert abs(float(turned[:, :12].mean()) - float(turned[:, 20:].mean())) > 100  # the edge now runs upright


def test_constant_rate_is_kept_one_to_one():
    rng = np.random.default_rng(0)
    for fps in (8.0, 23.976, 29.97, 60.0):
        stamps = [round(1000 * i / fps) / 1000 for i in range(200)]  # WebM rounds to milliseconds
        assert constant_rate(stamps, fps) == (list(range(200)), fps)
    steps = rng.uniform(0.02, 0.2, 50)
    order, _fps = constant_rate([0.0, *np.cumsum(steps)], 10.0)
    assert set(order) == set(range(51))
    assert all(b - a in (0, 1) for a, b in pairwise(order))


def test_text_is_written_in_nfc_and_read_as_it_stands():
    assert encode(Text("e\u0301"), "text/plain") == "é".encode()
    assert decode("e\u0301".encode()).text == "e\u0301"
    for bad in ("a\x00b", "\ud800", "\x1b[0m"):
        with pytest.raises(UnsupportedMedia):
            encode(Text(bad), "text/plain")
    assert LIMITS.max_characters == 1_000_000
