"""Write docs/configuration.md from the configuration classes: names, types, defaults, ranges and their comments."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from gensafe.core import config as module
from gensafe.core.config import Config, EngineConfig

TARGET = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"
HEAD = """# Configuration

One TOML file, named by `--config`, and environment variables over it: `GENSAFE_SERVER_LISTEN` sets `[server] listen`.
An unknown key, a value of the wrong type or a number out of range is refused by its name before anything is loaded.
This page is made from the code by `scripts/generate_config_docs.py`; a test holds it to it.
"""


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
        return "needed"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if value in ((), {}):
        return "empty"
    return str(value)


def table(kind: type) -> list[str]:
    """The rows of one section."""
    said, hints = comments(kind), get_type_hints(kind)
    rows = ["| key | kind | default | range | meaning |", "|---|---|---|---|---|"]
    for item in fields(kind):
        if is_dataclass(hints[item.name]) or "EngineConfig" in str(hints[item.name]):
            continue
        low_high = item.metadata.get("range")
        bounds = f"{low_high[0]} to {low_high[1]}" if low_high else ""
        meaning = said.get(item.name, "").replace("|", "\\|")
        rows.append(f"| `{item.name}` | {kind_of(hints[item.name])} | `{default_of(item)}` | {bounds} | {meaning} |")
    return rows


def page() -> str:
    """The whole page."""
    parts = [HEAD, "\n## Top level\n", *table(Config)]
    hints = get_type_hints(Config)
    for item in fields(Config):
        kind = hints[item.name]
        if is_dataclass(kind):
            said = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")
            parts += [f"\n## `[{item.name}]`\n", said, "", *table(kind)]
        elif "EngineConfig" in str(kind):
            said = (inspect.getdoc(EngineConfig) or "").split("\n\n")[0].replace("\n", " ")
            parts += ["\n## `[[engines]]`\n", said, "", *table(EngineConfig)]
    assert module.__doc__
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    text = page()
    if "--check" in sys.argv:
        sys.exit(0 if TARGET.read_text("utf-8") == text else "docs/configuration.md is stale: run this script")
    TARGET.write_text(text, "utf-8")
