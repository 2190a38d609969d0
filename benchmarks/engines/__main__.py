"""``python -m benchmarks.engines [SECTION ...]``: text, speech, process, screens; merges JSON into the result."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from benchmarks.common.places import RESULTS
from benchmarks.engines import process, screens, speech, text

SECTIONS: Final[dict[str, Callable[[int], dict[str, Any]]]] = {
    "text": text.measure,
    "speech": speech.measure,
    "process": process.measure,
    "screens": screens.measure,
}
COUNTS: Final = {"text": 50, "speech": 30, "process": 20, "screens": 100}


def main() -> None:
    """Run the named sections, or all."""
    parser = argparse.ArgumentParser(description="Measure the engines in the box.")
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], help="default: all")
    parser.add_argument("--count", type=int, default=0, help="items of each section; 0 = its own number")
    args = parser.parse_args()
    target = RESULTS / "engines" / "engines.json"
    for name in args.sections or SECTIONS:
        measured = {
            **SECTIONS[name](args.count or COUNTS[name]),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
        }
        # read now, not before: another run may have written its section meanwhile
        found: dict[str, Any] = json.loads(target.read_text("utf-8")) if target.is_file() else {}
        found[name] = measured
        print(json.dumps({name: found[name]}, indent=2, default=asdict))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(found, indent=2, sort_keys=True, default=asdict) + "\n", "utf-8")


if __name__ == "__main__":
    main()
