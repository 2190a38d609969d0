"""What is said about each setting: its comment in the configuration classes, its kind, default and range."""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True)
class Setting:
    """One key. ``default``: as it would stand in TOML; "" = it has none there."""

    name: str
    hint: Any
    default: str
    bounds: tuple[float, float] | None
    meaning: str


@dataclass(frozen=True, slots=True)
class Section:
    """One table. ``title``: "" for the top, "server.oidc", "engines"; ``listed``: it may be there several times."""

    title: str
    kind: type
    listed: bool
    about: str
    settings: tuple[Setting, ...]


def sections(kind: type, title: str = "", *, listed: bool = False) -> Iterator[Section]:
    """A configuration class as tables, outer ones first."""
    about = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")
    said, hints = comments(kind), get_type_hints(kind)
    mine, inner = [], []
    for item in fields(kind):
        hint = hints[item.name]
        row = rows_of(hint)
        if row is not None or is_dataclass(hint):
            inner.append((item.name, row or hint, row is not None))
        else:
            mine.append(Setting(item.name, hint, default_of(item), item.metadata.get("range"), said.get(item.name, "")))
    yield Section(title, kind, listed, about, tuple(mine))
    for name, inside, is_list in inner:
        yield from sections(inside, f"{title}.{name}" if title else name, listed=is_list)


def rows_of(hint: Any) -> type | None:  # noqa: ANN401 - an annotation
    """The class of each table of a list of tables; None = it is no such list."""
    inner = get_args(hint)[0] if get_origin(hint) is tuple else None
    return inner if is_dataclass(inner) and isinstance(inner, type) else None


def comments(kind: type) -> dict[str, str]:
    """Field name -> the comment on or within its lines."""
    source = textwrap.dedent(inspect.getsource(kind))
    lines = source.split("\n")
    (body,) = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for item in body.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            block = lines[item.lineno - 1 : item.end_lineno]
            said = [match.group(1).strip() for line in block if (match := re.search(r"#\s(.*)$", line))]
            found[item.target.id] = " ".join(said)
    return found


def kind_of(hint: Any) -> str:  # noqa: ANN401 - an annotation
    """A type in words."""
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    text = getattr(hint, "__name__", str(hint))
    if "Mapping" in str(hint):
        return "table of texts"
    if "tuple" in str(hint):
        return "list of texts"
    return names.get(text, text)


def default_of(item: Field[Any]) -> str:
    """The default as it would stand in TOML."""
    if item.default is not MISSING:
        value = item.default
    elif item.default_factory is not MISSING:
        value = item.default_factory()
    else:
        return ""
    if isinstance(value, tuple):
        value = list(value)
    return json.dumps(value)


def schema(kind: type) -> dict[str, Any]:
    """A configuration class as JSON Schema (2020-12): what the file may say. Editors and CI check against it."""
    found = _object(kind)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "GenSafe configuration"} | found


def _object(kind: type) -> dict[str, Any]:
    said, hints = comments(kind), get_type_hints(kind)
    properties = {}
    for item in fields(kind):
        hint = hints[item.name]
        row = rows_of(hint)
        if row is not None:
            about: dict[str, Any] = {"type": "array", "items": _object(row)}
        elif is_dataclass(hint) and isinstance(hint, type):
            about = _object(hint)
        else:
            about = _value(hint, item.metadata.get("range")) | {"default": json.loads(default_of(item))}
        if said.get(item.name):
            about["description"] = said[item.name]
        properties[item.name] = about
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _value(hint: Any, bounds: tuple[float, float] | None) -> dict[str, Any]:  # noqa: ANN401 - an annotation
    if "Mapping" in str(hint):
        return {"type": "object", "additionalProperties": {"type": "string"}}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": {"type": "string"}}
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    limits = {"minimum": bounds[0], "maximum": bounds[1]} if bounds else {}
    return {"type": names[hint], **limits}
