"""The structs of ``symphony.c``, field for field, and the buffers of a single-token step."""

from __future__ import annotations

import ctypes
from typing import Final

from gensafe_backends.symphony.vocab import MODALITIES

PANEL: Final = 16  # rows of a packed matrix side by side: PANEL in symphony.c
MAX_BATCH: Final = 256  # rows of a pass: MOST in symphony.c
POINTER = ctypes.c_void_p
INTEGER = ctypes.c_int64


class FfnStruct(ctypes.Structure):
    """``Ffn``: packed matrices of a feed-forward."""

    _fields_ = (("gate", POINTER), ("up", POINTER), ("down", POINTER))


class LayerStruct(ctypes.Structure):
    """``Layer``: pointers to one block's weights, and which kind it is."""

    _fields_ = (
        *((n, POINTER) for n in ("attn_norm", "q_norm", "k_norm", "beta", "router", "router_bias", "ffn_norm")),
        *((n, POINTER) for n in ("q", "k", "v", "o")),
        ("shared", FfnStruct),
        ("own", FfnStruct * MODALITIES),
        ("is_local", INTEGER),
        ("rank", INTEGER),
    )


class ModelStruct(ctypes.Structure):
    """``Model``: sizes and weights."""

    _fields_ = (
        *((n, INTEGER) for n in ("dim", "layers", "heads", "kv_heads", "head_dim", "shared_heads", "active_routed")),
        *((n, INTEGER) for n in ("ffn_shared", "ffn_modality", "window")),
        ("eps", ctypes.c_float),
        ("sparse", ctypes.c_int32),
        *((n, POINTER) for n in ("embed", "slot", "final_norm", "head", "layer")),
    )


class CallStruct(ctypes.Structure):
    """``Call``: what one pass reads and writes."""

    _fields_ = (
        ("count", INTEGER),
        *(
            (n, POINTER)
            for n in ("ids", "slots", "modalities", "index", "cos", "sin", "scale", "pages", "seen", "work")
        ),
        *((n, POINTER) for n in ("logits", "live_panel", "live_panels", "states")),
        *((n, INTEGER) for n in ("weight_bytes", "heads_run", "heads_skipped")),
    )
