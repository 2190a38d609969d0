"""Where an edited text differs from the recorded one."""

from __future__ import annotations

import difflib
from itertools import islice
from typing import Final

from gensafe.core.errors import GensafeError
from gensafe.core.types import Text
from gensafe.provenance import strip_a8
from gensafe.registry.model import Record
from gensafe.verify.context import VerifyContext
from gensafe.verify.inspect import Inspection

MAX_LINES: Final = 40
MAX_CHARACTERS: Final = 20_000  # difflib is quadratic: longer texts are not compared


def text_difference(found: Inspection, record: Record, context: VerifyContext) -> list[str]:
    """Unified diff from the recorded text to this one, at most ``MAX_LINES`` lines; [] when it cannot be made."""
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
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "recorded", "this file", lineterm="", n=1)
    return list(islice(lines, MAX_LINES))
