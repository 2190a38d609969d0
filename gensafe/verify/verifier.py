"""Verify one file: every layer on a line of its own, then one conclusion.

1. parse in a worker: container, content, fingerprint, manifest
2. search the watermark in the decoded content, under every epoch's key
3. find the record: by the mark, by the manifest's claim, by the exact bytes, by likeness; in this order
4. compare the content's fingerprint with the record's
5. recover the manifest that the registry keeps, when the file has none
6. let the log prove the record
7. read the label fields, reduce all but them (anyone can write them) to ``Facts``, take the first rule that applies
"""

from __future__ import annotations

from dataclasses import dataclass

from gensafe.core.errors import (
    AuditError,
    GensafeError,
    InvalidRequest,
    LogUnavailable,
    MediaError,
)
from gensafe.core.ids import parse_record_id, record_id_text
from gensafe.core.types import Check, MarkLevel, Modality, Outcome, Text, VerificationReport
from gensafe.media.fingerprint import MATCH_THRESHOLD, similarity
from gensafe.provenance import ManifestReading, ManifestState, hard_binding_holds, strip_a8
from gensafe.registry.model import Record
from gensafe.verify import checks, marks
from gensafe.verify.conclusion import (
    Binding,
    Claims,
    Container,
    Facts,
    Likeness,
    LogFact,
    ManifestFact,
    MarkFact,
    RecordFact,
    Recovered,
    conclude,
)
from gensafe.verify.contain import inspect_contained, recover_contained
from gensafe.verify.context import MARK_PREFIX, VerifyContext
from gensafe.verify.difference import text_difference
from gensafe.verify.inspect import Inspection
from gensafe.verify.marks import MarkSearch

_MANIFEST_FACTS = {
    ManifestState.TRUSTED: ManifestFact.TRUSTED,
    ManifestState.VALID: ManifestFact.UNTRUSTED,
    ManifestState.INVALID: ManifestFact.BROKEN,
}


@dataclass(frozen=True, slots=True)
class _Match:
    """A record and how it was found: "watermark", "manifest", "exact bytes" or "likeness"."""

    record: Record
    how: str


def verify_bytes(data: bytes, *, name: str, context: VerifyContext, sidecar: bytes | None = None) -> VerificationReport:
    """Say what can be proved about ``data``. Never raises for what is in the file.

    Args:
        data: The file's bytes, untrusted.
        name: Shown in the report only.
        context: Trust lists, keys, registry and log to use.
        sidecar: A detached manifest store handed in with the file.
    """
    # 1.
    try:
        found = inspect_contained(data, sidecar, context)
    except MediaError as error:
        return _unreadable(name, data, error)
    reading = found.reading
    lines = [checks.container(found), checks.manifest(found), *checks.manifest_details(reading, context.trust)]
    # 2.
    mark = marks.search(found.content, context)
    # 3.
    match, record_line, record_fact = _find_record(found, mark, context)
    # 4.
    likeness, likeness_line = _likeness(found, match)
    # 5.
    recovered, recovered_line, recovered_reading = _recover(data, found, match, context)
    # 6.
    log_fact, log_lines = _log(match, context)
    if match is not None and match.how == "exact bytes" and log_fact is LogFact.PASS:
        recovered = Recovered.EXACT if recovered is Recovered.NONE else recovered
    # 7.
    claims, binding, binding_line = _claims_and_binding(found, mark, reading)
    lines += [
        binding_line,
        marks.check(mark, found.content.modality if found.content else None),
        record_line,
        likeness_line,
        recovered_line,
        *log_lines,
    ]
    lines.append(checks.labels(found))
    rule = conclude(
        Facts(
            container=found.container,
            manifest=_manifest_fact(found),
            mark=mark.fact,
            claims=claims,
            binding=binding,
            record=record_fact,
            likeness=likeness,
            recovered=recovered,
            log=log_fact,
        )
    )
    shown = reading if reading is not None and reading.label else recovered_reading
    return VerificationReport(
        name=name,
        conclusion=rule.conclusion,
        explanation=_explain(rule.explanation, found, mark, match, likeness, lines),
        checks=tuple(lines),
        media_type=found.media_type,
        digest=found.digest,
        crjson=shown.crjson if shown is not None else "",
    )


