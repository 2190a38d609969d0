"""The table of docs/safety-media.md: what is asked for, what was measured, whether it is met.

Written between two marks by ``python -m benchmarks.media_safety --docs``, from its result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.common.places import DOCS

PAGE: Final = DOCS / "safety-media.md"
BEGIN: Final = "<!-- figures: written by benchmarks.media_safety --docs -->"
END: Final = "<!-- end of figures -->"
Row = tuple[str, str, bool]


def rows(results: Mapping[str, Any]) -> list[Row]:
    """(goal, measured, met)."""
    flash, inserted, listed = results["flash"], results["insertions"], results["block_lists"]
    words, ultra, loud = results["ocr"], results["ultrasound"], results["loudness"]
    cost = results["cost"]
    exact = [v for k, v in listed.items() if k.endswith("40 looked up")]
    kinds = ("centre crop 10 %", "crop 10 % anywhere", "each edge cut by up to 10 %")
    plain = [listed[f"found: {kind}, hash of the whole, within 47 bits"] for kind in kinds]
    crops = [listed[f"found: {kind}, hashes of crops too, within 31 bits"] for kind in kinds]
    false = [v for k, v in listed.items() if k.startswith("false matches")]
    minutes = inserted["seconds of real clips"] / 60 + inserted["minutes of variants"]
    alarms = inserted["false hits"] + inserted["false hits on variants of them"]
    wall = cost["10 s of 720p under the default policy, wall s"]
    return [
        (
            "flash: the eight videos of EA's IRIS agree on every frame",
            f"{flash['iris videos agreeing on every frame']}, {flash['iris values differing']} of "
            f"{flash['iris values compared']} values differ",
            flash["iris values differing"] == 0,
        ),
        (
            "strobes by frequency, area, contrast and colour: no wrong verdict",
            f"{flash['strobe matrix wrong verdicts']} of {flash['strobe matrix cases']} wrong",
            flash["strobe matrix wrong verdicts"] == 0,
        ),
        (
            "inserted runs of one to three frames found at their exact index",
            inserted["insertions found at their index"],
            _all(inserted["insertions found at their index"]),
        ),
        (
            "at most one false insertion in ten minutes",
            f"{alarms} in {minutes:.1f} minutes ({inserted['seconds of real clips']} s of real clips, the rest "
            "variants of them: other speeds, parts and lights)",
            alarms <= minutes / 10 or alarms == 0,
        ),
        (
            "PDQ: all found after JPEG q20, half and double size, mirroring, quarter turns",
            f"{min(exact):.0%} (the least of {len(exact)} kinds, 40 photographs each)",
            min(exact) == 1,
        ),
        (
            "PDQ: at least 90 % found after 10 % crops",
            f"{min(plain):.0%} to {max(plain):.0%} with lists of one hash a picture (held for a person), "
            f"{min(crops):.0%} to {max(crops):.0%} with lists of ten",
            min(plain) >= 0.9,
        ),
        ("PDQ: no false match on 200 photographs", f"{sum(false)}", sum(false) == 0),
        (
            "OCR: at least 0.9 of the words at 24 px on photographs",
            f"{words['word recall at 24 px']:.2f}",
            words["word recall at 24 px"] >= 0.9,
        ),
        (
            "ultrasonic carriers of 1 % found, none false",
            f"{ultra['carriers of 1 % found']}, {ultra['false finds']} false",
            _all(ultra["carriers of 1 % found"]) and ultra["false finds"].startswith("0/"),
        ),
        (
            "loudness within 0.1 LU of FFmpeg's ebur128",
            f"{loud['largest difference, LU']} LU at most, true peak {loud['largest true-peak difference, dB']} dB",
            loud["largest difference, LU"] <= 0.1,
        ),
        (
            "10 s of 720p checked in less than 10 s on two cores",
            f"{wall} s with {cost['cores it had the use of meanwhile']} cores' time to be had "
            f"({cost['10 s of 720p under the default policy, CPU s']} CPU s)",
            wall < 10,
        ),
    ]


def _all(share: str) -> bool:
    hits, _, total = share.partition("/")
    return hits == total


def write(results: Mapping[str, Any]) -> int:
    """Rewrite the table in the documentation."""
    table = ["| asked for | measured | met |", "|---|---|---|"]
    table += [f"| {goal} | {measured} | {'yes' if met else '**no**'} |" for goal, measured, met in rows(results)]
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + "\n" + "\n".join(table) + "\n" + END + after, encoding="utf-8")
    print(PAGE.name, len(table) - 2)
    return 0
