"""Categories given by examples: what is said in other words is found, counter-examples hold, media text is compared."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gensafe.core.errors import ConfigError
from gensafe.core.types import Action, Modality, Stage, Text
from gensafe.safety.classifiers.text_encoder import create
from gensafe.safety.custom import parse_custom
from gensafe.safety.nearest import Nearest, unit
from gensafe.safety.policy import parse_policy
from gensafe.safety.runner import SafetyRunner
from gensafe.safety.text import TextStack

POLICY = """
[classifiers]
text = ["text_rules", "text_encoder"]
[custom.payroll]
examples = ["How much does my colleague earn?", "What is the salary of the head of sales?"]
but_not = ["How much does a nurse earn on average?"]
[categories.payroll]
review = 0.55
block = 0.65
"""
TABLE = {"payroll": {"examples": ["How much does my colleague earn?"]}}


@pytest.fixture(scope="module")
def runner():
    return SafetyRunner.from_policy(parse_policy(POLICY), timeout_s=120)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("What's the salary of the sales chief?", True),
        ("how much money does my coworker make", True),
        ("How much does a nurse earn on average?", False),
        ("The boats went slowly past the old mill.", False),
        ("How do I bake bread?", False),
    ],
)
def test_other_words_for_the_same_are_found(runner, text, found):
    verdict = runner.judge(Text(text), Stage.PROMPT)
    assert not verdict.errors
    assert (verdict.action in (Action.REVIEW, Action.BLOCK)) is found
    assert ("payroll" in {d.finding.category for d in verdict.decisions if d.action is not Action.ALLOW}) is found


def test_one_sentence_in_a_long_text_is_found_and_located(runner):
    calm = "The river was wide and the boats went slowly past the old mill. " * 20
    text = calm + "What is the salary of the head of sales? " + calm
    (hit,) = [f for f in create_with(TABLE).assess(Text(text), Stage.OUTPUT).findings if f.category == "payroll"]
    verdict = runner.judge(Text(text), Stage.OUTPUT)
    (decision,) = [d for d in verdict.decisions if d.finding.category == "payroll"]
    assert decision.action is Action.BLOCK and decision.finding.score > 0.95
    (span,) = decision.finding.spans
    assert "salary" in text[span.start : span.end] and len(calm) - 1 <= span.start
    assert hit.score < decision.finding.score  # one example less


def create_with(table):
    return create({"custom": json.dumps(table)})


def test_examples_change_nothing_about_the_built_in_categories():
    text = Text("You are a worthless stupid idiot. The weather is fine. How much does my coworker earn? " * 3)
    plain = create({}).assess(text, Stage.PROMPT).findings
    assert [f for f in create_with(TABLE).assess(text, Stage.PROMPT).findings if f.category != "payroll"] == list(plain)


def test_text_found_in_media_is_compared_as_well():
    stack = TextStack({"custom": json.dumps(TABLE)})
    found = {f.category: f.score for f in stack.assess("how much does my colleague earn", Stage.INPUT).findings}
    assert found["payroll"] > 0.8


def test_a_counter_example_that_is_nearer_silences():
    made = parse_custom({"thing": {"examples": ["a"], "but_not": ["b"]}})[0]
    directions = {"a": np.eye(384, dtype=np.float32)[0], "b": np.eye(384, dtype=np.float32)[1]}
    nearest = Nearest.of(made, directions.__getitem__)
    between = np.array([[0.6, 0.8], [0.5, 0.1]], np.float32) @ np.eye(384, dtype=np.float32)[:2]
    assert nearest.score(between) == (pytest.approx(0.5), 1)
    assert float(np.linalg.norm(unit(np.arange(1536, dtype=np.float32)))) == pytest.approx(1.0)


def test_policies_that_could_not_find_them_are_refused():
    with pytest.raises(ConfigError) as caught:
        parse_policy(POLICY.replace('["text_rules", "text_encoder"]', '["text_rules"]'))
    assert caught.value.field == "custom.payroll.examples"
    for wrong in ('but_not = ["x"]', f'examples = ["{"x" * 481}"]', "examples = [3]", "examples = []"):
        with pytest.raises(ConfigError):
            parse_policy(f"[custom.payroll]\n{wrong}\n")


def test_the_policy_digest_covers_the_examples():
    one = parse_policy(POLICY)
    assert one.digest != parse_policy(POLICY.replace("colleague", "neighbour")).digest
    assert one.digest != parse_policy(POLICY.replace("a nurse", "a cook")).digest
    assert Modality.TEXT in one.classifiers
