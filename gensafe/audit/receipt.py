"""Moderation receipts: what was judged, by what, with which answer, and the log's proof of it, in one JSON object.

A receipt attests a judgement: this content was put to these classifiers under this policy at this time, and this was
the answer. It says nothing about where the content came from. ``gensafe.audit.receipt_check`` checks one offline.

``entry``, ``index`` and ``time_ms`` are the members of the log's leaf, whose canonical JSON the proof is about: nothing
in a receipt is said twice, so nothing in it can be changed apart from the rest. The log holds only a keyed commitment
to the digests in ``content``; ``nonce`` is its key, so the log alone tells nobody what was judged.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gensafe.audit.reader import LogReader
from gensafe.core.canonical import canonical_json
from gensafe.core.digest import commit

FORMAT: Final = "gensafe.moderation.receipt/1"
NONCE_BYTES: Final = 32  # as ``core.digest.commit`` takes; the size of SHA-256


@dataclass(frozen=True, slots=True)
class Subject:
    """What a judgement is about: parts in order, each by kind, digest and size, and the key of the commitment."""

    content: tuple[dict[str, Any], ...]
    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(NONCE_BYTES))

    @property
    def commitment(self) -> str:
        """What the log holds: HMAC-SHA-256 of the canonical JSON of ``content``."""
        return commit(self.nonce, canonical_json(list(self.content)))


def subject_of(parts: Sequence[str | bytes]) -> Subject:
    """A subject for texts (as their UTF-8) and files (byte for byte)."""
    return Subject(tuple(_described(part) for part in parts))


def make_receipt(log: LogReader, index: int, subject: Subject) -> dict[str, Any]:
    """The receipt of the judgement that is entry ``index`` of the log.

    Raises:
        AuditError: no such entry, or it was pruned.
    """
    logged = log.entry(index)
    return {
        "format": FORMAT,
        "content": list(subject.content),
        "nonce": subject.nonce.hex(),
        "entry": dict(logged.entry),
        "index": logged.index,
        "time_ms": logged.time_ms,
        "proof": log.tlog_proof(index).decode(),
    }


def _described(part: str | bytes) -> dict[str, Any]:
    data = part.encode() if isinstance(part, str) else part
    kind = "text" if isinstance(part, str) else "file"
    return {"kind": kind, "digest": "sha256:" + hashlib.sha256(data).hexdigest(), "bytes": len(data)}
