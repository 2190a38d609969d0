"""The embedded default engine: ``symphony.c`` behind the ``Engine`` protocol, with paged keys and values.

Same float32 weights and equations as the numpy oracle (logits agree to about 1e-5), but in one fixed order of
arithmetic: its bits do not depend on the vector width, the batch split, or on ``sparse``.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from gensafe.core.errors import BackendError, BackendUnavailable
from gensafe_backends.symphony.model.engine import (
    PAGE,
    Activity,
    Cache,
    RopeTable,
    TokenBatch,
    check_batch,
    layer_kinds,
    length_scale,
    present,
)
from gensafe_backends.symphony.model.layer import LayerView, SwigluView
from gensafe_backends.symphony.model.native.build import load_library
from gensafe_backends.symphony.model.native.cache import NativeCache, Step
from gensafe_backends.symphony.model.native.structs import (
    MAX_BATCH,
    PANEL,
    POINTER,
    CallStruct,
    FfnStruct,
    LayerStruct,
    ModelStruct,
)
from gensafe_backends.symphony.vocab import MODALITIES, ModalityId, vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gensafe_backends.symphony.config import SymphonyConfig

    F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One sequence's part of a pass: its next tokens, its cache, and which logits are wanted."""

    batch: TokenBatch
    cache: Cache
    live: range
    last_only: bool = True


