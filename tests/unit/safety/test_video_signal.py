"""``video_signal`` and the inserted-frame test."""

from pathlib import Path

import numpy as np
import pytest

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.types import Audio, Image, Stage, Video
from gensafe.media import decode
from gensafe.safety.classifiers.video_signal import create
from gensafe.safety.signals.subliminal import find_insertions, find_runs

CHECK = create({})


def moving(count=16, fps=8.0, size=128, ground=(200, 220, 240), audio=None):
    frames = np.full((count, size, size, 3), ground, np.uint8)
    for i, frame in enumerate(frames):
        left = 4 + round((size - 40) * i / count)
        frame[size // 3 : size // 2, left : left + 24] = (220, 30, 30)
    return Video(frames, fps, audio)


def clicks(rate=16000, seconds=2.0):
    sound = np.zeros((1, round(rate * seconds)), np.float32)
    for at in (0.4, 1.3):
        start = round(at * rate)
        sound[0, start : start + 200] = 0.8 * np.sin(np.arange(200) / 5)
    return Audio(sound, rate)


def held(video, stage=Stage.OUTPUT):
    return {(f.category, f.score) for f in CHECK.assess(video, stage).findings if f.score >= 0.5}


def test_ordinary_clips_pass_with_full_coverage():
    video = moving(audio=clicks())
    found = CHECK.assess(video, Stage.OUTPUT)
    assert held(video) == set()
    assert {(c.unit, c.examined, c.total) for c in found.coverage} == {
        ("frames", 16, 16),
        ("samples", 32000, 32000),
        ("channels", 1, 1),
    }
    assert held(moving(audio=Audio(np.zeros((1, 32000), np.float32), 16000))) == set()


def test_a_strobe_is_held_with_its_times():
    frames = moving(count=60, fps=30.0).frames.copy()
    frames[20:50:4] = frames[21:50:4] = 0
    (finding,) = [f for f in CHECK.assess(Video(frames, 30.0), Stage.OUTPUT).findings if f.score >= 0.5]
    assert (finding.category, finding.score) == ("phy", 1.0)
    assert finding.times[0].start_s < 1.0 < finding.times[-1].end_s


def test_an_inserted_frame_is_held_at_its_time():
    frames = moving(count=50, fps=25.0).frames.copy()
    frames[17] = (10, 200, 10)
    (finding,) = [f for f in CHECK.assess(Video(frames, 25.0), Stage.OUTPUT).findings if f.score >= 0.5]
    assert finding.category == "hid"
    assert (finding.times[0].start_s, finding.times[0].end_s) == (0.68, 0.72)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_insertions_are_found_at_their_index(length):
    rng = np.random.default_rng(length)
    small = np.repeat(rng.integers(0, 256, (1, 54, 96, 3), dtype=np.uint8), 60, axis=0)
    small[:, :, :20] = np.arange(60, dtype=np.uint8)[:, None, None, None]
    for start in (1, 20, 59 - length):
        changed = small.copy()
        changed[start : start + length] = rng.integers(0, 256, (1, 54, 96, 3), dtype=np.uint8)
        assert [(i.start, i.length) for i in find_insertions(changed, 25.0)] == [(start, length)]


def test_cuts_long_shots_and_short_clips_are_no_insertions():
    rng = np.random.default_rng(0)
    scenes = rng.integers(0, 256, (2, 54, 96, 3), dtype=np.uint8)
    cut = np.repeat(scenes, 20, axis=0)
    assert find_insertions(cut, 25.0) == []
    shot = np.concatenate([cut[:20], cut[20:24], cut[:20]])  # four frames: 0.16 s
    assert find_insertions(shot, 25.0) == []
    assert find_insertions(np.concatenate([cut[:5], cut[20:22], cut[:5]]), 8.0) == []  # two frames at 8 fps: 0.25 s
    assert find_insertions(cut[:2], 25.0) == []


SCENE = np.random.default_rng(4).integers(30, 140, (54, 96, 3), dtype=np.uint8)


def with_run(*frames, count=60, at=20):
    """A still scene with ``frames`` in it at 30 frames a second."""
    small = np.repeat(SCENE[None], count, axis=0)
    small[at : at + len(frames)] = frames
    return small


def relit(gain, offset=0):
    return np.clip(SCENE * gain + offset, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "frames",
    [
        (np.full_like(SCENE, 0),) * 2,
        (np.full_like(SCENE, 255),),
        (relit(1.0, 100), relit(1.0, 60)),
        (relit(1.7),),
        (relit(3.0),),  # clipped in the lights
        (relit(0.4), relit(0.1), relit(0.4)),  # dip to black
        (np.full_like(SCENE, 255), relit(1.5, 60)),
    ],
    ids=["black", "white", "flash", "brighter", "clipped", "dip", "flash and after"],
)
def test_edits_and_flashes_carry_nothing(frames):
    """A flash gun and two black frames between shots were blocked as hidden content."""
    assert find_runs(with_run(*frames), 30.0)
    assert find_insertions(with_run(*frames), 30.0) == []


def with_word(frame, value):
    out = frame.copy()
    out[20:30, 20:70:3] = value
    return out


@pytest.mark.parametrize(
    "frame",
    [
        with_word(np.full_like(SCENE, 0), 255),
        with_word(np.full_like(SCENE, 255), 0),
        with_word(relit(1.0, 100), 0),
        with_word(relit(1.7), 255),
        np.full_like(SCENE, 255) - relit(1.6),  # a negative
        np.full_like(SCENE, 1) * np.array([10, 200, 10], np.uint8),
        np.ascontiguousarray(relit(1.9)[:, ::-1]),
        np.random.default_rng(5).integers(0, 256, SCENE.shape, dtype=np.uint8),
    ],
    ids=[
        "word on black",
        "word on white",
        "word in a flash",
        "word in light",
        "negative",
        "green",
        "mirror",
        "foreign",
    ],
)
def test_what_carries_something_is_still_an_insertion(frame):
    assert [(i.start, i.length) for i in find_insertions(with_run(frame), 30.0)] == [(20, 1)]


@pytest.mark.shared
def test_the_camera_flash_of_a_public_report_is_allowed():
    path = Path(__file__).parents[4] / "shared" / "cases" / "14-flash-or-black-frame-blocked" / "cam_flash.mp4"
    found = CHECK.assess(decode(path.read_bytes()), Stage.OUTPUT).findings
    assert not [f for f in found if f.category == "hid"]


def test_blank_noise_and_frozen_clips():
    blank = Video(np.full((16, 64, 64, 3), 30, np.uint8), 8.0)
    assert held(blank) == {("bad", 1.0)}
    assert held(blank, Stage.INPUT) == set()
    noise = Video(np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), dtype=np.uint8), 8.0)
    assert ("bad", 0.6) in held(noise)
    frozen = Video(np.repeat(moving(count=1).frames, 16, axis=0), 8.0)
    assert held(frozen) == set()
    assert any("nothing moves" in f.detail for f in CHECK.assess(frozen, Stage.OUTPUT).findings)


def test_the_sound_track_is_examined():
    square = np.sign(np.sin(np.arange(32000) * 0.6)).astype(np.float32)[None]
    assert ("phy", 0.9) in held(moving(audio=Audio(square, 16000)))


def test_other_media_and_wrong_arrays_are_refused():
    with pytest.raises(SafetyUnavailable):
        CHECK.assess(Image(np.zeros((4, 4, 3), np.uint8)), Stage.OUTPUT)
    with pytest.raises(SafetyUnavailable):
        CHECK.assess(Video(np.zeros((0, 4, 4, 3), np.uint8), 8.0), Stage.OUTPUT)
    with pytest.raises(SafetyUnavailable):
        CHECK.assess(Video(np.zeros((2, 4, 4, 3), np.float32), 8.0), Stage.OUTPUT)
