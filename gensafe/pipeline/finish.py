"""Steps 8 to 10: sign and verify the exact bytes, store them, make the leaf durable, release."""

from __future__ import annotations

import logging
from dataclasses import replace

from gensafe import __version__
from gensafe import media as codecs
from gensafe.audit import entries
from gensafe.audit.log import Appended
from gensafe.audit.signatures import discard
from gensafe.core import ids, softbinding
from gensafe.core.digest import sha256
from gensafe.core.errors import GensafeError, SigningFailed
from gensafe.core.ports import TextTokenizer
from gensafe.core.types import Admission, Judged, Marked, MarkLevel, Media, Recorded, Signed, Text
from gensafe.core.types.stages import NOT_STAMPED
from gensafe.media.content import content_digest
from gensafe.pipeline.chain import Chain
from gensafe.pipeline.events import Released
from gensafe.pipeline.labels import label_evidence
from gensafe.pipeline.sources import Sources, find_sources
from gensafe.provenance import ClaimFacts, sign_asset, strip_a8
from gensafe.provenance.types import COMPOSITE_WITH_TRAINED_ALGORITHMIC_MEDIA, TRAINED_ALGORITHMIC_MEDIA
from gensafe.registry import Record
from gensafe.safety import verdict_digest

log = logging.getLogger("gensafe.pipeline")


def tokenizer_of(chain: Chain, judged: Judged) -> TextTokenizer | None:
    """The tokenizer of the engine that made a draft; None where it has none, or is served here no longer."""
    return chain.engines.tokenizer(judged.draft.record.model, judged.admission.job.model)


def sign(chain: Chain, marked: Marked) -> Signed:
    """8. Sign, then check that signing changed nothing a person sees or a detector reads.

    ``sign_asset`` reads the signed bytes back and refuses anything but Trusted under our own anchors. Here the decoded
    content is compared with that of the marked bytes, so that the mark detected there is in the final bytes too.

    Raises:
        TenantStopped: the operator stopped this tenant meanwhile.
        SigningFailed: the signer, the time-stamp authority or the read-back failed.
        CredentialsLost: policy demands that a source's credentials are kept, and they cannot be.
    """
    admission = marked.judged.admission
    request = admission.request
    chain.keys.stops.refuse(request.tenant)
    tools = chain.signing.tools(ids.record_id_text(admission.record_id), admission.intent_index)
    keep = chain.safety(request.tenant).policy.keep_credentials
    sources = find_sources(marked.judged, chain.signing.source_trust(), keep=keep)
    facts = _facts(chain, marked, sources, development=tools.signer.development)
    data, manifest = sign_asset(
        marked.data,
        marked.media_type,
        facts,
        tools.signer,
        tools.time_stamper,
        tools.trust,
        sources.trust,
        tools.staple,
    )
    if not _same_content(marked, codecs.decode(data, marked.media_type)):
        raise SigningFailed("signing changed the content")
    spare = tuple(digest for digest in tools.signer.made if digest != manifest.signature)
    return Signed(marked, data, sha256(data), replace(manifest, spare=spare), sources.fates)


def record(chain: Chain, signed: Signed) -> Recorded:
    """9. Blobs first, then the leaf, then the registry row: a crash in between loses nothing that was released.

    Raises:
        LogUnavailable, RegistryError: nothing released as far as the log says. A registry that fails only after the
            leaf raises nothing: the output is released, and the ledger writes its row later.
    """
    chain.registry.put_blob(signed.manifest.data)
    # The copy is sealed under the key of the end user, else of the tenant, so that erasing them erases it; the manifest
    # is public anyway.
    chain.registry.put_blob(signed.data, owner=owner_of(chain, signed.marked.judged.admission))
    chain.fault_point("stored")
    receipt = signed.marked.receipt
    layers = ["c2pa"] + (["watermark"] if receipt.level in (MarkLevel.RECORD, MarkLevel.PRESENT) else [])
    labels = label_evidence(chain.config, signed)
    entry = entries.released(
        signed,
        labels=labels,
        layers=layers,
        timestamp=_stamped_by(chain, signed),
        environment=chain.config.environment,
    )

    def row(appended: Appended) -> Record:
        chain.fault_point("recorded")
        return _row(chain, signed, appended)

    appended = chain.ledger.released(signed, entry, row)
    journal = chain.signing.journal
    journal.settle(p.number for p in journal.pending(ids.record_id_text(signed.marked.judged.admission.record_id)))
    return Recorded(signed, appended.index, appended.leaf_hash, chain.log.origin)


