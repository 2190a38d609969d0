"""The structs of ``symphony.c``, field for field, and the buffers of a single-token step."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe_backends.symphony.model.engine import PAGE
from gensafe_backends.symphony.vocab import MODALITIES, vocabulary

if TYPE_CHECKING:
    from gensafe_backends.symphony.config import SymphonyConfig
    from gensafe_backends.symphony.model.native.cache import NativeCache

PANEL: Final = 16
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


class Step:
    """Buffers and the call structure for single-token passes on one cache, until the cache outgrows ``room``."""

    def __init__(self, kv: NativeCache, config: SymphonyConfig, work: int) -> None:
        self.room = len(kv.pointers) // 2 * PAGE
        self.ints = np.zeros((6, 1), np.int64)  # id, slot, modality, index, first panel, panels
        self.angles = np.zeros((2, config.head_dim // 2), np.float32)
        self.scale = np.zeros(1, np.float32)
        self.work = np.empty(work, np.float32)
        self.logits = np.empty(-(-vocabulary(config).size // PANEL) * PANEL, np.float32)
        self.pages, self.seen = (POINTER * 1)(ctypes.addressof(kv.pointers)), (POINTER * 1)(kv.seen.ctypes.data)
        self.out = (POINTER * 1)(self.logits.ctypes.data)
        ints, angles = self.ints.ctypes.data, self.angles.ctypes.data
        self.call = CallStruct(
            1, ints, ints + 8, ints + 16, ints + 24, angles, angles + self.angles.strides[0], self.scale.ctypes.data,
            ctypes.addressof(self.pages), ctypes.addressof(self.seen), self.work.ctypes.data,
            ctypes.addressof(self.out), ints + 32, ints + 40, None, 0, 0, 0,
        )  # fmt: skip
