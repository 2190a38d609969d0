"""Which output of ours a file shows, for people who look into a complaint: a lead to a record, and no proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gensafe.core.digest import sha256
from gensafe.core.ids import parse_record_id
from gensafe.core.types.caller import Everything, Scope
from gensafe.verify import marks
from gensafe.verify.budget import VERIFY_SECONDS, Budget
from gensafe.verify.contain import inspect_contained
from gensafe.verify.context import VerifyContext
from gensafe.verify.record import find_record

RESEMBLANCE: Final = "resemblance"


@dataclass(frozen=True, slots=True)
class Lead:
    """A record and how it was found: "watermark", "manifest", "exact bytes", "likeness" or RESEMBLANCE."""

    record_id: int
    found_by: str


_EVERYTHING: Final = Everything()


def find_output(
    data: bytes, context: VerifyContext, *, scope: Scope = _EVERYTHING, seconds: float = VERIFY_SECONDS
) -> Lead | None:
    """The record of an output that ``data`` is, was made from or merely resembles; None = none that the asker sees.

    Args:
        data: The file's bytes, untrusted: a screenshot, a cut, another encoding.
        context: The registry and the keys of the marks.
        scope: Who asks.
        seconds: What is not begun this long after the file was parsed is left out.

    Raises:
        MediaError: the file cannot be read.
    """
    context = context.current()
    exact = context.records.by_digest(sha256(data)) if context.records is not None else None
    if exact is not None:  # also of bytes that nobody can read any more
        return Lead(exact.record_id, "exact bytes") if scope.sees(exact.tenant) else None
    found = inspect_contained(data, None, context)
    budget = Budget(seconds)
    mark = marks.search(found.content, context, budget, marks.promised_epoch(found.reading))
    answer = find_record(found, mark, context, scope, budget)
    if answer.match is not None:
        record = answer.match.record
        return Lead(record.record_id, answer.match.how) if scope.sees(record.tenant) else None
    resembles = answer.line.evidence.get("resembles")
    return Lead(parse_record_id(str(resembles)), RESEMBLANCE) if resembles else None
