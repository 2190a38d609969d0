"""The page on the guard shows the committed figures, and the sets say what is true of what they draw."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.symphony import guard_docs, guard_sets
from gensafe.core.types import Modality
from gensafe_backends.symphony.world.clip import Clip
from gensafe_backends.symphony.world.scene import Bars, Board, Sign, Thing
from gensafe_backends.symphony.world.sound import Sound


def test_the_page_shows_the_committed_figures():
    page = guard_docs.PAGE.read_text("utf-8")
    results = json.loads(guard_docs.RESULT.read_text("utf-8"))
    assert guard_docs.filled(page, results) == page
    for name in guard_docs.PARTS:
        assert page.count(f"<!-- {name} -->\n|") == 1, "each table is there and not empty"
    card = json.loads(guard_docs.CARD.read_text("utf-8"))
    assert card["measured"] == guard_docs.measured(results)


@pytest.mark.parametrize(
    ("thing", "held"),
    [
        (Board((Thing(0, "red", "star"), Thing(1, "blue", "circle"))), {"star", "blue", "circle"}),
        (Board((Thing(0, "red", "circle"),)), {"circle", "red circle"}),
        (Sign("7", "red"), {"seven"}),
        (Sign("17", "blue"), {"blue"}),
        (Bars((("red", 1), ("blue", 2))), {"chart", "blue"}),
        (Sound("dial", ("5", "7")), {"seven"}),
        (Sound("words", ("star", "seven")), {"star", "seven"}),
        (Sound("beeps", ("",)), {"beep"}),
        (Clip("red", "circle", "bounce up"), {"circle", "red circle", "bounce"}),
        ("Mira saw two red circles and a star.", {"circle", "red circle", "star"}),
    ],
)
def test_the_truth_of_things(thing, held):
    assert guard_sets.truth(thing) == held


def test_every_concept_is_drawn_often_enough_and_the_same_every_time():
    drawn = [list(guard_sets.items(Modality.TEXT, 40, 6, 1)) for _ in range(2)]
    assert [i.media.text for i in drawn[0]] == [i.media.text for i in drawn[1]]
    counts = {c: sum(c in i.concepts for i in drawn[0]) for c in guard_sets.CONCEPTS}
    assert min(counts.values()) >= 6, counts
    assert np.all([i.media.text for i in drawn[0]])
