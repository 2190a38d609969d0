"""What the stages of the pipeline make, from the mark to the log entry; each holds the one before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gensafe.core.types.generation import Draft, GenerationJob, GenerationRequest
from gensafe.core.types.safety import Verdict
from gensafe.core.types.sources import SourceFate

PAYLOAD_BYTES = 7  # 4-bit version / key epoch + 52-bit record id


class MarkLevel(StrEnum):
    """What a detector found. NONE is "no evidence", never "not AI"; UNDECIDABLE is too little material to tell."""

    RECORD = "record"  # payload recovered and its MAC valid
    PRESENT = "present"  # mark present at p <= 1e-6, payload not readable
    NONE = "none"
    UNDECIDABLE = "undecidable"


@dataclass(frozen=True, slots=True)
class Detection:
    """A detector's answer. ``p_value`` bounds the probability that an unmarked input gives this answer."""

    level: MarkLevel
    payload: bytes | None  # PAYLOAD_BYTES bytes when level is RECORD
    p_value: float
    scheme: str
    attempts: int = 1  # decode attempts counted into p_value
    detail: Mapping[str, str | float | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Located:
    """Where in a marked medium its mark is weaker than elsewhere: a reason to look, no proof of a change.

    Args:
        areas: Left, top, right, bottom in shares 0..1 of width and height, largest first.
        judged: Share 0..1 of the medium that could be judged at all.
    """

    areas: tuple[tuple[float, float, float, float], ...]
    judged: float


@dataclass(frozen=True, slots=True)
class WatermarkReceipt:
    """What was embedded and how it was seen again on the final bytes."""

    scheme: str  # "" when nothing could be embedded
    payload: bytes
    key_id: str
    level: MarkLevel
    p_value: float
    psnr_db: float | None = None
    note: str = ""  # why there is no mark, where there is none


@dataclass(frozen=True, slots=True)
class Admission:
    """A request whose prompt and inputs passed, whose *intent* is durable, and which now has a record id."""

    request: GenerationRequest
    job: GenerationJob
    record_id: int  # 52 bits
    intent_index: int
    prompt_verdict: Verdict
    prompt_commitment: str  # "hmac-sha256:<hex>"
    input_digests: tuple[str, ...] = ()
    key_epoch: int = (
        0  # of the watermark key in use then: a text is sampled under it, however long it waits for a person
    )
    subject: str = ""  # commitment to the end user, "hmac-sha256:<hex>"; "" = none was named
    owner: str = ""  # pseudonym under whose key copies are sealed; "" = the tenant's


@dataclass(frozen=True, slots=True)
class Review:
    """A person's decision about a held output, as the log may know it: no names, no words."""

    review_id: str  # 16 hex digits
    decision: str  # released | rejected
    reviewer: str  # pseudonym
    reason_digest: str  # "hmac-sha256:<hex>"; "sha256:<hex>" in entries of older versions
    decided_ms: int


@dataclass(frozen=True, slots=True)
class Judged:
    """A draft whose output verdict, or the person it was held for, lets it go on."""

    admission: Admission
    draft: Draft
    verdict: Verdict
    review: Review | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """Encoded, marked bytes whose mark was detected again after encoding; not yet signed."""

    judged: Judged
    data: bytes
    media_type: str
    receipt: WatermarkReceipt
    fingerprint: Mapping[str, str]  # algorithm -> hex
    visible_label: Mapping[str, object] = field(default_factory=dict)  # what was drawn or sounded, as measured
    content: str = ""  # digest of what a reader of ``data`` decodes; "" for text


NOT_STAMPED = "not time-stamped by an outside authority"
"""What an entry says of an output that was signed without a time-stamp; reports repeat it."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A C2PA manifest store and the facts other layers bind to."""

    data: bytes  # JUMBF store
    digest: str  # "sha256:<hex>" of data
    label: str  # active manifest label (urn:c2pa:...)
    signer_fingerprint: str  # "sha256:<hex>" of the leaf certificate (DER)
    embedded: bool  # False: sidecar only
    development: bool  # signed by a development CA
    stamped_by: str = ""  # the time-stamp authority, as its certificate names it; "" = not time-stamped
    signature: str = ""  # "sha256:<hex>" of the claim signature's bytes
    spare: tuple[str, ...] = ()  # signatures that were made on the way and are in no file


@dataclass(frozen=True, slots=True)
class Signed:
    """Final bytes, verified after signing. Nothing changes them from here on."""

    marked: Marked
    data: bytes
    digest: str  # "sha256:<hex>" of data
    manifest: Manifest
    sources: tuple[SourceFate, ...] = ()  # inputs and the engine's answer, as far as they carry a manifest


@dataclass(frozen=True, slots=True)
class Recorded:
    """A signed output whose audit leaf is durable. The only type ``release`` accepts."""

    signed: Signed
    log_index: int
    leaf_hash: str  # hex
    log_origin: str
