"""Where a file was changed, for those who may know: by the stored output where it is kept, else a hint by our mark.

Neither decides anything: the conclusion was drawn before.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from gensafe.core.errors import GensafeError
from gensafe.core.types import Located, Outcome
from gensafe.media.fingerprint.parts import Part
from gensafe.registry.model import Record
from gensafe.verify.budget import OUT_OF_TIME, Budget
from gensafe.verify.context import VerifyContext
from gensafe.verify.difference import PARTS_MAX, difference_line
from gensafe.verify.inspect import Inspection
from gensafe.verify.lines import Line
from gensafe.verify.marks import MarkSearch

BY_MARK: Final = "mark in all parts"
NAMED: Final = 3  # areas named in the summary; the evidence has them all. Chosen by eye
_COMPARED: Final = (Outcome.PASS, Outcome.FAIL, Outcome.ABSENT)


def where_changed(
    found: Inspection, record: Record | None, mark: MarkSearch, context: VerifyContext, budget: Budget
) -> list[Line]:
    """The comparison with the stored output of ``record``; where there was none to make, also what the mark says."""
    lines = [difference_line(found, record, context, budget)] if record is not None else []
    if any(line.outcome in _COMPARED for line in lines):
        return lines
    hint = by_mark(found, mark, context, budget)
    return [*lines, hint] if hint is not None else lines


def by_mark(found: Inspection, mark: MarkSearch, context: VerifyContext, budget: Budget) -> Line | None:
    """Whether the mark that was read is as strong everywhere. None where no mark was read or this cannot be told.

    For the owner only: others could remove a mark by what this says.
    """
    content, detection = found.content, mark.detection
    if content is None or detection is None or detection.payload is None or context.key_for is None:
        return None
    locate = context.locators.get(content.modality)
    if locate is None:
        return None
    if budget.spent:
        return Line(BY_MARK, Outcome.ERROR, OUT_OF_TIME)
    try:
        located = locate(content, detection.payload, context.key_for(content.modality, mark.epoch))
    except GensafeError as error:
        return Line(BY_MARK, Outcome.ERROR, error.message)
    return None if located is None else _line(located)


def _line(located: Located) -> Line:
    judged = f"{located.judged:.0%} of the image could be judged"
    parts = [Part("area", *area) for area in located.areas]
    owner = {"parts": [asdict(part) for part in parts[:PARTS_MAX]], "judged": round(located.judged, 2)}
    if not parts:
        said = f"the watermark is in every part that could be judged; fine edits can escape; {judged}"
        return Line(BY_MARK, Outcome.PASS, said, owner=owner)
    more = f" and {len(parts) - NAMED} more areas" if len(parts) > NAMED else ""
    said = f"the watermark is weaker at {'; '.join(map(str, parts[:NAMED]))}{more}"
    return Line(BY_MARK, Outcome.ABSENT, f"{said}; an edit or compression can do this; {judged}", owner=owner)
