"""What can be proved about an output, for people who only see HTTP: an object in the answer, and headers."""

from __future__ import annotations

from typing import Any, Final

from gensafe.core import ids
from gensafe.core.hazards import CATEGORIES
from gensafe.core.languages import ENGLISH, Words
from gensafe.core.stopped import held_sentence
from gensafe.core.types import MarkLevel, Text
from gensafe.core.types.usage import MICRO, Amounts, Usage
from gensafe.pipeline import Held, Released
from gensafe.provenance import strip_a8

RECORDS: Final = "/gensafe/v1/records"
REQUESTS: Final = "/gensafe/v1/requests"


def gensafe_object(released: Released) -> dict[str, Any]:
    """Record, digest, verdict, mark, manifest, log entry and its proof."""
    recorded = released.recorded
    signed, marked = recorded.signed, recorded.signed.marked
    admission, judged = marked.judged.admission, marked.judged
    record = judged.draft.record
    record_id = ids.record_id_text(admission.record_id)
    return {
        "state": "released",
        "request_id": admission.request.request_id,
        "record_id": record_id,
        "record_url": f"{RECORDS}/{record_id}",
        "file_url": f"{RECORDS}/{record_id}/file",
        "media_type": marked.media_type,
        "digest": signed.digest,
        "verdict": judged.verdict.action.value,
        "mark": {
            "scheme": marked.receipt.scheme,
            "level": marked.receipt.level.value,
            "p_value": marked.receipt.p_value,
            "key_id": marked.receipt.key_id,
            "note": marked.receipt.note,
        },
        "sampling_mark": record.sampling_mark,
        "manifest": {
            "label": signed.manifest.label,
            "digest": signed.manifest.digest,
            "signer": signed.manifest.signer_fingerprint,
            "embedded": signed.manifest.embedded,
            "development": signed.manifest.development,
        },
        "log": {"origin": recorded.log_origin, "index": recorded.log_index, "leaf_hash": recorded.leaf_hash},
        "proof": released.tlog_proof.decode(),
        "engine": {
            "backend": record.backend,
            "model": record.model,
            "model_version": record.model_version,
            "weights_digest": record.weights_digest,
            "seed": str(record.seed),
            "notes": list(record.notes),
        },
        "replayed": released.replayed,
        "usage": usage_object(released.usage),
    }


def usage_object(usage: Usage | None) -> dict[str, Any] | None:
    """What a request may use at most and what it used; costs in millionths of the currency. None = not known."""
    if usage is None:
        return None
    return {"forecast": _amounts(usage.forecast), "spent": _amounts(usage.spent), "currency": usage.currency}


def _amounts(amounts: Amounts) -> dict[str, int]:
    found = {name: value for name, value in amounts.by_name().items() if name != "requests"}
    return found | {"cost_micros": found.pop("micros")}


def headers_of(released: Released) -> dict[str, str]:
    """The same in short, for answers whose body is the file."""
    recorded = released.recorded
    signed, marked = recorded.signed, recorded.signed.marked
    level = marked.receipt.level
    shown = marked.receipt.scheme if level in (MarkLevel.RECORD, MarkLevel.PRESENT) else "none"
    return {
        "X-GenSafe-Record": ids.record_id_text(marked.judged.admission.record_id),
        "X-GenSafe-Digest": signed.digest,
        "X-GenSafe-Manifest": signed.manifest.label,
        "X-GenSafe-Log-Index": str(recorded.log_index),
        "X-GenSafe-Verdict": marked.judged.verdict.action.value,
        "X-GenSafe-Mark": shown,
        **({"X-GenSafe-Cost": cost_of(released.usage)} if released.usage else {}),
    }


def cost_of(usage: Usage) -> str:
    """Cost and currency, for example "0.031200 EUR"."""
    return f"{usage.spent.micros / MICRO:.6f} {usage.currency}"


def held_object(held: Held, words: Words = ENGLISH) -> dict[str, Any]:
    """What a caller is told about an output that a person must see first."""
    return {
        "state": "held",
        "request_id": held.request_id,
        "record_id": ids.record_id_text(held.record_id),
        "review_id": held.review_id,
        "message": held_sentence(held.categories, words),
        "categories": [{"id": c, "name": CATEGORIES.get(c, c)} for c in held.categories],
        "log_index": held.log_index,
        "retract_from": held.retract_from,
        "ask_url": f"{REQUESTS}/{held.request_id}",
        "usage": usage_object(held.usage),
    }


def visible_text(released: Released) -> str:
    """The text of an output, without the invisible characters of its signed form."""
    media = released.draft.media
    return strip_a8(media.text) if isinstance(media, Text) else ""
