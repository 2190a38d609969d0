"""Where an edited text differs from the recorded one."""

from __future__ import annotations

from typing import Final

from gensafe.core.errors import GensafeError
from gensafe.core.types import Text
from gensafe.media import sentences
from gensafe.provenance import strip_a8
from gensafe.registry.model import Record
from gensafe.verify.context import VerifyContext
from gensafe.verify.inspect import Inspection

MAX_CHARACTERS: Final = 20_000  # comparing is quadratic: longer texts are not compared


def text_difference(found: Inspection, record: Record, context: VerifyContext) -> list[str]:
    """How much is the same and how many sentences differ, then a diff by sentences; [] when it cannot be made."""
    if not isinstance(found.content, Text) or context.records is None:
        return []
    try:
        kept = context.records.get_blob(record.digest)
        if kept is None:
            return []
        before = strip_a8(kept.decode("utf-8"))
    except (GensafeError, UnicodeDecodeError):
        return []
    after = strip_a8(found.content.text)
    if max(len(before), len(after)) > MAX_CHARACTERS:
        return []
    difference = sentences.text_difference(before, after)
    return [str(difference), *difference.lines] if difference.changed else []
