"""Redaction paints exactly what the verdict names, and refuses what it cannot locate."""

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
from gensafe.media.redaction import MARGIN, redact


def verdict(*findings, action=Action.REDACT):
    decisions = tuple(Decision(f, 0.5, 4, action) for f in findings)
    return Verdict(Stage.OUTPUT, Modality.IMAGE, action, decisions, (), (), "test@1", "sha256:00")


def finding(boxes=(), times=()):
    return Finding("pii", 1.0, "image_text", "email", boxes=boxes, times=times)


def test_boxes_of_a_picture_are_painted_and_nothing_else():
    original = Image(np.full((60, 80, 3), 200, np.uint8))
    found = redact(original, verdict(finding(boxes=(Box(20, 10, 50, 30),))))
    black = (found.pixels == 0).all(axis=-1)
    assert black[10:30, 20:50].all()
    assert black.sum() == (20 + 2 * MARGIN) * (30 + 2 * MARGIN)
    assert (original.pixels == 200).all()


def test_times_of_a_sound_are_silenced():
    found = redact(Audio(np.ones((2, 16000), np.float32), 16000), verdict(finding(times=(TimeRange(0.2, 0.4),))))
    silent = np.flatnonzero(found.samples[0] == 0)
    assert (silent.min(), silent.max()) == (2400, 7199)


def test_frames_of_a_video_are_painted_for_their_time():
    video = Video(np.full((10, 20, 20, 3), 90, np.uint8), 10.0, Audio(np.ones((1, 1000), np.float32), 1000))
    boxed = redact(video, verdict(finding(boxes=(Box(8, 8, 10, 10),), times=(TimeRange(0.3, 0.4),))))
    assert [bool((f == 0).any()) for f in boxed.frames] == [i in (2, 3, 4) for i in range(10)]
    assert (boxed.audio.samples == 1).all()
    whole = redact(video, verdict(finding(times=(TimeRange(0.3, 0.4),))))
    assert (whole.frames[3] == 0).all() and (whole.frames[8] == 90).all()
    assert (whole.audio.samples[0, 300:400] == 0).all()


def test_what_cannot_be_located_is_refused():
    with pytest.raises(UnsupportedMedia):
        redact(Image(np.zeros((4, 4, 3), np.uint8)), verdict(finding()))
    with pytest.raises(UnsupportedMedia):
        redact(Audio(np.zeros((1, 4), np.float32), 4), verdict(finding()))
    with pytest.raises(UnsupportedMedia):
        redact(Text("x"), verdict(finding()))


def test_other_actions_leave_the_medium_alone():
    image = Image(np.zeros((4, 4, 3), np.uint8))
    assert redact(image, verdict(finding(), action=Action.ANNOTATE)) is image