# --- 3. the record ---------------------------------------------------------------------------------------------------


def _find_record(
    found: Inspection, mark: MarkSearch, context: VerifyContext
) -> tuple[_Match | None, Check, RecordFact]:
    name = "registry record"
    if context.records is None:
        return None, Check(name, Outcome.UNSUPPORTED, "no registry at hand"), RecordFact.UNKNOWN
    try:
        match, resembles = _look_up(found, mark, context)
    except GensafeError as error:
        return None, Check(name, Outcome.ERROR, error.message), RecordFact.UNKNOWN
    if match is not None:
        record = match.record
        evidence = {
            "record_id": record_id_text(record.record_id),
            "found_by": match.how,
            "created_ms": record.created_ms,
            "media_type": record.media_type,
            "digest": record.digest,
            "manifest": record.manifest_label,
            "log_index": record.log_index,
            "exact_bytes": record.digest == found.digest,
        }
        summary = f"{record_id_text(record.record_id)}, found by {match.how}"
        return match, Check(name, Outcome.PASS, summary, evidence), RecordFact.FOUND
    if resembles is not None:
        record, score = resembles
        summary = f"none; the content resembles {record_id_text(record.record_id)}, which proves nothing by itself"
        evidence = {"resembles": record_id_text(record.record_id), "similarity": round(score, 4)}
        if difference := text_difference(found, record, context):
            evidence["difference"] = difference
        return None, Check(name, Outcome.ABSENT, summary, evidence), RecordFact.ABSENT
    return None, Check(name, Outcome.ABSENT, "no record of this file"), RecordFact.ABSENT


def _look_up(
    found: Inspection, mark: MarkSearch, context: VerifyContext
) -> tuple[_Match | None, tuple[Record, float] | None]:
    """(the record, and how it was found), or the record it merely resembles."""
    records = context.records
    if records is None:
        return None, None
    if mark.fact is MarkFact.RECORD:
        record = records.by_record_id(mark.record_id)
        return (_Match(record, "watermark") if record else None), None
    claimed = _claimed_record(found.reading)
    if claimed and (record := records.by_record_id(claimed)) is not None:
        return _Match(record, "manifest"), None
    if (record := records.by_digest(found.digest)) is not None:
        return _Match(record, "exact bytes"), None
    if found.content is None or not found.fingerprint or found.reading is not None:
        return None, None
    near = records.nearest(found.fingerprint, found.content.modality, 1)
    if not near:
        return None, None
    record, score = near[0]
    if mark.fact is MarkFact.PRESENT or _same_text(found, record, context):
        return _Match(record, "likeness"), None
    return None, (record, score)


def _same_text(found: Inspection, record: Record, context: VerifyContext) -> bool:
    """Whether a text is, its wrapper aside, the recorded one: then its signature can be checked again."""
    if not isinstance(found.content, Text) or context.records is None:
        return False
    kept = context.records.get_blob(record.digest)
    if kept is None:
        return record.manifest_digest != "" and record.modality is Modality.TEXT
    return strip_a8(kept.decode("utf-8", "replace")) == strip_a8(found.content.text)


def _claimed_record(reading: ManifestReading | None) -> int:
    """The record id that a manifest of ours names; believed only as far as looking it up."""
    if reading is None or not reading.record_id:
        return 0
    try:
        return parse_record_id(reading.record_id)
    except InvalidRequest:
        return 0


# --- 4. to 6. --------------------------------------------------------------------------------------------------------


def _likeness(found: Inspection, match: _Match | None) -> tuple[Likeness, Check]:
    name = "fingerprint"
    if match is None:
        return Likeness.UNKNOWN, Check(name, Outcome.ABSENT, "no record to compare with")
    if found.content is None or not found.fingerprint or not match.record.fingerprint:
        return Likeness.UNKNOWN, Check(name, Outcome.UNSUPPORTED, "no fingerprint to compare")
    if found.content.modality is not match.record.modality:
        problem = f"the record is of a {match.record.modality.value}, this is a {found.content.modality.value}"
        return Likeness.DIFFERS, Check(name, Outcome.FAIL, problem)
    threshold = MATCH_THRESHOLD[found.content.modality]
    try:
        score = similarity(found.fingerprint, match.record.fingerprint)
    except GensafeError as error:
        return Likeness.UNKNOWN, Check(name, Outcome.ERROR, error.message)
    evidence = {"similarity": round(score, 4), "threshold": threshold}
    if score >= threshold:
        summary = f"the content is like the recorded output (similarity {score:.2f}, needed {threshold:.2f})"
        return Likeness.AGREES, Check(name, Outcome.PASS, summary, evidence)
    summary = f"the content is not like the recorded output (similarity {score:.2f}, needed {threshold:.2f})"
    return Likeness.DIFFERS, Check(name, Outcome.FAIL, summary, evidence)


