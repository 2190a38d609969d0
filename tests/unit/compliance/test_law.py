"""The law as data: every duty has a day, a source and a measure; what is not understood is refused by name."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from pathlib import Path

import pytest

from gensafe.cli import main
from gensafe.compliance import law
from gensafe.compliance.duty import Standing, Status
from gensafe.compliance.evidence import LABEL_FIELDS, Evidence, Share
from gensafe.compliance.measures import MEASURES
from gensafe.core.errors import ConfigError

FOLDER = Path(law.__file__).parent
DUTIES = {duty.key: duty for regime in law.regimes().values() for duty in regime.duties}


def test_the_ban_of_december_2026_begins_on_its_day():
    ban = DUTIES["eu-5-1-ba"]
    assert ban.standing(date(2026, 12, 1)) is Standing.NOT_YET
    assert ban.standing(date(2026, 12, 2)) is Standing.IN_FORCE
    assert DUTIES["ny-provenance"].standing(date(2030, 1, 1)) is Standing.UNKNOWN  # a bill: no day is confirmed


def test_every_duty_of_a_law_names_its_source_or_says_what_is_not_confirmed():
    for duty in DUTIES.values():
        assert duty.read or duty.unconfirmed, duty.key
        assert duty.start or duty.unconfirmed, duty.key
        assert duty.beyond and duty.basis and duty.carried_by, duty.key


def test_every_measure_is_used_by_a_duty():
    used = {d["measure"] for p in FOLDER.glob("*.toml") for d in tomllib.loads(p.read_text("utf-8")).get("duty", [])}
    assert used == MEASURES


def test_without_evidence_no_duty_is_met():
    nothing = Evidence(label_fields={name: Share() for name in LABEL_FIELDS})
    for duty in DUTIES.values():
        assert duty.found(nothing).status in (Status.NO_EVIDENCE, Status.OUTSIDE), duty.key


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"measure": "hope"}, "no measure 'hope'"),
        ({"from": "2026-12-02"}, "from is unknown or of the wrong kind"),
        ({"basis": None}, "basis is missing"),
        ({"wording": "x"}, "wording is unknown"),
        ({"measure": "filters", "categories": ["xyz"]}, "not in core.hazards"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_duty(change: dict[str, object], named: str):
    document = tomllib.loads((FOLDER / "vietnam.toml").read_text("utf-8"))
    document["duty"][1] |= change
    with pytest.raises(ConfigError, match=named) as refused:
        law._regime("vietnam.toml", document)
    assert refused.value.field == "vietnam.toml: vn-watermark"


def test_changes_are_those_after_the_first_day_up_to_the_last():
    assert {c.duty.key for c in law.changes(date(2026, 12, 1), date(2026, 12, 2))} == {"eu-5-1-ba"}
    assert law.changes(date(2026, 12, 2), date(2026, 12, 2)) == []
    assert all(c.begins for c in law.changes(date(2000, 1, 1), date(2030, 1, 1)))


def test_obligations_on_the_command_line(capsys: pytest.CaptureFixture[str]):
    assert main(["obligations", "list", "--as-of", "2026-12-01", "--regime", "eu-ai-act"]) == 0
    shown = capsys.readouterr().out
    assert "not yet in force: Reasonable and adequate measures" in shown
    assert main(["obligations", "diff", "2026-11-30", "2027-02-02"]) == 0
    shown = capsys.readouterr().out
    assert "2026-12-02 begins: Reasonable and adequate measures" in shown
    assert "Washington: HB 1170" in shown  # the regime in words
    assert main(["obligations", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {row["key"] for row in listed["duties"]} == set(DUTIES)
    assert {row["key"] for row in listed["watched"]} >= {"es-labels", "dk-likeness"}
    assert main(["obligations", "list", "--regime", "moon"]) == 64
    assert main(["obligations", "list", "--as-of", "tomorrow"]) == 64
    assert main(["obligations", "diff", "2027-01-01", "2026-01-01"]) == 64
