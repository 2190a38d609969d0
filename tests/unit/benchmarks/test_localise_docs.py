"""The figures of docs/verification.md on where a mark is weaker are those of the committed result."""

import json

from benchmarks import localise
from benchmarks.common.places import ROOT


def test_the_documented_figures_are_the_measured_ones():
    result = json.loads(localise.RESULT.read_text("utf-8"))
    assert len(result["photographs"]) == len(localise.HELD_OUT)
    assert localise.table(result) in (ROOT / "docs" / "verification.md").read_text("utf-8")
