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
from typing import Final

from gensafe.core.errors import (
    AuditError,
    GensafeError,
    InvalidRequest,
    LogUnavailable,
    MediaError,
)
from gensafe.core.ids import parse_record_id, record_id_text
from gensafe.core.types import MarkLevel, Modality, Outcome, Text, VerificationReport
from gensafe.core.types.caller import Everything, Scope
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
from gensafe.verify.lines import Audience, Line, Remark, audience_of
from gensafe.verify.marks import MarkSearch

_MANIFEST_FACTS = {
    ManifestState.TRUSTED: ManifestFact.TRUSTED,
    ManifestState.VALID: ManifestFact.UNTRUSTED,
    ManifestState.INVALID: ManifestFact.BROKEN,
}


EVERYTHING: Final = Everything()


@dataclass(frozen=True, slots=True)
class _Match:
    """A record and how it was found: "watermark", "manifest", "exact bytes" or "likeness"."""

    record: Record
    how: str


def verify_bytes(
    data: bytes,
    *,
    name: str,
    context: VerifyContext,
    sidecar: bytes | None = None,
    scope: Scope = EVERYTHING,
) -> VerificationReport:
    """Say what can be proved about ``data``. Never raises for what is in the file.

    What comes from a record (its id, digest, log index, manifest, and where the content differs from it) is shown to
    the record's tenant and to ``Everything`` only. Others learn what is public anyway: that this service made it,
    whether the log proves that, and whether the content is unchanged.

    Args:
        data: The file's bytes, untrusted.
        name: Shown in the report only.
        context: Trust lists, keys, registry and log to use.
        sidecar: A detached manifest store handed in with the file.
        scope: Who asks. The default is the owner of the data directory.
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
    match, record_line, record_fact = _find_record(found, mark, context, scope)
    audience = audience_of(scope, match.record.tenant if match else None)
    # 4.
    likeness, likeness_line = _likeness(found, match)
    # 5.
    recovered, recovered_line, recovered_reading = _recover(data, found, match, context, audience)
    # 6.
    log_fact, log_lines = _log(match, context)
    if match is not None and match.how == "exact bytes" and log_fact is LogFact.PASS:
        recovered = Recovered.EXACT if recovered is Recovered.NONE else recovered
    # 7.
    claims, binding, binding_line = _claims_and_binding(found, mark, reading)
    lines += [
        binding_line,
        marks.line(mark, found.content.modality if found.content else None),
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
    own = reading if reading is not None and reading.label and audience >= Audience.CALLER else None
    shown = own or (recovered_reading if audience >= Audience.OWNER else None)
    remarks = (Remark(rule.explanation), *_remarks(found, mark, match, likeness, lines))
    return VerificationReport(
        name=name,
        conclusion=rule.conclusion,
        explanation=" ".join(remark.text for remark in remarks if remark.audience <= audience),
        checks=tuple(line.shown_to(audience) for line in lines),
        media_type=found.media_type,
        digest=found.digest,
        crjson=shown.crjson if shown is not None else "",
    )


# --- 3. the record ---------------------------------------------------------------------------------------------------


def _find_record(
    found: Inspection, mark: MarkSearch, context: VerifyContext, scope: Scope
) -> tuple[_Match | None, Line, RecordFact]:
    name = "registry record"
    if context.records is None:
        return None, Line(name, Outcome.UNSUPPORTED, "no registry at hand"), RecordFact.UNKNOWN
    try:
        match, resembles = _look_up(found, mark, context)
    except GensafeError as error:
        return None, Line(name, Outcome.ERROR, error.message), RecordFact.UNKNOWN
    if match is not None:
        record = match.record
        owner = {
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
        line = Line(name, Outcome.PASS, "there is a record of this output", owner=owner, owner_summary=summary)
        return match, line, RecordFact.FOUND
    if resembles is not None and scope.sees(resembles[0].tenant):  # to others not even that something is alike
        record, score = resembles
        summary = f"none; the content resembles {record_id_text(record.record_id)}, which proves nothing by itself"
        evidence: dict[str, object] = {
            "resembles": record_id_text(record.record_id),
            "similarity": round(score, 4),
        }
        if difference := text_difference(found, record, context):
            evidence["difference"] = difference
        return None, Line(name, Outcome.ABSENT, summary, evidence), RecordFact.ABSENT
    return None, Line(name, Outcome.ABSENT, "no record of this file"), RecordFact.ABSENT


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


def _likeness(found: Inspection, match: _Match | None) -> tuple[Likeness, Line]:
    name = "fingerprint"
    if match is None:
        return Likeness.UNKNOWN, Line(name, Outcome.ABSENT, "no record to compare with")
    if found.content is None or not found.fingerprint or not match.record.fingerprint:
        return Likeness.UNKNOWN, Line(name, Outcome.UNSUPPORTED, "no fingerprint to compare")
    if found.content.modality is not match.record.modality:
        problem = f"the record is of a {match.record.modality.value}, this is a {found.content.modality.value}"
        return Likeness.DIFFERS, Line(name, Outcome.FAIL, problem)
    threshold = MATCH_THRESHOLD[found.content.modality]
    try:
        score = similarity(found.fingerprint, match.record.fingerprint)
    except GensafeError as error:
        return Likeness.UNKNOWN, Line(name, Outcome.ERROR, error.message)
    owner = {"similarity": round(score, 4), "threshold": threshold}  # a score would let others guess the content
    figures = f"(similarity {score:.2f}, needed {threshold:.2f})"
    if score >= threshold:
        summary = "the content is like the recorded output"
        return Likeness.AGREES, Line(name, Outcome.PASS, summary, owner=owner, owner_summary=f"{summary} {figures}")
    summary = "the content is not like the recorded output"
    return Likeness.DIFFERS, Line(name, Outcome.FAIL, summary, owner=owner, owner_summary=f"{summary} {figures}")


def _recover(
    data: bytes, found: Inspection, match: _Match | None, context: VerifyContext, audience: Audience
) -> tuple[Recovered, Line, ManifestReading | None]:
    """Fetch the record's manifest; when the file has none of its own, see whether it is bound to this content."""
    name = "recovered manifest"
    if match is None or context.records is None:
        return Recovered.NONE, Line(name, Outcome.ABSENT, "no record to recover a manifest from"), None
    if found.reading is not None and found.reading.state is not ManifestState.INVALID:
        return Recovered.NONE, Line(name, Outcome.ABSENT, "not needed: the file has its own"), None
    try:
        store = context.records.get_blob(match.record.manifest_digest)
    except GensafeError as error:
        return Recovered.BAD, Line(name, Outcome.FAIL, error.message), None
    if store is None:
        return Recovered.NONE, Line(name, Outcome.ABSENT, "the registry no longer keeps it"), None
    try:
        alone, bound = recover_contained(store, data, found.media_type, context)
    except MediaError as error:
        return Recovered.BAD, Line(name, Outcome.ERROR, error.message), None
    if alone is None or alone.state is ManifestState.INVALID:
        codes = ", ".join(alone.failure_codes()) if alone is not None else "unreadable"
        return Recovered.BAD, Line(name, Outcome.FAIL, f"does not verify: {codes}"), None
    public = {
        "signer": alone.signer.subject if alone.signer else "",
        "time": alone.time_stamp.time if alone.time_stamp else "",
        "time_trusted": alone.time_stamp.trusted if alone.time_stamp else False,
        "trust_list": alone.trust_list or "",
    }
    owner: dict[str, object] = {
        "label": alone.label,
        "actions": [a.action for a in alone.actions],
        "record_id": alone.record_id,
    }
    if alone.record_id and alone.record_id != record_id_text(match.record.record_id):
        problem = "it is the manifest of another record"
        return Recovered.BAD, Line(name, Outcome.FAIL, problem, public=public, owner=owner), None
    if alone.state is not ManifestState.TRUSTED:
        problem = "its signer is on none of the trust lists"
        return Recovered.NONE, Line(name, Outcome.FAIL, problem, public=public, owner=owner), alone
    if bound is not None and bound.state is ManifestState.TRUSTED and hard_binding_holds(bound):
        summary = "signature and content verify together: only the credentials had been removed"
        return Recovered.EXACT, Line(name, Outcome.PASS, summary, public=public, owner=owner), bound
    if audience >= Audience.OWNER and (difference := text_difference(found, match.record, context)):
        owner["difference"] = difference
    summary = "manifest recovered; its signature verifies"
    return Recovered.TRUSTED, Line(name, Outcome.PASS, summary, public=public, owner=owner), alone


