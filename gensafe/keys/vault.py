"""Secret files: owner-only, written atomically, sealed under a passphrase when one is set.

A sealed file is ``GSKEY1 | nonce (12) | AES-256-GCM ciphertext``, with the file's own name as associated data, so
that two sealed files cannot be swapped. The sealing key comes from the passphrase by scrypt (RFC 7914; N = 2^15,
r = 8, p = 1) with one salt per key ring.
"""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gensafe.core.errors import KeyError_

_MAGIC: Final = b"GSKEY1"
_NONCE_BYTES: Final = 12  # 96 bits: NIST SP 800-38D, section 8.2
SALT_BYTES: Final = 16  # 128 bits: NIST SP 800-132, section 5.1


def sealing_key(passphrase: bytes, salt: bytes) -> bytes:
    """Derive the 32-byte sealing key; about 0.1 s by design."""
    if len(passphrase) < 8:
        raise KeyError_("the key passphrase is shorter than 8 bytes", field="passphrase", fix="use a longer one")
    return Scrypt(salt=salt, length=32, n=2**15, r=8, p=1).derive(passphrase)


def write_file(path: Path, data: bytes) -> None:
    """Write ``data`` durably and atomically with mode 0600, in a directory made 0700.

    Raises:
        KeyError_: the disk refused.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise KeyError_(f"cannot write {path}: {error.strerror}", fix="check the directory's owner and space") from None


@dataclass(frozen=True, slots=True)
class Vault:
    """A folder of secrets. ``key`` None = stored in the clear (file permissions are the only guard)."""

    directory: Path
    key: bytes | None = None

    def store(self, name: str, secret: bytes) -> None:
        """Write one secret under ``name``."""
        if self.key is not None:
            nonce = secrets.token_bytes(_NONCE_BYTES)
            secret = _MAGIC + nonce + AESGCM(self.key).encrypt(nonce, secret, name.encode())
        write_file(self.directory / name, secret)

    def load(self, name: str) -> bytes:
        """Read one secret.

        Raises:
            KeyError_: missing, readable by others, sealed without a passphrase given, or damaged.
        """
        path = self.directory / name
        try:
            mode = path.stat().st_mode
            data = path.read_bytes()
        except OSError as error:
            raise KeyError_(f"cannot read key file {path}: {error.strerror}") from None
        if stat.S_IMODE(mode) & 0o077:
            raise KeyError_(f"key file {path} can be read by other users", fix=f"chmod 600 {path}")
        sealed = data.startswith(_MAGIC)
        if sealed and self.key is None:
            raise KeyError_(f"key file {path} is sealed", field="passphrase", fix="give the key passphrase")
        if not sealed:
            if self.key is not None:
                raise KeyError_(f"key file {path} is not sealed although a passphrase is set")
            return data
        assert self.key is not None
        body = data[len(_MAGIC) :]
        try:
            return AESGCM(self.key).decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError):
            raise KeyError_(f"key file {path} does not open", fix="wrong passphrase, or the file is damaged") from None


def open_vault(folder: Path, salt: str, passphrase: bytes | None) -> Vault:
    """The vault of a key ring, sealed where there is a passphrase.

    Args:
        folder: Of the secrets.
        salt: Hex; "" = the ring was made without a passphrase.
        passphrase: None = the secrets are not sealed.

    Raises:
        KeyError_: a passphrase for a ring that was made without one.
    """
    if passphrase is None:
        return Vault(folder)
    if not salt:
        raise KeyError_("this key ring was made without a passphrase", field="passphrase", fix="open it without one")
    return Vault(folder, sealing_key(passphrase, bytes.fromhex(salt)))
