"""Every sentence for end users in every language, and the right one chosen."""

import gettext
import importlib.util
import string
import sys
from io import BytesIO
from pathlib import Path

import pytest

from gensafe.core import languages
from gensafe.core.languages import LANGUAGES, Sentence, chosen, words_of
from gensafe.core.stopped import held_sentence, stopped_sentence
from gensafe.core.types import Action, Decision, Finding, Modality, Stage, Verdict

ROOT = Path(__file__).resolve().parents[3]
OTHERS = [code for code in LANGUAGES if code != "en"]
# sentences that are the same word in another language too
SAME = {"OK", "difference", "manifest", "container", "Language", "error", "input", "Verify", "trusted", "hate"}


@pytest.fixture(scope="module")
def maker():
    pytest.importorskip("babel", reason="the catalogues are compiled by Babel (pip install gensafe[dev])")
    spec = importlib.util.spec_from_file_location("generate_catalogues", ROOT / "scripts" / "generate_catalogues.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names_in(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


@pytest.mark.parametrize("code", OTHERS)
def test_every_sentence_has_this_language_and_the_same_placeholders(maker, code):
    catalogue = gettext.translation(languages.DOMAIN, languages.CATALOGUES, [code])
    wanted = maker.sentences()
    assert len(wanted) > 200
    for sentence in wanted:
        said = catalogue.gettext(sentence)
        assert said.strip() == said and said, sentence
        assert names_in(said) == names_in(sentence), (sentence, said)
        assert said != sentence or sentence in SAME, sentence


@pytest.mark.parametrize("code", OTHERS)
def test_the_compiled_catalogue_is_that_of_the_source(maker, code):
    from babel.messages.mofile import write_mo

    compiled = BytesIO()
    write_mo(compiled, maker.catalogue(code, maker.sentences()))
    path = languages.CATALOGUES / code / "LC_MESSAGES" / "gensafe.mo"
    assert path.read_bytes() == compiled.getvalue(), "run scripts/generate_catalogues.py"


@pytest.mark.parametrize(
    ("header", "wanted", "code"),
    [
        ("", "", "en"),
        ("de-AT,de;q=0.9,en;q=0.8", "", "de"),
        ("en;q=0.3, ar;q=0.7", "", "ar"),
        ("nl, zh-Hans-CN;q=0.5", "", "zh"),
        ("fr;q=0, pl;q=0.1", "", "pl"),
        ("de", "ja", "ja"),
        ("de", "pt_BR", "pt"),
        ("de", "xx", "de"),
        ("*", "", "en"),
        ("fr;q=x,;;;=,q=1,it;q=2, ko;Q=0.2", "", "ko"),
        ("x" * 100_000 + ",de", "", "en"),
    ],
)
def test_the_reader_chooses(header, wanted, code):
    assert chosen(header, wanted).code == code


def test_values_from_a_file_are_not_read_as_templates():
    words = words_of("fr")
    hostile = "{0} {signer.__class__} {"
    assert hostile in words("signed by {signer} ({list})", signer=hostile, list="x")
    assert hostile in str(Sentence("Signed by {signer}.", {"signer": hostile}))


def verdict(stage, category):
    found = Decision(Finding(category, 0.9, "text_rules"), 0.5, 4, Action.BLOCK)
    return Verdict(stage, Modality.TEXT, Action.BLOCK, (found,), (), (), "strict", "sha256:0")


@pytest.mark.parametrize("code", OTHERS)
def test_a_refusal_is_said_in_the_language_with_its_code_in_brackets(code):
    said = {stopped_sentence(verdict(stage, "hte"), words_of(code)) for stage in Stage}
    assert len(said) == 3  # request, file, output
    assert all("(hte)" in one and "stopped" not in one and "hate" not in one for one in said)


def test_a_category_of_the_operator_keeps_its_name():
    assert "our-own" in held_sentence(("our-own",), words_of("de"))
