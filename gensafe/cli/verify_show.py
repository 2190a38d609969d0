"""How ``gensafe verify`` shows what it found: a line per file or the layers, a summary, colour on terminals, files."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Final, TextIO

from gensafe.cli.common import safe
from gensafe.core.types import VerificationReport
from gensafe.verify.headline import Tone, headline
from gensafe.verify.render import Paint, Result, plain

# ECMA-48 colours; amber has none of its own, so yellow
_COLOURS: Final = {Tone.GOOD: "32", Tone.DERIVED: "36", Tone.BAD: "31", Tone.OPEN: "33"}


def paint_for(stream: TextIO) -> Paint:
    """Colour for terminals that want it; plain in pipes, and where NO_COLOR is set (no-color.org) or TERM is dumb."""
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return plain
    return lambda text, tone: f"\x1b[1;{_COLOURS[tone]}m{text}\x1b[0m"


def print_painted(text: str, paint: Paint) -> None:
    """Print text of ``verify.render``, which has escaped what is from the file; the colours pass."""
    print(text if paint is not plain else "\n".join(safe(line) for line in text.split("\n")))
    sys.stdout.flush()


def summary(reports: Sequence[Result]) -> str:
    """One line about several files: how many came to which verdict."""
    counts = Counter(headline(r).verdict if isinstance(r, VerificationReport) else "not verified" for r in reports)
    shown = (f"{count} {name.replace(', by', ' by')}" for name, count in counts.most_common())
    return f"{len(reports)} files: " + ", ".join(shown)
