"""The mark for vLLM's Model Runner V2, the default since 0.32 (``vllm.v1.worker.gpu.sample.logits_processor``).

Slots of requests are used again, and a request that was put aside comes back with part of its text written: its mark is
made anew by ``add_request`` and told of the contexts that the text has used already. Draft tokens of speculative
decoding are not in the committed text, so a server that drafts is refused at its start.
"""
# ruff: noqa: ANN401  (objects of a library that this package must not import)

from __future__ import annotations

from typing import Any

from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor  # type: ignore[import-not-found]

from gensafe.core.errors import ConfigError
from gensafe_watermark.text.processors import SequenceLogitsProcessor
from gensafe_watermark.text.vllm_settings import processor, read_key, refuse_unmarkable, wanted


class MarkedText(LogitsProcessor):  # type: ignore[misc]
    """One ``SequenceLogitsProcessor`` per request slot.

    Raises:
        ConfigError, KeyError_: as ``read_key``; or the server uses speculative decoding.
    """

    def __init__(self, vllm_config: Any, req_states: Any) -> None:
        super().__init__(vllm_config, req_states)
        if getattr(vllm_config, "speculative_config", None) is not None:
            raise ConfigError("text is not marked with speculative decoding", fix="serve without --speculative-config")
        self._key, self._key_id = read_key()
        self._states = req_states
        self._marks: dict[int, SequenceLogitsProcessor] = {}

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """See ``refuse_unmarkable``."""
        refuse_unmarkable(sampling_params)

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        """Take a request into a slot; False where nothing is to be marked."""
        self._marks.pop(req_idx, None)
        if not wanted(sampling_params):
            return False
        self._marks[req_idx] = processor(self._key, self._key_id, sampling_params)
        return True

    def apply(self, logits: Any, ctx: Any) -> Any:
        """Leave the chosen token alone possible in each row that is to be marked.

        Temperature, top-k and top-p, which the server applies afterwards, find one token and keep it.
        """
        slots, ends = ctx.expanded_idx_mapping.tolist(), (ctx.pos + 1).tolist()
        for row, (slot, end) in enumerate(zip(slots, ends, strict=True)):
            mark = self._marks.get(slot)
            if mark is None:
                continue
            begin = int(self._states.prompt_len.np[slot])
            text = self._states.all_token_ids.gpu[slot, begin:end].tolist()
            mark.resume(text[:-1])
            logits[row] = mark(text, logits[row])
        return logits
