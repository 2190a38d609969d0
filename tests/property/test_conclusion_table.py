"""The table of conclusions: complete, documented, and with the properties that users rely on."""

from dataclasses import fields, replace
from itertools import product
from pathlib import Path

import pytest

from gensafe.core.types import Conclusion
from gensafe.verify.conclusion import (
    EXIT_CODES,
    RULES,
    Binding,
    Claims,
    Container,
    Facts,
    Layers,
    Likeness,
    LogFact,
    ManifestFact,
    MarkFact,
    RecordFact,
    Recovered,
    conclude,
    worst_exit,
)

AXES = (Container, ManifestFact, MarkFact, Claims, Binding, RecordFact, Likeness, Recovered, LogFact, Layers)


@pytest.fixture(scope="module")
def everything():
    return [(facts, conclude(facts)) for facts in (Facts(*values) for values in product(*AXES))]


def test_axes_are_the_fields():
    assert len(AXES) == len(fields(Facts))


def test_every_combination_has_one_conclusion_and_every_rule_is_reached(everything):
    assert len(everything) == 92_160
    assert {rule for _, rule in everything} == set(RULES)
    assert {rule.conclusion for _, rule in everything} == set(Conclusion)
    assert set(EXIT_CODES) == set(Conclusion)


PROOFS = (Conclusion.PROVED, Conclusion.PROVED_BY_RECOVERY)


def contradicted(facts):
    """Whether any two layers say different things. Likeness below "agrees" is against whatever names the record."""
    marked = facts.mark in (MarkFact.PRESENT, MarkFact.RECORD)
    return (
        facts.log is LogFact.FAIL
        or (facts.intact and marked and facts.claims is Claims.CONFLICT)
        or (facts.intact and facts.binding is Binding.MISSING)
        or facts.manifest is ManifestFact.BROKEN
        or (facts.record is RecordFact.FOUND and facts.likeness in (Likeness.PARTLY, Likeness.DIFFERS))
    )


def test_a_proof_is_exact_examined_and_not_contradicted(everything):
    """Likeness is never proof, and what could not be looked at is never proof: both were, up to this table."""
    seen = set()
    for facts, rule in everything:
        if EXIT_CODES[rule.conclusion] != 0:
            continue
        seen.add(rule.conclusion)
        assert rule.conclusion in PROOFS
        assert facts.container is Container.OK, facts
        assert facts.mark is not MarkFact.UNSEARCHED, facts
        assert facts.layers is Layers.READ, facts
        assert not contradicted(facts), facts
        recovered = facts.manifest is ManifestFact.NONE and facts.record is RecordFact.FOUND
        exact = recovered and facts.recovered is Recovered.EXACT
        assert exact if rule.conclusion is Conclusion.PROVED_BY_RECOVERY else facts.manifest is ManifestFact.TRUSTED
    assert seen == set(PROOFS)


def test_derived_is_a_mark_that_leads_to_like_content_and_nothing_more(everything):
    for facts, rule in everything:
        if rule.conclusion is Conclusion.DERIVED:
            assert facts.mark in (MarkFact.PRESENT, MarkFact.RECORD)
            assert facts.record is RecordFact.FOUND and facts.likeness is Likeness.AGREES
            assert facts.manifest is ManifestFact.NONE and facts.log is not LogFact.FAIL


def test_what_could_not_be_examined_is_said_and_never_below_it(everything):
    """With something unexamined the exit code is 1 (a contradiction was found all the same), 3, or 5 for a mark."""
    for facts, rule in everything:
        unexamined = (
            facts.container is not Container.OK or facts.mark is MarkFact.UNSEARCHED or facts.layers is Layers.UNREAD
        )
        if unexamined:
            assert EXIT_CODES[rule.conclusion] in (1, 3, 5), (facts, rule.conclusion)


def test_no_key_for_a_mark_takes_no_proof_away(everything):
    for facts, rule in everything:
        if facts.mark is MarkFact.NO_KEY and rule.conclusion is not Conclusion.LAYERS_DISAGREE:
            assert conclude(replace(facts, mark=MarkFact.NONE)).conclusion is rule.conclusion


def test_without_any_evidence_nothing_is_claimed(everything):
    for facts, rule in everything:
        unmarked = facts.mark not in (MarkFact.PRESENT, MarkFact.RECORD)
        if facts.manifest is ManifestFact.NONE and unmarked and facts.log is not LogFact.FAIL:
            allowed = {Conclusion.NOTHING_FOUND, Conclusion.UNREADABLE, Conclusion.UNEXAMINED}
            if facts.record is RecordFact.FOUND and facts.recovered in (Recovered.EXACT, Recovered.BAD):
                allowed |= {Conclusion.PROVED_BY_RECOVERY, Conclusion.LAYERS_DISAGREE}
            assert rule.conclusion in allowed, facts


def test_a_cut_off_file_is_unreadable_unless_it_is_what_was_signed(everything):
    for facts, rule in everything:
        if facts.container is Container.TRUNCATED:
            assert rule.conclusion is Conclusion.UNREADABLE or facts.intact
            assert rule.conclusion not in PROOFS


def test_the_document_prints_the_rules():
    document = (Path(__file__).parents[2] / "docs" / "verification.md").read_text("utf-8")
    for number, rule in enumerate(RULES, 1):
        row = f"| {number} | {rule.when} | {rule.conclusion.value} | {EXIT_CODES[rule.conclusion]} |"
        assert row in document, row


def test_exit_of_several_files():
    assert worst_exit([]) == 0
    for codes, worst in (
        ([0, 0], 0),
        ([0, 2], 2),
        ([2, 4], 4),
        ([4, 5, 0], 5),
        ([5, 3, 4], 3),
        ([3, 69, 5], 69),
        ([69, 70], 70),
        ([70, 69, 3, 1], 1),
    ):
        assert worst_exit(codes) == worst
        assert worst_exit(reversed(codes)) == worst
