"""Checkpoints (C2SP tlog-checkpoint) and the proof file that carries one (C2SP tlog-proof)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gensafe.audit import merkle
from gensafe.audit.note import Note, NoteKey, parse_note, sign_note
from gensafe.core.errors import AuditError

PROOF_HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_PROOF_HASHES: Final = 63  # a tree's size is below 2^63, so a path has no more (C2SP tlog-proof)
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: who (``origin``), how many leaves, which root. ``note`` is None until signed or parsed."""

    origin: str
    size: int
    root: bytes
    note: Note | None = None
    raw: bytes = b""

    @property
    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def signed(self, key: Ed25519PrivateKey) -> Checkpoint:
        """This tree head as a note signed by the log's key, whose name is the origin."""
        raw = sign_note(self.text, self.origin, key)
        return Checkpoint(self.origin, self.size, self.root, parse_note(raw), raw)

    def verified_by(self, keys: Iterable[NoteKey]) -> tuple[NoteKey, ...]:
        """Which of ``keys`` signed; raises AuditError if one of their signatures is wrong."""
        return self.note.verified_by(keys) if self.note else ()


def parse_checkpoint(data: bytes) -> Checkpoint:
    """Read a checkpoint note; signatures are not checked here.

    Raises:
        AuditError: not a checkpoint.
    """
    note = parse_note(data)
    lines = note.text.split("\n")
    if len(lines) < 4 or not lines[0] or any(not line for line in lines[:-1]):
        raise AuditError("a checkpoint has three lines: origin, size, root")
    return Checkpoint(lines[0], _decimal(lines[1], "tree size"), _hash(lines[2]), note, bytes(data))


@dataclass(frozen=True, slots=True)
class TlogProof:
    """An inclusion proof with the checkpoint it leads to; a detached, offline-checkable signature over a leaf."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: Checkpoint
    extra: bytes = b""

    def encode(self) -> bytes:
        """Render as a ``.tlog-proof`` file."""
        lines = [PROOF_HEADER]
        if self.extra:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(h).decode() for h in self.hashes]
        return ("\n".join(lines) + "\n\n").encode() + self.checkpoint.raw

    def verify(self, leaf: bytes, keys: Sequence[NoteKey]) -> None:
        """Check that the leaf hash ``leaf`` is in the log and that one of ``keys`` signed the checkpoint.

        Raises:
            AuditError: it is not, or nobody known signed.
        """
        if not self.checkpoint.verified_by(keys):
            raise AuditError("the checkpoint is not signed by a known key")
        if not merkle.verify_inclusion(leaf, self.index, self.checkpoint.size, self.hashes, self.checkpoint.root):
            raise AuditError("the inclusion proof does not lead to the checkpoint's root")


def parse_tlog_proof(data: bytes) -> TlogProof:
    """Read a ``.tlog-proof`` file, strictly.

    Raises:
        AuditError: not a proof.
    """
    head, gap, note = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise AuditError("not a tlog-proof") from None
    if not gap or lines[0] != PROOF_HEADER:
        raise AuditError("not a tlog-proof")
    lines = lines[1:]
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = _base64(lines.pop(0)[6:], "extra data")
    if not lines or not lines[0].startswith("index "):
        raise AuditError("a tlog-proof names its index")
    index = _decimal(lines[0][6:], "index")
    if len(lines) - 1 > MAX_PROOF_HASHES:
        raise AuditError("the proof is too long")
    return TlogProof(index, tuple(_hash(line) for line in lines[1:]), parse_checkpoint(note), extra)


def _decimal(text: str, what: str) -> int:
    if not _DECIMAL.fullmatch(text):
        raise AuditError(f"the {what} is not a decimal number")
    return int(text)


def _base64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise AuditError(f"the {what} is not base64") from None


def _hash(text: str) -> bytes:
    digest = _base64(text, "hash")
    if len(digest) != merkle.HASH_BYTES or base64.b64encode(digest).decode() != text:
        raise AuditError("a hash is not 32 bytes of canonical base64")
    return digest
