"""A short run of the fuzzers; the long ones are ``python -m tests.fuzz.bundles --count 20000 --seed N``."""

from __future__ import annotations

import pytest

from gensafe.audit import standalone
from tests.fuzz import bundles

GOOD, OTHER, KEYS = bundles.load()


@pytest.mark.parametrize("without_note", [False, True])
@pytest.mark.parametrize("with_key", [False, True])
def test_no_changed_bundle_crashes_hangs_or_holds(without_note: bool, with_key: bool):
    """The checker of before, seed 7 (``../shared/security/fuzz.py``): 117 of 2,000 "hold", 2 end in a traceback."""
    keys = KEYS if with_key else []
    outcome = bundles.run(150, 11, without_note=without_note, keys=keys, good=GOOD, other=OTHER)
    assert outcome.failures == {}
    assert sum(outcome.counts.values()) == 150


def test_the_fuzzer_sees_a_checker_that_believes_all(monkeypatch: pytest.MonkeyPatch):
    """It can fail: with signatures that are not looked at, changed bundles hold."""
    monkeypatch.setattr(standalone.Report, "status", property(lambda report: 0))
    outcome = bundles.run(20, 11, without_note=True, keys=KEYS, good=GOOD, other=OTHER)
    assert outcome.failures


def test_parsers_refuse_or_read_and_nothing_else():
    """Seen: RecursionError from a deep leaf, UnicodeEncodeError from a verifier key with a lone surrogate."""
    assert bundles.run_parsers(4000, 3, GOOD).failures == {}