def _log(match: _Match | None, context: VerifyContext) -> tuple[LogFact, list[Line]]:
    proof_name, checkpoint_name = "log inclusion", "checkpoint signature"
    if context.log is None or match is None:
        reason = "no log at hand" if context.log is None else "no record to prove"
        outcome = Outcome.UNSUPPORTED if context.log is None else Outcome.ABSENT
        return LogFact.UNKNOWN, [Line(proof_name, outcome, reason), Line(checkpoint_name, outcome, reason)]
    try:
        proof = context.log.prove(match.record)
    except LogUnavailable as error:
        return LogFact.UNKNOWN, [
            Line(proof_name, Outcome.ERROR, error.message),
            Line(checkpoint_name, Outcome.ERROR, error.message),
        ]
    except AuditError as error:
        return LogFact.FAIL, [
            Line(proof_name, Outcome.FAIL, error.message),
            Line(checkpoint_name, Outcome.ABSENT, "the proof does not hold"),
        ]
    owner = {"index": proof.index, "tree_size": proof.tree_size, "leaf_hash": proof.leaf_hash}
    signed = {"origin": proof.origin, "key": proof.signed_by}
    note = "; the entry's text was removed by retention" if proof.pruned else ""
    return LogFact.PASS, [
        Line(
            proof_name,
            Outcome.PASS,
            f"the log holds the release of this output{note}",
            owner=owner,
            owner_summary=f"entry {proof.index} of {proof.tree_size}{note}",
        ),
        Line(checkpoint_name, Outcome.PASS, f"signed by {proof.origin}", public=signed),
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
) -> tuple[Claims, Binding, Line]:
    name = "soft binding"
    if reading is None or not reading.label:
        return Claims.FIT, Binding.KEPT, Line(name, Outcome.ABSENT, "no readable manifest")
    claims = Claims.FIT
    if mark.fact is not MarkFact.NONE:
        named = _claimed_record(reading)
        if not checks.states_ai(reading) or (mark.fact is MarkFact.RECORD and named and named != mark.record_id):
            claims = Claims.CONFLICT
    bindings = [{"alg": b.alg, "value": b.value} for b in reading.soft_bindings]
    evidence = {"bindings": bindings}
    if claims is Claims.CONFLICT:
        problem = "the manifest does not speak of the content that the watermark is from"
        return claims, Binding.KEPT, Line(name, Outcome.FAIL, problem, evidence)
    if not bindings:
        return claims, Binding.KEPT, Line(name, Outcome.ABSENT, "the manifest promises no watermark")
    ours = any(b.alg.startswith(MARK_PREFIX) for b in reading.soft_bindings)
    if not ours:
        return claims, Binding.KEPT, Line(name, Outcome.UNSUPPORTED, "a scheme that is not searched here", evidence)
    if not mark.searched or mark.detection is None:
        return claims, Binding.KEPT, Line(name, Outcome.UNSUPPORTED, mark.problem, evidence)
    if mark.fact is not MarkFact.NONE:
        return claims, Binding.KEPT, Line(name, Outcome.PASS, "the promised watermark is in the content", evidence)
    if mark.detection.level is MarkLevel.UNDECIDABLE:
        return claims, Binding.KEPT, Line(name, Outcome.ABSENT, "too little material to find the mark", evidence)
    own = reading.trust_list == "own"  # of another deployment we do not hold the key, so we cannot miss its mark
    problem = "the promised watermark is not in the content"
    return claims, Binding.MISSING if own else Binding.KEPT, Line(name, Outcome.FAIL, problem, evidence)


