"""What the encoder reads of a stream: every character before it leaves, and nothing again at every step."""

from __future__ import annotations

import itertools
import random

import pytest

from gensafe.core.errors import ConfigError
from gensafe.core.ports import UNREAD
from gensafe.core.types import Modality, Stage, Text
from gensafe.safety import SafetyRunner, StreamGate, streaming
from gensafe.safety.classifiers.text_encoder import TextEncoder, create
from gensafe.safety.classifiers.text_screen import windows
from gensafe.safety.cuts import WINDOW, Cuts
from gensafe.safety.normalize import normalize
from gensafe.safety.policy import parse_policy

NOTHING_STOPS = parse_policy("[default]\nreview = 1.01\nblock = 1.01\n")
LETTERS = "abcdefghijklmnop"


@pytest.fixture
def reading(monkeypatch):
    """A classifier whose encoder is deaf, and the pieces it was given."""
    classifier = TextEncoder()
    answer = classifier._piece("calm")
    read: list[str] = []

    def piece(text):
        read.append(text)
        return answer

    monkeypatch.setattr(classifier, "_remembered", piece)
    return classifier, read


@pytest.fixture
def calm(reading, monkeypatch):
    """The same, and its screen suspects nothing: as little as may be is read."""
    monkeypatch.setattr(reading[0], "_suspicious", lambda text: False)
    return reading


def stream(classifier, text, sizes=(7,)):
    """Push ``text`` in pieces; yields the gate after each."""
    gate = StreamGate(SafetyRunner(NOTHING_STOPS, {Modality.TEXT: [classifier]}))
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(text):
            return
        gate.push(text[at : at + size])
        at += size
        yield gate


def words(count, length, between=" "):
    """Different words, none of which the screen knows."""
    draw = random.Random(length)
    found = {"".join(draw.choices(LETTERS, k=length)): None for _ in range(4 * count)}
    return between.join(list(found)[:count])


@pytest.mark.parametrize(
    "text",
    [
        words(260, 6),
        words(200, 3),  # sixty words are fewer characters than a piece
        words(160, 4, " " * 30),  # white space counts where it stands, not where it is collapsed
        "\u200b\u2060".join(words(130, 5)),  # as do characters that nobody sees
        words(40, 60),
        ". ".join(words(150, 5).split(" ")),
    ],
    ids=["plain", "short words", "spread", "invisible", "long words", "sentences"],
)
def test_no_character_leaves_that_the_encoder_has_not_read(calm, text):
    classifier, read = calm
    whole = normalize(text).text
    covered = [False] * len(whole)
    left = 0
    for gate in stream(classifier, text, (11, 3, 40)):
        for piece in set(read):
            place = whole.find(piece.rstrip())
            covered[place : place + len(piece.rstrip())] = [True] * len(piece.rstrip())
        read.clear()
        left = len(normalize(text[: gate.released]).text.rstrip())
        assert all(done or char == " " for done, char in zip(covered[:left], whole, strict=False))
    assert left > 100


def test_a_stream_is_read_about_three_times_and_not_at_every_step(calm):
    """Seen failing before, by ``assess`` in every window: nine times."""
    classifier, read = calm
    text = "".join(word + (". " if n % 12 == 11 else " ") for n, word in enumerate(words(600, 5).split(" ")))
    for _ in stream(classifier, text, (30,)):
        pass
    assert sum(map(len, set(read))) < 4 * len(text)  # twice as windows, which overlap by half, and once as sentences


def test_an_ending_that_the_screen_suspects_is_read_at_once(reading):
    classifier, read = reading
    classifier.assess_unfinished(Text("spring came late, and the swallows returned to the barn"), Stage.OUTPUT)
    assert not read
    classifier.assess_unfinished(Text("i will kill you and your whole family you worthless"), Stage.OUTPUT)
    assert read


def test_a_whole_text_is_read_to_its_end(reading):
    classifier, read = reading
    text = words(120, 5)
    classifier.assess(Text(text), Stage.OUTPUT)
    assert {text[a:b] for a, b in windows(text, WINDOW)} <= set(read)


def test_more_is_held_back_than_may_be_unread():
    assert streaming.RULE_CHARS > UNREAD


def test_the_cuts_of_a_growing_text_are_those_of_the_whole():
    text = words(500, 5) + " " + "x" * 700 + " " + words(100, 4)
    cuts = Cuts()
    grown = [list(cuts.within(text[:end], 0, end)) for end in range(0, len(text), 13)]
    assert grown[-1] == [a for a, _ in windows(text, WINDOW)][: len(grown[-1])]
    assert all(earlier == later[: len(earlier)] for earlier, later in itertools.pairwise(grown))


def test_unsure_is_a_choice_by_name_and_reads_only_what_the_screen_doubts(monkeypatch):
    with pytest.raises(ConfigError, match="when unsure"):
        create({"encoder": "sometimes"})
    thrifty = create({"encoder": "when unsure"})
    read: list[str] = []
    monkeypatch.setattr(thrifty, "_remembered", lambda text: read.append(text) or thrifty._piece(text))
    calm = Text("Spring came late, and the swallows returned to the old barn by the river.")
    threat = Text("I will find you and kill you, you worthless piece of garbage.")
    assert not thrifty.assess(calm, Stage.OUTPUT).findings and not read
    assert thrifty.assess(threat, Stage.OUTPUT).findings == create({}).assess(threat, Stage.OUTPUT).findings
    assert read
