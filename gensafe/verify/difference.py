"""Where a file differs from the recorded output it was made from: for those who may see that output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from gensafe import media
from gensafe.core.errors import GensafeError
from gensafe.core.types import Outcome, Text
from gensafe.media import sentences
from gensafe.media.fingerprint import fingerprint, odd_parts
from gensafe.provenance import strip_a8
from gensafe.registry.model import Record
from gensafe.verify.budget import OUT_OF_TIME, Budget
from gensafe.verify.context import VerifyContext
from gensafe.verify.inspect import Inspection
from gensafe.verify.lines import Line

NAME: Final = "difference"
PARTS_MAX: Final = 100  # places listed for one answer; bounds a report. A round number, not measured


def difference_line(found: Inspection, record: Record, context: VerifyContext, budget: Budget) -> Line:
    """Compare the content with the stored output; its evidence is for the record's owner."""
    if found.content is None or context.records is None:
        return Line(NAME, Outcome.UNSUPPORTED, "the content could not be decoded")
    if budget.spent:
        return Line(NAME, Outcome.ERROR, OUT_OF_TIME)
    try:
        kept = context.records.get_blob(record.digest)
        if kept is None:
            return Line(NAME, Outcome.UNSUPPORTED, "the recorded output is no longer kept")
        before = media.decode(kept, record.media_type)
    except GensafeError as error:
        return Line(NAME, Outcome.ERROR, error.message)
    if isinstance(before, Text) and isinstance(found.content, Text):
        return _of_text(before, found.content)
    if before.modality is not found.content.modality:
        return Line(NAME, Outcome.UNSUPPORTED, "the recorded output is of another kind")
    return _of_media(fingerprint(before), found.fingerprint)


def _of_media(before: Mapping[str, str], after: Mapping[str, str]) -> Line:
    """Which areas and seconds are not those of the stored output, as far as tiles and spectra tell."""
    try:
        parts = odd_parts(before, after)
    except GensafeError as error:
        return Line(NAME, Outcome.ERROR, error.message)
    if not parts:
        return Line(NAME, Outcome.ABSENT, "no part is seen to differ from the recorded output; fine edits can escape")
    owner = {"difference": [str(part) for part in parts[:PARTS_MAX]], "parts": [asdict(p) for p in parts[:PARTS_MAX]]}
    more = f" and {len(parts) - 3} more places" if len(parts) > 3 else ""
    said = "differs from the recorded output in: " + "; ".join(str(part) for part in parts[:3]) + more
    return Line(NAME, Outcome.FAIL, "parts differ from the recorded output", owner=owner, owner_summary=said)


def _of_text(before: Text, after: Text) -> Line:
    old, new = strip_a8(before.text), strip_a8(after.text)
    if max(len(old), len(new)) > sentences.MAX_CHARACTERS:
        return Line(NAME, Outcome.UNSUPPORTED, f"texts over {sentences.MAX_CHARACTERS} characters are not compared")
    difference = sentences.text_difference(old, new)
    if not difference.changed:
        return Line(NAME, Outcome.ABSENT, "no sentence differs from the recorded text")
    owner = {"difference": [str(difference), *difference.lines], "changed_words": [list(c) for c in difference.words]}
    return Line(NAME, Outcome.FAIL, "it differs from the recorded text", owner=owner, owner_summary=str(difference))
