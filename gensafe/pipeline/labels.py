"""Labels the law asks for: metadata fields where the container has a place for them, a notice where asked for."""

from __future__ import annotations

from gensafe import __version__
from gensafe.core import ids
from gensafe.core.clock import iso
from gensafe.core.config import Config
from gensafe.core.types import Admission, Judged, Signed
from gensafe.media import labels


def latent_label(config: Config, admission: Admission, now_ms: int) -> labels.LatentLabel:
    """The metadata label of one output."""
    record_id = ids.record_id_text(admission.record_id)
    profile = admission.request.label_profile
    aigc = labels.Aigc(config.labels.cn_producer, record_id) if profile == "cn" else None
    return labels.LatentLabel(
        provider=config.provider,
        system="GenSafe",
        version=__version__,
        time=iso(now_ms),
        content_id=record_id,
        altered=bool(admission.request.inputs),
        detector=config.labels.detector_url,
        profile=profile,
        aigc=aigc,
    )


def write_metadata_labels(config: Config, now_ms: int, judged: Judged, data: bytes, media_type: str) -> bytes:
    """Write the label into encoded, unsigned bytes; containers without a place (text, FLAC, Ogg) stay as they are."""
    if not labels.can_label(media_type):
        return data
    return labels.write_labels(data, media_type, latent_label(config, judged.admission, now_ms))


def label_evidence(config: Config, signed: Signed) -> dict[str, object]:
    """What is read back from the final bytes, and what was measured of a visible label; for the log entry."""
    marked = signed.marked
    found: dict[str, object] = {}
    if labels.can_label(marked.media_type):
        label = latent_label(config, marked.judged.admission, 0)
        found |= labels.evidence(label, signed.data, marked.media_type)
    if marked.visible_label:
        found["visible"] = dict(marked.visible_label)
    return found
