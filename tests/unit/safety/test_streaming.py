"""The stream gate's bound, as properties over random cuts and random places of the offence."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gensafe.core.errors import SafetyBlocked
from gensafe.core.types import Assessment, ClassifierId, Coverage, Finding, Modality, Span, Stage
from gensafe.safety import SafetyRunner, StreamGate
from gensafe.safety.classifiers.text_rules import TextRules
from gensafe.safety.policy import parse_policy
from gensafe.safety.rule import StreamParameters

POLICY = parse_policy(
    """
[default]
review = 0.5
block = 0.8
[categories.sec]
review = 0.5
block = 0.5
review_action = "redact"
block_action = "redact"
[categories.pii]
review = 0.5
block = 0.5
review_action = "redact"
block_action = "redact"
"""
)
SMALL = StreamParameters(window_words=30, hold_back_words=12, step_words=4)


class Finder:
    """Finds the word BADWORD and remembers what it was shown."""

    name = "finder"
    modality = Modality.TEXT

    def __init__(self, context=1):
        self.seen, self.context = [], context

    def identity(self):
        return ClassifierId(self.name, "1")

    def card(self):
        raise NotImplementedError

    def assess(self, item, stage):
        self.seen.append(item.text)
        hits = [m.span() for m in re.finditer(r"\bBADWORD\b", item.text)]
        found = ()
        if len(hits) >= self.context:
            found = (Finding("tox", 1.0, "finder", spans=(Span(*hits[0]),)),)
        n = len(item.text)
        return Assessment(found, (Coverage(self.name, "characters", n, n),))


def gate(finder=None, parameters=SMALL, rules=False):
    stack = [finder or Finder(), *([TextRules()] if rules else [])]
    return StreamGate(SafetyRunner(POLICY, {Modality.TEXT: stack}), parameters)


def cuts(text, sizes):
    position = 0
    for size in sizes:
        if position < len(text):
            yield text[position : position + size]
            position += size
    yield text[position:]


words = st.lists(st.text("abcde fg.\n好", min_size=1, max_size=9), max_size=150).map(" ".join)
sizes = st.lists(st.integers(1, 60), max_size=80)


@settings(max_examples=60, deadline=None)
@given(words, sizes)
def test_clean_text_arrives_whole_and_every_released_character_was_in_two_windows(text, sizes):
    stream = gate()
    out, released = "", []
    for delta in cuts(text, sizes):
        out += stream.push(delta)
        released.append((len(out), list(stream.windows)))
    rest, verdict = stream.finish()
    assert out + rest == text == stream.text
    assert verdict.releasable
    for count, windows in released:
        for offset in range(0, count):
            assert sum(w.start <= offset < w.end or text[offset].isspace() for w in windows) >= 2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 140), sizes)
def test_the_bad_word_never_leaves(place, sizes):
    text = " ".join(["word"] * place + ["BADWORD"] + ["word"] * (140 - place))
    stream = gate()
    out = ""
    with pytest.raises(SafetyBlocked) as caught:  # noqa: PT012 - whichever call it is that stops
        for delta in cuts(text, sizes):
            out += stream.push(delta)
        stream.finish()
    assert "BADWORD" not in out
    assert caught.value.offset == len(out)  # nothing to retract
    assert len(out.split()) <= place
    assert caught.value.verdict.categories == ("tox",)
    with pytest.raises(ValueError):
        stream.push("more")


def test_evidence_wider_than_a_window_is_caught_before_the_end_and_says_where_to_retract():
    text = " ".join(["BADWORD"] + ["word"] * 100 + ["BADWORD"])
    stream = gate(Finder(context=2))
    out = stream.push(text)
    assert out.startswith("BADWORD word")
    with pytest.raises(SafetyBlocked) as caught:
        stream.finish()
    assert caught.value.offset == 0


def test_a_sentence_end_lies_behind_what_is_released():
    parameters = StreamParameters(240, 4, 4, hold_back_sentences=1)  # a window holds two of the sentences
    text = ("longer_word " * 79 + "end. ") * 4 + "and so on " * 3
    stream = gate(parameters=parameters)
    out = ""
    for word in re.findall(r"\S+\s*", text):
        out += stream.push(word)
        assert out == "" or "." in text[len(out) : stream.windows[-1].end]  # held and scored, and a sentence ends in it
    assert out and out + stream.finish()[0] == text
    endless = gate(parameters=parameters)  # no sentence ends: held for a shortest window, not for ever
    assert len(endless.push("longer_word " * 400).split()) >= 400 - parameters.window_words


def test_windows_keep_their_beginning_and_stay_within_their_size():
    stream = gate()
    text = "".join(f"w{i} " for i in range(200))
    for word in re.findall(r"\S+\s*", text):
        stream.push(word)
    sizes = [len(text[w.start : w.end].split()) for w in stream.windows]
    starts = [w.start for w in stream.windows]
    assert max(sizes) <= SMALL.window_words and min(sizes[8:]) >= SMALL.shortest_window
    assert len(set(starts)) < len(starts) / 1.5  # most begin where the one before began


def test_hold_back_zero_holds_everything():
    stream = gate(parameters=StreamParameters(30, 0, 4))
    assert stream.push("word " * 200) == ""
    assert stream.finish()[0] == "word " * 200


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), sizes)
def test_a_secret_cut_by_the_stream_is_painted_whole(place, sizes):
    secret = "ghp_A8f3kQz19LmNpR7sTvWxYb2cDeFgHi4JkLmN"
    text = " ".join(["word"] * place + [secret, "ann@example.org"] + ["word"] * 80)
    stream = gate(rules=True)
    out = "".join(stream.push(delta) for delta in cuts(text, sizes)) + stream.finish()[0]
    assert out == text.replace(secret, "█" * len(secret)).replace("ann@example.org", "█" * 15)


def test_a_pem_block_is_not_let_out_before_its_end():
    key = "-----BEGIN PRIVATE KEY-----\n" + "\n".join("MIIEvQIBADANBgkqhk iG9w0BAQEF AASC" for _ in range(30))
    text = "here it is " * 10 + key + "\n-----END PRIVATE KEY-----\n" + "word " * 80
    stream = gate(rules=True)
    out = "".join(stream.push(text[i : i + 7]) for i in range(0, len(text), 7)) + stream.finish()[0]
    assert "MII" not in out and out.startswith("here it is") and out.endswith("word word ")


def test_windows_use_the_stream_thresholds_and_the_whole_text_the_others():
    policy = parse_policy("[default]\nreview = 0.5\nblock = 0.8\n[categories.tox.stream]\nreview = 1.0\nblock = 1.01\n")

    class Mild(Finder):
        def assess(self, item, stage):
            found = (Finding("tox", 0.9, "finder"),)
            return Assessment(found, (Coverage(self.name, "characters", len(item.text), len(item.text)),))

    stream = StreamGate(SafetyRunner(policy, {Modality.TEXT: [Mild()]}), SMALL)
    assert stream.push("word " * 100)
    with pytest.raises(SafetyBlocked):
        stream.finish()


def test_a_failing_classifier_stops_the_stream():
    class Broken(Finder):
        def assess(self, item, stage):
            raise RuntimeError("x")

    stream = gate(Broken())
    with pytest.raises(SafetyBlocked) as caught:
        stream.push("word " * 100)
    assert caught.value.verdict.errors and caught.value.offset == 0


def test_the_stage_is_written_down_and_an_empty_stream_is_fine():
    stream = gate()
    rest, verdict = stream.finish()
    assert rest == "" and verdict.stage is Stage.OUTPUT and verdict.releasable
