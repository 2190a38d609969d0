"""A verdict as canonical JSON and its digest: what the manifest, the log and a reviewer bind to. Never any content."""

from __future__ import annotations

from typing import Any

from gensafe.core.digest import digest_json
from gensafe.core.types import Decision, Verdict


def verdict_dict(verdict: Verdict) -> dict[str, Any]:
    """Canonical-JSON-able form: scores and thresholds in integers per mille, times in ms, offsets as given."""
    return {
        "stage": verdict.stage.value,
        "modality": verdict.modality.value,
        "action": verdict.action.value,
        "monitor_only": verdict.monitor_only,
        "policy": verdict.policy_id,
        "policy_digest": verdict.policy_digest,
        "classifiers": [
            {"name": c.name, "version": c.version, "weights_digest": c.weights_digest} for c in verdict.classifiers
        ],
        "coverage": [
            {"classifier": c.classifier, "unit": c.unit, "examined": c.examined, "total": c.total}
            for c in verdict.coverage
        ],
        "decisions": [_decision(d) for d in verdict.decisions],
        "errors": list(verdict.errors),
        "elapsed_ms": verdict.elapsed_ms,
    }


def verdict_digest(verdict: Verdict) -> str:
    """Digest ("sha256:<hex>") of the canonical JSON of ``verdict_dict``."""
    return digest_json(verdict_dict(verdict))


def _decision(decision: Decision) -> dict[str, Any]:
    finding = decision.finding
    found: dict[str, Any] = {
        "category": finding.category,
        "score": round(finding.score * 1000),
        "threshold": round(decision.threshold * 1000),
        "severity": decision.severity,
        "action": decision.action.value,
        "classifier": finding.classifier,
    }
    if finding.detail:
        found["detail"] = finding.detail
    if finding.spans:
        found["spans"] = [[s.start, s.end] for s in finding.spans]
    if finding.boxes:
        found["boxes"] = [[b.left, b.top, b.right, b.bottom] for b in finding.boxes]
    if finding.times:
        found["times_ms"] = [[round(t.start_s * 1000), round(t.end_s * 1000)] for t in finding.times]
    return found
