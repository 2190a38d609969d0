"""Keep the catalogues of the interface's languages: find the sentences in the code, add them, compile.

    python scripts/generate_catalogues.py   # writes locale/*/LC_MESSAGES/gensafe.{po,mo}, names what is missing

A sentence is the first literal given to ``N_`` or ``words``, or the second to ``_said``. Babel reads and writes the
files; its own finder does not look into f-strings. Exit codes: 0 every sentence has every language, 1 not.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from gensafe.core.languages import CATALOGUES, DOMAIN, LANGUAGES

SOURCES = Path(__file__).resolve().parents[1] / "gensafe"
_PLACES = {"N_": 0, "words": 0, "_said": 1}  # function -> which argument is the sentence
_THEN = datetime(2026, 11, 30, tzinfo=UTC)  # in every header, so that a file changes with its sentences alone


def sentences() -> list[str]:
    """Every sentence that the code marks, in order of files and lines, once each."""
    found: dict[str, None] = {}
    for path in sorted(SOURCES.rglob("*.py")):
        text = path.read_text("utf-8")
        if any(f"{name}(" in text for name in _PLACES):
            found |= dict.fromkeys(_sentences_of(ast.parse(text)))
    return list(found)


def _sentences_of(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in _PLACES:
            continue
        place = _PLACES[node.func.id]
        if len(node.args) > place and isinstance(node.args[place], ast.Constant):
            yield str(node.args[place].value)


def catalogue(code: str, wanted: list[str]) -> Catalog:
    """The catalogue of a language with exactly the sentences ``wanted``; those not yet translated are empty."""
    path = CATALOGUES / code / "LC_MESSAGES" / f"{DOMAIN}.po"
    old = Catalog()
    if path.exists():
        with path.open("rb") as file:
            old = read_po(file, locale=code)
    new = Catalog(
        code,
        project="GenSafe",
        version="1",
        last_translator="",
        language_team=code,
        creation_date=_THEN,
        revision_date=_THEN,
        fuzzy=False,
    )
    for sentence in wanted:
        kept = old.get(sentence)
        new.add(sentence, kept.string if kept is not None else "")
    return new


def main() -> int:
    """Write all catalogues; 1 where a translation is missing."""
    wanted, missing = sentences(), 0
    for code in LANGUAGES:
        if code == "en":
            continue
        new = catalogue(code, wanted)
        new.header_comment = f"# GenSafe in {LANGUAGES[code]}. Apache-2.0. No native reviewer has read this yet."
        folder = CATALOGUES / code / "LC_MESSAGES"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{DOMAIN}.po").open("wb") as file:
            write_po(file, new, width=120)
        with (folder / f"{DOMAIN}.mo").open("wb") as file:
            write_mo(file, new)
        for message in new:
            if message.id and not message.string:
                missing += 1
                print(f"{code}: no translation of {message.id!r}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
