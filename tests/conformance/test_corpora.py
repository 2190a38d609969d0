"""Every public C2PA test file reads as recorded in corpus_outcomes.json (see record_outcomes.py)."""

import importlib.util
import json
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("record_outcomes", Path(__file__).parent / "record_outcomes.py")
record_outcomes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(record_outcomes)

EXPECTED = json.loads(record_outcomes.TABLE.read_text("utf-8"))


@pytest.mark.shared
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_outcome(name):
    found = record_outcomes.outcome(record_outcomes.SHARED / name, record_outcomes.trust())
    assert found == EXPECTED[name]


@pytest.mark.shared
def test_the_table_covers_the_corpora():
    assert {name for name, _ in record_outcomes.corpus()} == set(EXPECTED)


def test_tampered_files_are_never_trusted():
    """The corpora mark tampering in their names: E-xxx = error injected, X = pixels changed after signing."""
    tampered = {n: row for n, row in EXPECTED.items() if "-E-" in n or "/E-" in n or "XCA" in n or "XCI" in n}
    assert len(tampered) >= 10
    assert {row[0] for row in tampered.values()} == {"invalid"}


def test_bad_ingredients_show_below_a_good_signature():
    for name in ("public-testfiles/image/jpeg/adobe-20220124-CIE-sig-CA.jpg", "c2pa-rs/CIE-sig-CA.jpg"):
        state, failures, ingredients = EXPECTED[name]
        assert (state, failures, ingredients) == ("trusted", [], ["invalid"])


def test_nothing_is_fetched():
    assert EXPECTED["c2pa-rs/cloud.jpg"][0] == "remote"
