"""Put the figures of results/engines/engines.json into docs/engines.md; ``python -m benchmarks.engines.docs``.

Each table stands after a comment with its name, up to the next empty line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.common.places import DOCS, RESULTS

PAGE: Final = DOCS / "engines.md"
RESULT: Final = RESULTS / "engines" / "engines.json"
Rows = Sequence[tuple[str, str, str]]  # figure, goal, measured


def tables(found: Mapping[str, Any]) -> dict[str, Rows]:
    """Name -> its rows."""
    made = {
        "smollm2": ("text", _smollm2),
        "hibari": ("speech", _hibari),
        "process": ("process", _process),
        "screens": ("screens", _screens),
    }
    return {name: rows(found[section]) for name, (section, rows) in made.items() if section in found}


def filled(page: str, found: Mapping[str, Any]) -> str:
    """The page with every table replaced."""
    for name, rows in tables(found).items():
        lines = ["| figure | goal | measured |", "|---|---|---|", *("| " + " | ".join(row) + " |" for row in rows)]
        table = "\n".join([f"<!-- {name} -->", *lines, ""])
        page = re.sub(rf"<!-- {name} -->\n(?:\|.*\n)*", table.replace("\\", r"\\"), page)
    return page


def _range(value: Mapping[str, float], unit: str = "") -> str:
    return f"{value['median']:g}{unit} (of single texts {value['low']:g} to {value['high']:g})"


def _share(value: Mapping[str, float], count: int) -> str:
    hits = round(value["value"] * count)
    return f"{hits} of {count} (95 %: {value['low']:.1%} to {value['high']:.1%})"


def _smollm2(text: Mapping[str, Any]) -> Rows:
    speed, gate, mark = text["speed"], text["gate"], text["mark"]
    each = f"{speed['texts']} texts of up to {speed['tokens_each']} tokens"
    rate = speed["tokens_per_cpu_second"]
    return [
        (f"tokens a second of one core's time, {each}", "25", _range(rate["plain"])),
        ("the same, marked while sampled", "", _range(rate["marked"])),
        (
            f"llama.cpp ({speed['llama_cpp']}) over smollm2, the same file, one thread, each text in turn",
            "1.3",
            _range(speed["llama_cpp_over_smollm2"]),
        ),
        ("tokens a second of wall time while other work ran", "", _range(speed["tokens_per_second"])),
        ("memory of the engine's process after a text", "350 MB", f"{speed['resident_mb']} MiB"),
        (
            f"mark found at p < 1e-6 in texts of {mark['tokens']} tokens at temperature {mark['temperature']}",
            "98 %",
            _share(mark["found"], mark["texts"]) + f"; largest p {mark['largest_p']:.0e}",
        ),
        (
            "the same with another key",
            "0",
            _share(mark["found_with_another_key"], mark["texts"])
            + f"; smallest p {mark['smallest_p_with_another_key']:.0e}",
        ),
        (
            f"whole gate (screens, streaming, mark, signature, log) over decoding, {gate['requests']} requests",
            "20 %",
            f"{gate['gate_over_decoding']['median']:.1%} "
            f"({gate['gate_over_decoding']['low']:.1%} to {gate['gate_over_decoding']['high']:.1%})",
        ),
        ("of that, the mark", "", f"{gate['mark_over_decoding']['median']:.1%}"),
    ]


def _hibari(speech: Mapping[str, Any]) -> Rows:
    count = speech["sentences"]
    return [
        (
            f"times real time, by processor time, {count} sentences of {speech['seconds_each']:g} s",
            "15",
            f"{speech['times_real_time_per_cpu_second']:g}",
        ),
        (
            f"words that PocketSphinx hears wrongly, of {speech['words']}",
            "10 %",
            f"{speech['word_error_rate']:.1%}",
        ),
        ("sound mark recovered after MP3 at 64 kbit/s", "95 %", _share(speech["mark_after_mp3_64"], count)),
    ]


def _process(process: Mapping[str, Any]) -> Rows:
    first, each = process["first_piece_ms"], process["each_piece_ms"]
    return [
        ("first piece of text, later by", "3 ms", f"{first['isolated'] - first['here']:.1f} ms"),
        ("each further piece, later by", "0.1 ms", f"{each['isolated'] - each['here']:.2f} ms"),
        ("one 1080p image handed over", "2 ms", f"{process['picture_1080p_ms']:.1f} ms"),
    ]


def _screens(screens: Mapping[str, Any]) -> Rows:
    count, ends = screens["prompts"], screens["ends"]
    rows = [(name, "", f"{ends[name]} of {count}") for name in sorted(ends) if name != "answer released"]
    return [*rows, ("answer released", "", _share(screens["released"], count))]


def main() -> None:
    """Write the page."""
    PAGE.write_text(filled(PAGE.read_text("utf-8"), json.loads(RESULT.read_text("utf-8"))), "utf-8")


if __name__ == "__main__":
    main()
