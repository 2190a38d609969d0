"""Where a file differs from the recorded output it was made from: for those who may see that output."""

from __future__ import annotations

from typing import Final

from gensafe import media
from gensafe.core.errors import GensafeError
from gensafe.core.types import Outcome, Text
from gensafe.media import sentences
from gensafe.provenance import strip_a8
from gensafe.registry.model import Record
from gensafe.verify.budget import OUT_OF_TIME, Budget
from gensafe.verify.context import VerifyContext
from gensafe.verify.inspect import Inspection
from gensafe.verify.lines import Line

NAME: Final = "difference"


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
    return Line(NAME, Outcome.UNSUPPORTED, "the recorded output is of another kind")


def _of_text(before: Text, after: Text) -> Line:
    old, new = strip_a8(before.text), strip_a8(after.text)
    if max(len(old), len(new)) > sentences.MAX_CHARACTERS:
        return Line(NAME, Outcome.UNSUPPORTED, f"texts over {sentences.MAX_CHARACTERS} characters are not compared")
    difference = sentences.text_difference(old, new)
    if not difference.changed:
        return Line(NAME, Outcome.ABSENT, "no sentence differs from the recorded text")
    owner = {"difference": [str(difference), *difference.lines], "changed_words": [list(c) for c in difference.words]}
    return Line(NAME, Outcome.FAIL, "it differs from the recorded text", owner=owner, owner_summary=str(difference))