def _remarks(
    found: Inspection, mark: MarkSearch, match: _Match | None, likeness: Likeness, lines: list[Line]
) -> list[Remark]:
    """What a person would ask next, after the rule's sentence."""
    remarks: list[Remark] = []
    broken = found.reading is not None and found.reading.state is ManifestState.INVALID
    if broken and mark.detection is not None and mark.fact is not MarkFact.NONE:
        present = f"The signature is broken; our watermark is still present (p ≤ {mark.detection.p_value:.1e})."
        remarks.append(Remark(present, Audience.CALLER))
    if broken and match is not None and likeness is Likeness.AGREES:
        alike = f"It resembles record {record_id_text(match.record.record_id)}, which it was made from."
        remarks.append(Remark(alike, Audience.OWNER))
    outcomes = {line.name: line.outcome for line in lines}
    if not broken and outcomes["ingredients"] is Outcome.FAIL:
        remarks.append(Remark("Something it was made from carries credentials that do not hold."))
    if outcomes["labels"] is Outcome.PASS and found.reading is None and mark.fact is MarkFact.NONE and match is None:
        remarks.append(Remark("Its label fields say how it was made; anyone can write or remove those."))
    if found.container in (Container.DAMAGED, Container.TRUNCATED) and found.problem:
        remarks.append(Remark(f"({found.problem})"))
    return remarks


def _unreadable(name: str, data: bytes, error: MediaError) -> VerificationReport:
    from gensafe.core.digest import sha256

    rule = conclude(Facts(container=Container.DAMAGED))
    line = Line("container", Outcome.ERROR, error.message)
    checks = (line.shown_to(Audience.ANYONE),)
    return VerificationReport(name, rule.conclusion, f"{rule.explanation} ({error.message})", checks, "", sha256(data))
