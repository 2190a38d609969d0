"""Verify one file: every layer of evidence on a line of its own, then one conclusion, cut to who asks.

1. parse in a worker: container, content, fingerprint, manifest
2. search the watermark in the decoded content, under every epoch's key
3. find the record: by the mark, by the manifest's claim, by the exact bytes, by likeness; in this order
4. compare the content's fingerprint with the record's
5. recover the manifest that the registry keeps, when the file has none
6. let the log prove the record
7. read the label fields, reduce all but them (anyone can write them) to ``Facts``, take the first rule that applies
8. for those who see the record: say where the content was changed, by the stored output, else by the mark (a hint)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gensafe.core.digest import sha256
from gensafe.core.errors import MediaError
from gensafe.core.ids import record_id_text
from gensafe.core.languages import N_, Sentence
from gensafe.core.observer import Verified
from gensafe.core.types import Conclusion, Outcome, VerificationReport
from gensafe.core.types.caller import Everything, Scope
from gensafe.media import name_contradicts
from gensafe.provenance import ManifestState
from gensafe.verify import checks, marks
from gensafe.verify.binding import manifest_fact, soft_binding
from gensafe.verify.budget import VERIFY_SECONDS, Budget
from gensafe.verify.conclusion import (
    Container,
    Facts,
    Layers,
    Likeness,
    ManifestFact,
    MarkFact,
    Recovered,
    conclude,
)
from gensafe.verify.contain import inspect_contained
from gensafe.verify.context import VerifyContext
from gensafe.verify.inspect import Inspection
from gensafe.verify.lines import Audience, Line, Remark, audience_of
from gensafe.verify.marks import MarkSearch
from gensafe.verify.record import Match, compare, find_record
from gensafe.verify.recovery import ask_log, recover_manifest
from gensafe.verify.where import where_changed

EVERYTHING: Final = Everything()
_CHANGED: Final = (Conclusion.ALTERED, Conclusion.DERIVED, Conclusion.TRANSPLANTED_MARK, Conclusion.LAYERS_DISAGREE)


def verify_bytes(
    data: bytes,
    *,
    name: str,
    context: VerifyContext,
    sidecar: bytes | None = None,
    scope: Scope = EVERYTHING,
    seconds: float = VERIFY_SECONDS,
) -> VerificationReport:
    """Say what can be proved about ``data``. Never raises for what is in the file.

    What comes from a record (its id, digest, log index, manifest, and where the content differs from it) is shown to
    the record's tenant and to ``Everything`` only. Others learn what is public anyway: that this service made it,
    whether the log proves that, and whether the content is unchanged.

    Args:
        data: The file's bytes, untrusted.
        name: Shown in the report. It decides nothing about how the bytes are read; a text under the name of a picture,
            sound or film is reported as not examined.
        context: Trust lists, keys, registry and log to use.
        sidecar: A detached manifest store handed in with the file.
        scope: Who asks. The default is the owner of the data directory.
        seconds: What is not begun this long after the file was parsed is reported as not examined, and not proved.
    """
    report = _verify(data, name, context.current(), sidecar, scope, seconds)
    context.observe(Verified(report.conclusion.value))
    return report


def _verify(
    data: bytes, name: str, context: VerifyContext, sidecar: bytes | None, scope: Scope, seconds: float
) -> VerificationReport:
    # 1.
    try:
        found = inspect_contained(data, sidecar, context)
    except MediaError as error:
        return _unreadable(name, data, error)
    budget = Budget(seconds)
    reading, of_manifest = found.reading, manifest_fact(found)
    found = _as_named(_whole_if_signed(found, of_manifest), name)
    # 2.
    mark = marks.search(found.content, context, budget, marks.promised_epoch(reading))
    binding = soft_binding(mark, reading, keys=context.key_for is not None)
    # 3.
    record = find_record(found, mark, context, scope, budget)
    match = record.match
    audience = audience_of(scope, match.record.tenant if match else None)
    # 4.
    likeness, likeness_line, likeness_layers = compare(found, match, context, budget)
    # 5.
    recovery = recover_manifest(data, found, match, context, budget)
    # 6.
    log = ask_log(found, match, context, budget)
    recovered = Recovered.EXACT if log.exact and recovery.fact is Recovered.NONE else recovery.fact
    # 7.
    lines = [
        checks.container(found),
        checks.manifest(found),
        *checks.manifest_details(reading, context.trust),
        binding.line,
        marks.line(mark, found.content.modality if found.content else None),
        record.line,
        likeness_line,
        recovery.line,
        *log.lines,
        checks.labels(found),
    ]
    unread = Layers.UNREAD in (record.layers, likeness_layers, recovery.layers, log.layers)
    rule = conclude(
        Facts(
            container=found.container,
            manifest=of_manifest,
            mark=MarkFact.UNSEARCHED if binding.unsearched else mark.fact,
            claims=binding.claims,
            binding=binding.binding,
            record=record.fact,
            likeness=likeness,
            recovered=recovered,
            log=log.fact,
            layers=Layers.UNREAD if unread else Layers.READ,
        )
    )
    # 8.
    if audience >= Audience.OWNER and (rule.conclusion in _CHANGED or rule.conclusion is Conclusion.FOUND_UNTRUSTED):
        lines += where_changed(found, match.record if match is not None else None, mark, context, budget)
    own = reading if reading is not None and reading.label and audience >= Audience.CALLER else None
    shown = own or (recovery.reading if audience >= Audience.OWNER else None)
    remarks = (Remark(Sentence(rule.explanation)), *_remarks(found, mark, match, likeness, lines))
    said = [remark.text for remark in remarks if remark.audience <= audience]
    return VerificationReport(
        name=name,
        conclusion=rule.conclusion,
        explanation=" ".join(map(str, said)),
        checks=tuple(line.shown_to(audience) for line in lines),
        media_type=found.media_type,
        digest=found.digest,
        crjson=shown.crjson if shown is not None else "",
        sentences=tuple(sentence for sentence in said if isinstance(sentence, Sentence)),
    )


def _whole_if_signed(found: Inspection, manifest: ManifestFact) -> Inspection:
    """A file that is exactly as it was signed is not cut off, whatever its end looks like."""
    signed = manifest in (ManifestFact.TRUSTED, ManifestFact.UNTRUSTED)
    if found.container is not Container.TRUNCATED or not signed:
        return found
    if found.content is None:
        return replace(found, container=Container.DAMAGED)
    return replace(found, container=Container.OK, problem="")


def _as_named(found: Inspection, name: str) -> Inspection:
    """A text under the name of a picture, sound or film says nothing about that; a manifest in it still counts."""
    problem = name_contradicts(name, found.media_type)
    if not problem or found.manifest_seen:
        return found
    return replace(found, container=Container.UNSUPPORTED, problem=problem)


def _remarks(
    found: Inspection, mark: MarkSearch, match: Match | None, likeness: Likeness, lines: list[Line]
) -> list[Remark]:
    """What a person would ask next, after the rule's sentence."""
    remarks: list[Remark] = []
    broken = found.reading is not None and found.reading.state is ManifestState.INVALID
    if broken and mark.detection is not None and mark.found:
        present = Sentence(
            N_("The signature is broken; our watermark is still present (p ≤ {p})."),
            {"p": f"{mark.detection.p_value:.1e}"},
        )
        remarks.append(Remark(present, Audience.CALLER))
    if broken and match is not None and likeness is Likeness.AGREES:
        record = record_id_text(match.record.record_id)
        alike = Sentence(N_("It resembles record {record}, which it was made from."), {"record": record})
        remarks.append(Remark(alike, Audience.OWNER))
    outcomes = {line.name: line.outcome for line in lines}
    if not broken and outcomes["ingredients"] is Outcome.FAIL:
        remarks.append(Remark(Sentence(N_("Something it was made from carries credentials that are not valid."))))
    if not broken and outcomes["time-stamp"] is Outcome.FAIL:
        remarks.append(Remark(Sentence(N_("Its time-stamp is not valid: when it was signed is not shown."))))
    if outcomes["labels"] is Outcome.PASS and found.reading is None and not mark.found and match is None:
        remarks.append(Remark(Sentence(N_("Its label fields say how it was made; anyone can write or remove those."))))
    if found.container is not Container.OK and found.problem:
        remarks.append(Remark(f"({found.problem})"))
    not_examined = [line.name for line in lines if line.outcome is Outcome.ERROR]
    if not_examined:
        remarks.append(Remark(Sentence(N_("Not examined: {layers}."), {"layers": tuple(not_examined)})))
    signer = found.reading.signer if found.reading is not None else None
    if signer is not None and not broken and not _complete(found, not_examined):
        remarks.append(Remark(Sentence(N_("Signed by {signer}."), {"signer": signer.subject})))
    return remarks


def _complete(found: Inspection, not_examined: list[str]) -> bool:
    """Whether nothing was left out."""
    return found.container is Container.OK and not not_examined


def _unreadable(name: str, data: bytes, error: MediaError) -> VerificationReport:
    rule = conclude(Facts(container=Container.DAMAGED))
    line = Line("container", Outcome.ERROR, error.message)
    checks = (line.shown_to(Audience.ANYONE),)
    explanation, sentences = f"{rule.explanation} ({error.message})", (Sentence(rule.explanation),)
    return VerificationReport(name, rule.conclusion, explanation, checks, "", sha256(data), sentences=sentences)
