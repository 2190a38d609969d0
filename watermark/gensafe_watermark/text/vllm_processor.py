"""The mark as a logits processor that a vLLM server loads by name, in the form that its release takes.

    vllm serve MODEL --logits-processors gensafe_watermark.text.vllm_processor:MarkedText

The server reads the 32-byte key from the file that ``GENSAFE_TEXT_MARK_KEY_FILE`` names and the key id from
``GENSAFE_TEXT_MARK_KEY_ID`` (default 0). Every request that samples is marked; ``extra_args={"gensafe_mark": false}``
leaves one out, and greedy requests leave the mark nothing to choose. Importing this module needs vLLM.

``MarkedText`` is that of ``vllm_v2`` where the release has Model Runner V2 and ``VLLM_USE_V2_MODEL_RUNNER`` is not 0,
else that of ``vllm_v1``: each runner refuses the other's classes when it loads them.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from gensafe_watermark.text.vllm_settings import KEY_FILE, KEY_ID, SWITCH


def _v2() -> bool:
    if os.environ.get("VLLM_USE_V2_MODEL_RUNNER", "1").strip().lower() in ("0", "false"):
        return False
    try:
        return find_spec("vllm.v1.worker.gpu.sample.logits_processor") is not None
    except ModuleNotFoundError:  # a package above it is not there
        return False


MarkedText: Any = import_module(f"gensafe_watermark.text.vllm_{'v2' if _v2() else 'v1'}").MarkedText

__all__ = ["KEY_FILE", "KEY_ID", "SWITCH", "MarkedText"]