class NativeEngine:
    """Runs ``tensors`` through ``symphony.c``.

    A modality's feed-forward weights are read and packed when its first token arrives, never before.

    Args:
        config: The model's sizes; widths must be multiples of 16.
        tensors: All tensors of ``spec.tensor_shapes``; may load lazily. Matrices that are exact in float16 (stored
            bundles are) are packed as float16 where the machine converts it in hardware, losing nothing.
        sparse: Skip heads and modalities nobody uses. False computes them and multiplies by zero: same bits.

    Raises:
        BackendUnavailable: no compiler, or sizes this engine does not hold.
    """

    name = "native"

    def __init__(self, config: SymphonyConfig, tensors: Mapping[str, F32], *, sparse: bool = True) -> None:
        c = config
        widths = (c.dim, c.head_dim, c.ffn_shared, c.ffn_modality)
        if any(w % PANEL for w in widths) or c.heads > 64 or c.head_dim > 256 or c.heads * c.head_dim > 4096:
            raise BackendUnavailable("the native engine needs widths that are multiples of 16", fix="use engine=numpy")
        self.config = c
        self.sparse = sparse
        self.activity = Activity()
        self._library = load_library()
        self._half = bool(self._library.symphony_half())
        self._tensors = tensors
        self._rope = RopeTable(c)
        self._alive: list[NDArray[np.generic]] = []  # everything the structs point into
        self._ready: set[ModalityId] = set()
        self._lock = threading.Lock()
        self._layers = (LayerStruct * c.layers)(*(self._layer(i) for i in range(c.layers)))
        self._model = ModelStruct(
            dim=c.dim, layers=c.layers, heads=c.heads, kv_heads=c.kv_heads, head_dim=c.head_dim,
            shared_heads=c.shared_heads, active_routed=c.active_routed,
            ffn_shared=c.ffn_shared, ffn_modality=c.ffn_modality, window=c.window,
            eps=c.norm_eps, sparse=int(sparse),
            embed=self._plain("embed.weight"), slot=self._plain("slot.weight"),
            final_norm=self._plain("final_norm.weight"), head=self._packed("embed.weight"),
            layer=ctypes.cast(self._layers, POINTER),
        )  # fmt: skip

    def new_cache(self) -> NativeCache:
        """An empty cache."""
        return NativeCache(self.config)

    def cache_bytes(self, tokens: int) -> int:
        """See ``Engine.cache_bytes``: every page of the global layers, the last ones of the local layers."""
        pages = -(-tokens // PAGE)
        wide, local = (n * self.config.kv_heads * 2 * self.config.head_dim * PAGE * 4 for n in layer_kinds(self.config))
        return pages * wide + min(pages, -(-(self.config.window + MAX_BATCH) // PAGE) + 2) * local

    def forward(self, batch: TokenBatch, cache: Cache, *, live: range | None = None, last_only: bool = True) -> F32:
        """See ``Engine.forward``."""
        live = range(vocabulary(self.config).size) if live is None else live
        check_batch(batch, self.config)
        if len(batch) == 1:
            return self._step(batch, cast("NativeCache", cache), live)
        parts = [
            self.forward_many([Row(batch.part(i, i + MAX_BATCH), cache, live, last_only)])[0]
            for i in range(0, len(batch), MAX_BATCH)
        ]
        return parts[-1] if last_only else np.concatenate(parts)

    def forward_many(self, rows: Sequence[Row]) -> list[F32]:
        """Append batches of different sequences in one pass: the weights are read once for all of them.

        Bit for bit the same as one ``forward`` after another.

        Args:
            rows: At most ``MAX_BATCH`` tokens in all, each cache at most once.

        Returns:
            The logits of every row, as ``forward`` gives them.

        Raises:
            BackendError: too many tokens, a cache given twice, or ids outside the vocabulary.
        """
        total = sum(len(r.batch) for r in rows)
        if not 0 < total <= MAX_BATCH or len({id(r.cache) for r in rows}) != len(rows):
            raise BackendError(f"a pass holds 1 to {MAX_BATCH} tokens of different sequences, not {total}")
        for row in rows:
            check_batch(row.batch, self.config)
            self._check_live(row.live)
        whole = TokenBatch(
            *(np.concatenate([getattr(r.batch, n) for r in rows]) for n in ("ids", "tyx", "slots", "modalities"))
        )
        for modality in ModalityId if not self.sparse else present(whole.modalities):
            self._prepare(modality)
        return self._run(rows, whole, total)

    def states(self, batch: TokenBatch, cache: Cache) -> F32:
        """Append ``batch`` to ``cache`` and return h of equation 2i after every layer: float32 (layers, T, dim).

        Raises:
            BackendError: empty batch, or ids outside the vocabulary.
        """
        check_batch(batch, self.config)
        for modality in ModalityId if not self.sparse else present(batch.modalities):
            self._prepare(modality)
        found = []
        for i in range(0, len(batch), MAX_BATCH):
            part = batch.part(i, i + MAX_BATCH)
            found.append(np.empty((self.config.layers, len(part), self.config.dim), np.float32))
            self._run([Row(part, cache, range(PANEL))], part, len(part), found[-1])
        return np.concatenate(found, axis=1)

    def _step(self, batch: TokenBatch, kv: NativeCache, live: range) -> F32:
        """One token of one sequence: what ``_run`` does, with buffers that were made once per cache."""
        self._check_live(live)
        modality = ModalityId(int(batch.modalities[0]))
        for each in (modality,) if self.sparse else ModalityId:
            self._prepare(each)
        kv.reserve(1)
        kv.seen[kv.length] = modality
        if kv.step is None or kv.length >= kv.step.room:
            kv.step = Step(kv, self.config, self._library.symphony_work(ctypes.byref(self._model), 1))
        step = kv.step
        cos, sin = self._rope(batch.tyx)
        first = live.start // PANEL
        step.ids[0], step.slots[0], step.modalities[0] = batch.ids[0], batch.slots[0], modality
        step.index[0], step.scale[0] = kv.length, length_scale(self.config, kv.length, 1)[0]
        step.cos[:], step.sin[:] = cos[0], sin[0]
        step.live_panel[0], step.live_panels[0] = first, -(-live.stop // PANEL) - first
        call = step.call
        if self._library.symphony_forward(ctypes.byref(self._model), ctypes.byref(call)) != 0:
            raise BackendError("the native engine cannot hold a model of this size")
        kv.advance(1)
        self._count(call, 1)
        start = live.start % PANEL
        return step.logits[None, start : start + len(live)].copy()

    def repeat_step(self, cache: NativeCache) -> float:
        """Seconds the C pass of the last single-token step takes when it is run again (for benchmarks).

        Raises:
            BackendError: there was no such step.
        """
        if cache.step is None:
            raise BackendError("this cache has seen no single-token step")
        begin = time.perf_counter()
        self._library.symphony_forward(ctypes.byref(self._model), ctypes.byref(cache.step.call))
        return time.perf_counter() - begin

    def _check_live(self, live: range) -> None:
        if live.start < 0 or live.stop > vocabulary(self.config).size or not live or live.step != 1:
            raise BackendError(f"no such vocabulary range: {live}")

    def _count(self, call: CallStruct, tokens: int) -> None:
        done = self.activity
        done.weight_bytes += call.weight_bytes * (2 if self._half else 1)
        done.heads_run += call.heads_run
        done.heads_skipped += call.heads_skipped
        done.tokens += tokens

    def _run(self, rows: Sequence[Row], whole: TokenBatch, total: int, states: F32 | None = None) -> list[F32]:
        cos, sin = self._rope(whole.tyx)
        pages, seen, out = (POINTER * total)(), (POINTER * total)(), (POINTER * total)()
        index, first, panels = (np.zeros(total, np.int64) for _ in range(3))
        scale = np.empty(total, np.float32)
        logits: list[F32] = []
        at = 0
        for row in rows:
            kv, count = cast("NativeCache", row.cache), len(row.batch)
            kv.reserve(count)
            kv.seen[kv.length : kv.length + count] = row.batch.modalities
            own = slice(at, at + count)
            index[own] = np.arange(kv.length, kv.length + count)
            scale[own] = length_scale(self.config, kv.length, count)
            wanted = at + count - 1 if row.last_only else at
            first[wanted : at + count] = row.live.start // PANEL
            panels[wanted : at + count] = -(-row.live.stop // PANEL) - row.live.start // PANEL
            scores = np.empty((at + count - wanted, int(panels[wanted]) * PANEL), np.float32)
            logits.append(scores)
            address = scores.ctypes.data
            for i in range(count):
                pages[at + i], seen[at + i] = ctypes.addressof(kv.pointers), kv.seen.ctypes.data
                out[at + i] = address + max(0, at + i - wanted) * scores.strides[0]
            at += count
        # Scratch is made per call: calls of two threads on one engine must not share it.
        work = np.empty(self._library.symphony_work(ctypes.byref(self._model), total), np.float32)
        ids, slots, modalities = (np.ascontiguousarray(x) for x in (whole.ids, whole.slots, whole.modalities))
        cos, sin = np.ascontiguousarray(cos), np.ascontiguousarray(sin)
        call = CallStruct(
            count=total,
            ids=ids.ctypes.data, slots=slots.ctypes.data, modalities=modalities.ctypes.data, index=index.ctypes.data,
            cos=cos.ctypes.data, sin=sin.ctypes.data, scale=scale.ctypes.data,
            pages=ctypes.addressof(pages), seen=ctypes.addressof(seen), work=work.ctypes.data,
            logits=ctypes.addressof(out), live_panel=first.ctypes.data, live_panels=panels.ctypes.data,
            states=None if states is None else states.ctypes.data,
        )  # fmt: skip
        if self._library.symphony_forward(ctypes.byref(self._model), ctypes.byref(call)) != 0:
            raise BackendError("the native engine cannot hold a model of this size")
        for row in rows:
            cast("NativeCache", row.cache).advance(len(row.batch))
        self._count(call, total)
        cuts = (r.live.start - r.live.start // PANEL * PANEL for r in rows)
        return [s[:, cut : cut + len(r.live)] for s, cut, r in zip(logits, cuts, rows, strict=True)]

    # --- weights --------------------------------------------------------------------------------------------------

    def _plain(self, name: str) -> int:
        array = np.ascontiguousarray(self._tensors[name], np.float32)
        self._alive.append(array)
        return int(array.ctypes.data)

    def _packed(self, name: str) -> int:
        weight = np.ascontiguousarray(self._tensors[name], np.float32)
        rows, k = weight.shape
        source: NDArray[np.generic] = weight
        if self._half:
            source = weight.astype(np.float16)
            if not np.array_equal(source.astype(np.float32), weight):
                raise BackendUnavailable(f"{name} is not exact in float16", fix="use engine=numpy")
        packed = np.empty(-(-rows // PANEL) * PANEL * k, source.dtype)
        self._library.symphony_pack(source.ctypes.data, packed.ctypes.data, rows, k)
        self._alive.append(packed)
        return int(packed.ctypes.data)

    def _ffn(self, name: SwigluView[str]) -> FfnStruct:
        return FfnStruct(gate=self._packed(name.gate), up=self._packed(name.up), down=self._packed(name.down))

    def _layer(self, index: int) -> LayerStruct:
        name, kinds = self._names(index), self.config.global_layers
        return LayerStruct(
            attn_norm=self._plain(name.attn_norm), q_norm=self._plain(name.q_norm), k_norm=self._plain(name.k_norm),
            beta=self._plain(name.beta), router=self._plain(name.router), router_bias=self._plain(name.router_bias),
            ffn_norm=self._plain(name.ffn_norm),
            q=self._packed(name.q), k=self._packed(name.k), v=self._packed(name.v), o=self._packed(name.o),
            shared=self._ffn(name.shared), own=(FfnStruct * MODALITIES)(),
            is_local=int(index not in kinds), rank=sum((i in kinds) == (index in kinds) for i in range(index)),
        )  # fmt: skip

    def _names(self, layer: int) -> LayerView[str]:
        """The names of a layer's tensors: packing takes a name, for its error says which tensor it is about."""
        return LayerView(str, layer)

    def _prepare(self, modality: ModalityId) -> None:
        """Pack a modality's feed-forward weights the first time it occurs."""
        if modality in self._ready:
            return
        with self._lock:
            for index in range(self.config.layers if modality not in self._ready else 0):
                self._layers[index].own[modality] = self._ffn(self._names(index).own(modality))
            self._ready.add(modality)
