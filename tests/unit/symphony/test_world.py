"""The procedural world: deterministic, exactly described, and readable again by rules."""

from __future__ import annotations

import numpy as np
import pytest

from gensafe_backends.symphony.world import (
    captions,
    checkers,
    clip,
    edits,
    questions,
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


def test_every_question_is_one_the_reader_of_prompts_knows_and_has_one_answer() -> None:
    r = rng(7)
    answers: dict[tuple[object, str], set[str]] = {}
    for _ in range(600):
        drawn, heard, film = sample.sample_scene(r), sound.sample_sound(r), clip.sample_clip(r)
        for about, (asked, answer), known in (
            (drawn, questions.ask_scene(drawn, r), questions.picture_questions()),
            (heard, questions.ask_sound(heard, r), questions.sound_questions()),
            (film, questions.ask_clip(film, r), questions.film_questions()),
        ):
            assert asked in known and answer
            answers.setdefault((about, asked), set()).add(answer)
    assert all(len(found) == 1 for found in answers.values())


@pytest.mark.parametrize(
    ("drawn", "asked", "answer"),
    [
        (scene.Bars((("red", 2), ("blue", 5))), "which bar is the highest", "blue"),
        (scene.Bars((("red", 2), ("blue", 5))), "how high is the red bar", "2"),
        (scene.Sign("HI", "green"), "what is written here", "hi"),
        (scene.Board((scene.Thing(0, "red", "star"),)), "what is at the top left", "a red star"),
        (scene.Board((scene.Thing(0, "red", "star"),)), "is there a circle", "no"),
        (scene.Board((scene.Thing(0, "red", "star"),)), "how many shapes are there", "one"),
    ],
)
def test_answers_are_right(drawn, asked: str, answer: str) -> None:
    found = dict(questions.ask_scene(drawn, rng(s)) for s in range(80))
    assert found[asked] == answer


def test_whether_a_spoken_count_matches() -> None:
    board = scene.Board(tuple(scene.Thing(p, "red", "star") for p in scene.LAYOUTS[3]))
    assert questions.ask_count(board, 3)[1] == "yes there are three"
    assert questions.ask_count(board, 4)[1] == "no there are three"


def test_drawings_in_svg_are_read_back_and_others_are_not() -> None:
    board = scene.Board((scene.Thing(1, "red", "star"), scene.Thing(8, "blue", "circle")))
    text = questions.svg(board)
    assert checkers.parse_svg(text) == board
    for wrong in (text[:-3], text.replace("red", "pink"), text.replace("224", "220"), "<svg></svg>", "<!ENTITY x>", ""):
        assert checkers.parse_svg(wrong) is None


def test_what_is_remembered_was_told_before() -> None:
    for seed in range(40):
        talk = stories.memory_exchanges(rng(seed), 12)
        told = {}
        for asked, answer in talk:
            if asked.startswith("remember "):
                told[asked.split()[1]] = asked.split()[-1]
            if asked.startswith("what has "):
                assert told[asked.removeprefix("what has ")] == answer


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
