"""The guard on Symphony's own reading: what it learns from examples, finds in every medium, and refuses to judge."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gensafe.core import plugins
from gensafe.core.errors import ConfigError, InvalidRequest
from gensafe.core.types import Audio, Image, Modality, Stage, Text, Video
from gensafe.testing.classifier_contract import check_classifier
from gensafe_backends.symphony.guard import learn, words
from gensafe_backends.symphony.guard.book import ConceptBook
from gensafe_backends.symphony.guard.concept import from_json, load
from gensafe_backends.symphony.guard.reader import open_reader
from gensafe_backends.symphony.world.clip import FPS, Clip, render_frames, render_track
from gensafe_backends.symphony.world.render import render
from gensafe_backends.symphony.world.scene import Board, Sign, Thing
from gensafe_backends.symphony.world.sound import Sound, render_sound


def picture(*things: tuple[int, str, str]) -> Image:
    return Image(render(Board(tuple(Thing(*t) for t in things))))


def sound(*said: str) -> Audio:
    return Audio(render_sound(Sound("words", said))[None], 16_000)


def film(colour: str, shape: str, motion: str = "left") -> Video:
    clip = Clip(colour, shape, motion)
    return Video(render_frames(clip), float(FPS), Audio(render_track(clip)[None], 16_000))


STARS = [
    picture((0, "red", "star"), (4, "blue", "square")),
    picture((4, "green", "star")),
    picture((2, "yellow", "circle"), (6, "blue", "star")),
    picture((8, "orange", "star")),
]
PHOTO = Image(np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8))
HISS = Audio((np.random.default_rng(0).standard_normal((1, 32_000)) * 0.1).astype(np.float32), 16_000)
ITEMS = {
    Modality.TEXT: (
        Text(""),
        Text("draw a red star"),
        Text("An elephant\u00df \U0001f418 7 stars\u0130"),
        Text("blue " * 3000),
    ),
    Modality.IMAGE: (STARS[0], PHOTO, Image(np.zeros((1, 1, 3), np.uint8)), Image(np.zeros((256, 256, 3), np.uint8))),
    Modality.AUDIO: (
        sound("star"),
        HISS,
        Audio(np.zeros((2, 32_000), np.float32), 16_000),
        Audio(np.array([[0.1, np.nan]], np.float32), 16_000),
        Audio(np.full((1, 32_000), np.inf, np.float32), 16_000),
        Audio(np.zeros((1, 1), np.float32), 16_000),
    ),
    Modality.VIDEO: (
        film("red", "star"),
        Video(np.zeros((1, 8, 8, 3), np.uint8), 8.0),
        Video(np.zeros((12, 128, 128, 3), np.uint8), 8.0, Audio(np.zeros((1, 24_000), np.float32), 16_000)),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def reader():
    return open_reader()


@pytest.fixture(scope="module")
def star_file(reader, tmp_path_factory):
    path = tmp_path_factory.mktemp("concepts") / "star.json"
    path.write_text(learn.register("star", reader, words=["star"]).to_json())
    return path


def guard(medium: Modality, path, **options):
    return plugins.load("gensafe.classifiers", f"{medium}_concepts", {"concepts": str(path), **options})


def hits(classifier, item, stage=Stage.OUTPUT):
    return [f for f in classifier.assess(item, stage).findings if f.category != "unc"]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Two red Stars", ["two", "red", "star"]),
        ("dial 5570", ["dial", "five", "five", "seven", "zero"]),
        ("7 in blue, 42!", ["seven", "in", "blue", "42"]),
        ("three boxes across the glass", ["three", "box", "across", "the", "glass"]),
    ],
)
def test_words_in_their_plain_form(text, plain):
    assert [w.plain for w in words.words(text)] == plain


def test_places_are_offsets_in_the_text_as_it_was_given():
    text = "\u0130\u00df two RED  stars, dial 1279"
    found = sorted(text[a:b] for a, b in words.places(text, [("red", "star"), ("seven",)]))
    assert found == ["7", "RED  stars"]


def test_what_the_world_says_in_other_words():
    assert {("circle",), ("disc",), ("ball",)} <= words.said_as([("circle",)])
    assert words.told_as(("disc",)) == ("circle",)
    assert words.told_as(("square",)) == ("square",)


def test_pictures_alone_teach_a_concept_that_is_found_in_every_medium(reader, tmp_path):
    concept = learn.register("thing", reader, like=[(str(n), p) for n, p in enumerate(STARS)])
    assert concept.shown == (("star",),)
    path = tmp_path / "thing.json"
    path.write_text(concept.to_json())
    held = {
        Modality.TEXT: Text("two purple stars"),
        Modality.IMAGE: picture((1, "purple", "star"), (7, "red", "circle")),
        Modality.AUDIO: sound("one", "star"),
        Modality.VIDEO: film("yellow", "star", "bounce up"),
    }
    others = {
        Modality.TEXT: Text("two purple squares"),
        Modality.IMAGE: picture((1, "purple", "triangle"), (7, "red", "circle")),
        Modality.AUDIO: sound("one", "stop"),
        Modality.VIDEO: film("yellow", "circle", "bounce up"),
    }
    for medium in Modality:
        classifier = guard(medium, path)
        (found,) = hits(classifier, held[medium])
        assert (found.category, found.detail) == ("lst", "concept thing")
        assert 0.5 <= found.score < 0.9, "the default policy's review"
        clean = classifier.assess(others[medium], Stage.OUTPUT)
        assert clean.findings == ()
        assert clean.coverage[0].examined == clean.coverage[0].total > 0


def test_a_counter_example_says_what_is_not_meant(reader):
    blue_stars = [picture((n, "blue", "star")) for n in (0, 4, 8)]
    both = learn.register("x", reader, like=[("", p) for p in blue_stars])
    assert set(both.shown) & {("star",), ("blue",), ("blue", "star")}
    unlike = [("", picture((3, "red", "star"))), ("", picture((5, "blue", "square")))]
    shown = learn.register("x", reader, like=[("", p) for p in blue_stars], unlike=unlike).shown
    assert shown == (("blue", "star"),)


def test_a_number_is_one_concept_however_it_is_written_or_said(reader, tmp_path):
    path = tmp_path / "seven.json"
    path.write_text(learn.register("seven", reader, words=["7"]).to_json())
    assert hits(guard(Modality.IMAGE, path), Image(render(Sign("7", "red"))))
    assert not hits(guard(Modality.IMAGE, path), Image(render(Sign("71", "red"))))
    assert hits(guard(Modality.AUDIO, path), sound("two", "seven"))
    assert hits(guard(Modality.TEXT, path), Text("dial 2371"))


def test_an_example_outside_the_world_is_refused(reader):
    with pytest.raises(InvalidRequest, match=r"photo\.png lies outside"):
        learn.register("x", reader, like=[("photo.png", PHOTO)])
    with pytest.raises(ConfigError, match="words or examples"):
        learn.register("x", reader)
    with pytest.raises(InvalidRequest, match="nothing in common"):
        learn.register("x", reader, like=[("", STARS[1])], unlike=[("", STARS[1])])


@pytest.mark.parametrize("medium", list(Modality))
def test_the_classifier_contract(medium, star_file):
    check_classifier(guard(medium, star_file), ITEMS[medium])


@pytest.mark.parametrize(
    ("medium", "item"),
    [
        (Modality.TEXT, Text("an elephant with a telescope")),
        (Modality.IMAGE, PHOTO),
        (Modality.IMAGE, Image(np.kron(STARS[1].pixels, np.ones((4, 4, 1), np.uint8)))),
        (Modality.AUDIO, HISS),
        (Modality.AUDIO, Audio(np.zeros((1, 160_000), np.float32), 16_000)),
        (Modality.VIDEO, Video(film("red", "star").frames, 8.0)),
        (Modality.VIDEO, Video(np.repeat(PHOTO.pixels[None], 12, 0), 8.0, film("red", "star").audio)),
    ],
)
def test_nothing_is_claimed_about_what_lies_outside_the_world(medium, item, star_file):
    found = guard(medium, star_file).assess(item, Stage.OUTPUT)
    assert [f.category for f in found.findings] == ["unc"]
    assert found.findings[0].score < 0.5, "a note under the default policy"
    assert [c.examined for c in found.coverage] == [0]
    assert found.coverage[0].total > 0


def test_a_foreign_patch_puts_a_picture_outside(star_file):
    pixels = picture((4, "green", "circle")).pixels.copy()
    pixels[:40, :40] = PHOTO.pixels[:40, :40]
    assert guard(Modality.IMAGE, star_file).assess(Image(pixels), Stage.OUTPUT).coverage[0].examined == 0


def test_a_word_in_one_channel_alone_is_heard(star_file):
    both = np.concatenate([sound("one").samples, sound("star").samples])
    assert hits(guard(Modality.AUDIO, star_file), Audio(both, 16_000))
    assert not hits(guard(Modality.AUDIO, star_file), sound("one"))


def test_words_are_found_in_texts_outside_the_world_too(star_file):
    found = guard(Modality.TEXT, star_file).assess(Text("elephants watch the stars"), Stage.OUTPUT)
    assert {f.category for f in found.findings} == {"lst", "unc"}
    assert found.coverage[0].examined == 0


def test_stages_that_are_not_examined_are_not_claimed(star_file):
    text = Text("a red star")
    found = guard(Modality.TEXT, star_file).assess(text, Stage.PROMPT)
    assert (found.findings, found.coverage[0].examined) == ((), 0)
    assert hits(guard(Modality.TEXT, star_file, stages="prompt"), text, Stage.PROMPT)


def test_the_numpy_engine_comes_to_the_same_verdict(star_file):
    for item in (STARS[0], picture((4, "red", "square"))):
        one, other = (hits(guard(Modality.IMAGE, star_file, engine=e), item) for e in ("auto", "numpy"))
        assert [f.detail for f in one] == [f.detail for f in other]


def test_other_weights_are_refused_until_the_concept_is_renewed(reader, tmp_path):
    learned = learn.register("thing", reader, like=[("", p) for p in STARS])
    raw = json.loads(learned.to_json())
    path = tmp_path / "old.json"
    path.write_text(json.dumps({**raw, "weights": "sha256:" + "0" * 64, "shown": ["circle"]}))
    with pytest.raises(ConfigError, match="other weights") as caught:
        guard(Modality.IMAGE, path)
    assert "renew" in str(caught.value)
    book = ConceptBook(reader)
    assert book.explain(path.read_text(), "old.json")["usable"] is False
    path.write_text(book.renew(path.read_text(), "old.json"))
    assert load(path) == learned
    other = json.dumps({**raw, "tokenizer": "sha256:" + "0" * 64})
    with pytest.raises(ConfigError, match="another tokenizer"):
        book.renew(other, "old.json")


def test_words_alone_hold_for_any_weights(reader):
    concept = learn.register("star", reader, words=["star"])
    assert concept.weights == ""
    concept.check("sha256:" + "0" * 64)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "concepts"),
        ({"concepts": "missing.json"}, "concepts"),
        ({"concepts": "FILE", "stages": "later"}, "stages"),
        ({"concepts": "FILE", "engine": "abacus"}, "engine"),
    ],
)
def test_unusable_options_are_named(options, field, star_file):
    options = {k: v.replace("FILE", str(star_file)) for k, v in options.items()}
    with pytest.raises(ConfigError) as caught:
        plugins.load("gensafe.classifiers", "image_concepts", options)
    assert caught.value.field == field


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "gensafe-concept-1"}', '{"format": 7}'])
def test_a_file_that_is_no_concept_is_refused(text):
    with pytest.raises(ConfigError, match=r"x\.json"):
        from_json(text, "x.json")
