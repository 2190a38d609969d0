"""Labelled text sets for benchmarks.text_safety: any folder, with a mapping file where the names are not obvious.

A folder holds .jsonl, .json (a list) or .csv files, each also as .gz. Rows are objects with a text and labels. Without
a mapping file the text is the first of TEXT_NAMES that occurs; the label is the first of LABEL_NAMES, positive if it is
true, a number of at least 0.5, or one of POSITIVE; columns named like a category (hte, tox, ... or OpenAI's S, H, V,
HR, SH, S3, H2, V2) are labels of that category. ``mapping.toml`` says it explicitly, file by file:

    [[set]]
    file = "reviews.csv"          # relative to the folder; may be a pattern such as "*.jsonl"
    name = "reviews"
    text = "body"
    label = "verdict"             # any harm at all
    positive = ["bad", "very bad"]
    categories = { insult = "tox", threat = "vcr" }     # column -> category, judged like the label
    category_column = "kind"      # or one column that names the category of a positive row ...
    category_values = { race = "hte" }                  # ... by these values
    delimiter = ";"
"""

from __future__ import annotations

import csv
import gzip
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gensafe.core.errors import ConfigError
from gensafe.core.hazards import CATEGORIES

TEXT_NAMES: Final = (
    "text", "prompt", "comment", "comment_text", "tweet", "content", "test_case", "sentence", "question", "instruction",
    "goal", "input", "message", "prompt_text", "user_input",
)  # fmt: skip
LABEL_NAMES: Final = (
    "label", "unsafe", "flagged", "toxic", "is_toxic", "harmful", "label_gold", "hate", "target", "toxicity", "class",
    "y",
)  # fmt: skip
POSITIVE: Final = frozenset(
    (
        "1",
        "1.0",
        "true",
        "yes",
        "unsafe",
        "toxic",
        "hateful",
        "hate",
        "harmful",
        "bad",
        "positive",
        "offensive",
        "flagged",
        "jailbreak",
    )
)
OPENAI: Final[Mapping[str, str]] = {
    "S": "sxc", "H": "hte", "V": "vcr", "HR": "tox", "SH": "ssh", "S3": "cse", "H2": "hte", "V2": "vcr",
    "sexual": "sxc", "violence": "vcr", "harassment": "tox", "self-harm": "ssh", "self_harm": "ssh", "illicit": "ncr",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A text, whether it is harmful at all, and what is known per category (missing = unknown)."""

    text: str
    harmful: bool | None
    categories: Mapping[str, bool]


def read_folder(folder: Path) -> dict[str, list[Row]]:
    """Every set of ``folder``.

    Raises:
        ConfigError: no set can be read, or the mapping file is wrong.
    """
    mapping = folder / "mapping.toml"
    try:
        entries = tomllib.loads(mapping.read_text(encoding="utf-8")).get("set", []) if mapping.exists() else []
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid TOML: {error}", field=str(mapping)) from error
    sets: dict[str, list[Row]] = {}
    done: set[Path] = set()
    for entry in entries:
        paths = sorted(folder.glob(entry.get("file", "")))
        if not paths:
            raise ConfigError(f"no file {entry.get('file')!r}", field=str(mapping))
        for path in paths:
            done.add(path)
            name = entry.get("name", _stem(path)) if len(paths) == 1 else _stem(path)
            sets[name] = [r for r in (_row(o, entry) for o in objects(path, entry.get("delimiter", ","))) if r]
    for path in sorted(p for p in folder.rglob("*") if _kind(p) and p not in done):
        rows = [r for r in (_row(o, {}) for o in objects(path)) if r]
        if rows:
            sets[str(path.relative_to(folder)).removesuffix(path.suffix)] = rows
    if not any(sets.values()):
        raise ConfigError(
            "no labelled rows found", field=str(folder), fix="write a mapping.toml; see benchmarks/text_safety/sets.py"
        )
    return {name: rows for name, rows in sets.items() if rows}


def objects(path: Path, delimiter: str = ",") -> Iterator[Mapping[str, Any]]:
    """The rows of a file as mappings.

    Raises:
        ConfigError: damaged.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = raw.decode("utf-8-sig", "replace")
        kind = _kind(path)
        if kind == "csv":
            csv.field_size_limit(1 << 28)
            yield from csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter)
        elif kind == "json":
            found = json.loads(text)
            found = next((v for v in found.values() if isinstance(v, list)), []) if isinstance(found, dict) else found
            yield from (o for o in found if isinstance(o, dict))
        else:
            yield from (o for line in text.splitlines() if line.strip() and isinstance(o := json.loads(line), dict))
    except (OSError, ValueError, csv.Error) as error:
        raise ConfigError(f"cannot be read: {error}", field=str(path)) from error


def _row(item: Mapping[str, Any], entry: Mapping[str, Any]) -> Row | None:
    text_key = entry.get("text") or next((n for n in TEXT_NAMES if n in item), None)
    if text_key is None or not isinstance(item.get(text_key), str):
        return None
    positive = frozenset(str(p).strip().lower() for p in entry["positive"]) if "positive" in entry else None
    label_key = entry.get("label") or next((n for n in LABEL_NAMES if n in item and n != text_key), None)
    columns = dict(entry.get("categories", {}))
    if not columns:
        columns = {k: OPENAI.get(k, k) for k in item if k in CATEGORIES or k in OPENAI}
    categories: dict[str, bool] = {}
    for column, category in columns.items():
        truth = _truth(item.get(column), None)
        if truth is not None:
            categories[category] = categories.get(category, False) or truth
    harmful = _truth(item.get(label_key), positive) if label_key else None
    if isinstance(item.get("labels"), list):  # the project's own form
        harmful = bool(item["labels"])
        categories.update(dict.fromkeys((c for c in item["labels"] if c in CATEGORIES), True))
    named = entry.get("category_column")
    if named and harmful:
        category = entry.get("category_values", {}).get(str(item.get(named)))
        if category:
            categories[category] = True
    if harmful is None and categories:
        harmful = any(categories.values())
    return None if harmful is None else Row(item[text_key], harmful, categories)


def _truth(value: object, positive: frozenset[str] | None) -> bool | None:
    if value is None or value == "":
        return None
    if positive is not None:
        return str(value).strip().lower() in positive
    if isinstance(value, bool | int | float):
        return float(value) >= 0.5
    word = str(value).strip().lower()
    try:
        return float(word) >= 0.5
    except ValueError:
        return word in POSITIVE


def _kind(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    return next((k for k in ("jsonl", "json", "csv") if name.endswith("." + k)), "")


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]
