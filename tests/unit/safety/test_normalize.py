"""Normalisation and further readings: disguises are undone, plain text is left alone, offsets lead back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gensafe.core.types import Span
from gensafe.safety.normalize import normalize, script_of
from gensafe.safety.variants import readings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Plain  Text", "plain text"),
        ("sooooooo good", "sooo good"),
        ("p\u0430yp\u0430l", "paypal"),
        ("москва", "москва"),
        ("Москва и paypal", "москва и paypal"),
        ("n\u200bo\u200bn\u200be", "none"),
        ("ＦＵＬＬ ｗｉｄｔｈ", "full width"),
        ("ᴀᴛᴛᴀᴄᴋ", "attack"),
        ("naïve café", "naive cafe"),
        ("z̷̢̛a̸l̵g̶o̷", "zalgo"),
        ("한국어 日本語 ガ", "한국어 日本語 ガ"),
        ("ﬁne ½", "fine 1⁄2"),
        ("𝖇𝖔𝖑𝖉", "bold"),
    ],
)
def test_disguises_are_undone(text: str, expected: str):
    assert normalize(text).text == expected


def test_spans_lead_back_to_the_source():
    source = "oh \u200bk\u200bi\u200bll it"
    found = normalize(source)
    start = found.text.index("kill")
    span = found.span(start, start + 4)
    assert source[span.start : span.end].replace("\u200b", "") == "kill"
    assert normalize("").span(0, 0) == Span(0, 0)


@given(st.text(max_size=80))
def test_normalising_twice_changes_nothing_more_and_offsets_are_ordered(text: str):
    once = normalize(text)
    assert len(once.text) == len(once.origin)
    assert list(once.origin) == sorted(once.origin)
    assert all(0 <= i < len(text) for i in once.origin)
    for reading in readings(text):
        assert len(reading.text) == len(reading.origin)
        span = reading.span(0, len(reading.text))
        assert 0 <= span.start <= span.end <= len(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("k1ll th3m", "kill them"),
        ("you b!tch", "you bitch"),
        ("go k i l l them", "go kill them"),
        ("f.u.c.k.e.r", "fucker"),
    ],
)
def test_swapped_and_spread_letters_get_a_reading(text: str, expected: str):
    assert expected in [r.text for r in readings(text)]


@pytest.mark.parametrize(
    "text", ["the 1st of 3rd", "10am 5kg mp3", "wow!!", "print the a4 page", "I am a b student", "windows11", "hello"]
)
def test_plain_text_has_one_reading(text: str):
    assert len(readings(text)) == 1


def test_scripts():
    assert [script_of(c) for c in "aжα好か한1!"] == ["latin", "cyrillic", "greek", "han", "kana", "hangul", "", ""]
