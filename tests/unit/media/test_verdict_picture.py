"""Verdict pictures: what was found is drawn where it was found."""

import numpy as np
import pytest

from gensafe.core.errors import UnsupportedMedia
from gensafe.core.types import (
    Action,
    Audio,
    Box,
    Decision,
    Finding,
    Image,
    Modality,
    Stage,
    Text,
    TimeRange,
    Verdict,
    Video,
)
from gensafe.media.verdict_picture import COLOURS, WIDTH, draw_verdict


def verdict(modality, *findings, action=Action.BLOCK, errors=()):
    decisions = tuple(Decision(f, 0.5, 6, action) for f in findings)
    return Verdict(Stage.OUTPUT, modality, action, decisions, (), (), "test@1", "sha256:00", errors)


def columns_of(picture, colour, rows=slice(None)):
    hits = (picture.pixels[rows] == colour).all(axis=-1)
    return np.flatnonzero(hits.any(axis=0))


def test_boxes_are_drawn_where_they_are():
    grey = Image(np.full((320, 464, 3), 128, np.uint8))  # drawn at twice its size
    found = Finding("pii", 1.0, "image_text", "email", boxes=(Box(100, 80, 200, 120),))
    picture = draw_verdict(grey, verdict(Modality.IMAGE, found))
    assert picture.pixels.shape[1] == WIDTH
    rows = np.flatnonzero((picture.pixels[:, 40:700] == COLOURS[Action.BLOCK]).all(axis=-1).sum(axis=1) > 150)
    assert rows.min() == pytest.approx(56 + 160, abs=20)
    assert rows.max() == pytest.approx(56 + 240, abs=4)


def test_times_are_drawn_where_they_are():
    sound = Audio(np.zeros((2, 16000), np.float32), 8000)
    found = Finding("hid", 0.9, "audio_signal", "a carrier", times=(TimeRange(1.0, 1.5),))
    picture = draw_verdict(sound, verdict(Modality.AUDIO, found))
    tint = tuple(int(255 - (255 - c) * 0.3) for c in COLOURS[Action.BLOCK])
    columns = columns_of(picture, tint)
    assert columns.min() == pytest.approx(24 + 920 / 2, abs=3)
    assert columns.max() == pytest.approx(24 + 920 * 0.75, abs=3)


def test_a_film_strip_shows_the_frame_that_was_found():
    frames = np.full((50, 40, 60, 3), 90, np.uint8)
    frames[17] = (10, 200, 10)
    found = Finding("hid", 0.9, "video_signal", "inserted", times=(TimeRange(17 / 25, 18 / 25),))
    picture = draw_verdict(Video(frames, 25.0), verdict(Modality.VIDEO, found))
    assert (picture.pixels == (10, 200, 10)).all(axis=-1).sum() > 500
    plain = draw_verdict(Video(frames[:16], 8.0), verdict(Modality.VIDEO, action=Action.ALLOW))
    assert plain.pixels.shape[1] == WIDTH


def test_errors_and_odd_media_are_drawn_and_text_is_refused():
    tiny = draw_verdict(
        Image(np.zeros((1, 1, 3), np.uint8)), verdict(Modality.IMAGE, errors=("image_text: timed out",))
    )
    assert tiny.pixels.shape[1] == WIDTH
    draw_verdict(Audio(np.zeros((1, 1), np.float32), 16000), verdict(Modality.AUDIO, action=Action.ALLOW))
    draw_verdict(Video(np.zeros((1, 8, 8, 3), np.uint8), 8.0), verdict(Modality.VIDEO, action=Action.REVIEW))
    with pytest.raises(UnsupportedMedia):
        draw_verdict(Text("x"), verdict(Modality.TEXT))
