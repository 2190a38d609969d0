"""What players, browsers and phones read is read; what lacks samples is refused.

The public reports in ``shared/cases`` were seen with files of these kinds "of no known media type", "cut short", "could
not be decoded" or taken for another kind of medium; the others are their siblings.
"""

import io
import json
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as PilImage

from gensafe.core.errors import MediaError, MediaLimitExceeded, UnreadableMedia
from gensafe.core.types import Audio, Image, Modality, Text, Video
from gensafe.media import decode, encode, oddities, read_parts, sniff
from gensafe.media.images import frame_count
from gensafe.media.video import constant_rate, most_frames

CASES = Path(__file__).parents[4] / "shared" / "cases"
TONE = Audio((0.3 * np.sin(np.arange(24_000) / 9)).astype(np.float32)[None], 16_000)
RAMP = np.ascontiguousarray(np.tile(np.linspace(0, 255, 96).astype(np.uint8)[None, :, None], (64, 1, 3)))
CLIP = Video(np.stack([np.roll(RAMP, 3 * i, axis=1) for i in range(8)]), 8.0, TONE)


def id3(body=b"", *, version=4, flags=0, padding=0):
    size = len(body) + padding
    head = bytes((version, 0, flags, *(size >> s & 127 for s in (21, 14, 7, 0))))
    return b"ID3" + head + body + bytes(padding) + (b"3DI" + head if flags & 0x10 else b"")