def owner_of(chain: Chain, admission: Admission) -> str:
    """The pseudonym under whose key copies are sealed; drafts held by older versions do not name it."""
    return admission.owner or chain.registry.pseudonym(admission.request.tenant)


def discard_signatures(chain: Chain, record_id: int | None, reason: str) -> None:
    """Log the signatures of a request that came to nothing; of all that are left (None) at a start.

    A log that cannot be written keeps them pending: the next start logs them.
    """
    _discard(chain, None if record_id is None else ids.record_id_text(record_id), reason)


def discard_tests(chain: Chain) -> None:
    """Log the signatures that were only to show whether the signer works."""
    _discard(chain, "", "test")


def _discard(chain: Chain, record: str | None, reason: str) -> None:
    try:
        discard(chain.signing.journal, chain.log, chain.log.append, reason, record)
    except GensafeError:
        log.exception("signatures that are in no output could not be logged")


def _stamped_by(chain: Chain, signed: Signed) -> str:
    """Who stamped the time. ``sign_asset`` fails where a token is wanted and cannot be had: it is never left out."""
    if not signed.manifest.stamped_by:
        return NOT_STAMPED
    return signed.manifest.stamped_by if chain.signing.outside else f"local authority of {chain.keys.origin}"


def _row(chain: Chain, signed: Signed, appended: Appended) -> Record:
    admission = signed.marked.judged.admission
    receipt = signed.marked.receipt
    return Record(
        record_id=admission.record_id,
        request_id=admission.request.request_id,
        tenant=admission.request.tenant,
        modality=admission.request.modality,
        media_type=signed.marked.media_type,
        digest=signed.digest,
        manifest_digest=signed.manifest.digest,
        manifest_label=signed.manifest.label,
        watermark_scheme=receipt.scheme,
        watermark_payload=receipt.payload,
        key_epoch=ids.watermark_epoch(receipt.key_id),
        fingerprint=signed.marked.fingerprint,
        log_index=appended.index,
        leaf_hash=appended.leaf_hash,
        created_ms=chain.clock.now_ms(),
        subject=admission.subject,
    )


def release(chain: Chain, recorded: Recorded) -> Released:
    """10. The only way out: takes a Recorded, which only ``record`` makes."""
    chain.fault_point("released")
    return Released(recorded, chain.log.tlog_proof(recorded.log_index))


def _facts(chain: Chain, marked: Marked, sources: Sources, *, development: bool) -> ClaimFacts:
    admission, draft = marked.judged.admission, marked.judged.draft
    receipt = marked.receipt
    record_id = ids.record_id_text(admission.record_id)
    return ClaimFacts(
        title=f"{admission.request.modality} {record_id}",
        record_id=record_id,
        system_name="GenSafe",
        system_version=__version__,
        model_name=draft.record.model,
        model_version=draft.record.model_version,
        weights_digest=draft.record.weights_digest,
        prompt_commitment=admission.prompt_commitment,
        verdict_digest=verdict_digest(marked.judged.verdict),
        policy_digest=marked.judged.verdict.policy_digest,
        created_ms=chain.clock.now_ms(),
        development=development,
        digital_source_type=(
            COMPOSITE_WITH_TRAINED_ALGORITHMIC_MEDIA if admission.request.inputs else TRAINED_ALGORITHMIC_MEDIA
        ),
        soft_binding_alg=softbinding.algorithm_of(receipt.scheme) if receipt.payload and receipt.scheme else "",
        soft_binding_value=softbinding.value_of(receipt.payload) if receipt.scheme else "",
        watermark_note=receipt.note,
        inputs=sources.inputs,
    )


def _same_content(marked: Marked, signed: Media) -> bool:
    if isinstance(signed, Text):  # signing appends a wrapper
        before = codecs.decode(marked.data, marked.media_type)
        return isinstance(before, Text) and strip_a8(signed.text) == strip_a8(before.text)
    return content_digest(signed) == marked.content
