"""The policy: what a file means, what a tenant cannot do, and that a broken file is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gensafe.core.errors import ConfigError
from gensafe.core.types import Action, Finding, Modality, Stage, Text
from gensafe.safety.policy import DEFAULT_POLICY, item_digest, load_policy, parse_policy

BASE = """
id = "t"
version = "3"
[default]
review = 0.5
block = 0.8
"""


def finding(category: str, score: float) -> Finding:
    return Finding(category, score, "test")


def actions(policy, *findings, modality=Modality.TEXT, stage=Stage.OUTPUT, **kw):
    return [d.action for d in policy.decide(findings, modality, stage, **kw)]


def test_thresholds_lead_to_actions_strictest_first():
    policy = parse_policy(BASE)
    decisions = policy.decide([finding("tox", 0.1), finding("hte", 0.6), finding("vcr", 0.95)], Modality.TEXT)
    assert [(d.finding.category, d.action, d.severity, d.threshold) for d in decisions] == [
        ("vcr", Action.BLOCK, 6, 0.8),
        ("hte", Action.REVIEW, 2, 0.5),
        ("tox", Action.ALLOW, 0, 0.5),
    ]


def test_modality_stage_and_stream_tables_override_in_that_order():
    policy = parse_policy(
        BASE
        + """
[categories.sxc]
block = 0.7
[categories.sxc.image]
block = 0.6
[categories.sxc.prompt]
block_action = "annotate"
[categories.sxc.stream]
block = 0.9
"""
    )
    assert actions(policy, finding("sxc", 0.65)) == [Action.REVIEW]
    assert actions(policy, finding("sxc", 0.65), modality=Modality.IMAGE) == [Action.BLOCK]
    assert actions(policy, finding("sxc", 0.75), stage=Stage.PROMPT) == [Action.ANNOTATE]
    assert actions(policy, finding("sxc", 0.75), streaming=True) == [Action.REVIEW]


def test_redaction_needs_a_place_and_can_be_limited_to_outputs():
    policy = parse_policy(
        BASE + '[categories.pii]\nblock_action = "annotate"\n[categories.pii.text_output]\nblock_action = "redact"\n'
    )
    assert actions(policy, finding("pii", 1.0)) == [Action.REDACT]
    assert actions(policy, finding("pii", 1.0), stage=Stage.PROMPT) == [Action.ANNOTATE]
    assert actions(policy, finding("pii", 1.0), modality=Modality.IMAGE) == [Action.ANNOTATE]
    painted = parse_policy(BASE + '[categories.pii]\nblock_action = "redact"\n')
    assert actions(painted, finding("pii", 1.0), modality=Modality.IMAGE) == [Action.REVIEW]


def test_a_tenant_can_be_stricter_but_never_milder_than_a_floor():
    policy = parse_policy(
        BASE
        + """
[floors.cse]
block = 0.4
block_action = "block"
[tenants.lax]
mode = "monitor"
[tenants.lax.categories.cse]
review = 1.0
block = 1.0
block_action = "allow"
[tenants.lax.categories.tox]
block_action = "annotate"
[tenants.strict.categories.cse]
review = 0.1
block = 0.2
"""
    )
    lax, strict = policy.for_tenant("lax"), policy.for_tenant("strict")
    assert actions(lax, finding("cse", 0.45)) == [Action.BLOCK]
    assert actions(lax, finding("tox", 0.9)) == [Action.ANNOTATE]
    assert actions(strict, finding("cse", 0.25)) == [Action.BLOCK]
    assert lax.monitor and not strict.monitor
    assert policy.for_tenant("unknown") is policy
    assert len({policy.digest, lax.digest, strict.digest}) == 3


def test_allow_list_opens_all_but_floors():
    text = Text("our own slogan")
    policy = parse_policy(BASE + f'[floors.cse]\nblock = 0.5\n[allow]\nsha256 = ["{item_digest(text)[7:]}"]\n')
    assert policy.allows(text) and not policy.allows(Text("our own slogan!"))
    assert actions(policy, finding("tox", 1.0), finding("cse", 1.0), allow_listed=True) == [Action.BLOCK, Action.ALLOW]


def test_the_digest_names_the_meaning_not_the_spelling():
    assert parse_policy(BASE).digest == parse_policy(BASE.replace("0.5", "0.50") + "\n# a comment").digest
    assert parse_policy(BASE).digest != parse_policy(BASE.replace("0.8", "0.81")).digest


def test_the_shipped_policy_is_readable_and_closed():
    policy = load_policy()
    assert not policy.monitor and not policy.open_on_error
    assert set(policy.classifiers) == set(Modality)
    assert {"cse", "iwp", "lst"} <= set(policy.floors)
    assert load_policy(DEFAULT_POLICY).digest == policy.digest


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("nonsense", "policy"),
        ("surprise = 1", "policy"),
        ('mode = "off"', "mode"),
        ('on_error = "open"', "on_error"),
        ("[categories.nope]\nblock = 0.5", "categories.nope"),
        ("[categories.tox]\nblock = 2.0", "categories.tox.block"),
        ("[categories.tox]\nblock = true", "categories.tox.block"),
        ('[categories.tox]\nblock_action = "shrug"', "categories.tox.block_action"),
        ("[categories.tox]\nreview = 0.9\nblock = 0.2", "categories.tox"),
        ("[floors.tox.image]\nblock = 0.5", "floors.tox.image"),
        ("[tenants.x]\nfloors = 1", "tenants.x"),
        ('[classifiers]\nsmell = ["a"]', "classifiers.smell"),
        ('[classifiers]\ntext = "a"', "classifiers.text"),
        ("[stream]\nwindow_words = 20\nhold_back_words = 19", "stream.hold_back_words"),
        ("[allow]\nsha256 = ['zz']", "allow.sha256"),
        ("timeout_s = 0", "timeout_s"),
        ('[custom.tox]\nkeywords = ["a"]', "custom.tox"),
        ("[custom.mine]\nkeywords = []", "custom.mine"),
        ('[custom.mine]\npatterns = ["(a+)+b"]', "custom.mine.patterns"),
        ('[custom.mine]\npatterns = ["(x"]', "custom.mine.patterns"),
    ],
)
def test_a_broken_policy_is_refused_by_name(text: str, field: str):
    with pytest.raises(ConfigError) as caught:
        parse_policy(text)
    assert caught.value.field == field


def test_a_missing_file_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError):
        load_policy(tmp_path / "none.toml")


@given(st.text(max_size=200))
def test_any_text_parses_or_is_refused(text: str):
    try:
        parse_policy(text)
    except ConfigError:
        pass


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(["cse", "iwp", "lst"]), st.sampled_from(list(Stage)))
def test_no_tenant_table_lowers_a_floor(score: float, block: float, category: str, stage: Stage):
    """Whatever a tenant writes, the floor's action is reached at the floor's score."""
    source = DEFAULT_POLICY.read_text() + (
        f'\n[tenants.t.categories.{category}]\nreview = {min(block, 1.0):.3f}\nblock = 1.0\nblock_action = "allow"\n'
        f'review_action = "allow"\n[tenants.t.categories.{category}.{stage.value}]\nblock_action = "allow"\n'
    )
    policy = parse_policy(source)
    floor = policy.floors[category]["block"]
    decision = policy.for_tenant("t").decide([finding(category, score)], Modality.TEXT, stage)[0]
    assert (decision.action is Action.BLOCK) == (score >= floor)
