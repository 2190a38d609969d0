"""Every ``gensafe`` command that a document shows is one that the program takes: command, verb, options and choices.

Nothing is run: each line goes through the real parser. In a code block a command is whole; in a sentence
(``gensafe keys import``) it may be cut short.
"""

import contextlib
import importlib
import io
import re
import shlex
from pathlib import Path

import pytest

from gensafe.cli import COMMANDS
from gensafe.cli.common import Parser

ROOT = Path(__file__).resolve().parents[3]
GENERATED = {"cli.md"}
PAGES = sorted({ROOT / "README.md", ROOT / "RELEASE.md", *(ROOT / "docs").rglob("*.md")})
CUT_SHORT = ("required", "expected", "too few")
PLACEHOLDER = re.compile(r"'[A-Z][A-Z_]*'")  # DATE, NAME, N: stands for a value that the parser would check


def commands_in(text: str) -> list[tuple[str, bool]]:
    """(command line without ``gensafe``, whether it is whole)."""
    text = text.replace("\\\n", " ")
    found, fenced = [], False
    for line in text.splitlines():
        if re.match(r"\s*```", line):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            for part in re.split(r"&&|;|\s\|\s", re.sub(r"\s#\s.*", "", line)):
                if match := re.match(r"\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\S*/)?gensafe (.*)", part):
                    found.append((match[1].strip(), True))
        else:
            found += [(match[1], False) for match in re.finditer(r"`(?:[A-Z_]+=\S+ )*gensafe ([^`]+)`", line)]
    return found


def complaint(command: str, whole: bool) -> str:
    """What the parser says against a command; "" = nothing."""
    command = re.split(r" \| |\s{3,}", re.sub(r"\s[12]?>\s?\S+|\s<\s?\S+", "", command))[0]
    words = shlex.split(command.replace("[", " ").replace("]", " ").replace("…", "..."))
    words = [re.split(r"(?<=[\w-])\|", word)[0] for word in words]
    if words[0].startswith("-"):
        return ""
    if words[0] not in COMMANDS:
        return f"no command {words[0]}"
    parser = Parser(prog="gensafe")
    importlib.import_module(f"gensafe.cli.{words[0]}").add_parser(parser.add_subparsers(dest="command"))
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            parser.parse_args(words)
        except SystemExit as stop:
            last = said.getvalue().strip().split("\n")[-1]
            cut = not whole and any(word in last for word in CUT_SHORT)
            placeholder = PLACEHOLDER.search(last.split("(choose")[0])
            return "" if stop.code == 0 or cut or placeholder else last
    return ""


@pytest.mark.parametrize("page", [p for p in PAGES if p.name not in GENERATED], ids=lambda p: str(p.relative_to(ROOT)))
def test_every_documented_command_is_taken(page):
    wrong = [
        f"gensafe {command}: {said}"
        for command, whole in commands_in(page.read_text("utf-8"))
        if (said := complaint(command, whole))
    ]
    assert wrong == []


def test_the_reader_of_documents_can_fail():
    text = "```sh\n$ gensafe verify a.png --nonsense   # remark\n```\nas `gensafe keys import` or `gensafe keyz`\n"
    assert commands_in(text) == [("verify a.png --nonsense", True), ("keys import", False), ("keyz", False)]
    assert "nonsense" in complaint("verify a.png --nonsense", True)
    assert complaint("keys import", False) == "" and complaint("keys import", True)
    assert complaint("keyz", False) == "no command keyz"
