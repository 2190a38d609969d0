"""The contract that every classifier keeps, on this one."""

import shouting

from gensafe.core.types import Stage, Text
from gensafe.testing.classifier_contract import check_classifier


def test_contract():
    items = [Text(""), Text("Hello there."), Text("STOP THAT RIGHT NOW please"), Text("x" * 5000)]
    check_classifier(shouting.create({}), items, custom=("shouting",))


def test_it_finds_shouting():
    (finding,) = shouting.create({}).assess(Text("please STOP now"), Stage.OUTPUT).findings
    assert finding.score == 1.0 and finding.spans[0].start == 7
