"""What the image, audio and video safety checks find, what they miss, what they cost.

Usage: python -m benchmarks.media_safety [SECTION ...] [--out FILE]    (all without sections; needs the shared data)

Prints a table and merges the sections that ran into results/media_safety/media_safety.json, or into FILE; ``--cards``
copies the figures from there into the cards of the classifiers, ``--docs`` into the documentation.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks.common.places import RESULTS
from benchmarks.media_safety.films import clip_lists, flash, insertions
from benchmarks.media_safety.nudity import nudity
from benchmarks.media_safety.pictures import block_lists, ocr
from benchmarks.media_safety.scripts import scripts
from benchmarks.media_safety.sounds import loudness, recordings, speech, ultrasound
from benchmarks.media_safety.symbols import symbols
from benchmarks.media_safety.whole import cost, fingerprints, likeness, ordinary

RESULT: Final = RESULTS / "media_safety" / "media_safety.json"
_ALL: Final = (
    *(flash, insertions, clip_lists, block_lists, recordings, likeness, ocr, ultrasound, loudness, fingerprints),
    *(speech, scripts, symbols, nudity, ordinary, cost),
)
SECTIONS: Final[dict[str, Callable[[], dict[str, Any]]]] = {f.__name__: f for f in _ALL}


def main(arguments: list[str] | None = None) -> int:
    """Run the sections named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--cards", action="store_true", help="only copy the figures into the cards")
    parser.add_argument("--docs", action="store_true", help="only write the table of docs/safety-media.md")
    args = parser.parse_args(arguments)
    if args.cards:
        from benchmarks.media_safety.cards import write

        return write(json.loads(args.out.read_text()))
    if args.docs:
        from benchmarks.media_safety import docs as media_docs

        return media_docs.write(json.loads(args.out.read_text()))
    unknown = [name for name in args.sections if name not in SECTIONS]
    if unknown:
        print(f"no section {unknown[0]!r}; there are {', '.join(SECTIONS)}", file=sys.stderr)
        return 64
    about = {
        "benchmark": "media_safety",
        "gensafe": version("gensafe"),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("av", "numpy", "onnxruntime", "pdqhash", "pillow", "scipy")},
    }
    for name in args.sections or SECTIONS:
        figures = SECTIONS[name]()
        print(f"\n## {name}")
        for key, value in figures.items():
            print(f"{key:<55} {value}")
        args.out.parent.mkdir(exist_ok=True)
        known = json.loads(args.out.read_text()) if args.out.exists() else {}
        args.out.write_text(json.dumps(known | about | {name: figures}, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
