"""Whoever is refused reads a sentence that names the category in words, on every way out; codes only beside it."""

import re

import pytest

from gensafe.cli.generate import report_blocked, report_held
from gensafe.client.statuses import Blocked, HeldForReview
from gensafe.core.errors import SafetyBlocked
from gensafe.core.hazards import CATEGORIES, in_words, named
from gensafe.core.stopped import stopped_sentence
from gensafe.core.types import Action, Decision, Finding, Modality, Stage, Verdict
from gensafe.pipeline.events import Held, Stopped
from gensafe.server.convert import blocked_to_pb, held_to_pb
from gensafe.server.http.openai.answers import stopped_error
from gensafe.server.http.openai.provenance import held_object
from gensafe.v1 import generation_pb2


def verdict(*categories: str, errors: tuple[str, ...] = (), stage: Stage = Stage.PROMPT) -> Verdict:
    found = tuple(Decision(Finding(c, 0.9, "text_rules", ""), 0.5, 4, Action.BLOCK) for c in categories)
    return Verdict(stage, Modality.TEXT, Action.BLOCK, found, (), (), "strict", "sha256:0", errors=errors)


@pytest.mark.parametrize("category", [*CATEGORIES, "animals"])
def test_a_category_is_named_before_its_code(category):
    assert in_words(category) == (f"{CATEGORIES[category]} ({category})" if category in CATEGORIES else category)


@pytest.mark.parametrize("way", ["gRPC", "client", "HTTP", "command line"])
@pytest.mark.parametrize("stage", [Stage.PROMPT, Stage.INPUT, Stage.OUTPUT])
def test_a_stop_is_a_sentence(way, stage, capsys):
    """Before: gRPC said ``SAFETY_BLOCKED`` and "vcr", the clients and the command line "vcr (violent crimes)"."""
    stopped = Stopped("id", verdict("vcr", "hte", stage=stage), 7)
    said = {
        "gRPC": lambda: blocked_to_pb(stopped).message,
        "client": lambda: str(Blocked(blocked_to_pb(stopped))),
        "HTTP": lambda: stopped_error(stopped, "content_filter", "prompt")[1]["error"]["message"],
        "command line": lambda: shown(capsys, report_blocked, SafetyBlocked("no", stopped.verdict), False),
    }[way]()
    assert "found to fall under: violent crimes (vcr); hate (hte)" in said
    where = {Stage.PROMPT: "the request", Stage.INPUT: "a file in the request", Stage.OUTPUT: "the output"}[stage]
    assert f": {where} was found" in said
    assert not re.search(r"SAFETY_|Action|Stage", said)


@pytest.mark.parametrize("way", ["gRPC", "client", "HTTP", "command line"])
def test_a_hold_is_a_sentence(way, capsys):
    held = Held("id", 1, "0123456789abcdef", ("sxc",), 7, -1)
    said = {
        "gRPC": lambda: held_to_pb(held).message,
        "client": lambda: str(HeldForReview(held_to_pb(held))),
        "HTTP": lambda: held_object(held)["message"],
        "command line": lambda: shown(capsys, report_held, held.review_id, held.categories, "id", "1", False),
    }[way]()
    assert "a person must see the output" in said and "sexual content (sxc)" in said


def test_a_check_that_could_not_be_made_is_said_without_internal_names(capsys):
    """Before: over gRPC the reason SAFETY_UNAVAILABLE and no word; the command line named the classifier alone."""
    failed = verdict(errors=("image_nudity: timed out",))
    stopped = Stopped("id", failed, 7)
    assert blocked_to_pb(stopped).message == stopped_sentence(failed) == str(Blocked(blocked_to_pb(stopped)))
    assert "could not be made" in stopped_sentence(failed) and "image_nudity" not in stopped_sentence(failed)
    lines = shown(capsys, report_blocked, SafetyBlocked("no", failed), False)
    assert "could not be made" in lines and "not examined: image_nudity" in lines


def test_servers_without_sentences_are_understood():
    assert "violent crimes (vcr)" in str(Blocked(generation_pb2.Blocked(reason="SAFETY_BLOCKED", categories=["vcr"])))
    assert named(["vcr", "animals"]) == "violent crimes (vcr); animals"


def shown(capsys, report, *arguments) -> str:
    report(*arguments)
    return capsys.readouterr().err
