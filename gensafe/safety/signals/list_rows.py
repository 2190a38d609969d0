"""Rows of block lists, whatever they are written as. A row that is not understood is refused by its number.

A list that is read only in part lets listed content through without a word, so nothing is skipped: each row is either
blank, a comment, a table's heading, or an entry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gensafe.core.errors import ConfigError
from gensafe.core.textfile import read_text

PDQ: Final = "HASH_PDQ"
AUDIO: Final = "HASH_AUDIO"
VPDQ: Final = "HASH_VPDQ"
KINDS: Final = (PDQ, AUDIO, VPDQ)
_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")
_COMMENT: Final = re.compile(r"(?:^|(?<=[\s,;])|(?<=[0-9a-fA-F]{64}))#.*")
_CELL: Final = re.compile(r"[^\s,;:|=\"'<>()\[\]\ufeff\u200b\u200e\u200f\u2060]+")
_HEADING: Final = frozenset(
    ("hash", "pdq", "pdq_hash", "hash_pdq", "pdqhash", "hash_value", "indicator", "signal", "signal_value", "value")
)
# hex digits: 4 bits each, MD5 128 bits (RFC 1321), SHA-1 160, SHA-512 512 (FIPS 180-4), PhotoDNA 144 bytes
_OTHER: Final = {32: "as of MD5", 40: "as of SHA-1", 128: "as of SHA-512", 288: "as of PhotoDNA"}
_SHOWN: Final = 24  # characters of a bad cell in a message: enough to find it


@dataclass(frozen=True, slots=True)
class ListRow:
    """One entry: its ``kind`` (one of KINDS), what it lists, its own name, and where it stands ("line 3")."""

    kind: str
    value: str
    label: str
    place: str


@dataclass(frozen=True, slots=True)
class ListFile:
    """One list that an option names: the category its entries stand for, its name and its rows."""

    category: str
    name: str
    rows: tuple[ListRow, ...]


def list_files(spec: str, kind: str) -> Iterator[ListFile]:
    """The lists named by an option, each with its rows of ``kind``; rows of the other KINDS are for other classifiers.

    Args:
        spec: ``[category=]path`` separated by commas; the category is ``lst`` by default.
        kind: One of KINDS.

    Raises:
        ConfigError: a file cannot be read, a row of it is not understood, or it has no row of ``kind``.
    """
    for part in filter(None, (p.strip() for p in spec.split(","))):
        category, separator, path = (p.strip() for p in part.partition("="))
        if not separator:
            category, path = "lst", part
        rows = tuple(r for r in list_rows(read_text(path, "lists"), path) if r.kind == kind)
        if not rows:
            raise ConfigError(f"{path} has no entry of type {kind}", field="lists", fix="take it out of the option")
        yield ListFile(category, Path(path).stem, rows)


def list_rows(text: str, name: str) -> list[ListRow]:
    """Every entry of a list.

    - JSON: an array, an object with ``data``, or one object a line; ``indicator`` (also ``hash`` or ``value``) is the
      entry, ``type`` its kind (``HASH_PDQ`` if there is none), ``id`` its name (ThreatExchange);
    - lines with a PDQ hash of 64 hex digits, alone or in a row of cells that commas, semicolons, colons, tabs, bars or
      blanks separate ("pdq HASH", "HASH:name", "HASH,31"), in either case, with ``0x`` or without;
    - ``#`` begins a comment; the first line may be a table's heading.

    Args:
        text: The list.
        name: For error messages.

    Raises:
        ConfigError: a row that is none of these, by its number.
    """
    if text.lstrip("\ufeff \t\n")[:1] in ("{", "["):
        try:
            whole = json.loads(text.strip("\ufeff \t\n"))
        except (json.JSONDecodeError, RecursionError):
            pass  # one object a line
        else:
            return _document(whole, name)
    rows: list[ListRow] = []
    for number, line in enumerate(text.split("\n"), 1):
        rows += _line(line.strip("\ufeff \t\r"), f"line {number}", name, first=not rows)
    return rows


def _document(whole: object, name: str) -> list[ListRow]:
    items = whole.get("data", [whole]) if isinstance(whole, Mapping) else whole
    if not isinstance(items, list):
        raise ConfigError(f"{name}: not a list of entries", field="lists")
    return [_entry(item, f"entry {number}", name) for number, item in enumerate(items, 1)]


def _line(line: str, place: str, name: str, *, first: bool) -> list[ListRow]:
    if line.startswith("{"):
        try:
            return [_entry(json.loads(line), place, name)]
        except (json.JSONDecodeError, RecursionError):
            raise ConfigError(f"{name}, {place}: not a JSON object", field="lists") from None
    entry = _COMMENT.sub("", line, count=1).strip()
    cells = _CELL.findall(entry)
    if not entry or (first and not _HEADING.isdisjoint(c.lower() for c in cells) and not any(map(_hexes, cells))):
        return []
    found = [c for c in map(_bare, cells) if _HASH.fullmatch(c)]
    wrong = [c for c in cells if 48 <= _hexes(c) != 64 and _hexes(c) < 80]  # a hash that lost or won some digits
    if not found or wrong:
        raise ConfigError(
            f"{name}, {place}: {_described(wrong or cells or [entry])}, not a PDQ hash of 64 hex digits", field="lists"
        )
    return [ListRow(PDQ, c, place.removeprefix("line "), place) for c in found]


def _entry(item: Any, place: str, name: str) -> ListRow:  # noqa: ANN401 - whatever JSON holds
    if isinstance(item, str):
        return ListRow(PDQ, checked_hash(item, place, name), place.split()[-1], place)
    if not isinstance(item, Mapping):
        raise ConfigError(f"{name}, {place}: neither an object nor a hash", field="lists")
    inner = item.get("indicator")
    about = {**item, **inner} if isinstance(inner, Mapping) else item  # ThreatExchange nests it in an export
    kind = str(about.get("type") or PDQ).upper()
    kind = kind if kind.startswith("HASH_") else f"HASH_{kind}"
    if kind not in KINDS:
        raise ConfigError(
            f"{name}, {place}: type {kind[:_SHOWN]} is read by no filter", field="lists", fix="take such rows out"
        )
    value = next((about[k] for k in ("indicator", "hash", "value") if isinstance(about.get(k), str)), "")
    if not value.strip():
        raise ConfigError(f'{name}, {place}: no "indicator", "hash" or "value"', field="lists")
    if kind == PDQ:
        value = checked_hash(value, place, name)
    return ListRow(kind, value.strip(), str(item.get("id") or place.split()[-1])[:80], place)


def checked_hash(value: str, place: str, name: str) -> str:
    """The 64 hex digits that ``value`` is, without ``0x`` and blanks around them.

    Raises:
        ConfigError: it is something else.
    """
    digest = _bare(value.strip().strip("\ufeff"))
    if not _HASH.fullmatch(digest):
        raise ConfigError(
            f"{name}, {place}: {_described([value.strip()])}, not a PDQ hash of 64 hex digits", field="lists"
        )
    return digest


def _bare(cell: str) -> str:
    return cell[2:] if cell[:2] in ("0x", "0X") else cell


def _hexes(cell: str) -> int:
    """How many hex digits ``cell`` is, 0 if it is something else or a short word like "face"."""
    bare = _bare(cell)
    return len(bare) if len(bare) >= 16 and re.fullmatch(r"[0-9a-fA-F]+", bare) else 0


def _described(cells: list[str]) -> str:
    longest = max(cells, key=lambda c: (_hexes(c), len(c)))
    if count := _hexes(longest):
        return f"{count} hex digits" + (f" ({_OTHER[count]})" if count in _OTHER else "")
    if len(longest) >= 48:
        return f"{len(longest)} characters that are not all hex digits"
    shown = longest if len(longest) <= _SHOWN else longest[: _SHOWN - 3] + "..."
    return f"{shown!r}"
