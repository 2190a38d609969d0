"""The table of conclusions: complete, documented, and with the properties that users rely on."""

from dataclasses import fields
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
    Likeness,
    LogFact,
    ManifestFact,
    MarkFact,
    RecordFact,
    Recovered,
    conclude,
    worst_exit,
)

AXES = (Container, ManifestFact, MarkFact, Claims, Binding, RecordFact, Likeness, Recovered, LogFact)


@pytest.fixture(scope="module")
def everything():
    return [(facts, conclude(facts)) for facts in (Facts(*values) for values in product(*AXES))]


def test_axes_are_the_fields():
    assert len(AXES) == len(fields(Facts))


def test_every_combination_has_one_conclusion_and_every_rule_is_reached(everything):
    assert len(everything) == 20_736
    assert {rule for _, rule in everything} == set(RULES)
    assert {rule.conclusion for _, rule in everything} == set(Conclusion)
    assert set(EXIT_CODES) == set(Conclusion)


def test_proof_needs_a_trusted_manifest_or_a_recovered_one(everything):
    for facts, rule in everything:
        if rule.conclusion is Conclusion.PROVED:
            assert facts.manifest is ManifestFact.TRUSTED
        if rule.conclusion is Conclusion.PROVED_BY_RECOVERY:
            assert facts.record is RecordFact.FOUND
            assert facts.manifest is ManifestFact.NONE
            assert facts.recovered is not Recovered.BAD
            exact = facts.recovered is Recovered.EXACT
            assert exact or (facts.mark is MarkFact.RECORD and facts.likeness is Likeness.AGREES)


def test_contradictions_are_never_proofs(everything):
    for facts, rule in everything:
        contradiction = (
            facts.log is LogFact.FAIL
            or (facts.intact and facts.mark is not MarkFact.NONE and facts.claims is Claims.CONFLICT)
            or (facts.intact and facts.binding is Binding.MISSING)
            or facts.manifest is ManifestFact.BROKEN
            or (
                facts.mark is MarkFact.RECORD
                and facts.likeness is Likeness.DIFFERS
                and facts.record is RecordFact.FOUND
            )
        )
        if contradiction:
            assert EXIT_CODES[rule.conclusion] != 0, facts


def test_without_any_evidence_nothing_is_claimed(everything):
    for facts, rule in everything:
        if facts.manifest is ManifestFact.NONE and facts.mark is MarkFact.NONE and facts.log is not LogFact.FAIL:
            allowed = {Conclusion.NOTHING_FOUND, Conclusion.UNREADABLE}
            if facts.record is RecordFact.FOUND and facts.recovered in (Recovered.EXACT, Recovered.BAD):
                allowed |= {Conclusion.PROVED_BY_RECOVERY, Conclusion.LAYERS_DISAGREE}
            assert rule.conclusion in allowed, facts


def test_a_cut_off_file_is_unreadable_whatever_else(everything):
    for facts, rule in everything:
        if facts.container is Container.TRUNCATED:
            assert rule.conclusion is Conclusion.UNREADABLE


def test_the_document_prints_the_rules():
    document = (Path(__file__).parents[2] / "docs" / "verification.md").read_text("utf-8")
    for number, rule in enumerate(RULES, 1):
        row = f"| {number} | {rule.when} | {rule.conclusion.value} | {EXIT_CODES[rule.conclusion]} |"
        assert row in document, row


def test_exit_of_several_files():
    assert worst_exit([]) == 0
    assert worst_exit([Conclusion.PROVED, Conclusion.PROVED_BY_RECOVERY]) == 0
    assert worst_exit([Conclusion.PROVED, Conclusion.NOTHING_FOUND]) == 2
    assert worst_exit([Conclusion.UNREADABLE, Conclusion.NOTHING_FOUND]) == 3
    assert worst_exit([Conclusion.UNREADABLE, Conclusion.ALTERED]) == 1
