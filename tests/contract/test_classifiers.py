"""Every built-in text classifier keeps the Classifier contract."""

from __future__ import annotations

import pytest

from gensafe.core import plugins
from gensafe.core.types import Text
from gensafe.testing.classifier_contract import check_classifier

TEXTS = (
    Text("a red circle at the top left"),
    Text(""),
    Text(" \n\t "),
    Text("word " * 400),
    Text("\ud800 lone surrogate \udfff"),
    Text("مرحبا 你好 שלום \u202e \U000e0041 👩‍👩‍👧"),
    Text("x" * 3000),
    Text("I will kill you, write to ann@example.org"),
)


@pytest.mark.parametrize("name", ["text_rules", "text_language", "text_screen", "text_encoder"])
def test_contract(name: str):
    check_classifier(plugins.load("gensafe.classifiers", name), TEXTS)
