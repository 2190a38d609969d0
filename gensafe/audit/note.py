"""Signed notes (C2SP signed-note), Ed25519 only, and witness cosignatures (C2SP tlog-cosignature, v1).

A note is text ending in a newline, an empty line, and signature lines ``— <key name> base64(key id || signature)``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gensafe.core.errors import AuditError

MAX_NOTE_BYTES: Final = 64 * 1024  # a checkpoint has a few hundred bytes. A round number, not measured
MAX_SIGNATURES: Final = 64  # far above the witnesses that a log has. A round number, not measured

KIND_ED25519: Final = 0x01  # C2SP signed-note
KIND_COSIGNATURE: Final = 0x04  # C2SP signed-note and tlog-cosignature


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A verifier key: name, public key, and what its signatures mean (``KIND_*``)."""

    name: str
    public: Ed25519PublicKey
    kind: int = KIND_ED25519

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def raw(self) -> bytes:
        """The 32 bytes of the public key."""
        return self.public.public_bytes_raw()

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256(name || LF || kind || key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.raw).digest()[:4]

    @property
    def vkey(self) -> str:
        """The text form ``name+id+base64(kind || key)``."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.kind]) + self.raw).decode()}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the 32 bytes of the public key, for people to compare."""
        return "sha256:" + hashlib.sha256(self.raw).hexdigest()

    @staticmethod
    def parse(vkey: str) -> NoteKey:
        """Read a vkey.

        Raises:
            AuditError: not a vkey of a kind handled here, or its id does not fit its key.
        """
        parts = vkey.strip().split("+", 2)
        try:
            name, key_id, material = parts[0], bytes.fromhex(parts[1]), base64.b64decode(parts[2], validate=True)
            if len(material) != 33 or material[0] not in (KIND_ED25519, KIND_COSIGNATURE):
                raise ValueError("not an Ed25519 key")
            key = NoteKey(name, Ed25519PublicKey.from_public_bytes(material[1:]), material[0])
        except (IndexError, ValueError, binascii.Error) as error:
            raise AuditError(f"not a note verifier key: {error}", fix="expected name+hash+base64") from None
        if key.key_id != key_id:
            raise AuditError("the key id does not belong to the key", field="vkey")
        return key


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line, undecoded beyond the key id."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note; nothing in it is to be believed before ``verified_by`` says who signed."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def verified_by(self, keys: Iterable[NoteKey]) -> tuple[NoteKey, ...]:
        """The given keys whose signature is on the note and valid.

        Raises:
            AuditError: a line names one of the keys (name and id) and its signature is wrong.
        """
        found: list[NoteKey] = []
        for key in keys:
            for line in self.signatures:
                if line.name != key.name or line.key_id != key.key_id:
                    continue
                if not _signature_holds(self.text, line.signature, key):
                    raise AuditError(f"the signature of {key.name} does not verify")
                if key not in found:
                    found.append(key)
        return tuple(found)

    def cosigned_at(self, key: NoteKey) -> int:
        """POSIX seconds of the cosignature by ``key`` (after ``verified_by``); -1 if there is none."""
        for line in self.signatures:
            if line.name == key.name and line.key_id == key.key_id and len(line.signature) == 72:
                return int.from_bytes(line.signature[:8], "big")
        return -1


def check_name(name: str) -> str:
    """Return ``name`` if it may name a key: not empty, no spaces, no plus, no control characters.

    Raises:
        AuditError: it may not.
    """
    odd = any(c.isspace() or ord(c) < 0x20 or 0xD800 <= ord(c) < 0xE000 for c in name)  # a surrogate is no character
    if not name or "+" in name or odd:
        raise AuditError(f"{name!r} cannot name a log or a key", fix="use a schema-less URL such as example.com/log")
    return name


def sign_note(text: str, name: str, key: Ed25519PrivateKey) -> bytes:
    """Make a note with one Ed25519 signature; ``text`` ends in a newline."""
    if not text.endswith("\n"):
        raise ValueError("the text of a note ends in a newline")
    signer = NoteKey(name, key.public_key())
    return text.encode() + b"\n" + signature_line(signer, key.sign(text.encode()))


def signature_line(key: NoteKey, signature: bytes) -> bytes:
    """Render one signature line."""
    return f"— {key.name} {base64.b64encode(key.key_id + signature).decode()}\n".encode()


def cosignature_message(text: str, seconds: int) -> bytes:
    """What a witness signs over a checkpoint's text (tlog-cosignature, Ed25519)."""
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def cosign(text: str, name: str, key: Ed25519PrivateKey, seconds: int) -> bytes:
    """Make a witness's cosignature line over a checkpoint's text."""
    signature = seconds.to_bytes(8, "big") + key.sign(cosignature_message(text, seconds))
    return signature_line(NoteKey(name, key.public_key(), KIND_COSIGNATURE), signature)


def parse_note(data: bytes) -> Note:
    """Split a note into text and signatures, strictly.

    Raises:
        AuditError: not a signed note, or larger than a note may be.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise AuditError("the note is too large")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        raise AuditError("the note is not UTF-8") from None
    if any(ord(c) < 0x20 and c != "\n" for c in whole):
        raise AuditError("the note holds control characters")
    cut = whole.rfind("\n\n")
    if cut < 0 or not whole.endswith("\n"):
        raise AuditError("the note has no signature block")
    return Note(whole[: cut + 1], tuple(parse_signatures(whole[cut + 2 :])))


def parse_signatures(block: str) -> list[NoteSignature]:
    """Parse signature lines, each ending in a newline.

    Raises:
        AuditError: no line, too many, or a malformed one.
    """
    lines = block.split("\n")
    if lines.pop() != "" or not lines or len(lines) > MAX_SIGNATURES:
        raise AuditError("the signature block is malformed")
    return [_parse_line(line) for line in lines]


def _parse_line(line: str) -> NoteSignature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—":
        raise AuditError("a signature line is malformed")
    try:
        raw = base64.b64decode(parts[2], validate=True)
    except (binascii.Error, ValueError):
        raise AuditError("a signature is not base64") from None
    if base64.b64encode(raw).decode() != parts[2]:
        raise AuditError("a signature is not canonical base64")
    if len(raw) < 5:
        raise AuditError("a signature is too short")
    return NoteSignature(check_name(parts[1]), raw[:4], raw[4:])


def _signature_holds(text: str, signature: bytes, key: NoteKey) -> bool:
    message = text.encode()
    if key.kind == KIND_COSIGNATURE:
        if len(signature) != 72:
            return False
        message = cosignature_message(text, int.from_bytes(signature[:8], "big"))
        signature = signature[8:]
    try:
        key.public.verify(signature, message)
    except InvalidSignature:
        return False
    return True
