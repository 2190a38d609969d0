"""What a person reads is in plain engineering English, with one word for one thing (docs/glossary.md).

Seen on the code before: 21 of these tests failed, with 79 phrases such as "got out of band", "withdraw a key for ever",
"register what shall be found" and "the four separate keys", and 57 pictures, sounds and films in the pages read first.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "RELEASE.md", "SECURITY.md")]
PAGES += sorted(p for p in (ROOT / "docs").rglob("*.md") if "gallery" not in p.parts)
SOURCES = sorted(p for p in (ROOT / "gensafe").rglob("*.py") if not p.name.endswith(("_pb2.py", "_pb2_grpc.py")))

DIALECT = {  # phrase -> what to say
    r"\bat hand\b": "available",
    r"\bfor ever\b": "permanently",
    r"\bout of band\b": "separately",
    r"\bgot out of\b": "obtained separately",
    r"\bstrays\b": "unexpected exceptions",
    r"\bshall be found\b": "something to look for",
    r"\b(?:nine|three) times of (?:ten|four)\b": "nine times out of ten",
    r"\bby one's own\b|\bof one's own\b": "your own",
    r"\b(?:does|do) not hold\b(?! (?:together|an? \w))": "is not valid",
    r"\bholds, signed\b": "valid, signed",
    r"\btells? how it went\b": "gives the outcome",
    r"\bno known media type\b": "unrecognised file type",
    r"\bthe library shrugs\b": "reports it as informational",
    r"\bfirst time no longer included\b": "exclusive",
    r"\bin digests of\b": "in summaries of",
    r"\bthe four (?:separate )?keys\b|\ball four keys\b": "the five keys",
    r"\bnothing waits\b": "no pending outputs",
    r"\bworld's own items\b": "the model's own test items",
    r"\bkeep an output in\b": "withhold",
}
ONE_WORD = {  # of what the command line and the HTTP front say, and the pages that are read first
    r"\b(?<!--)[Pp]ictures?\b(?!\.)": "image",
    r"\b[Ff]ilms?\b": "video",
    r"\b[Ss]ounds? (?:and|or|file|track)s?\b|\b(?:a|no|and|or) sounds?\b": "audio",
}
FIRST_READ = [
    ROOT / name for name in ("README.md", "CHANGELOG.md", "docs/cli.md", "docs/quickstart.md", "docs/http-api.md")
]


def found_in(text: str, words: dict[str, str]) -> list[str]:
    """Each forbidden phrase of a text, with its line and what to say; a phrase may run over a line's end."""
    flat = text.replace("\n", " ")
    return [
        f"line {text.count(chr(10), 0, match.start()) + 1}: {match.group()!r}: say {plain!r}"
        for phrase, plain in words.items()
        for match in re.finditer(phrase.replace(" ", r"\s+"), flat)
    ]


def strings(source: str) -> str:
    """Every string literal of a module, docstrings with them; what a person may be shown."""
    nodes = ast.walk(ast.parse(source))
    return "\n".join(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_pages_are_in_plain_words(page):
    assert found_in(page.read_text("utf-8"), DIALECT) == []


def test_help_messages_and_docstrings_are_in_plain_words():
    bad = {str(p.relative_to(ROOT)): found_in(strings(p.read_text("utf-8")), DIALECT) for p in SOURCES}
    assert {name: lines for name, lines in bad.items() if lines} == {}


@pytest.mark.parametrize("page", FIRST_READ, ids=lambda p: str(p.relative_to(ROOT)))
def test_media_have_one_name_in_the_pages_read_first(page):
    prose = re.sub(r"`[^`\n]*`|--picture\S*", "", page.read_text("utf-8"))
    assert found_in(prose, ONE_WORD) == []


def test_media_have_one_name_in_what_the_command_line_says():
    """Strings with a space are for people; the others are names of options, files and fields."""
    bad = {}
    for path in sorted((ROOT / "gensafe" / "cli").rglob("*.py")) + sorted((ROOT / "gensafe" / "server").rglob("*.py")):
        said = "\n".join(line for line in strings(path.read_text("utf-8")).split("\n") if " " in line)
        if lines := found_in(said.replace("<svg", ""), ONE_WORD):
            bad[str(path.relative_to(ROOT))] = lines
    assert bad == {}


def test_the_test_can_fail():
    assert found_in("got out\nof band", DIALECT) and found_in("a film", ONE_WORD)
    assert not found_in("the hash holds; the keys are available", DIALECT)
