"""Print one of README's two commands, so that CI runs what users are told: ``demo`` or ``tests``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

MARKS = {"demo": "gensafe demo", "tests": "-m pytest"}


def command(readme: str, name: str) -> str:
    """The line of README's first code block that holds the command."""
    block = re.search(r"```(?:sh|bash)?\n(.*?)```", readme, re.DOTALL)
    lines = block.group(1).splitlines() if block else []
    found = [line for line in lines if MARKS[name] in line]
    if len(found) != 1:
        raise SystemExit(f"README's first code block must hold exactly one line with {MARKS[name]!r}")
    return found[0]


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in MARKS:
        raise SystemExit(f"usage: readme_command.py {'|'.join(MARKS)}")
    print(command((Path(__file__).parents[1] / "README.md").read_text("utf-8"), sys.argv[1]))
