"""A copy of a held output for the person who decides: marked with an id of its own, so that a leak leads back to it.

It was not released, so it is not signed and has no record. Its watermark and its label carry the id that the log's
``review.shown`` entry names together with the reviewer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gensafe import media as codecs
from gensafe.core import ids, plugins
from gensafe.core.clock import SystemClock
from gensafe.core.config import Config
from gensafe.core.errors import CannotCarry
from gensafe.core.ports import Watermarker
from gensafe.core.types import Judged, MarkLevel, Text
from gensafe.keys import KeyRing
from gensafe.pipeline.labels import write_metadata_labels


@dataclass(frozen=True, slots=True)
class ReviewCopy:
    """The copy's bytes, and whether its mark was found again in them (``note`` says why not)."""

    data: bytes
    marked: bool
    note: str = ""


def review_copy(config: Config, keys: KeyRing, judged: Judged, review_id: str, copy_id: int) -> ReviewCopy:
    """Encode a held draft with the mark of ``copy_id``; text, which carries no payload, says it in a first line."""
    draft = judged.draft.media
    if isinstance(draft, Text):
        line = f"[held output, review {review_id}, copy {ids.record_id_text(copy_id)}: not released]\n"
        return ReviewCopy((line + draft.text).encode(), False, "text says what it is in its first line")
    kind = codecs.DEFAULT_MEDIA_TYPE[draft.modality]
    scheme: Watermarker = plugins.load(
        "gensafe.watermarks", draft.modality.value, getattr(config.watermark, draft.modality.value)
    )
    key = keys.watermark_key(draft.modality, keys.current_epoch)
    payload = ids.pack_payload(copy_id, keys.current_epoch)
    labelled = replace(judged, admission=replace(judged.admission, record_id=copy_id))
    note = ""
    try:
        draft = scheme.embed(draft, payload, key)
    except CannotCarry as error:
        note = error.message
    data = write_metadata_labels(config, SystemClock().now_ms(), labelled, codecs.encode(draft, kind), kind)
    found = scheme.detect(codecs.decode(data, kind), key)
    return ReviewCopy(data, found.level is MarkLevel.RECORD and found.payload == payload, note)
