"""The library's crJSON (C2PA 2.4, "Content Credentials JSON"): its manifests, and what our reader knows better."""

from __future__ import annotations

import json

from gensafe.provenance.report import Object, as_object, as_objects, as_text


def manifest_of(crjson: str, label: str) -> Object:
    """The manifest ``label``; empty where there is none."""
    try:
        document = json.loads(crjson)
    except ValueError:
        return {}
    return next((m for m in as_objects(as_object(document).get("manifests")) if m.get("label") == label), {})


def signature_of(crjson: str, label: str) -> Object:
    """What it says about the signature of the manifest ``label``."""
    return as_object(manifest_of(crjson, label).get("signature"))


def without_complaint(crjson: str, label: str, complaint: str) -> str:
    """The same without the failures of the manifest ``label`` whose explanation holds ``complaint``.

    For what our reader checked and the library cannot: who evaluates the crJSON of a good text would find a mismatch.
    """
    document = json.loads(crjson)
    for manifest in document["manifests"]:
        results = manifest.get("validationResults")
        if manifest.get("label") == label and isinstance(results, dict):
            failures = as_objects(results.get("failure"))
            results["failure"] = [f for f in failures if complaint not in as_text(f.get("explanation"))]
    return json.dumps(document, ensure_ascii=False)
