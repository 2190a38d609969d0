"""From a file to the records it leads to, without a verdict: what the Soft Binding Resolution API answers."""

from __future__ import annotations

from dataclasses import dataclass

from gensafe.core.errors import UnreadableMedia, UnsupportedMedia
from gensafe.media.fingerprint import MATCH_THRESHOLD, similarity
from gensafe.registry.model import Record
from gensafe.verify import marks
from gensafe.verify.budget import Budget
from gensafe.verify.conclusion import Container, MarkFact
from gensafe.verify.contain import inspect_contained
from gensafe.verify.context import VerifyContext


@dataclass(frozen=True, slots=True)
class Resolution:
    """A record that a file leads to. ``similarity`` 0..1 of the fingerprints."""

    record: Record
    how: str  # watermark | exact bytes | likeness
    similarity: float


def resolve_bytes(
    data: bytes, *, context: VerifyContext, limit: int = 10, search_mark: bool = True
) -> tuple[Resolution, ...]:
    """The records that ``data`` leads to, best first.

    A record whose fingerprint disagrees is left out: a mark can be copied, so its record is shown only for like content
    (C2PA 2.4 Soft Binding Resolution API, section 1.2.2.3).

    Raises:
        MediaError: the file cannot be decoded.
        RegistryError: the registry failed.
    """
    context = context.current()
    found = inspect_contained(data, None, context)
    if found.container in (Container.DAMAGED, Container.TRUNCATED):
        raise UnreadableMedia(found.problem)
    if found.content is None:
        raise UnsupportedMedia(found.problem or f"{found.media_type} is not handled")
    if context.records is None:
        return ()
    if not found.fingerprint:
        raise UnsupportedMedia(found.problem or f"{found.media_type} has no fingerprint here")
    modality = found.content.modality
    candidates: list[tuple[Record, str]] = []
    if search_mark:
        mark = marks.search(found.content, context, Budget())
        if mark.fact is MarkFact.RECORD and (record := context.records.by_record_id(mark.record_id)) is not None:
            candidates.append((record, "watermark"))
    if (record := context.records.by_digest(found.digest)) is not None:
        candidates.append((record, "exact bytes"))
    candidates += [(record, "likeness") for record, _ in context.records.nearest(found.fingerprint, modality, limit)]
    best: dict[int, Resolution] = {}
    for record, how in candidates:
        if record.record_id in best or record.modality is not modality:
            continue
        score = similarity(found.fingerprint, record.fingerprint)
        if score >= MATCH_THRESHOLD[modality]:
            best[record.record_id] = Resolution(record, how, score)
    return tuple(best.values())[:limit]
