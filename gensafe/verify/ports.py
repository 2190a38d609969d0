"""What the verifier may be handed. Everything is optional: it says "unsupported" for what it was not given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from gensafe.core.ports import PreparedSearch
from gensafe.core.types import Detection, Located, Media, Modality
from gensafe.registry.model import Record


class Records(Protocol):
    """The registry, read-only. ``gensafe.registry.Registry`` is one."""

    def by_record_id(self, record_id: int) -> Record | None:
        """The record of a watermark's record id."""

    def by_digest(self, digest: str) -> Record | None:
        """The newest record whose final bytes have this digest."""

    def by_manifest_label(self, label: str) -> Record | None:
        """The record of a manifest."""

    def nearest(self, fingerprint: Mapping[str, str], modality: Modality, limit: int = 5) -> list[tuple[Record, float]]:
        """Records of like content, most similar first."""

    def get_blob(self, digest: str) -> bytes | None:
        """Kept bytes (a manifest store)."""


class LogProver(Protocol):
    """Proves that the log holds a record's release entry."""

    def prove(self, record: Record) -> LogProof:
        """Fetch and check the proof.

        Raises:
            AuditError: the proof is not valid, or the entry says something else than the record.
            LogUnavailable: the log cannot be read at all.
        """

    def receipt(self, record: Record) -> bytes:
        """The proof as a file (C2SP tlog-proof)."""

    def check_receipt(self, record: Record, receipt: bytes) -> None:
        """Check such a file.

        Raises:
            AuditError: it is not valid.
        """


class LogProof(Protocol):
    """What a held proof showed."""

    @property
    def index(self) -> int:
        """Index of the entry."""

    @property
    def tree_size(self) -> int:
        """Size of the tree it was proved in."""

    @property
    def origin(self) -> str:
        """The log's name."""

    @property
    def leaf_hash(self) -> str:
        """Hex."""

    @property
    def signed_by(self) -> str:
        """The checkpoint key (vkey)."""

    @property
    def pruned(self) -> bool:
        """The entry's text was removed by retention."""


MarkDetector = Callable[[Media, bytes], Detection]
Preparer = Callable[[Media], PreparedSearch | None]
"""Searches decoded media of one kind under one key (32 bytes)."""

Locate = Callable[[Media, bytes, bytes], Located | None]
"""(medium, payload, key) -> where the mark is weaker, as ``core.ports.Locator``."""

KeyLookup = Callable[[Modality, int], bytes]
"""(modality, epoch) -> watermark key."""