def saved(picture, kind, **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def sound_file(muxer, codec, rate=16_000, seconds=1.5, picture=False):
    """A tone in any container; ``picture`` adds a track of pictures."""
    out = io.BytesIO()
    with av.open(out, "w", format=muxer) as container:
        track = container.add_stream(codec, rate=rate, layout="mono")
        if codec in ("wmav2", "mp2"):
            track.bit_rate = 128_000
        video = container.add_stream("mpeg4", rate=8) if picture else None
        if video:
            video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
            for index, pixels in enumerate(CLIP.frames):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 8)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        values = (8000 * np.sin(np.arange(round(rate * seconds)) / 9)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(values, format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        block = track.codec_context.frame_size or 1024
        resampler = av.AudioResampler(track.format.name, "mono", rate, frame_size=block)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(track.encode(part))
        container.mux(track.encode(None))
    return out.getvalue()


# --- leading tags ---------------------------------------------------------------------------------------------------

TAGS = {
    "one": id3(bytes(20)),
    "two": id3(bytes(20)) + id3(bytes(7), version=3),
    "footer": id3(bytes(20), flags=0x10),
    "padding": id3(bytes(20), padding=5000),
    "unsynchronised": id3(b"\xff\x00" * 10, flags=0x80),
    "zeros behind": id3(bytes(20)) + bytes(300),
    "twenty": id3(bytes(3)) * 20,
    "of version 2": id3(bytes(6), version=2),
}
FOLLOWING = {
    "audio/flac": encode(TONE, "audio/flac"),
    "audio/mpeg": encode(TONE, "audio/mpeg"),
    "audio/aac": sound_file("adts", "aac"),
    "audio/ogg": encode(TONE, "audio/ogg"),
}


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("kind", FOLLOWING)
def test_id3_tags_are_passed_over(kind, tags):
    """A FLAC that C2PA signed begins with such a tag, and was called audio/mpeg."""
    data = TAGS[tags] + FOLLOWING[kind]
    assert sniff(data) == kind
    found, plain = decode(data, kind).samples.shape[1], decode(FOLLOWING[kind]).samples.shape[1]
    assert found == plain or (kind == "audio/mpeg" and 0 <= found - plain < 2305)  # zeros hide an encoder delay
    assert len(read_parts(data)) == 1


@pytest.mark.parametrize("stray", [1, 26, 1441, 60_000])
def test_bytes_before_the_first_mp3_frame(stray):
    data = bytes(range(1, 255)) * (stray // 254 + 1)
    data = data[:stray].replace(b"\xff", b"\xfe") + FOLLOWING["audio/mpeg"][FOLLOWING["audio/mpeg"].find(b"\xff") :]
    assert sniff(data) == "audio/mpeg" and decode(data).samples.shape[1] > 23_000
    assert oddities(data) == (f"{stray} bytes before the first frame are not audio",)


# --- named by tracks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("muxer", "codec", "kind"),
    [
        ("webm", "libopus", "audio/webm"),
        ("matroska", "aac", "audio/x-matroska"),
        ("matroska", "pcm_s16le", "audio/x-matroska"),
        ("avi", "pcm_s16le", "audio/x-msvideo"),
        ("mp4", "aac", "audio/mp4"),
        ("mov", "pcm_s16le", "audio/mp4"),
        ("3gp", "aac", "audio/mp4"),
        ("ogg", "libopus", "audio/ogg"),
        ("ogg", "flac", "audio/ogg"),
        ("mpegts", "aac", "audio/mp2t"),
        ("flv", "aac", "audio/x-flv"),
        ("asf", "wmav2", "audio/x-ms-wma"),
        ("caf", "pcm_s16be", "audio/x-caf"),
        ("au", "pcm_s16be", "audio/basic"),
        ("aiff", "pcm_s16be", "audio/aiff"),
        ("w64", "pcm_s16le", "audio/x-w64"),
    ],
)
def test_sound_alone_is_a_sound(muxer, codec, kind):
    data = sound_file(muxer, codec, rate=48_000 if codec == "libopus" else 44_100)
    assert sniff(data) == kind
    found = decode(data)
    assert isinstance(found, Audio) and 1.4 < found.samples.shape[1] / found.rate < 1.7
    assert [p.name for p in read_parts(data)] == [""]


@pytest.mark.parametrize(
    ("muxer", "kind"),
    [
        ("matroska", "video/x-matroska"),
        ("avi", "video/x-msvideo"),
        ("mp4", "video/mp4"),
        ("mov", "video/quicktime"),
        ("mpegts", "video/mp2t"),
    ],
)
def test_pictures_and_sound_are_a_video(muxer, kind):
    data = sound_file(muxer, "mp2" if muxer == "avi" else "aac", rate=44_100, picture=True)
    assert sniff(data) == kind
    found = decode(data)
    assert isinstance(found, Video) and found.audio is not None and len(found.frames) >= 7


# --- ends and lengths -----------------------------------------------------------------------------------------------


def without_end_flag(data):
    """Clear the end-of-stream flag of the last Ogg page and put its check sum right (RFC 3533 §6)."""
    at = data.rfind(b"OggS")
    page = bytearray(data[at:])
    page[5] &= ~4
    page[22:26] = bytes(4)
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7) & 0xFFFFFFFF if crc & 1 << 31 else crc << 1
    page[22:26] = crc.to_bytes(4, "little")
    return data[:at] + bytes(page)


@pytest.mark.parametrize("codec", ["libopus", "flac"])
def test_ogg_without_an_end_flag_is_whole_and_a_cut_page_is_not(codec):
    data = sound_file("ogg", codec, rate=48_000)
    open_ended = without_end_flag(data)
    assert decode(open_ended).samples.shape[1] >= decode(data).samples.shape[1]
    assert oddities(open_ended) and not oddities(data)
    with pytest.raises(UnreadableMedia, match="cut short"):
        decode(open_ended[:-30])


def test_chained_ogg_is_read_to_its_end():
    data = encode(TONE, "audio/ogg")
    assert decode(data + without_end_flag(data)).samples.shape[1] > 1.9 * decode(data).samples.shape[1]


def wave(body, claimed, form=b"RIFF", extra=b""):
    fmt = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
    head = b"WAVE" + extra + b"fmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", claimed)
    return form + struct.pack("<I", min(claimed + 36, 0xFFFFFFFF)) + head + body


BODY = (8000 * np.sin(np.arange(4000) / 9)).astype("<i2").tobytes()


@pytest.mark.parametrize(
    "claimed",
    [
        0,
        0x7FFFFFFF,
        0x7FFFFFFF - 36,
        0x7FFFF000,
        0x80000000,
        0xFFFFFFFF,
        0xFFFFFFFE,
        0xFFFFFFDB,
        0xFFFFFFD3,
        0x7FFF_8001,
    ],
)
def test_placeholder_lengths_of_streams(claimed):
    data = wave(BODY, claimed)
    assert decode(data).samples.shape == (1, 4000)
    assert oddities(data) == ("the header does not say how long the audio is; it was read to the end of the file",)


@pytest.mark.parametrize("claimed", [len(BODY) + 2, 2 * len(BODY), 100_000_000, 0x7FFEFFFF])
def test_a_length_that_a_file_can_have_is_believed(claimed):
    with pytest.raises(UnreadableMedia, match="cut short in its data chunk"):
        decode(wave(BODY, claimed))


