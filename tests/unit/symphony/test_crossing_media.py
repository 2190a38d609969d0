"""Tasks over several media at once: films with a spoken remark, tales that speak of pictures, sounds and films."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gensafe.core.errors import PromptNotUnderstood
from gensafe.core.types import Audio, GenerationJob, Image, Modality, Text, Video
from gensafe_backends.symphony.sequence import TokenSpan
from gensafe_backends.symphony.understand import read_job
from gensafe_backends.symphony.vocab import ModalityId
from gensafe_backends.symphony.world import captions, checkers, clip, remarks, tales
from gensafe_backends.symphony.world.reading import read_picture
from gensafe_backends.symphony.world.render import render
from gensafe_backends.symphony.world.scene import Board, Thing
from gensafe_backends.symphony.world.sound import Sound
from gensafe_backends.symphony.world.speech import SPOKEN

PICTURE = Image(np.full((40, 60, 3), 200, np.uint8))
SOUND = Audio(np.zeros((1, 8000), np.float32), 8000)
FILM = Video(np.zeros((5, 32, 32, 3), np.uint8), 10.0, None)


class Spans:
    """A tokenizer that says only what was handed to it, in which order."""

    def span(self, media: Image | Audio | Video) -> TokenSpan:
        kinds = {Image: ModalityId.IMAGE, Audio: ModalityId.AUDIO, Video: ModalityId.VIDEO}
        return TokenSpan(kinds[type(media)], (0,))

    def encode_text(self, text: str) -> list[int]:
        return [ord(c) for c in text]


def understood(modality: Modality, prompt: str, *inputs: Image | Audio | Video | Text) -> tuple[list[ModalityId], str]:
    """Kinds of the media the model is to read, in order, and the words."""
    read = read_job(GenerationJob(prompt, modality, inputs, 1, 0), Spans())  # type: ignore[arg-type]
    assert read.exact and not read.fixed_answer
    words = "".join(chr(i) for s in read.spans if s.modality is ModalityId.TEXT for i in s.ids)
    return [s.modality for s in read.spans if s.modality is not ModalityId.TEXT], words


# --- remarks ---------------------------------------------------------------------------------------------------------


def test_a_remark_changes_what_it_names_and_keeps_the_rest() -> None:
    film = clip.Clip("red", "circle", "left", "first")
    assert remarks.revise(film, ("green",)) == replace(film, colour="green")
    assert remarks.revise(film, ("blue", "star", "right")) == clip.Clip("blue", "star", "right", "first")
    assert remarks.revise(film, ("down",)) == clip.Clip("red", "circle", "down", "centre")  # no lane along the top
    bouncing = clip.Clip("red", "circle", "bounce up", "last", 48, False)
    assert remarks.revise(bouncing, ("star",)) == replace(bouncing, shape="star")


@pytest.mark.parametrize("words", [(), ("hello",), ("star", "red"), ("red", "green"), ("up", "up")])
def test_other_words_are_no_remark(words: tuple[str, ...]) -> None:
    assert remarks.revise(clip.Clip("red", "circle", "left"), words) is None


def test_sampled_remarks_can_be_said_and_change_the_film() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        film = clip.sample_clip(rng)
        said, after = remarks.sample_remark(film, rng)
        assert set(said.items) <= set(SPOKEN) and after != film
        assert after == remarks.revise(film, said.items)


def test_the_frame_tells_films_of_other_ways_apart_and_is_read_back() -> None:
    frames = {}
    for motion in clip.MOTIONS:
        for lane in clip.LANES:
            board = remarks.frame(clip.Clip("green", "star", motion, lane))
            assert read_picture(render(board)) == board == checkers.parse_scene(captions.describe_scene(board))
            frames[board] = motion, lane
    assert len(frames) == len(clip.MOTIONS) * len(clip.LANES)
    assert remarks.frame(clip.Clip("red", "circle", "up", "first")) == Board(
        (Thing(0, "red", "circle"), Thing(6, "red", "circle", "small"))  # from the bottom left to the top left
    )


# --- tales -----------------------------------------------------------------------------------------------------------


def test_tales_are_parsed_back_and_changed_ones_are_not_the_same() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        tale = tales.sample_tale(rng)
        told = tales.tell(tale)
        again = tales.parse(told)
        assert again is not None and tales.tell(again) == told and again == tales.parse(tales.plain(tale))
        changed = replace(tale, events=(*tale.events[:-1], Sound("words", ("stop", "stop", "stop"))))
        assert tales.parse(tales.tell(changed)) != again
    assert tales.tell(tales.Tale("Tom", (Sound("melody", ("do", "re")), Board((Thing(1, "red", "star"),))))) == (
        "Tom heard the melody do re. Then he drew a red star at the top."
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Mira drew a red star at the top.",  # one event is no tale
        "Mira drew a red star at the top. Then he heard the melody do re.",
        "Anna drew a red star at the top. Then she heard the melody do re.",
        "Mira drew a red dog at the top. Then she heard the melody do re.",
        "Mira drew a red star at the top. Then she drew the melody do re.",
        "Mira drew a red star at the top. At last she heard the melody do re.",
    ],
)
def test_other_texts_are_no_tales(text: str) -> None:
    assert tales.parse(text) is None


def test_captions_of_films_are_parsed_back() -> None:
    rng = np.random.default_rng(2)
    for _ in range(100):
        told = captions.describe_clip(clip.sample_clip(rng))
        film = checkers.parse_clip(told)
        assert film is not None and captions.describe_clip(film) == told
    assert checkers.parse_clip("a red dog moving left") is None
    assert checkers.parse_clip("a red star moving left with two knocks") is None


# --- what the backend makes of it ------------------------------------------------------------------------------------


def test_a_film_and_a_remark_give_a_script_a_frame_and_a_film_in_either_order() -> None:
    kinds = [ModalityId.VIDEO, ModalityId.AUDIO]
    for inputs in ((FILM, SOUND), (SOUND, FILM)):
        assert understood(Modality.TEXT, "Script!", *inputs) == (kinds, "script")
        assert understood(Modality.IMAGE, "draw the new frame", *inputs) == (kinds, "draw the new frame")
        assert understood(Modality.VIDEO, "", *inputs) == (kinds, "")


def test_media_are_told_as_a_tale_in_any_order() -> None:
    kinds = [ModalityId.IMAGE, ModalityId.AUDIO, ModalityId.VIDEO]
    assert understood(Modality.TEXT, "A tale of Mira", FILM, PICTURE, SOUND) == (kinds, "a tale of mira")
    assert understood(Modality.TEXT, "a tale of zoe", FILM, SOUND) == (kinds[1:], "a tale of zoe")


def test_a_tale_is_drawn_played_and_filmed() -> None:
    told = "Mira drew a red star at the top. Then she heard the melody do re."
    plain = "mira drew a red star at the top then she heard the melody do re"
    assert understood(Modality.IMAGE, f"{told} Draw it!") == ([], f"{plain} draw it")
    assert understood(Modality.AUDIO, "play it", Text(told)) == ([], f"{plain} play it")


@pytest.mark.parametrize(
    ("modality", "prompt", "inputs", "says"),
    [
        (Modality.AUDIO, "", (FILM, SOUND), "not taught"),
        (Modality.VIDEO, "make it purple", (FILM, SOUND), "not taught"),
        (Modality.TEXT, "", (PICTURE, FILM), "not taught"),
        (Modality.TEXT, "script", (PICTURE, SOUND), "not taught"),
        (Modality.TEXT, "a tale of mira", (FILM, FILM), "not taught"),
        (Modality.TEXT, "a tale of anna", (PICTURE, FILM), "whom"),
        (Modality.VIDEO, "Mira drew a red star at the top. Then she heard the melody do. Film it", (), "no video"),
        (Modality.IMAGE, "Mira drew a dog. Then she heard the melody do. Draw it", (), "follow"),
        (Modality.AUDIO, "Mira drew a red star at the top. Then she heard the melody do. Draw it", (), "asked for"),
    ],
)
def test_what_was_not_taught_is_refused_with_a_way_out(modality, prompt, inputs, says) -> None:
    with pytest.raises(PromptNotUnderstood, match=says) as refused:
        understood(modality, prompt, *inputs)
    assert refused.value.fix
