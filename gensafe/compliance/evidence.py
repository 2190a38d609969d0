"""What a period of the log shows, collected in one pass: the facts every regime report draws on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gensafe.audit import entries as names
from gensafe.audit.disclosure import may_read
from gensafe.audit.export import EVERYTHING
from gensafe.audit.fsck import FsckReport
from gensafe.audit.log import LogReader
from gensafe.compliance.coverage import Coverage, stated_before
from gensafe.core.types.caller import Scope
from gensafe.core.types.stages import NOT_STAMPED

MAX_LISTED: Final = 1000  # exceptions of one duty; all are counted. A round number
LONG_TEXT_TOKENS: Final = 200  # tokens: EU Code of Practice 1.1.2, duty eu-text-200


@dataclass(slots=True)
class Share:
    """How many of the outputs that a duty is about satisfy it; the others are listed by record id."""

    of: int = 0
    met: int = 0
    exceptions: list[str] = field(default_factory=list)

    def count(self, record_id: str, met: bool, why: str = "") -> None:
        """Count one output."""
        self.of += 1
        self.met += met
        if not met and len(self.exceptions) < MAX_LISTED:
            self.exceptions.append(f"{record_id}: {why}" if why else record_id)


@dataclass(slots=True)
class Evidence:
    """Facts of a period. Counts are of entries; shares are of released outputs."""

    first_ms: int = 0
    last_ms: int = 0
    entries: int = 0
    pruned: int = 0
    events: Counter[str] = field(default_factory=Counter)
    released: Counter[str] = field(default_factory=Counter)  # by modality
    environments: Counter[str] = field(default_factory=Counter)
    blocked_categories: Counter[str] = field(default_factory=Counter)
    blocked_stages: Counter[str] = field(default_factory=Counter)
    end_reasons: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    policies: Counter[str] = field(default_factory=Counter)
    classifiers: Counter[str] = field(default_factory=Counter)
    schemes: Counter[str] = field(default_factory=Counter)
    conclusions: Counter[str] = field(default_factory=Counter)
    profiles: Counter[str] = field(default_factory=Counter)
    policy_changes: list[dict[str, Any]] = field(default_factory=list)
    key_changes: list[dict[str, Any]] = field(default_factory=list)
    tenant_stops: list[dict[str, Any]] = field(default_factory=list)
    tombstones: list[dict[str, Any]] = field(default_factory=list)
    holds: list[dict[str, Any]] = field(default_factory=list)
    outages: list[dict[str, Any]] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)
    config_changes: list[dict[str, Any]] = field(default_factory=list)
    shown: int = 0  # copies of held outputs that people took
    misuse: Counter[str] = field(default_factory=Counter)
    cases: Counter[str] = field(default_factory=Counter)  # decisions about reports of misuse, and how many were late
    drills: list[dict[str, Any]] = field(default_factory=list)
    reviews: Counter[str] = field(default_factory=Counter)  # held | released | rejected
    unfinished: list[int] = field(default_factory=list)
    exports: int = 0
    # shares of released outputs
    manifest: Share = field(default_factory=Share)
    manifest_media: Share = field(default_factory=Share)  # not text
    trusted_signer: Share = field(default_factory=Share)
    time_stamped: Share = field(default_factory=Share)
    watermark: Share = field(default_factory=Share)
    two_layers: Share = field(default_factory=Share)
    long_text: Share = field(default_factory=Share)
    judged: Share = field(default_factory=Share)
    inputs_kept: Share = field(default_factory=Share)
    label_fields: dict[str, Share] = field(default_factory=dict)
    label_complete: Share = field(default_factory=Share)  # provider, system, version, time and id; not text
    watermark_media: Share = field(default_factory=Share)  # not text
    visible: Share = field(default_factory=Share)
    visible_size: Share = field(default_factory=Share)
    aigc: Share = field(default_factory=Share)
    model_named: Share = field(default_factory=Share)
    intent_first: Share = field(default_factory=Share)

    @property
    def outputs(self) -> int:
        """Released outputs."""
        return sum(self.released.values())


DISCLOSED: Final = ("provider", "system", "version", "time", "content_id")
LABEL_FIELDS: Final = ("provider", "system", "version", "time", "content_id", "action")


def collect(
    log: LogReader, *, start_ms: int | None = None, end_ms: int | None = None, scope: Scope = EVERYTHING
) -> Evidence:
    """Read [start_ms, end_ms) of the log, as far as ``scope`` may read it (``gensafe.audit.disclosure``)."""
    start = 0 if start_ms is None else log.index_at(start_ms)
    stop = log.size if end_ms is None else log.index_at(end_ms)
    evidence = Evidence(label_fields={name: Share() for name in LABEL_FIELDS})
    evidence.coverage.now = stated_before(log, start)
    open_requests: dict[int, str] = {}
    running: dict[str, dict[str, Any]] = {}
    for index, time_ms, entry in _rows(log, start, stop, evidence):
        if not may_read(scope, entry):
            continue
        evidence.entries += 1
        evidence.first_ms = evidence.first_ms or time_ms
        evidence.last_ms = time_ms
        _add(evidence, index, time_ms, entry, start, open_requests, running)
    evidence.unfinished = sorted(open_requests)
    evidence.outages += [outage | {"to_ms": None} for outage in running.values()]
    return evidence


def _rows(log: LogReader, start: int, stop: int, evidence: Evidence) -> Iterator[tuple[int, int, Mapping[str, Any]]]:
    disclosed = 0
    for logged in log.entries(start, stop):
        disclosed += 1
        yield logged.index, logged.time_ms, logged.entry
    evidence.pruned = max(0, stop - start) - disclosed


def _add(
    evidence: Evidence,
    index: int,
    time_ms: int,
    entry: Mapping[str, Any],
    start: int,
    open_requests: dict[int, str],
    running: dict[str, dict[str, Any]],
) -> None:
    event = str(entry.get("event", ""))
    evidence.events[event] += 1
    if event == names.OPENED:
        open_requests[index] = str(entry.get("request_id", ""))
    if event in names.FINAL_STATES:
        before = int(entry.get("opened_index", -1))
        known = open_requests.pop(before, None)
        if event == names.RELEASED:
            fits = known == entry.get("request_id") if before >= start else 0 <= before < index
            evidence.intent_first.count(str(entry.get("record_id")), fits, "no intent before the release")
    if event == names.HELD:
        evidence.reviews["held"] += 1
    elif "review" in entry:
        evidence.reviews[str(entry["review"]["decision"])] += 1
    if event == names.RELEASED:
        _released(evidence, entry)
    elif event == names.BLOCKED:
        evidence.blocked_stages[str(entry.get("stage", ""))] += 1
        for verdict in entry.get("verdicts", []):
            hits = {d["category"] for d in verdict.get("decisions", []) if d.get("action") == verdict.get("action")}
            evidence.blocked_categories.update(hits)
            _judges(evidence, verdict)
    elif event in (names.FAILED, names.CANCELLED, names.ABORTED):
        evidence.end_reasons[str(entry.get("reason", ""))] += 1
    elif event == names.VERIFIED:
        evidence.conclusions[str(entry.get("conclusion", ""))] += 1
    elif event == names.POLICY_CHANGED:
        evidence.policy_changes.append(_picked(time_ms, entry, "policy", "old", "new", "actor"))
        evidence.coverage.note(entry)
    elif event == names.SERVICE_STARTED:
        evidence.coverage.note(entry)
    elif event == names.CONFIG_CHANGED:
        evidence.config_changes.append(_picked(time_ms, entry, "old", "new", "changed"))
    elif event == names.REVIEW_SHOWN:
        evidence.shown += 1
    elif event == names.KEY_ROTATED:
        evidence.key_changes.append(_picked(time_ms, entry, "role", "old", "new", "reason"))
    elif event in (names.TENANT_STOPPED, names.TENANT_RESTORED):
        evidence.tenant_stops.append(_picked(time_ms, entry, "event", "tenant", "actor"))
    elif event == names.TOMBSTONE:
        evidence.tombstones.append(_picked(time_ms, entry, "kind", "subject", "erased", "reason"))
    elif event in (names.HOLD_SET, names.HOLD_RELEASED):
        evidence.holds.append(_picked(time_ms, entry, "event", "hold_id", "scope"))
    elif event == names.EXPORT_MADE:
        evidence.exports += 1
    elif event == names.MISUSE_REPORTED:
        evidence.misuse[str(entry.get("category", ""))] += 1
    elif event == names.MISUSE_DECIDED:
        evidence.cases[str(entry.get("decision", ""))] += 1
        evidence.cases["late"] += bool(entry.get("late"))
    elif event == names.DRILL:
        evidence.drills.append(_picked(time_ms, entry, "passed", "failed", "steps"))
    elif event == names.FILTER_UNAVAILABLE:
        name = str(entry.get("classifier", ""))
        running.setdefault(name, {"classifier": name, "from_ms": time_ms, "released_meanwhile": 0, "refused": 0})
    elif event == names.FILTER_RESTORED:
        outage = running.pop(str(entry.get("classifier", "")), None)
        if outage:
            evidence.outages.append(outage | {"to_ms": time_ms, "refused": int(entry.get("refused", 0))})
    if event == names.RELEASED:
        # an output that was judged before the outage may be logged in it; a leak is one on which the filter failed
        failed = {name for v in entry.get("verdicts", []) for name in v.get("failed_classifiers", [])}
        for name, outage in running.items():
            outage["released_meanwhile"] += name in failed


def _released(evidence: Evidence, entry: Mapping[str, Any]) -> None:
    record = str(entry.get("record_id", ""))
    modality = str(entry.get("modality", ""))
    manifest, mark = _part(entry, "manifest"), _part(entry, "watermark")
    generation, labels = _part(entry, "generation"), _part(entry, "labels")
    evidence.released[modality] += 1
    evidence.coverage.count(modality)
    evidence.environments[str(entry.get("environment", "not stated"))] += 1
    name = f"{generation.get('model', '')} {generation.get('model_version', '')} {generation.get('weights', '')}"
    evidence.models[name.strip()] += 1
    evidence.model_named.count(record, bool(generation.get("model") and generation.get("weights")), "model or weights")

    signed = bool(manifest.get("digest"))
    marked = mark.get("level") in ("record", "present")
    sampled = modality == "text" and not str(generation.get("sampling_mark", "not marked")).startswith("not marked")
    reason = str(mark.get("note") or "no mark was detected")
    evidence.manifest.count(record, signed, "no manifest")
    evidence.trusted_signer.count(record, signed and manifest.get("development") is False, "development certificate")
    stamped = str(entry.get("timestamp", ""))
    unstamped = not stamped or stamped == NOT_STAMPED
    evidence.time_stamped.count(record, not unstamped, stamped or "no time stamp is logged")
    evidence.watermark.count(record, marked, reason)
    evidence.two_layers.count(record, signed and marked, reason if signed else "no manifest")
    if mark.get("scheme"):
        evidence.schemes[f"{mark['scheme']} {mark.get('key_id', '')}".strip()] += 1
    if modality == "text" and int(generation.get("tokens", 0)) > LONG_TEXT_TOKENS:
        evidence.long_text.count(record, marked or sampled, reason)

    stages = {v.get("stage") for v in entry.get("verdicts", [])}
    clean = all(not v.get("failed_classifiers") and not v.get("monitor_only") for v in entry.get("verdicts", []))
    why = (
        "prompt and output verdicts" if not {"prompt", "output"} <= stages else "a classifier failed or only monitored"
    )
    evidence.judged.count(record, {"prompt", "output"} <= stages and clean, why)
    for verdict in entry.get("verdicts", []):
        _judges(evidence, verdict)

    _sources(evidence, record, entry)
    present = set(labels.get("fields", []))
    if modality != "text":
        for field_name, share in evidence.label_fields.items():
            share.count(record, field_name in present, "not in the file")
        missing = [name for name in DISCLOSED if name not in present]
        evidence.label_complete.count(record, not missing, "without " + ", ".join(missing))
        evidence.watermark_media.count(record, marked, reason)
        evidence.manifest_media.count(record, signed, "no manifest")
    if labels.get("profile"):
        evidence.profiles[str(labels["profile"])] += 1
    evidence.aigc.count(record, "aigc" in present, "no AIGC label")
    visible = labels.get("visible") if isinstance(labels.get("visible"), dict) else {}
    assert isinstance(visible, dict)
    evidence.visible.count(record, bool(visible), "not asked for")
    if visible.get("kind") == "drawn":
        evidence.visible_size.count(record, int(visible.get("height_permille", 0)) >= 50, "below 5 %")
    elif visible.get("kind") == "sounded":
        evidence.visible_size.count(record, int(visible.get("duration_ms", 0)) >= 2000, "below 2 s")


def _sources(evidence: Evidence, record: str, entry: Mapping[str, Any]) -> None:
    """Of outputs made from files: were the manifests that these carried kept? Those without any have none to keep."""
    sources = entry.get("sources")
    if sources is None:
        if entry.get("inputs"):
            evidence.inputs_kept.count(record, False, "logged before it was recorded what inputs carry")
        return
    if sources:
        lost = [f"{source['role']}: {source.get('note', '')}" for source in sources if source.get("fate") != "kept"]
        evidence.inputs_kept.count(record, not lost, "; ".join(lost))


def _judges(evidence: Evidence, verdict: Mapping[str, Any]) -> None:
    policy = verdict.get("policy") or {}
    evidence.policies[f"{policy.get('id', '')} {policy.get('digest', '')}".strip()] += 1
    for classifier in verdict.get("classifiers", []):
        evidence.classifiers[f"{classifier.get('name', '')} {classifier.get('version', '')}".strip()] += 1


def _picked(time_ms: int, entry: Mapping[str, Any], *fields: str) -> dict[str, Any]:
    return {"time_ms": time_ms} | {name: entry[name] for name in fields if name in entry}


def _part(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = entry.get(name)
    return value if isinstance(value, dict) else {}


def integrity_facts(report: FsckReport | None) -> dict[str, Any]:
    """What fsck said, for a report; {} when it was not run."""
    if report is None:
        return {}
    facts: dict[str, Any] = {"sound": report.ok, "size": report.size, "root": report.root, "signed": report.signed}
    return facts | {"pruned": report.pruned, "findings": list(report.findings)}
