"""Where the content was changed, as far as the report says so: boxes over the image, and places in words."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gensafe.core.languages import Words
from gensafe.core.types import VerificationReport
from gensafe.verify.render import escape_html
from gensafe.verify.where import BY_MARK

SHOWN_TYPES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif")  # what every browser draws
MAX_SHOWN: Final = 4 << 20  # bytes of an image that the page repeats; a third more as base64. Chosen, not measured
MAX_PLACES: Final = 20  # places listed; the report names them all. Chosen by eye, not measured
_DECIMALS: Final = 2  # of seconds: cuts of a frame stay apart


def changes(report: VerificationReport, data: bytes, words: Words) -> str:
    """The section as HTML; "" where the report names no place, or its reader may not see it."""
    compared = _parts(report, "difference")
    parts = compared or _parts(report, BY_MARK)
    if not parts:
        return ""
    if compared:
        title, how = words("Where it was changed"), words("Found by comparison with the recorded output.")
        alt = words("The image with the changed areas outlined")
    else:
        title = alt = words("Where the watermark is weaker")
        how = words(
            "An edit or compression can do this; it proves no change. {percent} % of the image could be judged.",
            percent=f"{100 * _judged(report):.0f}",
        )
    items = "".join(f"<li>{escape_html(_place(part, words))}</li>" for part in parts[:MAX_PLACES])
    left = len(parts) - MAX_PLACES
    more = f"<p>{escape_html(words('and {count} more', count=left))}</p>" if left > 0 else ""
    drawn = _drawn(report, parts, data, alt)
    return f"<h2>{escape_html(title)}</h2>{drawn}<p>{escape_html(how)}</p><ul>{items}</ul>{more}"


def _parts(report: VerificationReport, name: str) -> list[Mapping[str, Any]]:
    found = next((check.evidence.get("parts") for check in report.checks if check.name == name), ())
    return [part for part in found if isinstance(part, Mapping)] if isinstance(found, list | tuple) else []


def _judged(report: VerificationReport) -> float:
    return next((float(check.evidence["judged"]) for check in report.checks if check.name == BY_MARK), 0.0)


def _place(part: Mapping[str, Any], words: Words) -> str:
    start, end = float(part.get("start_s") or 0), float(part.get("end_s") or 0)
    time = words("{start} to {end} s", start=f"{start:.{_DECIMALS}f}", end=f"{end:.{_DECIMALS}f}") if end else ""
    if part.get("what") != "area":
        return time or words("the whole of it")
    sides = {side: f"{100 * float(part.get(side) or 0):.0f}" for side in ("left", "right", "top", "bottom")}
    area = words("{left} to {right} % from the left, {top} to {bottom} % from the top", **sides)
    return f"{area}, {time}" if time else area


def _drawn(report: VerificationReport, parts: Sequence[Mapping[str, Any]], data: bytes, alt: str) -> str:
    """The image itself, drawn by the browser from the page, with a box around each area."""
    areas = [part for part in parts if part.get("what") == "area" and not part.get("end_s")]
    if not areas or report.media_type not in SHOWN_TYPES or len(data) > MAX_SHOWN:
        return ""
    source = f"data:{report.media_type};base64,{base64.b64encode(data).decode()}"
    boxes = "".join(
        f'<rect x="{100 * float(p["left"]):.1f}" y="{100 * float(p["top"]):.1f}" '
        f'width="{100 * (float(p["right"]) - float(p["left"])):.1f}" '
        f'height="{100 * (float(p["bottom"]) - float(p["top"])):.1f}"/>'
        for p in areas
    )
    overlay = f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{boxes}</svg>'
    return f'<figure class="where" dir="ltr"><img alt="{escape_html(alt)}" src="{source}">{overlay}</figure>'