def _recover(
    data: bytes, found: Inspection, match: _Match | None, context: VerifyContext
) -> tuple[Recovered, Check, ManifestReading | None]:
    """Fetch the record's manifest; when the file has none of its own, see whether it is bound to this content."""
    name = "recovered manifest"
    if match is None or context.records is None:
        return Recovered.NONE, Check(name, Outcome.ABSENT, "no record to recover a manifest from"), None
    if found.reading is not None and found.reading.state is not ManifestState.INVALID:
        return Recovered.NONE, Check(name, Outcome.ABSENT, "not needed: the file has its own"), None
    try:
        store = context.records.get_blob(match.record.manifest_digest)
    except GensafeError as error:
        return Recovered.BAD, Check(name, Outcome.FAIL, error.message), None
    if store is None:
        return Recovered.NONE, Check(name, Outcome.ABSENT, "the registry no longer keeps it"), None
    try:
        alone, bound = recover_contained(store, data, found.media_type, context)
    except MediaError as error:
        return Recovered.BAD, Check(name, Outcome.ERROR, error.message), None
    if alone is None or alone.state is ManifestState.INVALID:
        codes = ", ".join(alone.failure_codes()) if alone is not None else "unreadable"
        return Recovered.BAD, Check(name, Outcome.FAIL, f"does not verify: {codes}"), None
    evidence: dict[str, object] = {
        "label": alone.label,
        "signer": alone.signer.subject if alone.signer else "",
        "time": alone.time_stamp.time if alone.time_stamp else "",
        "time_trusted": alone.time_stamp.trusted if alone.time_stamp else False,
        "trust_list": alone.trust_list or "",
        "actions": [a.action for a in alone.actions],
        "record_id": alone.record_id,
    }
    if alone.record_id and alone.record_id != record_id_text(match.record.record_id):
        return Recovered.BAD, Check(name, Outcome.FAIL, "it is the manifest of another record", evidence), None
    if alone.state is not ManifestState.TRUSTED:
        return Recovered.NONE, Check(name, Outcome.FAIL, "its signer is on none of the trust lists", evidence), alone
    if bound is not None and bound.state is ManifestState.TRUSTED and hard_binding_holds(bound):
        summary = "signature and content verify together: only the credentials had been removed"
        return Recovered.EXACT, Check(name, Outcome.PASS, summary, evidence), bound
    difference = text_difference(found, match.record, context)
    if difference:
        evidence["difference"] = difference
    return Recovered.TRUSTED, Check(name, Outcome.PASS, "manifest recovered; its signature verifies", evidence), alone


def _log(match: _Match | None, context: VerifyContext) -> tuple[LogFact, list[Check]]:
    proof_name, checkpoint_name = "log inclusion", "checkpoint signature"
    if context.log is None or match is None:
        reason = "no log at hand" if context.log is None else "no record to prove"
        outcome = Outcome.UNSUPPORTED if context.log is None else Outcome.ABSENT
        return LogFact.UNKNOWN, [Check(proof_name, outcome, reason), Check(checkpoint_name, outcome, reason)]
    try:
        proof = context.log.prove(match.record)
    except LogUnavailable as error:
        return LogFact.UNKNOWN, [
            Check(proof_name, Outcome.ERROR, error.message),
            Check(checkpoint_name, Outcome.ERROR, error.message),
        ]
    except AuditError as error:
        return LogFact.FAIL, [
            Check(proof_name, Outcome.FAIL, error.message),
            Check(checkpoint_name, Outcome.ABSENT, "the proof does not hold"),
        ]
    evidence = {"index": proof.index, "tree_size": proof.tree_size, "leaf_hash": proof.leaf_hash}
    signed = {"origin": proof.origin, "key": proof.signed_by}
    note = "; the entry's text was removed by retention" if proof.pruned else ""
    return LogFact.PASS, [
        Check(proof_name, Outcome.PASS, f"entry {proof.index} of {proof.tree_size}{note}", evidence),
        Check(checkpoint_name, Outcome.PASS, f"signed by {proof.origin}", signed),
    ]


