"""What embedding and detecting ask of their input: a key, and a medium that is marked after it is made."""

from __future__ import annotations

from pathlib import Path

from gensafe.core.errors import InvalidRequest
from gensafe.core.textfile import MAX_SECRET_BYTES, read_bytes, text_of
from gensafe.core.types import Modality

KEY_BYTES = 32  # 256 bits: what every watermark scheme of ours takes


def no_text(modality: Modality) -> None:
    """Refuse texts.

    Raises:
        InvalidRequest: a text.
    """
    if modality is Modality.TEXT:
        raise InvalidRequest(
            "text is marked while it is written, not afterwards", fix="gensafe generate marks, gensafe verify reads it"
        )


def read_key(path: Path) -> bytes:
    """Read a watermark key.

    Raises:
        InvalidRequest: not 32 raw bytes or 64 hex digits.
    """
    data = read_bytes(path, "--key", largest=MAX_SECRET_BYTES, error=InvalidRequest)
    if len(data) == KEY_BYTES:
        return data
    try:
        key = bytes.fromhex(text_of(data, str(path), "--key", error=InvalidRequest).strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidRequest(f"{path} is not a watermark key", field="--key", fix="32 bytes, raw or as 64 hex digits")
    return key
