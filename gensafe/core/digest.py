"""Digests as self-describing strings, "sha256:<64 hex>", and keyed commitments, "hmac-sha256:<64 hex>"."""

from __future__ import annotations

import hashlib
import hmac

from gensafe.core.canonical import canonical_json


def sha256(data: bytes) -> str:
    """Digest of ``data`` as "sha256:<hex>"."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_json(value: object) -> str:
    """Digest of the canonical JSON of ``value``."""
    return sha256(canonical_json(value))


def commit(key: bytes, data: bytes) -> str:
    """Keyed commitment to ``data``: reveals nothing without ``key`` and is destroyed with it (``key`` 32 bytes)."""
    if len(key) != 32:
        raise ValueError("a commitment key has 32 bytes")
    return "hmac-sha256:" + hmac.new(key, data, hashlib.sha256).hexdigest()