# --- 7. --------------------------------------------------------------------------------------------------------------


def _manifest_fact(found: Inspection) -> ManifestFact:
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


def _claims_and_binding(
    found: Inspection, mark: MarkSearch, reading: ManifestReading | None
) -> tuple[Claims, Binding, Check]:
    name = "soft binding"
    if reading is None or not reading.label:
        return Claims.FIT, Binding.KEPT, Check(name, Outcome.ABSENT, "no readable manifest")
    claims = Claims.FIT
    if mark.fact is not MarkFact.NONE:
        named = _claimed_record(reading)
        if not checks.states_ai(reading) or (mark.fact is MarkFact.RECORD and named and named != mark.record_id):
            claims = Claims.CONFLICT
    bindings = [{"alg": b.alg, "value": b.value} for b in reading.soft_bindings]
    evidence = {"bindings": bindings}
    if claims is Claims.CONFLICT:
        problem = "the manifest does not speak of the content that the watermark is from"
        return claims, Binding.KEPT, Check(name, Outcome.FAIL, problem, evidence)
    if not bindings:
        return claims, Binding.KEPT, Check(name, Outcome.ABSENT, "the manifest promises no watermark")
    ours = any(b.alg.startswith(MARK_PREFIX) for b in reading.soft_bindings)
    if not ours:
        return claims, Binding.KEPT, Check(name, Outcome.UNSUPPORTED, "a scheme that is not searched here", evidence)
    if not mark.searched or mark.detection is None:
        return claims, Binding.KEPT, Check(name, Outcome.UNSUPPORTED, mark.problem, evidence)
    if mark.fact is not MarkFact.NONE:
        return claims, Binding.KEPT, Check(name, Outcome.PASS, "the promised watermark is in the content", evidence)
    if mark.detection.level is MarkLevel.UNDECIDABLE:
        return claims, Binding.KEPT, Check(name, Outcome.ABSENT, "too little material to find the mark", evidence)
    own = reading.trust_list == "own"  # of another deployment we do not hold the key, so we cannot miss its mark
    problem = "the promised watermark is not in the content"
    return claims, Binding.MISSING if own else Binding.KEPT, Check(name, Outcome.FAIL, problem, evidence)


def _explain(
    text: str, found: Inspection, mark: MarkSearch, match: _Match | None, likeness: Likeness, lines: list[Check]
) -> str:
    """The rule's sentence, and what a person would ask next."""
    parts = [text]
    broken = found.reading is not None and found.reading.state is ManifestState.INVALID
    if broken and mark.detection is not None and mark.fact is not MarkFact.NONE:
        parts.append(f"The signature is broken; our watermark is still present (p ≤ {mark.detection.p_value:.1e}).")
    if broken and match is not None and likeness is Likeness.AGREES:
        parts.append(f"It resembles record {record_id_text(match.record.record_id)}, which it was made from.")
    outcomes = {line.name: line.outcome for line in lines}
    if not broken and outcomes["ingredients"] is Outcome.FAIL:
        parts.append("Something it was made from carries credentials that do not hold.")
    if outcomes["labels"] is Outcome.PASS and found.reading is None and mark.fact is MarkFact.NONE and match is None:
        parts.append("Its label fields say how it was made; anyone can write or remove those.")
    if found.container in (Container.DAMAGED, Container.TRUNCATED) and found.problem:
        parts.append(f"({found.problem})")
    return " ".join(parts)


def _unreadable(name: str, data: bytes, error: MediaError) -> VerificationReport:
    from gensafe.core.digest import sha256

    rule = conclude(Facts(container=Container.DAMAGED))
    line = Check("container", Outcome.ERROR, error.message)
    return VerificationReport(
        name, rule.conclusion, f"{rule.explanation} ({error.message})", (line,), "", sha256(data), ""
    )
