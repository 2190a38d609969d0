"""Run the networks that come with the classifiers: on one thread each, and with bounded memory.

ONNX Runtime keeps what a network needed in an arena of the session, which grows with the largest input and with every
call that runs beside others, and is never given back. So as many calls of a session run at once as there are cores
(more gain nothing), and a large input leaves nothing behind: that costs a fifth more time, of such inputs only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from threading import BoundedSemaphore
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import SafetyUnavailable

AT_ONCE: Final = min(4, os.cpu_count() or 1)  # calls of one session; further ones wait, the runner's time limit holds
LARGE: Final = 8 << 20
"""Bytes of input: a picture of 0.7 MP for the text detector, which needs some 280 MiB for 1 MP and 50 MiB for 0.25 MP.
The face detector's input is 4.9 MiB always; shrinking after it doubled its time."""
_SHRINK: Final = ("memory.enable_memory_arena_shrinkage", "cpu:0")


class Network:
    """An open model; thread-safe.

    Args:
        model: The ONNX file.
        severity: Messages of the runtime from here on are printed; 3 = errors, 4 = fatal ones.

    Raises:
        SafetyUnavailable: the runtime is not installed.
        Exception: whatever the runtime says about a model that it cannot take.
    """

    def __init__(self, model: bytes, severity: int = 3) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise SafetyUnavailable("ONNX Runtime cannot be loaded", fix="reinstall gensafe") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # classifiers run side by side
        options.log_severity_level = severity
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._shrink = onnxruntime.RunOptions()
        self._shrink.add_run_config_entry(*_SHRINK)
        self._turns = BoundedSemaphore(AT_ONCE)
        self.inputs: tuple[Any, ...] = tuple(self._session.get_inputs())
        self.outputs: tuple[Any, ...] = tuple(self._session.get_outputs())
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map

    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The named outputs (None = all) for ``feeds``."""
        large = sum(value.nbytes for value in feeds.values()) >= LARGE
        with self._turns:
            found = self._session.run(outputs, dict(feeds), self._shrink if large else None)
        return [np.asarray(value) for value in found]
