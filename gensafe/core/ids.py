"""Identifiers. A record id is 52 random bits: it fits the watermark payload beside a 4-bit version / key epoch."""

from __future__ import annotations

import secrets
import unicodedata
import uuid
from typing import Final

from gensafe.core.errors import InvalidRequest
from gensafe.core.types import PAYLOAD_BYTES

RECORD_ID_BITS: Final = 52  # 56 bits of payload less 4 of version (see ``gensafe_watermark.payload``)
_MASK: Final = (1 << RECORD_ID_BITS) - 1  # all bits set


def new_record_id() -> int:
    """Draw a record id (52 random bits, never 0)."""
    return secrets.randbelow(_MASK) + 1


def record_id_text(record_id: int) -> str:
    """Render as 13 hex digits, the form used in logs, file names and reports."""
    return f"{record_id:013x}"


def parse_record_id(text: str) -> int:
    """Parse 13 hex digits.

    Raises:
        InvalidRequest: not a record id.
    """
    if len(text) != 13 or any(c not in "0123456789abcdef" for c in text):
        raise InvalidRequest("a record id is 13 lower-case hex digits", field="record_id")
    return int(text, 16)


def pack_payload(record_id: int, epoch: int = 0) -> bytes:
    """Pack ``epoch`` (4 bits) and ``record_id`` (52 bits) into PAYLOAD_BYTES big-endian bytes."""
    if not 0 <= record_id <= _MASK or not 0 <= epoch < 16:
        raise ValueError("record id has 52 bits, epoch 4")
    return ((epoch << RECORD_ID_BITS) | record_id).to_bytes(PAYLOAD_BYTES, "big")


def unpack_payload(payload: bytes) -> tuple[int, int]:
    """Inverse of ``pack_payload``: (record_id, epoch)."""
    if len(payload) != PAYLOAD_BYTES:
        raise ValueError(f"a payload has {PAYLOAD_BYTES} bytes")
    value = int.from_bytes(payload, "big")
    return value & _MASK, value >> RECORD_ID_BITS


_KEY_ID = "watermark-epoch-"


def watermark_key_id(epoch: int) -> str:
    """How log and receipts name the watermark key of an epoch."""
    return f"{_KEY_ID}{epoch}"


def watermark_epoch(key_id: str) -> int:
    """Inverse of ``watermark_key_id``."""
    return int(key_id.removeprefix(_KEY_ID))


MAX_SUBJECT: Final = 512  # characters, as of a value of OpenAI's ``metadata``; longer is not a name


def check_subject(text: str) -> str:
    """One spelling of an end user's name, so that an erasure finds what a request left: Unicode NFC, no outer spaces.

    Raises:
        InvalidRequest: longer than ``MAX_SUBJECT``.
    """
    name = unicodedata.normalize("NFC", text).strip()
    if len(name) > MAX_SUBJECT:
        raise InvalidRequest(f"has {len(name)} characters", field="subject", fix=f"at most {MAX_SUBJECT}")
    return name


def new_request_id() -> str:
    """Draw a request id (UUID v4)."""
    return str(uuid.uuid4())


def check_request_id(text: str) -> str:
    """Return the canonical spelling of a UUID.

    Raises:
        InvalidRequest: not a UUID.
    """
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise InvalidRequest("not a UUID", field="request_id", fix="send a fresh UUID per request") from None
