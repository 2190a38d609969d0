"""``gensafe demo``: the whole chain on embedded defaults, over a real gRPC connection; fails if any promise fails."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from gensafe.cli.common import Commands, Exit, note, progress, say
from gensafe.core.errors import InvalidRequest

REPORT = "report.json"


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "demo",
        help="everything on embedded defaults, end to end",
        description="Start a server, generate text, image, audio and video through it, verify them untouched, "
        "stripped and re-encoded, and damaged; export and check the log. Writes the files, report.json and index.html. "
        "Exit codes: 0 every expectation was met, 1 one was not, 64 usage error.",
    )
    parser.add_argument("--out", default="demo-out", metavar="DIR", help="where to write (default: demo-out)")
    parser.add_argument("--json", action="store_true", help="print the report")


def run(args: argparse.Namespace) -> int:
    """Run the scenario and write its report."""
    from gensafe.cli.demo.page import render
    from gensafe.cli.demo.scenario import Scenario

    out = Path(args.out)
    prepare(out)
    show = progress()

    def tell(line: str) -> None:
        show("", 0, 0)
        if not args.json:
            say(line)

    scenario = Scenario(out, tell, show)
    report = scenario.run()
    (out / REPORT).write_text(json.dumps(report, indent=2, sort_keys=True) + "\n", "utf-8")
    (out / "index.html").write_text(render(report), "utf-8")
    failed = [e for e in report["expectations"] if not e["held"]]
    if args.json:
        print(json.dumps(report, indent=2, sort_keys=True))
    else:
        say()
        say(f"{len(report['expectations']) - len(failed)} of {len(report['expectations'])} expectations met")
        say(f"look at {out / 'index.html'}")
        say(f"check a file yourself: gensafe verify {out / 'image.png'} --data-dir {out / 'data'}")
    for expectation in failed:
        note(f"failed: {expectation['name']}: wanted {expectation['wanted']}, got {expectation['got']}")
    return Exit.FAILED if failed else Exit.OK


def prepare(out: Path) -> None:
    """Make ``out`` an empty folder. An earlier demo's folder is replaced; anything else is left alone.

    Raises:
        InvalidRequest: it exists and is not a demo's.
    """
    try:
        if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / REPORT).is_file())):
            raise InvalidRequest(
                f"{out} exists and is not an earlier demo's folder", field="--out", fix="name a new one"
            )
        if out.exists():
            shutil.rmtree(out)
        out.mkdir(parents=True)
    except OSError as error:
        raise InvalidRequest(f"cannot use {out}: {error.strerror}", field="--out") from None
    # From here on an interrupted demo can be repeated.
    (out / REPORT).write_text('{"state": "unfinished"}\n', "utf-8")
