"""Log proof for a record: inclusion proof, checkpoint signature, and what the entry says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gensafe.audit import LogReader
from gensafe.audit.checkpoint import parse_tlog_proof
from gensafe.audit.note import NoteKey
from gensafe.core.errors import AuditError
from gensafe.core.ids import record_id_text
from gensafe.registry.model import Record


@dataclass(frozen=True, slots=True)
class CheckedProof:
    """A proof that held. ``pruned``: retention removed the entry's text; its hash is still proved."""

    index: int
    tree_size: int
    origin: str
    leaf_hash: str
    signed_by: str
    pruned: bool


class AuditLogProver:
    """Proves records against a log whose checkpoint keys are known.

    Args:
        reader: The log (read-only is enough).
        keys: Checkpoint public keys that are trusted, retired ones included.
        origin: The log's name as the key ring knows it; a log of another name is refused.
    """

    def __init__(self, reader: LogReader, keys: Sequence[Ed25519PublicKey], origin: str) -> None:
        self._reader = reader
        self._keys = [NoteKey(origin, key) for key in keys]
        self._origin = origin

    def receipt(self, record: Record) -> bytes:
        """The ``.tlog-proof`` of the record's entry under the newest checkpoint.

        Raises:
            AuditError: there is none.
        """
        return self._reader.tlog_proof(record.log_index)

    def check_receipt(self, record: Record, receipt: bytes) -> None:
        """Check a ``.tlog-proof`` that somebody else presents for ``record``.

        Raises:
            AuditError: it is not valid, or is for another entry.
        """
        proof = parse_tlog_proof(receipt)
        if proof.index != record.log_index or proof.checkpoint.origin != self._origin:
            raise AuditError("the receipt is for another entry or another log")
        proof.verify(bytes.fromhex(record.leaf_hash), self._keys)

    def prove(self, record: Record) -> CheckedProof:
        """Check that the log holds the release of ``record``.

        Raises:
            AuditError: it does not, or says something else.
        """
        # 1. the proof must lead from the record's leaf hash to a checkpoint that a known key signed
        proof = parse_tlog_proof(self._reader.tlog_proof(record.log_index))
        if proof.checkpoint.origin != self._origin:
            raise AuditError("the checkpoint is of another log")
        proof.verify(bytes.fromhex(record.leaf_hash), self._keys)
        # 2. the entry behind the leaf must speak of this record
        pruned = False
        rows = list(self._reader.raw(record.log_index, record.log_index + 1))
        if not rows or rows[0][2] is None:
            pruned = True
        else:
            logged = self._reader.entry(record.log_index)
            if logged.leaf_hash != record.leaf_hash:
                raise AuditError("the log entry is not the one the record points to")
            entry = logged.entry
            said = (
                entry.get("record_id"),
                entry.get("output", {}).get("digest"),
                entry.get("manifest", {}).get("digest"),
            )
            if said != (record_id_text(record.record_id), record.digest, record.manifest_digest):
                raise AuditError("the log entry names another output than the record")
        signed_by = proof.checkpoint.verified_by(self._keys)[0].vkey
        return CheckedProof(
            record.log_index, proof.checkpoint.size, proof.checkpoint.origin, record.leaf_hash, signed_by, pruned
        )