@pytest.mark.parametrize("form", [b"RF64", b"BW64"])
@pytest.mark.parametrize("size", [len(BODY), 0, (1 << 64) - 1])
def test_64_bit_wave(form, size):
    extra = b"ds64" + struct.pack("<IQQQI", 28, 0, size, 0, 0)
    assert decode(wave(BODY, 0xFFFFFFFF, form, extra)).samples.shape == (1, 4000)


def test_au_of_unknown_length():
    data = bytearray(sound_file("au", "pcm_s16be", rate=16_000))
    data[8:12] = b"\xff" * 4
    assert decode(bytes(data)).samples.shape[1] == 24_000


PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
PHOTO = PilImage.fromarray(RAMP)
ENDS = {
    "JPEG": (saved(PHOTO, "JPEG"), 2),
    "progressive JPEG": (saved(PHOTO, "JPEG", progressive=True), 2),
    "JPEG of noise": (saved(PilImage.fromarray(PIXELS), "JPEG", quality=95), 2),
    "PNG": (saved(PHOTO, "PNG"), 12),
    "part of IEND": (saved(PHOTO, "PNG"), 5),
    "GIF": (saved(PHOTO, "GIF"), 1),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_missing_end_marker_is_noted_and_missing_pixels_are_refused(name):
    data, marker = ENDS[name]
    whole = decode(data).pixels
    assert np.array_equal(decode(data[:-marker]).pixels, whole)
    assert "end marker" in oddities(data[:-marker])[0] and not oddities(data)
    for cut in (marker + 20, len(data) // 3, len(data) // 2):
        with pytest.raises(UnreadableMedia):
            decode(data[:-cut])


def test_a_progressive_picture_that_ends_between_two_scans_is_cut():
    data = saved(PilImage.fromarray(PIXELS), "JPEG", progressive=True)
    for at in (i for i in range(len(data) - 1) if data[i : i + 2] == b"\xff\xda"):
        with pytest.raises(UnreadableMedia):
            decode(data[:at])


def box(name, body=b""):
    return struct.pack(">I", 8 + len(body)) + name + body


MP4 = encode(CLIP, "video/mp4")


def after(*boxes):
    """The clip behind ``boxes``; its chunk offsets count from the start of the file (ISO/IEC 14496-12 §8.7.5)."""
    lead = b"".join(boxes)
    data = bytearray(MP4)
    at = -1
    while (at := data.find(b"stco", at + 1)) >= 0:
        for i in range(int.from_bytes(data[at + 8 : at + 12], "big")):
            place = slice(at + 12 + 4 * i, at + 16 + 4 * i)
            data[place] = (int.from_bytes(data[place], "big") + len(lead)).to_bytes(4, "big")
    return lead + bytes(data)


STARTS = {
    "free": after(box(b"free", bytes(8))),
    "skip": after(box(b"skip", bytes(8))),
    "empty free": after(box(b"free")),
    "pnot": after(box(b"pnot", bytes(12))),
    "styp": after(box(b"styp", b"msdh\0\0\0\0msdhmsix")),
    "wide and free": after(box(b"wide"), box(b"free", bytes(3))),
    "uuid": after(box(b"uuid", bytes(40))),
    "text behind": MP4 + b"this file was uploaded by somebody",
    "a broken box behind": MP4 + b"\x7f\xff\xff\xffjunk",
    "zeros behind": MP4 + bytes(64),
    "three bytes behind": MP4 + b"abc",
}


@pytest.mark.parametrize("name", STARTS)
def test_boxes_and_bytes_around_a_video(name):
    assert sniff(STARTS[name]) == "video/mp4"
    assert len(decode(STARTS[name]).frames) == 8


def test_a_video_that_is_cut_is_still_refused():
    for cut in (1, 100, len(MP4) // 2):
        with pytest.raises(UnreadableMedia):
            decode(MP4[:-cut])


def test_big_tiff():
    data = saved(PHOTO, "TIFF", big_tiff=True)
    assert data[:4] == b"II+\0" and np.array_equal(decode(data).pixels, RAMP)


def test_h264_from_an_open_group_of_pictures():
    """Pictures before the first that can be decoded alone refer to what was cut away; no player shows them."""
    if "libx264" not in av.codecs_available:
        pytest.skip("this FFmpeg build has no x264")
    rng = np.random.default_rng(1)
    frames = [np.roll(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8), i, axis=1) for i in range(48)]
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        options = {"x264-params": "open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0"}
        track = container.add_stream("libx264", rate=24, options=options)
        track.width, track.height, track.pix_fmt = 96, 64, "yuv420p"
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 24)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    cut = io.BytesIO()
    with av.open(io.BytesIO(out.getvalue())) as source, av.open(cut, "w", format="matroska") as container:
        track = container.add_stream_from_template(source.streams.video[0])
        started, keys = False, 0
        for packet in source.demux(source.streams.video[0]):
            keys += packet.is_keyframe
            started = started or keys == 2
            if packet.dts is not None and started:
                packet.stream = track
                container.mux(packet)
    found = decode(cut.getvalue())
    assert 30 <= len(found.frames) <= 36


# --- metadata -------------------------------------------------------------------------------------------------------


def png_with(*chunks):
    data = saved(PilImage.fromarray(PIXELS), "PNG")
    extra = b"".join(struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in chunks)
    return data[:33] + extra + data[33:]


LONG = zlib.compress(bytes(3 << 20), 9)
BAD_EXIF = b"\x00\x08\x00\x02\x01\x12\x00\x03"
BYTE_RESOLUTION = b"MM\0*\0\0\0\x08\0\x01\x01\x1a\0\x02\0\0\0\x01a\0\0\0\0\0\0\0"
FAULTS = {
    "text": (b"zTXt", b"Comment\0\0" + LONG),
    "international text": (b"iTXt", b"Comment\0\x01\0en\0\0" + LONG),
    "plain text": (b"tEXt", b"Comment\0" + b"x" * (3 << 20)),
    "profile": (b"iCCP", b"ICC\0\0" + LONG),
    "damaged profile": (b"iCCP", b"ICC\0\0nothing of the kind"),
    "Exif": (b"eXIf", BAD_EXIF),
    "empty Exif": (b"eXIf", b""),
    "Exif in a circle": (b"eXIf", b"II*\0\x08\0\0\0\xff\xff" + bytes(40)),
    "resolution of the wrong type": (b"eXIf", BYTE_RESOLUTION),
    "XMP": (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta garbage \xff\xfe"),
    "short size": (b"pHYs", b"\1"),
    "short time": (b"tIME", b""),
    "unknown": (b"quUx", bytes(9)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_in_the_metadata_of_png_cost_nothing(name):
    data = png_with(FAULTS[name])
    assert np.array_equal(decode(data).pixels, PIXELS) and len(read_parts(data)) == 1


def test_a_wrong_check_sum_counts_only_where_the_pixels_need_the_chunk():
    data = png_with((b"tEXt", b"Comment\0hello"))
    at = data.index(b"hello")
    bent = data[:at] + b"HELLO" + data[at + 5 :]
    assert np.array_equal(decode(bent).pixels, PIXELS) and "tEXt" in oddities(bent)[0]
    at = data.index(b"IDAT") + 9
    with pytest.raises(UnreadableMedia) as caught:
        decode(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :])
    assert caught.value.message == "the check sum of the PNG file's pixel data (IDAT) chunk is wrong"


@pytest.mark.parametrize("exif", [BAD_EXIF, b"", BYTE_RESOLUTION, b"II*\0\xff\xff\xff\xff", b"\xff" * 60_000])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_faults_in_exif_cost_nothing(kind, exif):
    whole = saved(PHOTO, kind)
    try:
        data = saved(PHOTO, kind, exif=b"Exif\0\0" + exif)
    except Exception:
        pytest.skip("this writer refuses such a block")
    assert np.array_equal(decode(data).pixels, decode(whole).pixels)


@pytest.mark.parametrize("marker", range(0xE1, 0xF0))
@pytest.mark.parametrize(
    "body", [b"", b"MPF\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + BAD_EXIF, b"Photoshop 3.0\x008BIM\x04"]
)
def test_odd_segments_of_jpeg_cost_nothing(marker, body):
    data = saved(PHOTO, "JPEG")
    segment = bytes((0xFF, marker)) + struct.pack(">H", 2 + len(body)) + body
    found = decode(data[:2] + segment + data[2:])
    assert found.pixels.shape == RAMP.shape


def test_odd_tags_of_tiff_cost_nothing():
    data = bytearray(saved(PHOTO, "TIFF", dpi=(72, 72), software="x" * 20))
    at = int.from_bytes(data[4:8], "little")
    for index in range(int.from_bytes(data[at : at + 2], "little")):
        place = at + 2 + 12 * index
        if int.from_bytes(data[place : place + 2], "little") in (282, 283, 296, 305):
            data[place + 2 : place + 12] = struct.pack("<HII", 2, 0x7FFFFFFF, 0xFFFFFF00)
    assert np.array_equal(decode(bytes(data)).pixels, RAMP)


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied(kind, value):
    exif = PilImage.Exif()
    exif[0x0112] = value
    turned = decode(saved(PHOTO, kind, exif=exif)).pixels
    assert turned.shape == ((96, 64, 3) if value > 4 else (64, 96, 3))
    right = {1: (32, 90), 2: (32, 5), 3: (32, 5), 4: (32, 90), 5: (90, 32), 6: (90, 32), 7: (5, 32), 8: (5, 32)}[value]
    assert turned[right].mean() > 200


# --- one JPEG, several pictures -------------------------------------------------------------------------------------


def multi_picture(main, *further, stale=False):
    """A JPEG with an index of ``further`` = (attributes, JPEG), which are behind it."""
    count = 1 + len(further)
    size = 4 + 8 + 2 + 3 * 12 + 4 + 16 * count
    total = len(main) + 4 + size
    entries = struct.pack("<IIIHH", 0x030000, total, 0, 0, 0)
    at = total - (2 + 4 + 4)  # offsets count from the byte order mark
    for attributes, data in further:
        entries += struct.pack("<IIIHH", attributes, len(data), at + (10_000_000 if stale else 0), 0, 0)
        at += len(data)
    fields = struct.pack("<HHI4s", 0xB000, 7, 4, b"0100") + struct.pack("<HHII", 0xB001, 4, 1, count)
    fields += struct.pack("<HHII", 0xB002, 7, 16 * count, 8 + 2 + 36 + 4)
    index = b"MPF\0II*\0" + struct.pack("<I", 8) + struct.pack("<H", 3) + fields + bytes(4) + entries
    data = main[:2] + b"\xff\xe2" + struct.pack(">H", 2 + len(index)) + index + main[2:]
    return data + b"".join(d for _, d in further) * (not stale)


SMALL = saved(PilImage.fromarray(RAMP[:32, :48]), "JPEG")
MAIN = saved(PHOTO, "JPEG")


@pytest.mark.parametrize(
    ("attributes", "kind"), [(0x050000, "gain map"), (0x010001, "preview"), (0x020002, "image for")]
)
def test_a_photo_of_a_phone_is_one_picture_with_parts(attributes, kind):
    data = multi_picture(MAIN, (attributes, SMALL))
    assert frame_count(data, "image/jpeg") == 1
    main, part = read_parts(data)
    assert main.media.pixels.shape == RAMP.shape and part.media.pixels.shape == (32, 48, 3)
    assert kind in part.name and "animation" not in part.name


def test_an_index_to_nothing_is_noted():
    data = multi_picture(MAIN, (0x050000, SMALL), stale=True)
    (main,) = read_parts(data)
    assert main.notes == ("its index names further images that are not in the file",)


def test_a_damaged_second_picture_is_named():
    _, part = read_parts(multi_picture(MAIN, (0x050000, SMALL[: len(SMALL) // 2])))
    assert part.media is None and "cut short" in part.reason


# --- transparency ---------------------------------------------------------------------------------------------------


def stencil(colour, alpha_ground=0):
    pixels = np.zeros((40, 60, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = (colour, colour, colour), alpha_ground
    pixels[10:30, 20:40, 3] = 255
    return PilImage.fromarray(pixels)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF", "LA", "palette"])
def test_white_on_transparent_is_seen_on_black(kind):
    picture = stencil(255)
    if kind == "LA":
        data = saved(picture.convert("LA"), "PNG")
    elif kind == "palette":
        indexed = PilImage.fromarray(np.asarray(picture)[..., 3] // 255, "P")
        indexed.putpalette([255] * 6)
        data = saved(indexed, "PNG", transparency=0)
    elif kind == "GIF":
        indexed = PilImage.fromarray(np.asarray(picture)[..., 3] // 255, "P")
        indexed.putpalette([255] * 6)
        data = saved(indexed, "GIF", transparency=0)
    else:
        data = saved(picture, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    main, *others = read_parts(data)
    assert main.media.pixels.min() == 255
    looks = {p.name: p.media.pixels for p in others}
    black = looks["the image on black"]
    assert black[20, 30].tolist() == [255] * 3 and black[0, 0].tolist() == [0] * 3
    assert all(p.view for p in others)


def test_what_is_under_alpha_0_is_seen():
    pixels = np.zeros((40, 60, 4), np.uint8)
    pixels[10:30, 20:40, :3] = 200
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
        _, *others = read_parts(saved(PilImage.fromarray(pixels), kind, **options))
        assert any(p.media.pixels[20, 30, 0] == 200 and p.media.pixels[0, 0, 0] == 0 for p in others)


def test_an_opaque_picture_has_one_look():
    assert len(read_parts(saved(PHOTO.convert("RGBA"), "PNG"))) == 1


def test_an_animation_with_transparency_is_seen_on_black_too():
    frames = [stencil(255), stencil(255, 1)]
    data = saved(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=80, disposal=1)
    names = [p.name for p in read_parts(data)]
    assert "animation of 2 frames on black" in names


# --- variable rate --------------------------------------------------------------------------------------------------


def test_limits_count_what_is_in_the_file():
    """3 frames with a gap of 8 ms and one of 160 s were "19201 frames"."""
    order, fps = constant_rate([0.0, 0.008, 160.0], 0.0, most_frames(3, 64 * 64 * 3, decode_limits()))
    assert set(order) == {0, 1, 2} and len(order) <= 18_000 and fps == pytest.approx(120)
    order, fps = constant_rate([0.0, *(3.0 + i / 25 for i in range(50)), 500.0], 0.0, 208)
    assert set(order) == set(range(52)) and len(order) <= 208 and fps == pytest.approx(25)
    quick = [i for i in order if 1 <= i <= 49]
    assert quick == list(range(1, 50))  # the quick part keeps its rate; only the waits are shorter


def decode_limits():
    from gensafe.media import LIMITS

    return LIMITS


def test_a_file_of_too_many_frames_is_still_refused():
    from gensafe.media import Limits

    with pytest.raises(MediaLimitExceeded, match="max_frames"):
        decode(MP4, limits=Limits(max_frames=7))


# --- text -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-8-sig"])
def test_text_with_a_byte_order_mark(encoding):
    words = "Grüße aus Łódź 🙂\n"
    data = words.encode(encoding)
    if encoding.endswith("e") and encoding != "utf-8-sig":
        data = ("\ufeff" + words).encode(encoding)
    assert sniff(data) == "text/plain"
    assert decode(data).text.lstrip("\ufeff") == words
    assert bool(oddities(data)) == (encoding != "utf-8-sig")


def test_an_8_bit_encoding_is_named_and_not_guessed():
    with pytest.raises(UnreadableMedia, match="8-bit encoding such as Windows-1252") as caught:
        sniff("It’s a café, naïve and déjà vu – said he.".encode("cp1252"))
    assert "UTF-8" in caught.value.fix


# --- words ----------------------------------------------------------------------------------------------------------


def test_messages_hold_no_notation_of_python():
    rng = np.random.default_rng(2)
    for data in (*FOLLOWING.values(), MP4, MAIN, *(d for d, _ in ENDS.values()), png_with(FAULTS["Exif"])):
        for _ in range(25):
            bent = bytearray(data[: int(rng.integers(20, len(data) + 1))])
            for _ in range(int(rng.integers(0, 6))):
                bent[int(rng.integers(len(bent)))] = int(rng.integers(256))
            message = refusal(bytes(bent))
            assert not any(s in message for s in ("b'", 'b"', "0x", "object at", "\\x", "<_io")), message


def refusal(data):
    """The message with which a file is refused; "" = it is read."""
    try:
        decode(data)
    except MediaError as error:
        return error.message
    return ""


# --- the reports themselves -----------------------------------------------------------------------------------------

EXPECTED = {
    "01-flac-own-output": Modality.AUDIO,
    "02-undecodable-is-proved": Modality.IMAGE,
    "09-webm-audio-only": Modality.AUDIO,
    "10-ogg-without-eos": Modality.AUDIO,
    "11-wav-placeholder-size": Modality.AUDIO,
    "12-vfr-refused": Modality.VIDEO,
    "16-png-large-text": Modality.IMAGE,
    "17-bad-exif": Modality.IMAGE,
    "18-mpo-stale-index": Modality.IMAGE,
    "24-media-starts-not-known": None,
}


@pytest.mark.shared
@pytest.mark.parametrize("case", EXPECTED)
def test_the_files_of_public_reports_are_read(case):
    files = [p for p in (CASES / case).iterdir() if p.suffix not in (".json", ".pem", ".py")]
    assert files and json.loads((CASES / case / "case.json").read_text())
    for path in files:
        parts = read_parts(path.read_bytes())
        assert all(p.media is not None for p in parts)
        assert EXPECTED[case] in (None, parts[0].media.modality)
        assert not isinstance(parts[0].media, Text | Image) or parts[0].media.modality is not Modality.TEXT
