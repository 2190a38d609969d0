"""Text and codes in pictures and frames."""

import numpy as np
import pytest
import zxingcpp
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.types import Audio, Image, Stage, Text, Video
from gensafe.media.shrink import cut_quad
from gensafe.safety.classifiers import image_text, video_frames
from gensafe.safety.ocr import shared_engine
from gensafe.safety.ocr.geometry import boxes_from_map, reading_order, smallest_rectangle, unclip
from gensafe.safety.signals.scenes import frames_to_read, scene_starts


@pytest.fixture(scope="module")
def check():
    return image_text.create({})


def page(text, size=(360, 200), height=22, place=(12, 60), ground="white", colour="black"):
    picture = PilImage.new("RGB", size, ground)
    ImageDraw.Draw(picture).text(place, text, font=ImageFont.load_default(height), fill=colour)
    return np.asarray(picture)


def read(pixels):
    return " ".join(line.text for line in shared_engine().read(np.ascontiguousarray(pixels)))


def test_words_are_read_with_their_place():
    (line,) = shared_engine().read(page("Hello world 42"))
    assert line.text == "Hello world 42"
    assert line.score > 0.9
    assert 5 <= line.box.left <= 20 and 50 <= line.box.top <= 70
    assert line.box.bottom - line.box.top < 45


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_turned_text_is_read(turns):
    assert read(np.rot90(page("CALL NOW FREE"), turns)) == "CALL NOW FREE"


def test_large_pictures_are_read_in_tiles():
    picture = np.full((300, 2600, 3), 255, np.uint8)
    for left in (20, 1150, 2300):
        picture[50:250, left : left + 260] = page("PLATYPUS", (260, 200), 30, (20, 60))
    assert read(picture).split() == ["PLATYPUS"] * 3


def test_findings_carry_boxes_and_no_content(check):
    found = check.assess(Image(page("write to\nann.smith@example.org", (360, 240))), Stage.OUTPUT)
    (finding,) = [f for f in found.findings if f.category == "pii"]
    assert finding.classifier == "image_text"
    assert finding.spans == ()
    assert len(finding.boxes) == 1 and finding.boxes[0].top > 75  # the second line only
    assert "ann" not in finding.detail
    assert found.coverage[0].examined == found.coverage[0].total == 360 * 240


def test_qr_codes_go_through_the_url_rules(check):
    code = zxingcpp.create_barcode("http://bank.example@198.51.100.7/login", zxingcpp.BarcodeFormat.QRCode)
    pixels = np.asarray(code.to_image(scale=4))
    pixels = np.ascontiguousarray(np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels)
    assert any(f.category == "hid" for f in check.assess(Image(pixels), Stage.OUTPUT).findings)


def test_plain_scenes_say_nothing(check):
    picture = PilImage.new("RGB", (256, 256), "skyblue")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((30, 40, 110, 120), fill="red")
    draw.polygon([(150, 220), (200, 130), (250, 220)], fill="gold")
    assert check.assess(Image(np.asarray(picture)), Stage.OUTPUT).findings == ()


def test_tiny_pictures_and_other_media(check):
    for shape in ((1, 1, 3), (3, 200, 3), (40, 7, 3)):
        assert check.assess(Image(np.full(shape, 90, np.uint8)), Stage.OUTPUT).findings == ()
    with pytest.raises(SafetyUnavailable):
        check.assess(Text("x"), Stage.OUTPUT)


# --- geometry --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [0, 10, -25])
def test_the_smallest_rectangle_follows_the_slant(degrees):
    angle = np.radians(degrees)
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    rng = np.random.default_rng(0)
    inside = np.concatenate([rng.uniform((-50, -8), (50, 8), (4000, 2)), [[-50, -8], [50, -8], [50, 8], [-50, 8]]])
    corners = smallest_rectangle((inside @ axes + 100).astype(np.float32))
    along = corners[1] - corners[0]
    assert np.linalg.norm(along) == pytest.approx(101, abs=2)
    assert np.degrees(np.arctan2(along[1], along[0])) == pytest.approx(degrees, abs=2)
    assert np.linalg.norm(corners[3] - corners[0]) == pytest.approx(17, abs=2)


def test_boxes_from_a_map():
    probability = np.zeros((64, 128), np.float32)
    probability[20:30, 10:60] = 0.9
    probability[40:50, 70:120] = 0.4  # seen, but not sure enough
    (box,) = boxes_from_map(probability)
    low, high = box.min(axis=0), box.max(axis=0)
    assert low[0] < 10 and high[0] > 60 and low[1] < 20 and high[1] > 30
    assert boxes_from_map(np.zeros((32, 32), np.float32)) == []
    assert boxes_from_map(np.full((32, 32), 0.9, np.float32)) != []


def test_reading_order_and_cutting():
    square = np.array([[10, 5], [10, 55], [20, 55], [20, 5]], np.float32)  # a vertical strip
    ordered = reading_order(square)
    assert np.linalg.norm(ordered[1] - ordered[0]) == 50
    grown = unclip(ordered)
    assert np.linalg.norm(grown[1] - grown[0]) > 50
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:20, 30:50] = (200, 100, 50)
    corners = np.array([[30, 10], [50, 10], [50, 20], [30, 20]], np.float32)
    assert (cut_quad(pixels, corners, 10, 20)[2:-2, 2:-2] == (200, 100, 50)).all()


# --- video -----------------------------------------------------------------------------------------------------------


def test_which_frames_are_read():
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 256, (2, 1, 54, 96, 3), dtype=np.uint8)
    clip = np.concatenate([np.repeat(one, 30, axis=0), np.repeat(two, 30, axis=0)])
    assert scene_starts(clip) == [0, 30]
    assert frames_to_read(clip, 10.0) == [0, 30]  # the others look the same
    assert frames_to_read(clip, 10.0, outliers=[7]) == [0, 7, 30]
    clip[45, :20, :40] = 255 - clip[45, :20, :40]
    assert 45 in frames_to_read(clip, 10.0)  # the middle of its scene, and unlike the rest
    assert frames_to_read(clip[:1], 10.0) == [0]


def test_text_in_an_inserted_frame_is_found_at_its_time():
    clear = video_frames.create({"transcriber": "none"})
    frames = np.full((25, 160, 360, 3), (200, 220, 240), np.uint8)
    for i, frame in enumerate(frames):
        frame[100:130, 5 * i : 5 * i + 30] = (220, 30, 30)
    assert [f for f in clear.assess(Video(frames, 25.0), Stage.OUTPUT).findings if f.score >= 0.3] == []
    frames[11] = page("ann.smith@example.org", (360, 160))
    found = clear.assess(Video(frames, 25.0), Stage.OUTPUT)
    (finding,) = [f for f in found.findings if f.category == "pii"]
    assert finding.classifier == "video_frames"
    assert finding.times[0].start_s == pytest.approx(11 / 25)
    assert found.coverage[0].examined == 25


def test_the_sound_track_is_noted_as_not_transcribed():
    clear = video_frames.create({"transcriber": "none"})
    sound = Audio((0.3 * np.sin(np.arange(16000) / 5)).astype(np.float32)[None], 16000)
    video = Video(np.full((8, 64, 64, 3), 128, np.uint8), 8.0, sound)
    assert [f.category for f in clear.assess(video, Stage.OUTPUT).findings] == ["unc"]
