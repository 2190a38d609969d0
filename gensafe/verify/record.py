"""The registry's record for a file: how it is found, and whether its content is like the file's."""

from __future__ import annotations

from dataclasses import dataclass

from gensafe.core.errors import GensafeError, InvalidRequest
from gensafe.core.ids import parse_record_id, record_id_text
from gensafe.core.types import Modality, Outcome, Text
from gensafe.core.types.caller import Scope
from gensafe.media.fingerprint import MATCH_THRESHOLD, odd_parts, similarity
from gensafe.media.fingerprint.text import words
from gensafe.provenance import ManifestReading, strip_a8
from gensafe.registry.model import Record
from gensafe.verify.budget import OUT_OF_TIME, Budget
from gensafe.verify.conclusion import Layers, Likeness, MarkFact, RecordFact
from gensafe.verify.context import VerifyContext
from gensafe.verify.difference import difference_line
from gensafe.verify.inspect import Inspection
from gensafe.verify.lines import Line
from gensafe.verify.marks import MarkSearch


@dataclass(frozen=True, slots=True)
class Match:
    """A record and how it was found: "watermark", "manifest", "exact bytes" or "likeness"."""

    record: Record
    how: str


@dataclass(frozen=True, slots=True)
class RecordAnswer:
    """What the registry says."""

    match: Match | None
    line: Line
    fact: RecordFact
    layers: Layers = Layers.READ


def find_record(
    found: Inspection, mark: MarkSearch, context: VerifyContext, scope: Scope, budget: Budget
) -> RecordAnswer:
    """Find the record: by the mark, the manifest's claim, the exact bytes, or likeness; in this order."""
    name = "registry record"
    if context.records is None:
        return RecordAnswer(None, Line(name, Outcome.UNSUPPORTED, "no registry available"), RecordFact.UNKNOWN)
    if budget.spent:
        return RecordAnswer(None, Line(name, Outcome.ERROR, OUT_OF_TIME), RecordFact.UNKNOWN, Layers.UNREAD)
    try:
        match, resembles = _look_up(found, mark, context)
    except GensafeError as error:
        return RecordAnswer(None, Line(name, Outcome.ERROR, error.message), RecordFact.UNKNOWN, Layers.UNREAD)
    if match is not None:
        record = match.record
        owner = {
            "record_id": record_id_text(record.record_id),
            "found_by": match.how,
            "created_ms": record.created_ms,
            "media_type": record.media_type,
            "digest": record.digest,
            "manifest": record.manifest_label,
            "log_index": record.log_index,
            "exact_bytes": record.digest == found.digest,
        }
        summary = f"{record_id_text(record.record_id)}, found by {match.how}"
        line = Line(name, Outcome.PASS, "there is a record of this output", owner=owner, owner_summary=summary)
        return RecordAnswer(match, line, RecordFact.FOUND)
    if resembles is not None and scope.sees(resembles[0].tenant):  # to others not even that something is alike
        record, score = resembles
        summary = f"none; the content resembles {record_id_text(record.record_id)}, which proves nothing by itself"
        evidence: dict[str, object] = {
            "resembles": record_id_text(record.record_id),
            "similarity": round(score, 4),
        }
        evidence |= difference_line(found, record, context, budget).owner
        return RecordAnswer(None, Line(name, Outcome.ABSENT, summary, evidence), RecordFact.ABSENT)
    return RecordAnswer(None, Line(name, Outcome.ABSENT, "no record of this file"), RecordFact.ABSENT)


