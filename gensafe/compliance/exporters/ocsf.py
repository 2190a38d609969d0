"""OCSF API Activity (class 6003) with the ``ai_operation`` profile, one event per line, for SIEMs.

Follows ocsf/ocsf-schema 1.9-dev: category 6 "Application Activity", class 6003 "API Activity"; the profile adds
``ai_model``. Prompt and response texts stay empty. ``metadata.uid`` is the leaf hash of the entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gensafe.core.canonical import canonical_json

NAME: Final = "entries.ocsf.jsonl"
SCHEMA_VERSION: Final = "1.9.0-dev"
CATEGORY: Final = 6  # Application Activity: OCSF, categories
CLASS: Final = 6003  # API Activity: OCSF, class 6003
_ACTIVITY: Final = {  # activity_id of API Activity
    "generation.opened": 1,
    "generation.released": 1,
    "generation.held": 3,
    "verify.performed": 2,
    "export.made": 2,
    "moderation.performed": 2,
    "policy.changed": 3,
    "config.changed": 3,
    "key.rotated": 3,
    "hold.set": 1,
    "hold.released": 4,
    "log.tombstone": 4,
}
# activity_id of OCSF's class 6003
_ACTIVITY_NAMES: Final = {1: "Create", 2: "Read", 3: "Update", 4: "Delete", 99: "Other"}
# severity_id of OCSF; which event gets which is chosen here
_SEVERITY: Final = {
    "generation.held": 2,
    "generation.blocked": 3,
    "generation.failed": 3,
    "generation.aborted": 3,
    "filter.unavailable": 4,
    "log.tombstone": 2,
    "misuse.reported": 3,
}
_SEVERITY_NAMES: Final = {1: "Informational", 2: "Low", 3: "Medium", 4: "High"}  # severity_id of OCSF
_FAILED: Final = {"generation.blocked", "generation.failed", "generation.aborted", "generation.cancelled"}


class OcsfExporter:
    """Writes ``entries.ocsf.jsonl``."""

    format = "ocsf"

    def export(self, entries: Iterator[Mapping[str, Any]], directory: str) -> tuple[str, ...]:
        """Write the file; return its name."""
        with (Path(directory) / NAME).open("xb") as file:
            for row in entries:
                file.write(canonical_json(event(row)) + b"\n")
        return (NAME,)


def event(row: Mapping[str, Any]) -> dict[str, Any]:
    """One entry as an OCSF event."""
    entry = row["entry"]
    name = str(entry.get("event", ""))
    activity, severity = _ACTIVITY.get(name, 99), _SEVERITY.get(name, 1)
    failed = name in _FAILED
    value: dict[str, Any] = {
        "category_uid": CATEGORY,
        "category_name": "Application Activity",
        "class_uid": CLASS,
        "class_name": "API Activity",
        "activity_id": activity,
        "activity_name": _ACTIVITY_NAMES[activity],
        "type_uid": CLASS * 100 + activity,
        "severity_id": severity,
        "severity": _SEVERITY_NAMES[severity],
        "status_id": 2 if failed else 1,
        "status": "Failure" if failed else "Success",
        "time": row["time_ms"],
        "metadata": {
            "version": SCHEMA_VERSION,
            "profiles": ["ai_operation"],
            "product": {"name": "GenSafe", "vendor_name": "GenSafe"},
            "uid": row["leaf_hash"],
            "sequence": row["index"],
            "event_code": name,
            "original_event_uid": str(row["index"]),
        },
        "actor": {"user": {"uid": str(entry.get("actor") or entry.get("tenant") or "")}},
        "api": {"operation": name, "service": {"name": "gensafe.v1"}},
        "unmapped": dict(entry),
    }
    if entry.get("request_id"):
        value["api"]["request"] = {"uid": str(entry["request_id"])}
    if entry.get("reason"):
        value["status_detail"] = str(entry["reason"])
    generation = entry.get("generation")
    if isinstance(generation, dict):
        value["ai_model"] = {
            "ai_provider": str(generation.get("backend", "")),
            "name": str(generation.get("model", "")),
            "version": str(generation.get("model_version", "")),
            "uid": str(generation.get("weights", "")),
        }
    return value


def create(options: Mapping[str, str]) -> OcsfExporter:
    """Entry point of ``gensafe.exporters``."""
    return OcsfExporter()
