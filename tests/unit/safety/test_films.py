"""Classifiers on films and long sounds, chunk by chunk."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from gensafe.core.ports import Card
from gensafe.core.types import Action, Assessment, Audio, ClassifierId, Coverage, Finding, Modality, Stage, Video
from gensafe.media.streams import ArrayAudio, ArrayVideo, open_file
from gensafe.safety.classifiers import audio_signal, video_signal
from gensafe.safety.films import OVERLAP_S, WINDOW_S, Heard, assess_sound, says_silent, windows
from gensafe.safety.policy import load_policy, parse_policy
from gensafe.safety.runner import SafetyRunner
from gensafe.safety.signals.flash import FlashResult, FlashTest
from gensafe.safety.signals.scenes import FrameChooser
from gensafe.safety.signals.subliminal import RunFinder

CASE = Path(__file__).parents[4] / "shared" / "cases" / "12-vfr-refused" / "vfr_tiny.mp4"
RNG = np.random.default_rng(3)
SCENES = RNG.integers(0, 200, (4, 54, 96, 3), dtype=np.uint8)
SIGNALS = parse_policy('id = "t"\nversion = "1"\n[classifiers]\nvideo = ["video_signal"]\naudio = ["audio_signal"]\n')


def small_film(count=150):
    """Four scenes with a moving edge, and one foreign frame at 63, the last of the first chunk of 64."""
    small = np.concatenate([np.repeat(s[None], -(-count // 4), axis=0) for s in SCENES])[:count]
    small[:, :, :10] = np.arange(count, dtype=np.uint8)[:, None, None, None]
    small[63] = RNG.integers(0, 256, (54, 96, 3), dtype=np.uint8)
    return small


@pytest.mark.parametrize("size", [1, 2, 5, 63, 64, 150])
def test_chunk_borders_change_nothing(size):
    small, times = small_film(), np.arange(151) / 25
    runs, chooser = RunFinder(), FrameChooser()
    found, chosen = [], []
    for first in range(0, 150, size):
        stop = min(150, first + size)
        part, when = small[first:stop], times[first : stop + 1]
        found += [(r.start, r.length) for r in runs.take(part, when, last=stop == 150)]
        chosen += chooser.take(part, when, last=stop == 150)
        assert not chosen or chosen[-1] < stop
    assert found == [(63, 1)]
    assert {0, 38, 63, 76, 114} <= set(chosen)
    assert chosen == sorted(chosen)
    assert len(chosen) < 20


def test_a_film_that_never_rests_is_read_about_once_a_second():
    """A pan over a detailed scene was read up to five times a second, and then refused above 240 frames."""
    x, y = np.meshgrid(np.arange(4000), np.arange(54))
    waves = [np.sin(x / (9 + k) + y / (11 - k) + k) for k in range(3)]
    wide = (127 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)
    small = np.stack([wide[:, 3 * i : 3 * i + 96] for i in range(1200)])
    chosen = FrameChooser().take(small, np.arange(1201) / 30, last=True)
    assert 40 <= len(chosen) <= 48
    read_at = np.array([-1, *chosen, 1200]) / 30
    assert np.diff(read_at).max() <= 1.1


def test_flashes_are_counted_in_time_not_in_frames():
    """At a variable rate the whole decoder repeated frames to a constant rate; now their own times count."""
    black, white = np.zeros((54, 96, 3), np.uint8), np.full((54, 96, 3), 255, np.uint8)

    def worst(steps):
        test, now, out = FlashTest(), 0.0, FlashResult.PASS
        for frame, step in zip(itertools.cycle((black, white)), steps, strict=False):
            out = max(out, *(f.result for f in test.take(frame, now, now + step)))
            now += step
        return out

    assert worst([0.07, 0.13] * 20) is FlashResult.FAIL
    assert worst([1.0] * 30) is FlashResult.PASS
    assert worst([3.0, *[0.05] * 12, 3.0]) is FlashResult.FAIL
    assert worst([3.0, 0.05, 0.05, 3.0] * 5) is FlashResult.PASS


def test_signals_of_a_stream_are_those_of_the_array():
    frames = np.repeat(np.repeat(small_film(), 2, axis=1), 2, axis=2)
    video = Video(frames, 25.0)
    check = video_signal.create({})
    assessed = check.assess(video, Stage.OUTPUT)
    (inserted,) = [f for f in assessed.findings if f.category == "hid"]
    assert (inserted.times[0].start_s, inserted.times[0].end_s) == (2.52, 2.56)
    runner = SafetyRunner.from_policy(SIGNALS)
    verdicts = [runner.judge(item, Stage.OUTPUT) for item in (video, ArrayVideo(video))]
    assert verdicts[0].decisions == verdicts[1].decisions
    assert not verdicts[0].errors


def test_what_blocks_ends_the_examination():
    frames = np.repeat(np.repeat(small_film(300), 2, axis=1), 2, axis=2)
    frames[10:60:4] = frames[11:60:4] = 0
    verdict = SafetyRunner.from_policy(SIGNALS).judge(Video(frames, 30.0), Stage.OUTPUT)
    assert verdict.action is Action.BLOCK
    assert not verdict.errors
    (frames_seen,) = [c for c in verdict.coverage if c.unit.startswith("frames")]
    assert frames_seen.unit == "frames up to what blocked it"
    assert frames_seen.examined < 300


class Whole:
    """A plugin of the old kind: one array."""

    name, modality = "whole", Modality.VIDEO

    def identity(self):
        return ClassifierId("whole", "1")

    def card(self):
        return Card("whole", "1", Modality.VIDEO, ("tox",), "", (), {}, ("all",))

    def assess(self, item, stage):
        count = len(item.frames)
        return Assessment((), (Coverage("whole", "frames", count, count),))


def test_plugins_of_whole_arrays_work_up_to_a_limit():
    runner = SafetyRunner(SIGNALS, {Modality.VIDEO: [Whole()]})
    video = Video(np.zeros((30, 40, 40, 3), np.uint8), 10.0)
    assert runner.judge(video, Stage.OUTPUT).coverage == (Coverage("whole", "frames", 30, 30),)
    assert runner.judge(open_small(video), Stage.OUTPUT).coverage == (Coverage("whole", "frames", 30, 30),)
    large = open_small(video)
    large.height = large.width = 16_000
    verdict = runner.judge(large, Stage.OUTPUT)
    assert verdict.action is Action.BLOCK
    assert "whole videos only" in verdict.errors[0]


def open_small(video):
    from gensafe.media import encode, open_parts

    return open_parts(encode(video, "video/webm"))[0].media


@pytest.mark.shared
def test_the_variable_rate_film_of_a_public_report_is_allowed():
    """Three frames over 160 s: refused at first, then judged as 17,997 frames, timed out and blocked."""
    (part,) = open_file(CASE)
    verdict = SafetyRunner.from_policy(load_policy()).judge(part.media, Stage.STANDALONE)
    assert (verdict.action, verdict.errors) == (Action.ALLOW, ())
    assert Coverage("video_signal", "frames", 3, 3) in verdict.coverage


def test_windows_cover_a_sound_once():
    rate = 100
    for seconds in (1, WINDOW_S, WINDOW_S + OVERLAP_S, WINDOW_S + OVERLAP_S + 1, 250):
        samples = np.arange(round(seconds * rate), dtype=np.float32)[None]
        given = [Audio(samples[:, i : i + 777], rate) for i in range(0, samples.shape[1], 777)]
        for chunks in (given, [Audio(samples, rate)]):
            sound = ArrayAudio(Audio(samples, rate))
            sound.chunks = lambda chunks=chunks: (c for c in chunks)
            covered = []
            for window, start_s, fresh in windows(sound):
                first = round(start_s * rate)
                count = window.samples.shape[1]
                assert np.array_equal(window.samples[0], samples[0, first : first + count])
                covered.append(window.samples[0, count - fresh :])
            assert np.array_equal(np.concatenate(covered), samples[0])


def test_a_long_sound_is_judged_by_the_minute():
    """A sound of more than ten minutes was refused whatever it held."""
    rate = 8000
    sound = np.zeros((1, 200 * rate), np.float32)
    sound[0, : 30 * rate] = 0.1 * np.sin(np.arange(30 * rate) / 5)
    quiet_end = assess_sound(audio_signal.create({}), ArrayAudio(Audio(sound, rate)), Stage.OUTPUT, says_silent)
    assert not [f for f in quiet_end.findings if f.score >= 0.5]
    assert Coverage("audio_signal", "samples", sound.size, sound.size) in quiet_end.coverage
    runner = SafetyRunner.from_policy(SIGNALS)
    assert runner.judge(Audio(sound * 0, rate), Stage.OUTPUT).categories == ("bad",)
    sound[0, 150 * rate : 152 * rate] = np.sign(np.sin(np.arange(2 * rate) * 0.6))
    found = assess_sound(audio_signal.create({}), ArrayAudio(Audio(sound, rate)), Stage.OUTPUT)
    loud = [f for f in found.findings if f.category == "phy"]
    assert loud
    assert all(t.start_s >= 100 for f in loud for t in f.times)


def test_findings_of_windows_are_joined():
    heard = Heard()
    heard.add([Finding("phy", 0.3, "a", "level -8.1")], 0.0, 60.0)
    assert heard.findings() == (Finding("phy", 0.3, "a", "level -8.1"),)
    heard.add([Finding("phy", 0.5, "a", "level -7.0"), Finding("bad", 1.0, "a", "silent")], 58.0, 118.0)
    found = heard.findings(lambda f: f.detail == "silent")
    assert [(f.score, f.detail) for f in found] == [(0.5, "level -7.0")]
    assert (found[0].times[0].start_s, found[0].times[0].end_s) == (0.0, 118.0)
