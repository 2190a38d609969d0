"""One flat row per entry: the columns that CSV and Parquet share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gensafe.core.clock import iso

COLUMNS: Final[dict[str, type]] = {
    "index": int,
    "time": str,
    "event": str,
    "tenant": str,
    "request_id": str,
    "record_id": str,
    "modality": str,
    "model": str,
    "model_version": str,
    "weights": str,
    "backend": str,
    "policy_id": str,
    "policy_digest": str,
    "stage": str,
    "action": str,
    "categories": str,
    "conclusion": str,
    "media_type": str,
    "output_digest": str,
    "output_bytes": int,
    "manifest_digest": str,
    "manifest_signer": str,
    "development_signer": str,
    "watermark_scheme": str,
    "watermark_level": str,
    "watermark_key_id": str,
    "layers": str,
    "label_profile": str,
    "reason": str,
    "opened_index": int,
    "leaf_hash": str,
}


def flatten(row: Mapping[str, Any]) -> dict[str, str | int | None]:
    """The columns of one entry; None where the event has no such field."""
    entry = row["entry"]
    output, manifest, mark = _part(entry, "output"), _part(entry, "manifest"), _part(entry, "watermark")
    generation, labels = _part(entry, "generation"), _part(entry, "labels")
    verdicts = entry.get("verdicts") or []
    last = verdicts[-1] if verdicts else {}
    policy = last.get("policy") or (entry.get("policy") if isinstance(entry.get("policy"), dict) else {})
    hits = [d["category"] for d in last.get("decisions", []) if d.get("action") == last.get("action")]
    values: dict[str, Any] = {
        "index": row["index"],
        "time": iso(row["time_ms"]),
        "model": generation.get("model", entry.get("model")),
        "model_version": generation.get("model_version"),
        "weights": generation.get("weights"),
        "backend": generation.get("backend"),
        "policy_id": policy.get("id"),
        "policy_digest": policy.get("digest"),
        "action": last.get("action"),
        "categories": " ".join(dict.fromkeys(hits)) or None,
        "media_type": output.get("media_type"),
        "output_digest": output.get("digest"),
        "output_bytes": output.get("bytes"),
        "manifest_digest": manifest.get("digest"),
        "manifest_signer": manifest.get("signer"),
        "development_signer": str(manifest["development"]).lower() if "development" in manifest else None,
        "watermark_scheme": mark.get("scheme"),
        "watermark_level": mark.get("level"),
        "watermark_key_id": mark.get("key_id"),
        "layers": " ".join(entry["layers"]) if entry.get("layers") else None,
        "label_profile": labels.get("profile", entry.get("label_profile")),
        "leaf_hash": row["leaf_hash"],
    }
    return {name: _typed(values.get(name, entry.get(name)), kind) for name, kind in COLUMNS.items()}


def _part(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = entry.get(name)
    return value if isinstance(value, dict) else {}


def _typed(value: object, kind: type) -> str | int | None:
    if value is None:
        return None
    if kind is int:
        return value if isinstance(value, int) else None
    return str(value)
