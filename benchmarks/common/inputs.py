"""Files a benchmark is pointed at: whatever lies in the folder, with a clear word about what cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def find(folder: str | Path, suffixes: Iterable[str], limit: int = 0) -> list[Path]:
    """Files under ``folder`` with one of ``suffixes``, sorted; with ``limit`` that many, evenly spaced.

    Raises:
        SystemExit: no such folder, or no such file in it.
    """
    place, wanted = Path(folder), set(suffixes)
    if not place.is_dir():
        raise SystemExit(f"{folder}: no such folder")
    paths = sorted(p for p in place.rglob("*") if p.suffix.lower() in wanted and p.is_file())
    if not paths:
        raise SystemExit(f"{folder}: no file of {', '.join(sorted(wanted))} in it")
    if limit and len(paths) > limit:
        step = (len(paths) - 1) / max(1, limit - 1)
        paths = [paths[round(i * step)] for i in range(limit)]
    return paths


def read_all(items: Iterable[S], read: Callable[[S], T], name: Callable[[S], object] = str) -> list[T]:
    """What ``read`` makes of each; what it cannot read is named on standard error and left out.

    Raises:
        SystemExit: nothing could be read.
    """
    found = []
    for item in items:
        try:
            found.append(read(item))
        except Exception as error:  # any decoder, any damage
            print(f"left out {name(item)}: {error}", file=sys.stderr)
    if not found:
        raise SystemExit("none of the files can be read")
    return found
