"""Serve an output again: a repeated request, a broken download. Nothing is generated, signed or logged anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gensafe import media as codecs
from gensafe.core import ids
from gensafe.core.errors import NotFound, RegistryError, RegistryUnavailable
from gensafe.core.types import (
    Action,
    Admission,
    ClassifierId,
    Draft,
    GenerationJob,
    GenerationRecord,
    GenerationRequest,
    Judged,
    Manifest,
    Marked,
    MarkLevel,
    Modality,
    Recorded,
    Signed,
    Stage,
    Verdict,
    WatermarkReceipt,
)
from gensafe.pipeline.chain import Chain
from gensafe.pipeline.events import Released
from gensafe.registry import Intent, Record


def load_output(chain: Chain, record_id: int, tenant: str) -> tuple[Record, bytes]:
    """The record and final bytes of a released output.

    Raises:
        NotFound: no such record for this tenant, or its copy was not kept.
        RegistryUnavailable: it was released, and the registry could not be written since.
    """
    if chain.ledger.owes(record_id) and chain.ledger.settle() and chain.ledger.owes(record_id):
        raise RegistryUnavailable("the registry does not have this record yet", fix="try again")
    record = chain.registry.by_record_id(record_id)
    if record is None or record.tenant != tenant:
        raise NotFound(f"no record {ids.record_id_text(record_id)}", field="record_id")
    data = chain.registry.get_blob(record.digest)
    if data is None:
        raise NotFound("the output's copy was not kept or was erased", field="record_id")
    return record, data


def replay(chain: Chain, intent: Intent) -> Released:
    """Rebuild what was released under an intent from its log entry and blobs.

    Raises:
        NotFound: the output's copy was erased.
        RegistryError: registry and log disagree.
    """
    record, data = load_output(chain, intent.record_id, intent.tenant)
    manifest_data = chain.registry.get_blob(record.manifest_digest)
    if manifest_data is None:
        raise RegistryError("the manifest of a released output is missing")
    return _rebuild(chain, record, data, manifest_data, chain.log.entry(record.log_index).entry)


def _rebuild(chain: Chain, record: Record, data: bytes, manifest_data: bytes, logged: Mapping[str, Any]) -> Released:
    """Put a Released together again. Verdicts hold what the log holds: action, classifiers, policy, no findings."""
    request = GenerationRequest(
        record.request_id, "", record.modality, tenant=record.tenant, media_type=record.media_type
    )
    verdicts = [logged_verdict(v, record.modality) for v in logged["verdicts"]]
    admission = Admission(
        request=request,
        job=GenerationJob("", record.modality, (), 0, 0),
        record_id=record.record_id,
        intent_index=logged["opened_index"],
        prompt_verdict=verdicts[0],
        prompt_commitment=logged["prompt_commitment"],
    )
    generation, manifest, mark = logged["generation"], logged["manifest"], logged["watermark"]
    draft = Draft(
        codecs.decode(data, record.media_type),
        GenerationRecord(
            backend=generation["backend"],
            model=generation["model"],
            model_version=generation["model_version"],
            weights_digest=generation["weights"],
            seed=0,
            tokens=generation["tokens"],
            sampling_mark=generation["sampling_mark"],
        ),
    )
    receipt = WatermarkReceipt(
        scheme=record.watermark_scheme,
        payload=record.watermark_payload,
        key_id=mark["key_id"],
        level=MarkLevel(mark["level"]),
        p_value=10.0 ** mark["p_exponent"],
        note=mark.get("note", ""),
    )
    marked = Marked(Judged(admission, draft, verdicts[-1]), b"", record.media_type, receipt, record.fingerprint)
    signed = Signed(
        marked,
        data,
        record.digest,
        Manifest(
            data=manifest_data,
            digest=record.manifest_digest,
            label=record.manifest_label,
            signer_fingerprint=manifest["signer"],
            embedded=manifest["embedded"],
            development=manifest["development"],
        ),
    )
    recorded = Recorded(signed, record.log_index, record.leaf_hash, chain.log.origin)
    return Released(recorded, chain.log.tlog_proof(record.log_index), replayed=True)


def logged_verdict(logged: Mapping[str, Any], modality: Modality) -> Verdict:
    """A verdict as far as the log knows it: without findings."""
    return Verdict(
        stage=Stage(logged["stage"]),
        modality=modality,
        action=Action(logged["action"]),
        decisions=(),
        coverage=(),
        classifiers=tuple(ClassifierId(c["name"], c["version"], c["weights"]) for c in logged["classifiers"]),
        policy_id=logged["policy"]["id"],
        policy_digest=logged["policy"]["digest"],
        monitor_only=logged["monitor_only"],
    )
