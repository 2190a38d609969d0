"""The graph, token by token. Keys and values stay in the runtime's own buffers, one pair a layer, written in place.

A ``Session`` is one text: its buffers grow with it in steps of ``STEP`` positions. What the fixed system message puts
into them is computed once and copied into every session that begins with it; nothing that a caller wrote is kept.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from gensafe.core.errors import BackendUnavailable, Cancelled
from gensafe_backends.smollm2.weights import Model

STEP: Final = 256  # positions by which a session's memory grows: 256 take 11.8 MB
PREFILL: Final = 128  # tokens read at once; cancelling is noticed between two such steps


class Engine:
    """The model ready to run; sessions may run in several threads at once."""

    def __init__(self, model: Model, weights: Path, *, accuracy: int, context: int, threads: int) -> None:
        self.model, self.context = model, context
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores alone
        with tempfile.TemporaryDirectory(prefix="gensafe-smollm2-") as folder:
            path = Path(folder) / "graph.onnx"
            _write(weights, path, accuracy, context)
            try:
                self.runtime = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            except Exception as error:  # its exceptions share no base class
                raise BackendUnavailable(f"ONNX Runtime cannot run the model: {type(error).__name__}") from error

    def session(self) -> Session:
        """A fresh text."""
        return Session(self)


def _write(weights: Path, path: Path, accuracy: int, context: int) -> None:
    """Write the graph in a process of its own: unpacking takes 800 MB for some seconds, which would stay with us."""
    settings = [f"--accuracy={accuracy}", f"--context={context}"]
    command = [sys.executable, "-m", "gensafe_backends.smollm2.graph", str(weights), str(path), *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2]
        raise BackendUnavailable(f"the model's graph could not be written: {said}")


class Session:
    """One text: what it has read so far, as keys and values."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._binding = engine.runtime.io_binding()
        self._binding.bind_output("logits")  # bound first, so that it stays the first output
        self._kept: dict[str, Any] = {}
        self._capacity = 0
        self.length = 0

    def read(self, ids: Sequence[int], cancelled: Callable[[], bool] = lambda: False) -> NDArray[np.float32]:
        """Take in ``ids`` and give the logits after the last of them: float32 (vocabulary,).

        Raises:
            Cancelled: between two steps of ``PREFILL`` tokens.
        """
        logits: NDArray[np.float32] | None = None
        for start in range(0, len(ids), PREFILL):
            if cancelled():
                raise Cancelled("the request was cancelled while its prompt was read")
            logits = self._step(list(ids[start : start + PREFILL]))
        if logits is None:
            raise ValueError("there is nothing to read")
        return logits

    def begin_with(self, other: Session) -> None:
        """Start where ``other`` is: a copy of its keys and values."""
        self._grow(other.length)
        for name, values in other._kept.items():
            self._kept[name].numpy()[:, :, : other.length] = values.numpy()[:, :, : other.length]
        self.length = other.length

    def _step(self, ids: list[int]) -> NDArray[np.float32]:
        total = self.length + len(ids)
        self._grow(total)
        binding = self._binding
        binding.bind_cpu_input("embeddings", self._engine.model.embed(ids)[None])
        binding.bind_cpu_input("last_position", np.array([total - 1], np.int32))
        binding.bind_cpu_input("total", np.array(total, np.int32))
        binding.bind_output("logits")
        self._engine.runtime.run_with_iobinding(binding)
        self.length = total
        logits: NDArray[np.float32] = binding.get_outputs()[0].numpy()[0, 0]
        return logits

    def _grow(self, total: int) -> None:
        if total <= self._capacity:
            return
        shape = self._engine.model.shape
        capacity = -(-total // STEP) * STEP
        for number in range(shape.layers):
            for name in (f"k{number}", f"v{number}"):
                values = np.zeros((1, shape.kv_heads, capacity, shape.head), np.float32)
                if name in self._kept:
                    values[:, :, : self.length] = self._kept[name].numpy()[:, :, : self.length]
                self._kept[name] = ort.OrtValue.ortvalue_from_numpy(values)
                self._binding.bind_ortvalue_input(name, self._kept[name])
                self._binding.bind_ortvalue_output(f"new_{name}", self._kept[name])
        self._capacity = capacity
