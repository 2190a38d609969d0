"""The mark for vLLM's V1 sampler: releases before 0.32, and later ones with ``VLLM_USE_V2_MODEL_RUNNER=0``."""
# ruff: noqa: ANN401  (objects of a library that this package must not import)

from __future__ import annotations

from typing import Any

from vllm.v1.sample.logits_processor import AdapterLogitsProcessor  # type: ignore[import-not-found]

from gensafe_watermark.text.processors import SequenceLogitsProcessor
from gensafe_watermark.text.vllm_settings import processor, read_key, refuse_unmarkable, wanted


class MarkedText(AdapterLogitsProcessor):  # type: ignore[misc]
    """One ``SequenceLogitsProcessor`` per request (vLLM's V1 ``AdapterLogitsProcessor``).

    Raises:
        ConfigError, KeyError_: as ``read_key``.
    """

    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
        super().__init__(vllm_config, device, is_pin_memory)
        self._key, self._key_id = read_key()

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """See ``refuse_unmarkable``."""
        refuse_unmarkable(sampling_params)

    def is_argmax_invariant(self) -> bool:
        """False: the chosen token is seldom the likeliest."""
        return False

    def new_req_logits_processor(self, params: Any) -> SequenceLogitsProcessor | None:
        """The processor of one request, or None where nothing is to be marked."""
        return processor(self._key, self._key_id, params) if wanted(params) else None
