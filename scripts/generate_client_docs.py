"""Write docs/client-api.md from the docstrings and signatures of ``gensafe.client``."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from gensafe import client
from gensafe.client import messages, results, statuses
from gensafe.core import errors

TARGET = Path(__file__).resolve().parents[1] / "docs" / "client-api.md"
HEAD = """# Client API

Every public name of `gensafe.client`, and what its verbs give back. Only `events` and `on_event` show messages of
`proto/gensafe/v1`. A guide with examples: [Python client](client.md). This page is made from the code by
`scripts/generate_client_docs.py`; a test checks that it is current.
"""
LINE = 100  # characters that fit beside the site's menu. Chosen by eye
SECTIONS = ("Args", "Returns", "Yields", "Raises")


def paragraphs(text: str) -> Iterator[str]:
    """A Google-style docstring as Markdown: prose as it is, each section a list."""
    section = ""
    for line in text.replace("``", "`").split("\n"):
        if line.rstrip(":") in SECTIONS and line.endswith(":"):
            section = line.rstrip(":")
            yield f"\n*{section}*\n"
        elif section and (found := re.match(r"    (\S[^:]*): (.*)$", line)):
            names = ", ".join(f"`{name}`" for name in found[1].split(", "))
            yield f"- {names}: {found[2]}"
        elif section and line.startswith("    "):
            yield (
                f"  {line.strip()}"
                if line.startswith("     ") or section in ("Args", "Raises")
                else f"- {line.strip()}"
            )
        else:
            section = section if not line else ""
            yield line


def document(item: object) -> list[str]:
    """The docstring of a thing, which every public name has."""
    said = inspect.getdoc(item)
    assert said, f"{item} has no docstring"
    return [*paragraphs(said), ""]


def signature(name: str, item: Any) -> str:  # noqa: ANN401 - anything callable
    """A signature over as many lines as it needs, without ``self``."""
    said = inspect.signature(item)
    arguments = []
    for each in said.parameters.values():
        if each.name == "self":
            continue
        if each.kind is each.KEYWORD_ONLY and not any(a.startswith("*") for a in arguments):
            arguments.append("*")
        star = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
        default = "" if each.default is each.empty else f" = {_default(each.default)}"
        arguments.append(f"{star}{each.name}: {each.annotation}{default}")
    returned = "" if isinstance(item, type) else f" -> {said.return_annotation}"
    start = "async " if inspect.iscoroutinefunction(item) else ""
    line = f"{start}{name}({', '.join(arguments)}){returned}"
    if len(line) > LINE:
        line = f"{start}{name}(\n" + "".join(f"    {each},\n" for each in arguments) + f"){returned}"
    return f"``` {{ .python }}\n{line}\n```\n"


def _default(value: object) -> str:
    return repr(value).replace("'", '"') if "<" not in repr(value) else '""'


def members(kind: type) -> Iterator[str]:
    """Public methods and properties, in the order of the source."""
    for name, item in vars(kind).items():
        if name.startswith("_"):
            continue
        if isinstance(item, property):
            yield f"### `{kind.__name__}.{name}`\n"
            yield from document(item)
        elif inspect.isfunction(item):
            yield f"### `{kind.__name__}.{name}`\n"
            yield signature(name, item)
            yield from document(item)


def members_of(kind: type) -> Iterator[str]:
    """The fields of a result, or the words of an enumeration, one line each."""
    if issubclass(kind, Enum):
        yield "One of " + ", ".join(f"`{each.value}`" for each in kind) + ".\n"
        return
    for field in fields(kind):
        yield f"- `{field.name}: {field.type}`"
    yield ""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for name in client.__all__:
        kind = getattr(client, name)
        parts += [f"## `{name}`\n", signature(name, kind), *document(kind), *members(kind)]
        assert is_dataclass(kind) or list(members(kind)), f"{name} has nothing to call"
    parts += ["## Results\n", *document(results)]
    for name in results.__all__:
        kind = getattr(results, name)
        if isinstance(kind, type):
            parts += [f"### `{name}`\n", *document(kind), *members_of(kind)]
    build = messages.generate_request
    parts += ["## Options of `generate`\n", signature("generate_request", build), *document(build)]
    parts.append(
        "## Errors\n\nAll are `gensafe.core.errors.GensafeError` with `message`, `reason`, `field` and `fix`.\n"
    )
    for kind in (statuses.Blocked, statuses.HeldForReview):
        parts += [f"### `{kind.__name__}`\n", *document(kind)]
    parts.append("Every other error, and the reason that a status carries for it:\n")
    parts.append("| error | reason | what it means |\n|---|---|---|")
    for kind in sorted(set(errors_with_a_reason()), key=lambda kind: kind.__name__):
        said = (inspect.getdoc(kind) or "").split("\n")[0].replace("``", "`")
        parts.append(f"| `{kind.__name__}` | `{kind.reason}` | {said} |")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)) + "\n"


def errors_with_a_reason() -> Iterator[type[errors.GensafeError]]:
    """The exception tree: each error that a person may see."""
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.GensafeError) and "reason" in vars(kind):
            yield kind


if __name__ == "__main__":
    text = page()
    if "--check" in sys.argv:
        sys.exit(0 if TARGET.read_text("utf-8") == text else "docs/client-api.md is stale: run this script")
    TARGET.write_text(text, "utf-8")
