"""Unmarked texts that people wrote: comments, tweets, articles, word problems and novels of the data folder.

Sets made from templates are left out: their texts share passages, and a null test needs texts that do not.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_COLUMNS = {  # CSV files under the data folder -> the column that holds the text
    "train/toxic_spans/comments.csv": "comment_text",
    "train/davidson/labeled_data.csv": "tweet",
    "train/edos/edos_labelled_aggregated.csv": "text",
    "eval/wikipedia_toxicity/toxicity_nonfuzzed_testset.csv": "comment",
    "train/benign_banking77/train.csv": "text",
}
_JSON_LINES = {  # JSON-lines files -> their text fields
    "train/benign_gsm8k/train.jsonl": ("question", "answer"),
    "train/benign_gsm8k/test.jsonl": ("question", "answer"),
    "train/benign_self_instruct/seed_tasks.jsonl": ("instruction",),
}
_EVALUATION_ONLY = "eval/"
_LINES = ("train/benign_clinc/all_wiki_sents.txt",)
_BOOKS = ("train/benign_books/140.txt", "train/benign_books/1342.txt", "eval/benign_books/3261.txt")


def _raw(folder: Path, trainable: bool) -> Iterator[str]:
    def wanted(name: str) -> bool:
        return not (trainable and name.startswith(_EVALUATION_ONLY))

    for name, column in _COLUMNS.items():
        if not wanted(name):
            continue
        with (folder / name).open(encoding="utf-8", errors="replace", newline="") as rows:
            yield from (row[column] or "" for row in csv.DictReader(rows))
    for name, fields in _JSON_LINES.items():
        for line in (folder / name).read_text(encoding="utf-8", errors="replace").splitlines():
            record = json.loads(line)
            yield from (record[field] for field in fields)
    for name in _LINES:
        yield from (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
    for name in filter(wanted, _BOOKS):
        yield from books(folder / name)


def books(path: Path) -> Iterator[str]:
    """Paragraphs of a Project Gutenberg text, its licence left out."""
    content = path.read_text(encoding="utf-8", errors="replace")
    parts = re.split(r"\*\*\* ?(?:START|END) OF.*?\*\*\*", content)
    body = parts[1] if len(parts) > 2 else content
    for paragraph in re.split(r"\n\s*\n", body):
        yield " ".join(paragraph.split())


def texts(folder: Path, *, trainable: bool = False) -> list[str]:
    """Every different text of at least 20 characters, in an order that mixes the sources and never changes.

    Args:
        folder: ``safety_text`` of the data folder.
        trainable: Only sets from which shipped weights may be derived.
    """
    plain = (" ".join(raw.split()) for raw in _raw(folder, trainable))
    return sorted({t for t in plain if len(t) >= 20}, key=_number)


def side(text: str) -> str:
    """Which half a text belongs to: "table" (it may shape what is shipped) or "test"."""
    return "table" if _number(text) % 2 else "test"


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def pieces(found: Sequence[str], encode: Callable[[str], list[int]], length: int, count: int) -> list[list[int]]:
    """``count`` pieces of ``length`` tokens, none of which shares a text with another.

    A text that is shorter is left out, and of a longer one only the beginning is used: what its own author repeats
    must not tie pieces together.
    """
    out: list[list[int]] = []
    for text in found:
        tokens = encode(text)
        if len(tokens) >= length:
            out.append(tokens[:length])
            if len(out) == count:
                break
    return out
