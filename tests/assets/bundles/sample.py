"""A small log of every event, made from fixed values: the source of the test vectors and of the report tests."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gensafe.audit import AuditLog, entries
from gensafe.core.clock import FixedClock
from gensafe.core.digest import sha256
from gensafe.core.ids import pack_payload
from gensafe.core.types import (
    Action,
    Admission,
    ClassifierId,
    Coverage,
    Decision,
    Draft,
    Finding,
    GenerationJob,
    GenerationRecord,
    GenerationRequest,
    Judged,
    Manifest,
    Marked,
    MarkLevel,
    Modality,
    Signed,
    Stage,
    Text,
    Verdict,
    WatermarkReceipt,
)

ORIGIN = "example.com/gensafe"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
START_MS = 1_790_000_000_000  # 2026-09-21
STEP_MS = 60_000
POLICY = ("default", sha256(b"policy"))
MEDIA_TYPES = {
    Modality.TEXT: "text/plain",
    Modality.IMAGE: "image/png",
    Modality.AUDIO: "audio/wav",
    Modality.VIDEO: "video/mp4",
}


def verdict(stage: Stage, modality: Modality, action: Action = Action.ALLOW) -> Verdict:
    finding = Finding("iwp", 0.97 if action is Action.BLOCK else 0.02, "text_screen", detail="never logged")
    return Verdict(
        stage=stage,
        modality=modality,
        action=action,
        decisions=(Decision(finding, 0.5, 6 if action is Action.BLOCK else 0, action),),
        coverage=(Coverage("text_screen", "characters", 20, 20),),
        classifiers=(ClassifierId("text_screen", "1", sha256(b"weights")),),
        policy_id=POLICY[0],
        policy_digest=POLICY[1],
    )


def request_id(n: int) -> str:
    return f"00000000-0000-4000-8000-{n:012x}"


def signed(
    n: int,
    opened_index: int,
    modality: Modality,
    tenant: str,
    *,
    level: MarkLevel = MarkLevel.RECORD,
    development: bool = False,
    tokens: int = 64,
    note: str = "",
) -> Signed:
    request = GenerationRequest(request_id(n), "a prompt that is never logged", modality, tenant=tenant)
    job = GenerationJob(request.prompt, modality, (), 7, 0)
    admission = Admission(request, job, n, opened_index, verdict(Stage.PROMPT, modality), "hmac-sha256:" + "11" * 32)
    record = GenerationRecord(
        "symphony-onnx", "symphony", "1", sha256(b"symphony"), 7, tokens, "not marked by sampling"
    )
    draft = Draft(Text("x"), record)
    receipt = WatermarkReceipt(
        "" if level is MarkLevel.NONE else "dct-q1", pack_payload(n), "k0/0", level, 1e-9, 41.5, note
    )
    judged = Judged(admission, draft, verdict(Stage.OUTPUT, modality))
    marked = Marked(judged, b"", MEDIA_TYPES[modality], receipt, {"pdq": "00"})
    manifest = Manifest(b"", sha256(b"manifest%d" % n), f"urn:c2pa:{n:08d}", sha256(b"certificate"), True, development)
    return Signed(marked, b"final bytes %d" % n, sha256(b"final bytes %d" % n), manifest)


def opened(n: int, modality: Modality, tenant: str) -> entries.Entry:
    return entries.opened(
        request_id=request_id(n),
        record_id=n,
        tenant=tenant,
        modality=modality,
        prompt_commitment="hmac-sha256:" + "11" * 32,
        policy_id=POLICY[0],
        policy_digest=POLICY[1],
        model="symphony",
    )


def labels(modality: Modality) -> dict[str, object]:
    if modality is Modality.TEXT:
        return {"profile": "eu", "fields": [], "missing": []}
    found: dict[str, object] = {
        "profile": "eu",
        "fields": ["action", "content_id", "provider", "source_type", "system", "time", "version"],
        "missing": ["detector"],
    }
    if modality is Modality.IMAGE:
        found["visible"] = {
            "kind": "drawn",
            "text": "AI GENERATED",
            "position": "bottom-right",
            "height_permille": 51,
            "duration_ms": 0,
        }
    return found


def fill(log: AuditLog, clock: FixedClock, rounds: int = 2) -> None:
    """Append ``rounds`` of: start-up, four released media, a block, a failure, an outage, changes, an open request."""

    def add(entry: entries.Entry) -> int:
        clock.advance(STEP_MS)
        return log.append(entry).index

    n = 0
    for round_ in range(rounds):
        digest = sha256(b"config%d" % round_)
        add(
            entries.service_started(
                version="0.1.0", config_digest=digest, policy_digest=POLICY[1], environment="production"
            )
        )
        for modality in Modality:
            n += 1
            tenant = "p-acme" if n % 2 else "p-umbra"
            at = add(opened(n, modality, tenant))
            add(
                entries.released(
                    signed(n, at, modality, tenant),
                    labels=labels(modality),
                    layers=("c2pa", "watermark"),
                    timestamp="GenSafe Development TSA",
                    environment="production",
                )
            )
        n += 1
        at = add(opened(n, Modality.TEXT, "p-acme"))
        add(
            entries.blocked(
                request_id=request_id(n),
                record_id=n,
                tenant="p-acme",
                modality=Modality.TEXT,
                stage=Stage.PROMPT,
                verdict_=verdict(Stage.PROMPT, Modality.TEXT, Action.BLOCK),
                opened_index=at,
            )
        )
        n += 1
        at = add(opened(n, Modality.VIDEO, "p-acme"))
        add(
            entries.ended(
                entries.FAILED,
                request_id=request_id(n),
                record_id=n,
                tenant="p-acme",
                modality=Modality.VIDEO,
                reason="WATERMARK_NOT_DETECTED",
                opened_index=at,
                stage="mark",
            )
        )
        add(entries.filter_outage(entries.FILTER_UNAVAILABLE, classifier="image_signal", since_ms=clock.ms))
        if round_ == 0:
            add(entries.filter_outage(entries.FILTER_RESTORED, classifier="image_signal", since_ms=clock.ms, refused=2))
        add(entries.policy_changed(policy_id="default", old_digest=POLICY[1], new_digest=digest, actor="p-admin"))
        add(
            entries.verify_performed(conclusion="proved", checks={"manifest": "pass", "watermark": "pass"}, record_id=1)
        )
    n += 1
    add(opened(n, Modality.IMAGE, "p-acme"))


def sample_log(folder: Path, rounds: int = 2) -> AuditLog:
    """A filled log in ``folder``, open for writing."""
    clock = FixedClock(START_MS)
    log = AuditLog.open(folder, origin=ORIGIN, key=KEY, clock=clock)
    fill(log, clock, rounds)
    return log
