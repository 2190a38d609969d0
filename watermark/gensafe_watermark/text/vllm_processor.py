"""The mark as a logits processor that a vLLM server loads by name.

    vllm serve MODEL --logits-processors gensafe_watermark.text.vllm_processor:MarkedText

The server reads the 32-byte key from the file that ``GENSAFE_TEXT_MARK_KEY_FILE`` names and the key id from
``GENSAFE_TEXT_MARK_KEY_ID`` (default 0). Every request that samples is marked; ``extra_args={"gensafe_mark": false}``
leaves one out, and greedy requests leave the mark nothing to choose. Importing this module needs vLLM.
"""
# ruff: noqa: ANN401  (objects of a library that this package must not import)

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from vllm.v1.sample.logits_processor import AdapterLogitsProcessor  # type: ignore[import-not-found]

from gensafe.core.errors import ConfigError
from gensafe_watermark.text.processors import SequenceLogitsProcessor

KEY_FILE: Final = "GENSAFE_TEXT_MARK_KEY_FILE"
KEY_ID: Final = "GENSAFE_TEXT_MARK_KEY_ID"
SWITCH: Final = "gensafe_mark"


class MarkedText(AdapterLogitsProcessor):  # type: ignore[misc]
    """One ``SequenceLogitsProcessor`` per request (vLLM's V1 ``AdapterLogitsProcessor``).

    Raises:
        ConfigError: no key file is named, or it cannot be read.
        KeyError_: the key has the wrong length.
    """

    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
        super().__init__(vllm_config, device, is_pin_memory)
        name = os.environ.get(KEY_FILE, "")
        try:
            self._key = Path(name).read_bytes() if name else b""
            self._key_id = int(os.environ.get(KEY_ID, "0"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"the text mark's key or key id is not readable: {error}", field=KEY_FILE) from error
        if not self._key:
            raise ConfigError("no key for the text mark", field=KEY_FILE, fix="name a file of 32 bytes")
        # a wrong key stops the server, not the first request
        SequenceLogitsProcessor(self._key, key_shift=self._key_id)

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Refuse what would change the distribution behind the mark's back.

        Raises:
            ValueError: ``min_p``, which the mark does not apply, is set on a request that is to be marked.
        """
        if cls._wanted(sampling_params) and getattr(sampling_params, "min_p", None):
            raise ValueError("marked text is sampled without min_p; set it to 0 or send gensafe_mark=false")

    @staticmethod
    def _wanted(sampling_params: Any) -> bool:
        extra: dict[str, Any] = getattr(sampling_params, "extra_args", None) or {}
        return bool(extra.get(SWITCH, True) and sampling_params.temperature > 0)

    def is_argmax_invariant(self) -> bool:
        """False: the chosen token is seldom the likeliest."""
        return False

    def new_req_logits_processor(self, params: Any) -> SequenceLogitsProcessor | None:
        """The processor of one request, or None where nothing is to be marked."""
        if not self._wanted(params):
            return None
        return SequenceLogitsProcessor(
            self._key,
            key_shift=self._key_id,
            temperature=params.temperature,
            top_k=max(params.top_k, 0),  # -1 and 0 mean off
            top_p=params.top_p,
        )
