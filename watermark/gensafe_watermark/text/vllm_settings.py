"""What both forms of the mark in a vLLM server read: key, key id, and which requests are to be marked."""
# ruff: noqa: ANN401  (objects of a library that this package must not import)

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from gensafe.core.errors import ConfigError
from gensafe_watermark.text.processors import SequenceLogitsProcessor

KEY_FILE: Final = "GENSAFE_TEXT_MARK_KEY_FILE"
KEY_ID: Final = "GENSAFE_TEXT_MARK_KEY_ID"
SWITCH: Final = "gensafe_mark"


def read_key() -> tuple[bytes, int]:
    """Key and key id, from the file and the number that the environment names.

    Raises:
        ConfigError: no key file is named, or it cannot be read.
        KeyError_: the key has the wrong length: the server stops, not the first request.
    """
    name = os.environ.get(KEY_FILE, "")
    try:
        key = Path(name).read_bytes() if name else b""
        key_id = int(os.environ.get(KEY_ID, "0"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the text mark's key or key id is not readable: {error}", field=KEY_FILE) from error
    if not key:
        raise ConfigError("no key for the text mark", field=KEY_FILE, fix="name a file of 32 bytes")
    SequenceLogitsProcessor(key, key_shift=key_id)
    return key, key_id


def wanted(sampling_params: Any) -> bool:
    """Whether a request is to be marked: it samples, and does not ask to be left out."""
    extra: dict[str, Any] = getattr(sampling_params, "extra_args", None) or {}
    return bool(extra.get(SWITCH, True) and sampling_params.temperature > 0)


def refuse_unmarkable(sampling_params: Any) -> None:
    """Refuse what would change the distribution behind the mark's back.

    Raises:
        ValueError: ``min_p``, which the mark does not apply, is set on a request that is to be marked.
    """
    if wanted(sampling_params) and getattr(sampling_params, "min_p", None):
        raise ValueError("marked text is sampled without min_p; set it to 0 or send gensafe_mark=false")


def processor(key: bytes, key_id: int, sampling_params: Any) -> SequenceLogitsProcessor:
    """The mark of one request."""
    return SequenceLogitsProcessor(
        key,
        key_shift=key_id,
        temperature=sampling_params.temperature,
        top_k=max(sampling_params.top_k, 0),  # -1 and 0 mean off
        top_p=sampling_params.top_p,
    )
