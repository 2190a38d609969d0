"""The manifest that the registry keeps for a record, and the log's word on it."""

from __future__ import annotations

from dataclasses import dataclass

from gensafe.core.errors import AuditError, GensafeError, LogUnavailable, MediaError
from gensafe.core.ids import record_id_text
from gensafe.core.types import Outcome
from gensafe.provenance import ManifestReading, ManifestState, hard_binding_holds
from gensafe.verify.budget import OUT_OF_TIME, Budget
from gensafe.verify.conclusion import Layers, LogFact, Recovered
from gensafe.verify.contain import recover_contained
from gensafe.verify.context import VerifyContext
from gensafe.verify.inspect import Inspection
from gensafe.verify.lines import Line
from gensafe.verify.record import Match


@dataclass(frozen=True, slots=True)
class Recovery:
    """What became of the recorded manifest. ``reading`` may be shown to those who see the record."""

    fact: Recovered
    line: Line
    reading: ManifestReading | None = None
    layers: Layers = Layers.READ


def recover_manifest(
    data: bytes, found: Inspection, match: Match | None, context: VerifyContext, budget: Budget
) -> Recovery:
    """Fetch the record's manifest; when the file has none of its own, see whether it is bound to these very bytes."""
    name = "recovered manifest"
    if match is None or context.records is None:
        return Recovery(Recovered.NONE, Line(name, Outcome.ABSENT, "no record to recover a manifest from"))
    if found.reading is not None and found.reading.state is not ManifestState.INVALID:
        return Recovery(Recovered.NONE, Line(name, Outcome.UNSUPPORTED, "not needed: the file has its own manifest"))
    if budget.spent:
        return Recovery(Recovered.NONE, Line(name, Outcome.ERROR, OUT_OF_TIME), None, Layers.UNREAD)
    try:
        store = context.records.get_blob(match.record.manifest_digest)
    except GensafeError as error:
        return Recovery(Recovered.BAD, Line(name, Outcome.FAIL, error.message))
    if store is None:
        return Recovery(Recovered.NONE, Line(name, Outcome.ABSENT, "the registry no longer keeps it"))
    try:
        alone, bound = recover_contained(store, data, found.media_type, context)
    except MediaError as error:
        return Recovery(Recovered.NONE, Line(name, Outcome.ERROR, error.message), None, Layers.UNREAD)
    if alone is None or alone.state is ManifestState.INVALID:
        codes = ", ".join(alone.failure_codes()) if alone is not None else "unreadable"
        return Recovery(Recovered.BAD, Line(name, Outcome.FAIL, f"does not verify: {codes}"))
    public = {
        "signer": alone.signer.subject if alone.signer else "",
        "time": alone.time_stamp.time if alone.time_stamp else "",
        "time_trusted": alone.time_stamp.trusted if alone.time_stamp else False,
        "trust_list": alone.trust_list or "",
        "development": alone.development,
    }
    owner: dict[str, object] = {
        "label": alone.label,
        "actions": [a.action for a in alone.actions],
        "record_id": alone.record_id,
    }
    if alone.record_id and alone.record_id != record_id_text(match.record.record_id):
        problem = "it is the manifest of another record"
        return Recovery(Recovered.BAD, Line(name, Outcome.FAIL, problem, public=public, owner=owner))
    if alone.state is not ManifestState.TRUSTED:
        problem = "its signer is on none of the trust lists"
        return Recovery(Recovered.NONE, Line(name, Outcome.FAIL, problem, public=public, owner=owner), alone)
    if bound is not None and bound.state is ManifestState.TRUSTED and hard_binding_holds(bound):
        summary = "signature and content verify together: only the credentials had been removed"
        return Recovery(Recovered.EXACT, Line(name, Outcome.PASS, summary, public=public, owner=owner), bound)
    summary = "manifest recovered; its signature verifies, but it does not cover these bytes"
    return Recovery(Recovered.TRUSTED, Line(name, Outcome.PASS, summary, public=public, owner=owner), alone)


@dataclass(frozen=True, slots=True)
class LogAnswer:
    """What the log says. ``exact``: its entry names the digest of these very bytes."""

    fact: LogFact
    lines: tuple[Line, Line]
    exact: bool = False
    layers: Layers = Layers.READ


def ask_log(found: Inspection, match: Match | None, context: VerifyContext, budget: Budget) -> LogAnswer:
    """Let the log prove the record."""
    proof_name, checkpoint_name = "log inclusion", "checkpoint signature"

    def both(outcome: Outcome, reason: str) -> tuple[Line, Line]:
        return Line(proof_name, outcome, reason), Line(checkpoint_name, outcome, reason)

    if context.log is None:
        return LogAnswer(LogFact.UNKNOWN, both(Outcome.UNSUPPORTED, "no log available"))
    if match is None:
        return LogAnswer(LogFact.UNKNOWN, both(Outcome.ABSENT, "no record to prove"))
    if budget.spent:
        return LogAnswer(LogFact.UNKNOWN, both(Outcome.ERROR, OUT_OF_TIME), layers=Layers.UNREAD)
    try:
        proof = context.log.prove(match.record)
    except LogUnavailable as error:
        return LogAnswer(LogFact.UNKNOWN, both(Outcome.ERROR, error.message), layers=Layers.UNREAD)
    except AuditError as error:
        not_proved = Line(checkpoint_name, Outcome.ABSENT, "the proof is not valid")
        return LogAnswer(LogFact.FAIL, (Line(proof_name, Outcome.FAIL, error.message), not_proved))
    owner = {"index": proof.index, "tree_size": proof.tree_size, "leaf_hash": proof.leaf_hash}
    note = "; the entry's text was removed by retention" if proof.pruned else ""
    inclusion = Line(
        proof_name,
        Outcome.PASS,
        f"the log holds the release of this output{note}",
        owner=owner,
        owner_summary=f"entry {proof.index} of {proof.tree_size}{note}",
    )
    signed = {"origin": proof.origin, "key": proof.signed_by, "development": context.development}
    checkpoint = Line(checkpoint_name, Outcome.PASS, f"signed by {proof.origin}", public=signed)
    # a removed entry's text no longer ties the digest to the leaf: only the registry says so then
    exact = match.record.digest == found.digest and not proof.pruned
    return LogAnswer(LogFact.PASS, (inclusion, checkpoint), exact)
