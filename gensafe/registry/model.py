"""The values the registry stores and returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gensafe.core.types import Modality, RequestKey


@dataclass(frozen=True, slots=True)
class Record:
    """One released output: what leads from a payload, digest or fingerprint back to its manifest and log entry.

    ``has_manifest`` and ``has_output`` say whether the blobs are still there; they are filled in on reading.
    """

    record_id: int
    request_id: str
    tenant: str
    modality: Modality
    media_type: str
    digest: str  # "sha256:<hex>" of the final bytes
    manifest_digest: str  # "sha256:<hex>" of the manifest store
    manifest_label: str  # urn:c2pa:...
    watermark_scheme: str
    watermark_payload: bytes
    key_epoch: int
    fingerprint: Mapping[str, str]
    log_index: int
    leaf_hash: str  # hex
    created_ms: int
    has_manifest: bool = False
    has_output: bool = False
    subject: str = ""  # commitment to the end user, as the log has it; "" = none was named
    extra: Mapping[str, str] = field(default_factory=dict)


class IntentState(StrEnum):
    """How a request stands."""

    OPEN = "open"
    HELD = "held"  # waits for a person's decision
    RELEASED = "released"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"
    FAILED = "failed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Intent:
    """A request that was begun. ``opened_index`` -1: its log entry may not exist; ``final_index`` -1: not closed."""

    request_id: str
    request_digest: str
    tenant: str
    record_id: int
    opened_index: int
    state: IntentState
    final_index: int
    created_ms: int
    modality: str = ""

    @property
    def key(self) -> RequestKey:
        """What names the request."""
        return RequestKey(self.tenant, self.request_id)


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold over a scope: ``all``, ``tenant:<tenant>`` or ``subject:<pseudonym>``."""

    hold_id: str
    scope: str
    created_ms: int


class ReviewDecision(StrEnum):
    """What a person decided about a held output."""

    RELEASED = "released"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class HeldOutput:
    """An output that waits for a person, or waited: what is known without opening the sealed draft."""

    review_id: str  # 16 hex digits
    request_id: str
    record_id: int
    tenant: str
    modality: Modality
    draft: str  # "sha256:<hex>" of the sealed draft
    verdict: Mapping[str, Any]  # gensafe.safety.receipt.verdict_dict
    retract_from: int  # streamed text to take back from this character on; -1 = nothing had left
    held_index: int  # its ``generation.held`` entry
    held_ms: int
    decision: ReviewDecision | None = None  # None = waiting
    reviewer: str = ""
    reason: str = ""
    decided_ms: int = 0
    done: bool = False  # the decision was carried out and logged

    @property
    def key(self) -> RequestKey:
        """What names the request."""
        return RequestKey(self.tenant, self.request_id)
