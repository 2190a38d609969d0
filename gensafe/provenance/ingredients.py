"""The chain of ingredients: each with what was recorded when it was added and what is found about it now. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gensafe.provenance.report import (
    Object,
    as_object,
    as_objects,
    as_status,
    as_text,
    breaking,
    generator,
    statuses,
)
from gensafe.provenance.types import IngredientReading, ManifestState, Status

MAX_DEPTH: Final = 8  # generations of ingredients that are shown; deeper ones are in the report itself
MAX_SHOWN: Final = 200  # ingredients in all: bounds the answer on a hostile store. A round number, not measured

Deltas = dict[tuple[str, str], list[Status]]
Revoked = Callable[[str], tuple[Status, ...]]
"""Manifest label -> a failure if its signer is revoked here."""


def chain_of(report: Object, label: str, revoked: Revoked) -> tuple[IngredientReading, ...]:
    """Ingredients of the manifest ``label``, with their own ingredients inside them.

    Args:
        report: The library's report.
        label: The active manifest.
        revoked: Our own revocations, which the library does not know.
    """
    return _Chain(report, label, revoked).of(label, frozenset())


def delta_failures(report: Object) -> tuple[Status, ...]:
    """All that is found about ingredients now and was not recorded when they were added."""
    return tuple(s for found in _deltas(report, "").values() for s in found)


class _Chain:
    def __init__(self, report: Object, active: str, revoked: Revoked) -> None:
        self._manifests = as_object(report.get("manifests"))
        self._deltas = _deltas(report, active)
        self._revoked = revoked
        self._left = MAX_SHOWN

    def of(self, label: str, above: frozenset[str]) -> tuple[IngredientReading, ...]:
        manifest = as_object(self._manifests.get(label))
        if label in above or len(above) >= MAX_DEPTH:  # a store may name itself as its ingredient
            return ()
        found: list[IngredientReading] = []
        for item in as_objects(manifest.get("ingredients")):
            if self._left <= 0:
                break
            self._left -= 1
            found.append(self._one(item, label, above | {label}))
        return tuple(found)

    def _one(self, item: Object, parent: str, above: frozenset[str]) -> IngredientReading:
        recorded = as_object(as_object(item.get("validation_results")).get("activeManifest"))
        label = as_text(item.get("active_manifest"))
        own = as_object(self._manifests.get(label))
        failures = list(statuses(recorded, "failure"))
        failures += [as_status(s) for s in as_objects(item.get("validation_status"))]
        failures += self._deltas.get((parent, as_text(item.get("label"))), [])
        failures += self._revoked(label) if label else ()
        trusted = any(s.code == "signingCredential.trusted" for s in statuses(recorded, "success"))
        signature = as_object(own.get("signature_info"))
        return IngredientReading(
            title=as_text(item.get("title")),
            media_type=as_text(item.get("format")),
            relationship=as_text(item.get("relationship")),
            state=_state(label, failures, trusted=trusted),
            failures=tuple(dict.fromkeys(failures)),
            manifest=label,
            generator=generator(own),
            signer=as_text(signature.get("common_name")) or as_text(signature.get("issuer")),
            time=as_text(signature.get("time")),
            ingredients=self.of(label, above) if label else (),
        )


def _state(label: str, failures: list[Status], *, trusted: bool) -> ManifestState | None:
    if breaking(failures):
        return ManifestState.INVALID
    if not label:
        return None
    return ManifestState.TRUSTED if trusted and not failures else ManifestState.VALID


def _deltas(report: Object, active: str) -> Deltas:
    """Failures found now, by (manifest, label of its ingredient assertion)."""
    found: Deltas = {}
    results = as_object(report.get("validation_results"))
    for delta in as_objects(results.get("ingredientDeltas")):
        parts = as_text(delta.get("ingredientAssertionURI")).split("/")
        manifest = parts[-3] if len(parts) >= 3 and parts[-3].startswith("urn:") else active
        failures = statuses(as_object(delta.get("validationDeltas")), "failure")
        found.setdefault((manifest, parts[-1]), []).extend(failures)
    return found
