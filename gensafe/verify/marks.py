"""Search the content for our watermark, under every epoch's key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from gensafe.core.errors import GensafeError
from gensafe.core.ids import record_id_text, unpack_payload
from gensafe.core.ports import PreparedSearch
from gensafe.core.softbinding import is_ours, payload_of
from gensafe.core.types import PAYLOAD_BYTES, Detection, MarkLevel, Media, Modality, Outcome
from gensafe.provenance import ManifestReading
from gensafe.verify.budget import OUT_OF_TIME, Budget
from gensafe.verify.conclusion import MarkFact
from gensafe.verify.context import VerifyContext
from gensafe.verify.lines import Line

PUBLISHED = "its key was published, so anybody can write it: only agreement with the record counts"
_RANK = (MarkLevel.NONE, MarkLevel.UNDECIDABLE, MarkLevel.PRESENT, MarkLevel.RECORD)


class Search(StrEnum):
    """How far a search came."""

    DONE = "done"
    NO_KEY = "no key"  # nothing here to search with: no key, no plugin or no tokenizer
    FAILED = "failed"  # it should have been possible: undecodable content, an error, out of time


@dataclass(frozen=True, slots=True)
class MarkSearch:
    """What the search found. ``epoch`` and ``record_id`` only with level RECORD; ``problem`` unless it was done.

    ``disclosed``: the key that found it was published, so that anybody could have written the mark.
    """

    search: Search
    problem: str = ""
    detection: Detection | None = None
    epoch: int = -1
    record_id: int = 0
    disclosed: bool = False

    @property
    def fact(self) -> MarkFact:
        """The search as the conclusion sees it."""
        if self.detection is None:
            return MarkFact.NO_KEY if self.search is Search.NO_KEY else MarkFact.UNSEARCHED
        return {MarkLevel.RECORD: MarkFact.RECORD, MarkLevel.PRESENT: MarkFact.PRESENT}.get(
            self.detection.level, MarkFact.NONE
        )

    @property
    def searched(self) -> bool:
        """Whether there is an answer."""
        return self.detection is not None

    @property
    def found(self) -> bool:
        """Whether our mark is in the content."""
        return self.fact in (MarkFact.PRESENT, MarkFact.RECORD)

    @property
    def undecidable(self) -> bool:
        """Whether there was too little material to tell."""
        return self.detection is not None and self.detection.level is MarkLevel.UNDECIDABLE


def promised_epoch(reading: ManifestReading | None) -> int | None:
    """The epoch of the mark that a manifest of ours names; None = it names none. Only says where to look first."""
    for binding in reading.soft_bindings if reading is not None else ():
        payload = payload_of(binding.value) if is_ours(binding.alg) else None
        if payload is not None and len(payload) == PAYLOAD_BYTES:
            return unpack_payload(payload)[1]
    return None


def search(content: Media | None, context: VerifyContext, budget: Budget, first: int | None = None) -> MarkSearch:
    """Search ``content`` under each epoch's key, ``first`` and then newest first, and keep the strongest answer.

    Every further key is a further chance of a false alarm, so the p-value is multiplied by the number of keys tried
    (union bound); by that of all keys where the file itself said which comes first. A payload that names
    another epoch than the key that opened it is not ours.

    Where the detector can share work between keys, its quick part runs under every key before the whole of it under
    any: a file that nobody cropped or turned is found at about the cost of one key, whatever its epoch.
    """
    found = _search(content, context, budget, first)
    return replace(found, disclosed=found.found and found.epoch in context.disclosed)


def _search(content: Media | None, context: VerifyContext, budget: Budget, first: int | None) -> MarkSearch:
    if content is None:
        return MarkSearch(Search.FAILED, "the content could not be decoded")
    modality: Modality = content.modality
    detector = context.detectors.get(modality)
    if context.key_for is None or not context.epochs:
        return MarkSearch(Search.NO_KEY, "no watermark key: only the deployment that marked a file can find its mark")
    if detector is None:
        missing = "the tokenizer of the model that wrote it" if modality is Modality.TEXT else "a watermark plugin"
        return MarkSearch(Search.NO_KEY, f"searching {modality.value} needs {missing}")
    best: tuple[Detection, int] | None = None
    tried = 0
    epochs = sorted(context.epochs, key=lambda epoch: epoch != first)  # stable: the others stay newest first
    try:
        prepared = _prepared(content, context)
        for epoch in epochs if prepared is not None else ():
            if budget.spent:
                return MarkSearch(Search.FAILED, OUT_OF_TIME)
            quick = prepared.quick(context.key_for(modality, epoch)) if prepared is not None else None
            record_id = _record_of(quick, epoch)
            if quick is not None and record_id is not None:
                return MarkSearch(Search.DONE, "", _adjusted(quick, len(epochs)), epoch, record_id)
        for epoch in epochs:
            if budget.spent:
                return MarkSearch(Search.FAILED, OUT_OF_TIME)
            tried = tried + 1 if first is None and prepared is None else len(epochs)
            key = context.key_for(modality, epoch)
            detection = detector(content, key) if prepared is None else prepared.whole(key)
            record_id = _record_of(detection, epoch)
            if record_id is not None:
                return MarkSearch(Search.DONE, "", _adjusted(detection, tried), epoch, record_id)
            if detection.level is MarkLevel.RECORD:  # opened by this key, and names another epoch
                detection = replace(detection, level=MarkLevel.NONE, payload=None)
            if best is None or _RANK.index(detection.level) > _RANK.index(best[0].level):
                best = detection, epoch
    except GensafeError as error:
        return MarkSearch(Search.FAILED, error.message)
    except Exception as error:  # a detector is a plugin: whatever it breaks on is a line of the report, not a crash
        return MarkSearch(Search.FAILED, f"the detector failed: {type(error).__name__}")
    if best is None:
        return MarkSearch(Search.NO_KEY, "no watermark key")
    return MarkSearch(Search.DONE, "", _adjusted(best[0], tried), best[1])


def _prepared(content: Media, context: VerifyContext) -> PreparedSearch | None:
    """Work shared between the keys; of use only where there are several."""
    prepare = context.preparers.get(content.modality) if len(context.epochs) > 1 else None
    return None if prepare is None else prepare(content)


def _record_of(detection: Detection | None, epoch: int) -> int | None:
    """The record that a detection under the key of ``epoch`` names; None if it names none, or another epoch."""
    if detection is None or detection.level is not MarkLevel.RECORD or detection.payload is None:
        return None
    record_id, named = unpack_payload(detection.payload)
    return record_id if named == epoch else None


def line(found: MarkSearch, modality: Modality | None) -> Line:
    """The report's line. ``modality`` is that of the content, None where it could not be decoded."""
    name = "watermark"
    if found.detection is None:
        return Line(name, Outcome.UNSUPPORTED if found.search is Search.NO_KEY else Outcome.ERROR, found.problem)
    detection = found.detection
    evidence: dict[str, object] = {
        "scheme": detection.scheme,
        "level": detection.level.value,
        "p_value": detection.p_value,
        "attempts": detection.attempts,
        "epoch": found.epoch,
        **{f"detail.{k}": v for k, v in detection.detail.items()},
    }
    bound = f"p ≤ {detection.p_value:.1e}"
    present = "our watermark is in the content" + (f"; {PUBLISHED}" if found.disclosed else "")
    match detection.level:
        case MarkLevel.RECORD:
            record_id = record_id_text(found.record_id)
            shown = f"record {record_id} ({bound})" + (f"; {PUBLISHED}" if found.disclosed else "")
            return Line(
                name,
                Outcome.PASS,
                present,
                evidence,
                owner={"record_id": record_id},
                caller_summary=f"{present} ({bound})",
                owner_summary=shown,
            )
        case MarkLevel.PRESENT:
            why = "a text's mark carries no payload" if modality is Modality.TEXT else "its payload is unreadable"
            return Line(name, Outcome.PASS, present, evidence, caller_summary=f"{present}; {why} ({bound})")
        case MarkLevel.UNDECIDABLE:
            few = "too little material to tell"
            return Line(name, Outcome.ABSENT, few, evidence, caller_summary=f"{few} ({bound})")
    return Line(name, Outcome.ABSENT, "not found; that does not mean the content is not AI-made", evidence)


def _adjusted(detection: Detection, tried: int) -> Detection:
    return replace(detection, p_value=min(1.0, detection.p_value * tried))
