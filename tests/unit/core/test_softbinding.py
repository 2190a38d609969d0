"""The name and value of a mark are one fact: written by the pipeline, read by the verifier and the resolution API."""

from __future__ import annotations

import base64

import pytest

from gensafe.core.softbinding import algorithm_of, is_ours, known, payload_of, value_of

PAYLOAD = bytes(range(1, 8))


def test_one_spelling_is_written_and_both_are_read():
    assert algorithm_of("gensafe-image-1") == "org.gensafe.image-1"
    names = ("org.gensafe.image-1", "org.gensafe.audio-1")
    for asked in ("org.gensafe.image-1", "org.gensafe.gensafe-image-1"):  # the second was listed, never written
        assert known(asked, names) == "org.gensafe.image-1"
    for asked in ("org.gensafe.video-1", "com.adobe.trustmark.P", "image-1", ""):
        assert known(asked, names) is None
    assert is_ours(names[0]) and not is_ours("com.adobe.trustmark.P")


@pytest.mark.parametrize("value", [value_of(PAYLOAD), PAYLOAD.hex().upper(), base64.b64encode(PAYLOAD).decode()])
def test_values_in_both_forms_are_the_same_payload(value):
    assert payload_of(value) == PAYLOAD


@pytest.mark.parametrize("value", ["", "zz", "0102030405060g", "A===", "\u0661" * 14])
def test_other_values_are_refused_or_of_another_length(value):
    found = payload_of(value)
    assert found is None or len(found) != 7
