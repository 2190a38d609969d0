"""The procedural world: deterministic, exactly described, and readable again by rules."""

from __future__ import annotations

import numpy as np
import pytest

from gensafe_backends.symphony.world import (
    captions,
    checkers,
    clip,
    edits,
    render,
    sample,
    scene,
    sound,
    speech,
    stories,
)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("make", [sample.sample_scene, sound.sample_sound, clip.sample_clip, stories.story_exchange])
def test_one_seed_one_world(make) -> None:
    assert [make(rng(5)) for _ in range(3)] == [make(rng(5))] * 3
    assert len({make(rng(s)) for s in range(20)}) > 10


def test_descriptions_are_parsed_back_exactly() -> None:
    r = rng(1)
    for _ in range(400):
        drawn = sample.sample_scene(r)
        assert checkers.parse_scene(captions.describe_scene(drawn)) == drawn
        heard = sound.sample_sound(r)
        assert checkers.parse_sound(captions.describe_sound(heard)) == heard


@pytest.mark.parametrize(
    "text", ["", "a circle", "a red circle at the", "two red", "the number 7", "red", "dialling x", "a b c"]
)
def test_other_texts_are_not_parsed(text: str) -> None:
    assert checkers.parse_scene(text) is None
    assert checkers.parse_sound(text) is None


def test_image_checker_accepts_the_truth_and_refuses_changes() -> None:
    r = rng(2)
    for _ in range(25):
        drawn = sample.sample_scene(r)
        pixels = render.render(drawn)
        assert checkers.check_image(pixels, drawn) == {"exact": 1.0, "objects": 1.0}
        other = sample.sample_scene(r)
        if other != drawn:
            assert checkers.check_image(render.render(other), drawn)["exact"] == 0.0
        noise = r.integers(0, 256, pixels.shape, dtype=np.uint8)
        assert checkers.check_image(noise, drawn) == {"exact": 0.0, "objects": 0.0}


def test_image_checker_sees_one_wrong_colour() -> None:
    good = scene.Board((scene.Thing(0, "red", "circle"), scene.Thing(8, "blue", "star", "small")))
    wrong = scene.Board((scene.Thing(0, "red", "circle"), scene.Thing(8, "purple", "star", "small")))
    assert checkers.check_image(render.render(wrong), good) == {"exact": 0.0, "objects": 0.5}


def test_sound_checker_accepts_the_truth_and_refuses_changes() -> None:
    r = rng(3)
    for _ in range(15):
        drawn = sound.sample_sound(r)
        samples = sound.render_sound(drawn)
        assert checkers.check_audio(samples, drawn)["exact"] == 1.0
        assert checkers.check_audio(np.roll(samples, 8000), drawn)["exact"] == 0.0
        assert checkers.check_audio(np.zeros_like(samples), drawn)["exact"] == 0.0


def test_film_checker_accepts_the_truth_and_refuses_changes() -> None:
    r = rng(4)
    for _ in range(12):
        film = clip.sample_clip(r)
        frames, track = clip.render_frames(film), clip.render_track(film)
        assert set(checkers.check_video(frames, track, film).values()) == {1.0}
        assert checkers.check_video(frames[::-1], track, film)["motion"] == 0.0 or "bounce" in film.motion
        if clip.bounces(film):
            late = np.roll(track, 2 * clip.FRAME_SAMPLES)
            assert checkers.check_video(frames, late, film)["sync"] == 0.0


def test_bounces_are_where_the_track_turns() -> None:
    for start in clip.STARTS:
        for forward in (True, False):
            film = clip.Clip("red", "star", "bounce across", "centre", start, forward)
            places = [x for _, x in clip.track(film)]
            assert all(places[f] in (clip.NEAR, clip.FAR) for f in clip.bounces(film))
            assert 1 <= len(clip.bounces(film)) <= 2


def test_edits_change_one_thing_only() -> None:
    r = rng(6)
    for _ in range(200):
        board = sample.sample_board(r)
        words, after = edits.sample_edit(board, r)
        changed = set(board.things) ^ set(after.things)
        assert "them" in words or len(changed) <= 2
        assert {t.place for t in after.things} <= {t.place for t in board.things}


def test_one_board_in_a_few_is_held_out() -> None:
    r = rng(7)
    share = np.mean([sample.board_held_out(sample.sample_board(r)) for _ in range(600)])
    assert 0.1 < share < 0.45


def test_words_are_loud_enough_and_stay_in_their_slot() -> None:
    for word in speech.SPOKEN:
        samples = speech.say(word)
        assert samples.shape == (speech.WORD_SAMPLES,) and samples.dtype == np.float32
        assert 0.2 < float(np.abs(samples).max()) <= 0.6
        assert float(np.abs(samples[:320]).max()) == 0.0


def test_stories_are_long_and_differ() -> None:
    made = [stories.story(rng(s)) for s in range(30)]
    assert min(len(t.split()) for t in made) >= 190
    assert len({t[:40] for t in made}) > 25
