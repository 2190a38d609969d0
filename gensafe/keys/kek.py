"""Key wrapping: short secrets sealed under the key-encryption key with AES-256-GCM.

A wrapped secret is ``key id (16 ASCII hex) | nonce (12) | ciphertext``. The id lets secrets that were wrapped before a
rotation still open; ``context`` binds a secret to its place (a record id, a tenant), so that it cannot be moved.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gensafe.core.errors import KeyError_

_ID_BYTES: Final = 16  # of the key's name before what it wrapped
_NONCE_BYTES: Final = 12  # 96 bits: NIST SP 800-38D, section 8.2


def wrapped_by(wrapped: bytes) -> str:
    """Id of the key that wrapped a secret."""
    return wrapped[:_ID_BYTES].decode("ascii", "replace")


class KeyEncryptionKey:
    """The current wrapping key, and the retired ones for unwrapping.

    Args:
        current: Id of the key that wraps.
        keys: Key id (16 hex digits) -> 32 bytes.
    """

    def __init__(self, current: str, keys: Mapping[str, bytes]) -> None:
        self.key_id = current
        self._keys = {name: AESGCM(key) for name, key in keys.items()}

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """Seal ``secret`` under the current key, bound to ``context``."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self.key_id.encode() + nonce + self._keys[self.key_id].encrypt(nonce, secret, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Open what ``wrap`` sealed.

        Raises:
            KeyError_: unknown or revoked key, other context, or damaged bytes.
        """
        name = wrapped_by(wrapped)
        key = self._keys.get(name)
        if key is None:
            raise KeyError_("the secret was wrapped under a key that is not in this key ring")
        nonce, body = wrapped[_ID_BYTES : _ID_BYTES + _NONCE_BYTES], wrapped[_ID_BYTES + _NONCE_BYTES :]
        try:
            return key.decrypt(nonce, body, context)
        except (InvalidTag, ValueError):
            raise KeyError_("the wrapped secret does not open in this context") from None
