"""``gensafe batch``: many outputs in this process, each through the same gate and log, resumable after a kill.

For each row of the prompts that no earlier run ended:
1. Generate under the row's own request id (``batch_journal``).
2. Write the output's file, whole or not at all.
3. Note the row in the journal, durably.
Then the manifest of all rows is written. A kill between 1 and 3 costs nothing: the next run gets the same output again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gensafe.cli.batch_journal import ENDED, Journal
from gensafe.cli.common import Commands, Exit, add_config_arguments, note, print_json, progress, read_config, say
from gensafe.core.errors import GensafeError, InvalidRequest, LogUnavailable, OutputFailed, RegistryError
from gensafe.core.outfile import write_file
from gensafe.core.textfile import read_bytes
from gensafe.core.types import Modality

if TYPE_CHECKING:
    from gensafe.embedded import Embedded

MANIFEST: Final = "manifest.json"
MAX_PROMPTS: Final = 1 << 30  # bytes of the file of prompts, which is kept in memory. A round number, not measured
_MEMBERS: Final = frozenset(
    "prompt modality inputs model seed media_type max_tokens visible_label label_profile messages parameters "
    "subject".split()
)
_FATAL: Final = (LogUnavailable, RegistryError, OutputFailed)  # the next row would not get further


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "batch",
        help="generate an output for each line of a file",
        description="Generate one output for each line of a JSON Lines file, in this process: checked, marked, signed "
        "and logged like any other. A line is an object with prompt and, as needed, modality, inputs, model, seed, "
        "media_type, max_tokens, visible_label, label_profile, messages, parameters, subject. Run it again after an "
        "interruption: rows that are done stay, and no row is made twice. "
        "Exit codes: 0 every row written, 1 a row failed, 2 none failed, but policy blocked or holds some, 64 usage "
        "error.",
    )
    parser.add_argument("prompts", type=Path, metavar="FILE", help="the prompts, one JSON object a line")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where outputs, journal and manifest go")
    parser.add_argument(
        "--modality", choices=[m.value for m in Modality], default="text", help="of lines that name none (text)"
    )
    parser.add_argument("--json", action="store_true", help="print the manifest")
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Generate all rows that are not done."""
    from gensafe import embedded

    data = read_bytes(args.prompts, "FILE", largest=MAX_PROMPTS)
    lines = data.splitlines()
    rows = [number for number, line in enumerate(lines, 1) if line.strip()]
    digest = "sha256:" + hashlib.sha256(data + args.modality.encode()).hexdigest()
    with Journal(args.out, digest) as journal:
        left = [row for row in rows if not _done(journal, row, args.out)]
        if left:
            with embedded.open(read_config(args)) as here:
                _make(here, journal, left, lambda row: _wishes(lines[row - 1], args.modality), args.out, len(rows))
        return _finish(args, journal, rows)


def _make(
    here: Embedded, journal: Journal, left: list[int], wishes: Callable[[int], dict[str, Any]], out: Path, total: int
) -> None:
    show = progress()
    try:
        for number, row in enumerate(left, total - len(left)):
            show("rows", number, total)
            _row(here, journal, row, wishes, out)
    finally:
        show("", 0, 0)


def _row(here: Embedded, journal: Journal, row: int, wishes: Callable[[int], dict[str, Any]], out: Path) -> None:
    """Steps 1 to 3 for one row; what is wrong with it stays with it.

    Raises:
        GensafeError: log, registry or disk do not take what is made; no row would get further.
    """
    from gensafe.client.statuses import Blocked, HeldForReview

    request_id = journal.request_id(row)
    try:
        output = here.generate(**wishes(row), request_id=request_id)  # 1.
    except Blocked as stopped:
        journal.note(row, state="blocked", request_id=request_id, error=str(stopped))
        return
    except HeldForReview as stopped:
        held = {"review_id": stopped.held.review_id}
        journal.note(row, state="held", request_id=request_id, error=str(stopped), **held)
        return
    except _FATAL:
        raise
    except GensafeError as error:
        journal.note(row, state="failed", request_id=request_id, reason=error.reason, error=str(error))
        note(f"gensafe: row {row}: {error}")
        return
    name = f"{row:06d}{_suffix(output.media_type)}"
    write_file(out / name, output.data, "--out")  # 2.
    done = output.completed
    facts = {"file": name, "digest": done.digest, "record_id": done.record_id, "media_type": done.media_type}
    journal.note(row, state="written", request_id=request_id, log_index=done.log.index, **facts)  # 3.


def _wishes(line: bytes, modality: str) -> dict[str, Any]:
    """What a line asks for, as the client's ``generate`` takes it.

    Raises:
        InvalidRequest: not an object with a prompt, or a member that is not known or of the wrong kind.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise InvalidRequest("the line is not JSON") from None
    if not isinstance(value, dict) or not isinstance(value.get("prompt"), str):
        raise InvalidRequest("the line is not an object with a prompt", field="prompt")
    odd = sorted(set(value) - _MEMBERS)
    if odd:
        raise InvalidRequest("is not a known member", field=odd[0][:80], fix=f"one of: {', '.join(sorted(_MEMBERS))}")
    wishes: dict[str, Any] = {"modality": modality} | value
    try:
        wishes["messages"] = [(str(m["role"]), str(m["text"])) for m in value.get("messages", [])]
    except (TypeError, KeyError):
        raise InvalidRequest("is a list of objects with role and text", field="messages") from None
    kinds: dict[str, type[Any]] = {
        "modality": str,
        "inputs": list,
        "model": str,
        "media_type": str,
        "label_profile": str,
    }
    kinds |= {"max_tokens": int, "seed": int, "visible_label": bool, "parameters": dict}
    for name, kind in kinds.items():
        if name in value and type(value[name]) is not kind:
            raise InvalidRequest("is of the wrong kind", field=name)
    return wishes


def _done(journal: Journal, row: int, out: Path) -> bool:
    """Whether an earlier run ended a row for good, and its file is still there."""
    found = journal.rows.get(row, {})
    if found.get("state") not in ENDED:
        return False
    return bool(found["state"] != "written" or (out / str(found["file"])).is_file())


def _finish(args: argparse.Namespace, journal: Journal, rows: list[int]) -> int:
    results = [journal.rows[row] for row in rows]
    counts = {state: sum(r["state"] == state for r in results) for state in ("written", "blocked", "held", "failed")}
    manifest = {"format": "gensafe.batch.manifest/1", "counts": counts, "rows": results}
    write_file(args.out / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n", "--out")
    if args.json:
        print_json(manifest)
    else:
        said = ", ".join(f"{number} {state}" for state, number in counts.items() if number or state == "written")
        say(f"{args.out / MANIFEST}: {said}")
    if counts["failed"]:
        return Exit.FAILED
    return Exit.BLOCKED if counts["blocked"] or counts["held"] else Exit.OK


def _suffix(media_type: str) -> str:
    from gensafe.cli.generate import SUFFIXES

    return next((suffix for suffix, kind in SUFFIXES.items() if kind == media_type), ".bin")
