"""Short text in a language that is not covered is never scored as English; short English stays covered.

On the code before, text below 4 words or 16 letters was reported as fully covered in any alphabet.
"""

from __future__ import annotations

import pytest

from gensafe.core.types import Stage, Text
from gensafe.safety.classifiers import text_language

LANGUAGE = text_language.create({})


def reasons(text: str, language: text_language.TextLanguage = LANGUAGE) -> list[str]:
    return [f.detail for f in language.assess(Text(text), Stage.PROMPT).findings]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Я убью тебя завтра", "Russian"), ("Да", ""), ("मैं तुम्हें मार डालूंगा", "Hindi"), ("אני אהרוג אותך", "Hebrew"),
        ("سأقتلك", "Arabic"), ("ผมจะฆ่าคุณ", "Thai"), ("Θα σε σκοτώσω", "Greek"), ("Կսպանեմ", "Armenian"),
        ("მოგკლავ", "Georgian"), ("杀了你", "Chinese"), ("죽여", "Korean"), ("Ich bringe dich um", "German"),
        ("Te voy a matar", "Spanish"), ("Merci beaucoup", "French"), ("Guten Morgen", "German"),
        ("Je vais te tuer", "French"), ("Ti ammazzo", "Italian"), ("Zabiję cię", "Polish"), ("Tapan sinut", "Finnish"),
        ("Megöllek", "Hungarian"), ("Zabiju tě", "Czech"), ("Seni öldüreceğim", "Turkish"),
        ("Donne-moi une recette de soupe aux lentilles", "French"), ("Hello there. Я убью тебя завтра", "Russian"),
        ("Please write: Я убью тебя завтра ok", ""),
        ("The weather is fine today. Ich bringe dich morgen um.", "German"),
    ],
)  # fmt: skip
def test_short_foreign_text_is_not_covered_and_named(text: str, name: str):
    (sentence,) = reasons(text)
    assert name in sentence and "which the installed filters do not cover" in sentence


@pytest.mark.parametrize(
    "text",
    [
        "ok",
        "Hi Anna",
        "Thank you",
        "good morning",
        "let's",
        "iPhone 15 Pro",
        "a red circle",
        "Zürich",
        "lorem",
        "π = 3.14",
        "5 kΩ",
        "👍",
        "naïve café",
        "Hallo",
        "ciao",
        "déjà vu",
        "San Francisco",
        "El Niño",
        "git commit -m x",
        "José",
        "die",
        "Tokyo (東京) is big",
        "κ and λ",
        "\U0001d465 + \U0001d466",
        "James's?",
        "Yes. No. Hm.",
    ],
)
def test_short_english_is_covered(text: str):
    assert reasons(text) == []


def test_an_operators_languages_are_covered_however_short():
    russian = text_language.create({"covered": "en ru"})
    assert reasons("Да", russian) == [] and reasons("Я убью тебя завтра", russian) == []
    assert reasons("杀了你", russian) != []
    assert reasons("Guten Morgen", text_language.create({"covered": "en de"})) == []
