"""Do the file's manifest and the watermark fit each other?"""

from __future__ import annotations

from dataclasses import dataclass

from gensafe.core.softbinding import is_ours
from gensafe.core.types import Outcome
from gensafe.provenance import ManifestReading, ManifestState, hard_binding_holds
from gensafe.verify import checks
from gensafe.verify.conclusion import Binding, Claims, Container, ManifestFact, MarkFact
from gensafe.verify.inspect import Inspection
from gensafe.verify.lines import Line
from gensafe.verify.marks import MarkSearch
from gensafe.verify.record import claimed_record

_MANIFEST_FACTS = {
    ManifestState.TRUSTED: ManifestFact.TRUSTED,
    ManifestState.VALID: ManifestFact.UNTRUSTED,
    ManifestState.INVALID: ManifestFact.BROKEN,
}


def manifest_fact(found: Inspection) -> ManifestFact:
    """As the reading says; with two refinements.

    Where only the signer is at fault (expired, revoked, unknown) and the bytes are those that were signed, nothing was
    altered. A manifest that is there but cannot be parsed is a broken one.
    """
    reading = found.reading
    if reading is not None:
        only_signer = all(code.startswith(("signingCredential.", "cawg.")) for code in reading.failure_codes())
        if only_signer and reading.failures and reading.has_success("claimSignature.validated"):
            return ManifestFact.UNTRUSTED if hard_binding_holds(reading) else ManifestFact.BROKEN
        return _MANIFEST_FACTS[reading.state]
    if found.manifest_problem and (found.container is Container.OK or found.manifest_seen):
        return ManifestFact.BROKEN
    return ManifestFact.NONE


@dataclass(frozen=True, slots=True)
class BindingAnswer:
    """How manifest and mark fit. ``unsearched``: a mark of ours is promised, we hold the keys, and could not look."""

    claims: Claims
    binding: Binding
    line: Line
    unsearched: bool = False


def soft_binding(mark: MarkSearch, reading: ManifestReading | None, *, keys: bool) -> BindingAnswer:
    """Compare the mark that the manifest promises with the one that was found.

    Args:
        mark: The search.
        reading: The file's own manifest.
        keys: Whether watermark keys are available here.
    """
    name, fit, kept = "soft binding", Claims.FIT, Binding.KEPT
    if reading is None or not reading.label:
        return BindingAnswer(fit, kept, Line(name, Outcome.ABSENT, "no readable manifest"))
    bindings = [{"alg": b.alg, "value": b.value} for b in reading.soft_bindings]
    evidence = {"bindings": bindings}
    named = claimed_record(reading)
    other = mark.fact is MarkFact.RECORD and named and named != mark.record_id
    if mark.found and (other or not checks.states_ai(reading)):
        problem = "the manifest does not speak of the content that the watermark is from"
        return BindingAnswer(Claims.CONFLICT, kept, Line(name, Outcome.FAIL, problem, evidence))
    if not bindings:
        return BindingAnswer(fit, kept, Line(name, Outcome.ABSENT, "the manifest promises no watermark"))
    if not any(is_ours(b.alg) for b in reading.soft_bindings):
        return BindingAnswer(fit, kept, Line(name, Outcome.UNSUPPORTED, "a scheme that is not searched here", evidence))
    if mark.found:
        return BindingAnswer(fit, kept, Line(name, Outcome.PASS, "the promised watermark is in the content", evidence))
    own = reading.trust_list == "own"
    if not mark.searched:
        line = Line(name, Outcome.UNSUPPORTED, f"the promised watermark was not examined: {mark.problem}", evidence)
        return BindingAnswer(fit, kept, line, unsearched=own and keys)
    if mark.undecidable:
        return BindingAnswer(fit, kept, Line(name, Outcome.ABSENT, "too little material to find the mark", evidence))
    if not own:  # of another deployment we do not hold the key, so we cannot miss its mark
        no_key = "the promised watermark was not examined here: no key for it"
        return BindingAnswer(fit, kept, Line(name, Outcome.UNSUPPORTED, no_key, evidence))
    missing = "the promised watermark is not in the content"
    return BindingAnswer(fit, Binding.MISSING, Line(name, Outcome.FAIL, missing, evidence))
