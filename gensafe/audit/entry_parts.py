"""Verdict, watermark, sources and origin as an entry states them: coarse numbers as integers, no free text."""

from __future__ import annotations

import math
from typing import TypeAlias

from gensafe.core.types import GenerationRecord, Manifest, SourceFate, Verdict, WatermarkReceipt

Entry: TypeAlias = dict[str, object]


def verdict(value: Verdict) -> Entry:
    """A verdict without free text: scores in tenths, thresholds in thousandths, failed classifiers by name."""
    return {
        "stage": value.stage.value,
        "action": value.action.value,
        "policy": {"id": value.policy_id, "digest": value.policy_digest},
        "monitor_only": value.monitor_only,
        "classifiers": [{"name": c.name, "version": c.version, "weights": c.weights_digest} for c in value.classifiers],
        "decisions": [
            {
                "category": d.finding.category,
                "classifier": d.finding.classifier,
                "action": d.action.value,
                "severity": d.severity,
                "score_tenths": min(10, max(0, math.floor(d.finding.score * 10))),
                "threshold_thousandths": round(d.threshold * 1000),
            }
            for d in value.decisions
        ],
        "gaps": sum(1 for c in value.coverage if c.examined < c.total),
        "failed_classifiers": [error.partition(":")[0][:80] for error in value.errors],
    }


def watermark(receipt: WatermarkReceipt) -> Entry:
    """A watermark receipt; ``p_exponent`` is floor(log10 p) of the detection on the final bytes."""
    entry: Entry = {
        "scheme": receipt.scheme,
        "key_id": receipt.key_id,
        "payload": receipt.payload.hex(),
        "level": receipt.level.value,
        "p_exponent": -999 if receipt.p_value <= 0 else math.floor(math.log10(receipt.p_value)),
    }
    if receipt.psnr_db is not None and math.isfinite(receipt.psnr_db):
        entry["psnr_centibel"] = round(receipt.psnr_db * 10)
    return entry | given(note=receipt.note)


def manifest(value: Manifest) -> Entry:
    """``signature``: digest of the claim signature in it; ``spare``: of those made on the way (a text's first one)."""
    entry: Entry = {
        "digest": value.digest,
        "label": value.label,
        "signer": value.signer_fingerprint,
        "embedded": value.embedded,
        "development": value.development,
    }
    return entry | given(signature=value.signature) | ({"spare": list(value.spare)} if value.spare else {})


def source(value: SourceFate) -> Entry:
    """A source with a manifest, and what became of that; codes and digests only."""
    entry: Entry = {
        "role": value.role,
        "digest": value.digest,
        "relationship": value.relationship.value,
        "state": value.state,
        "fate": value.fate.value,
    }
    return entry | given(manifest=value.manifest, mark=value.mark, mark_fate=value.mark_fate, note=value.note)


def generation(record: GenerationRecord) -> Entry:
    """How the draft came to be; words of the prompt (``notes``) are left out."""
    return {
        "backend": record.backend,
        "model": record.model,
        "model_version": record.model_version,
        "weights": record.weights_digest,
        "tokens": record.tokens,
        "sampling_mark": record.sampling_mark,
    }


def given(**fields: str) -> Entry:
    """Those that are not empty."""
    return {name: value for name, value in fields.items() if value}
