"""``gensafe inspect``: everything that a file says about itself, for experts; no verdict."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any, Final

from gensafe.cli.common import Commands, Exit, note, print_json, read_medium, say
from gensafe.core.errors import MediaError

if TYPE_CHECKING:
    from gensafe.verify.inspect import Inspection

MAX_VALUE: Final = 2000  # characters of one value as text; --json has all of it


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "inspect",
        help="show what is in a file's manifest, labels and container",
        description="Show everything that a file says about itself: claim, assertions, ingredients, signatures, "
        "certificates, time-stamps, label fields and notes on the container. Nothing is judged: what is shown here is "
        "the file's own word. For a verdict use gensafe verify. Exit codes: 0 shown, 3 the file cannot be read.",
    )
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--sidecar", metavar="FILE", help="a detached manifest store")
    parser.add_argument("--json", action="store_true", help="print JSON, with the whole manifest store")


def run(args: argparse.Namespace) -> int:
    """Read the file in a worker and print what was read."""
    from gensafe.verify import open_context
    from gensafe.verify.contain import inspect_contained
    from gensafe.verify.inspect import UNKNOWN_TYPE

    sidecar = _read(args.sidecar)
    data = _read(args.file)
    if data is None or (args.sidecar and sidecar is None):
        return Exit.UNREADABLE
    try:
        found = inspect_contained(data, sidecar, open_context(None))
    except MediaError as error:
        note(f"gensafe: {args.file}: {error.message}")
        return Exit.UNREADABLE
    values = described(args.file, found)
    if args.json:
        print_json(values)
    else:
        for line in _lines(values):
            say(line)
    return Exit.UNREADABLE if found.media_type == UNKNOWN_TYPE and found.reading is None else Exit.OK


def _read(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return read_medium(path)
    except MediaError as error:
        note(f"gensafe: {path}: {error.message}")
        return None


def described(name: str, found: Inspection) -> dict[str, Any]:
    """What was read, as JSON values; strings from the file are as found."""
    from gensafe.provenance.plain import to_plain
    from gensafe.verify.checks import chain_lines

    manifest: dict[str, Any] | None = None
    if found.reading is not None:
        manifest = to_plain(found.reading)
        manifest.pop("state"), manifest.pop("library_state"), manifest.pop("trust_list")  # verdicts
        manifest["crjson"] = _parsed(manifest["crjson"])
    return {
        "name": name,
        "media_type": found.media_type,
        "bytes": found.size,
        "digest": found.digest,
        "container": {"state": found.container.value, "problem": found.problem, "notes": list(found.notes)},
        "labels": found.labels,
        "manifest": manifest,
        "chain": chain_lines(found.reading) if found.reading is not None and found.reading.ingredients else [],
        "manifest_problem": found.manifest_problem,
        "remote_manifest": found.remote_url,
    }


def _parsed(text: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(text)
    except ValueError:
        return text


def _lines(values: dict[str, Any]) -> list[str]:
    """Indented lines; the raw store is left to --json, where nothing is lost."""
    shown = dict(values)
    if shown["manifest"] is not None:
        shown["manifest"] = {k: v for k, v in shown["manifest"].items() if k not in ("raw", "crjson")}
        store = values["manifest"]["raw"]
        active = store.get("manifests", {}).get(values["manifest"]["label"], {})
        shown["manifest"]["assertions"] = active.get("assertions") or shown["manifest"]["assertions"]
    return _indented(shown, 0)


def _indented(value: Any, depth: int) -> list[str]:  # noqa: ANN401 - JSON
    """One line per plain value, empty ones left out; lists have a dash per entry."""
    out: list[str] = []
    pad = "  " * depth
    pairs = value.items() if isinstance(value, dict) else (("-", item) for item in value)
    for key, item in pairs:
        if item in (None, "", [], {}, ()):
            continue
        mark = key if key == "-" else f"{_one_line(str(key).replace('_', ' '))}:"
        if isinstance(item, dict | list | tuple):
            out += [f"{pad}{mark}", *_indented(item, depth + 1)]
        else:
            out.append(f"{pad}{mark} {_one_line(str(item))}")
    return out


def _one_line(text: str) -> str:
    from gensafe.verify.render import escape_terminal

    return escape_terminal(text, MAX_VALUE)