def _look_up(
    found: Inspection, mark: MarkSearch, context: VerifyContext
) -> tuple[Match | None, tuple[Record, float] | None]:
    """(the record, and how it was found), or the record it merely resembles."""
    records = context.records
    if records is None:
        return None, None
    if mark.fact is MarkFact.RECORD:
        record = records.by_record_id(mark.record_id)
        return (Match(record, "watermark") if record else None), None
    claimed = claimed_record(found.reading)
    if claimed and (record := records.by_record_id(claimed)) is not None:
        return Match(record, "manifest"), None
    if (record := records.by_digest(found.digest)) is not None:
        return Match(record, "exact bytes"), None
    if found.content is None or not found.fingerprint or found.reading is not None:
        return None, None
    near = records.nearest(found.fingerprint, found.content.modality, 1)
    if not near:
        return None, None
    record, score = near[0]
    if mark.fact is MarkFact.PRESENT or _same_text(found, record, context):
        return Match(record, "likeness"), None
    return None, (record, score)


def _same_text(found: Inspection, record: Record, context: VerifyContext) -> bool:
    """Whether a text is, its wrapper aside, the recorded one: then its signature can be checked again."""
    if not isinstance(found.content, Text) or context.records is None:
        return False
    kept = context.records.get_blob(record.digest)
    if kept is None:
        return record.manifest_digest != "" and record.modality is Modality.TEXT
    return strip_a8(kept.decode("utf-8", "replace")) == strip_a8(found.content.text)


def claimed_record(reading: ManifestReading | None) -> int:
    """The record id that a manifest of ours names; believed only as far as looking it up."""
    if reading is None or not reading.record_id:
        return 0
    try:
        return parse_record_id(reading.record_id)
    except InvalidRequest:
        return 0


def compare(
    found: Inspection, match: Match | None, context: VerifyContext, budget: Budget
) -> tuple[Likeness, Line, Layers]:
    """Compare the content's fingerprint with the record's: as a whole, then part by part."""
    name, read = "fingerprint", Layers.READ
    if match is None:
        return Likeness.UNKNOWN, Line(name, Outcome.ABSENT, "no record to compare with"), read
    record = match.record
    if found.content is None or not found.fingerprint or not record.fingerprint:
        return Likeness.UNKNOWN, Line(name, Outcome.UNSUPPORTED, "no fingerprint to compare"), read
    if found.content.modality is not record.modality:
        problem = f"the record is of a {record.modality.value}, this is a {found.content.modality.value}"
        return Likeness.DIFFERS, Line(name, Outcome.FAIL, problem), read
    if budget.spent:
        return Likeness.UNKNOWN, Line(name, Outcome.ERROR, OUT_OF_TIME), Layers.UNREAD
    threshold = MATCH_THRESHOLD[found.content.modality]
    try:
        score = similarity(found.fingerprint, record.fingerprint)
        parts = odd_parts(found.fingerprint, record.fingerprint)
        odd = bool(parts) or (
            isinstance(found.content, Text) and not _same_words(found.content, score, record, context)
        )
    except GensafeError as error:
        return Likeness.UNKNOWN, Line(name, Outcome.ERROR, error.message), Layers.UNREAD
    owner: dict[str, object] = {"similarity": round(score, 4), "threshold": threshold}  # others could guess by a score
    if parts:
        owner["odd_parts"] = [str(part) for part in parts]
    figures = f"(similarity {score:.2f}, needed {threshold:.2f})"
    if score < threshold:
        likeness, summary = Likeness.DIFFERS, "the content is not like the recorded output"
    elif odd:
        likeness, summary = Likeness.PARTLY, "like the recorded output as a whole, but parts of it are not"
    else:
        likeness, summary = Likeness.AGREES, "the content is like the recorded output"
    outcome = Outcome.PASS if likeness is Likeness.AGREES else Outcome.FAIL
    return likeness, Line(name, outcome, summary, owner=owner, owner_summary=f"{summary} {figures}"), read


def _same_words(content: Text, score: float, record: Record, context: VerifyContext) -> bool:
    """Whether a text has the words of the recorded one; by the fingerprint alone where that is no longer kept."""
    kept = context.records.get_blob(record.digest) if context.records is not None else None
    if kept is None:
        return score == 1.0
    return words(strip_a8(kept.decode("utf-8", "replace"))) == words(strip_a8(content.text))
