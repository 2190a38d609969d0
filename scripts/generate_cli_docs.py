"""Write docs/cli.md from the program's own help; with --check, fail if it is stale."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

from gensafe.cli import COMMANDS, main

TARGET = Path(__file__).parents[1] / "docs" / "cli.md"
INTRO = """# Command line

Made by `scripts/generate_cli_docs.py` from the program's own help; a test keeps it current. Exit codes are API.
"""


def help_of(*arguments: str) -> str:
    """What ``gensafe ARGUMENTS --help`` prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*arguments, "--help"])
    return printed.getvalue().strip()


def render() -> str:
    """The whole page."""
    os.environ["COLUMNS"] = "100"  # argparse wraps to the terminal's width
    parts = [INTRO, f"```text\n{help_of()}\n```"]
    for name in COMMANDS:
        parts.append(f"## gensafe {name}\n\n```text\n{help_of(name)}\n```")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    page = render()
    if sys.argv[1:] == ["--check"]:
        if not TARGET.is_file() or TARGET.read_text("utf-8") != page:
            raise SystemExit("docs/cli.md is stale: run python scripts/generate_cli_docs.py")
    else:
        TARGET.write_text(page, "utf-8")
