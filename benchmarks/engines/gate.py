"""What the gate costs beside decoding: whole requests to smollm2 through the pipeline, by processor time.

The engine runs in this process and tells what it spends; everything else that a request spends (prompt and output
screens, streaming gate, mark, its detection, fingerprint, signature, log) is the gate's.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from benchmarks.engines.speed import TOKENS, job
from gensafe.core import ids
from gensafe.core.config import Config, EngineConfig, SafetyConfig
from gensafe.core.ports import Backend, CancelCheck, SamplingMark
from gensafe.core.types import BackendEvent, GenerationJob, GenerationRequest, Modality
from gensafe.pipeline import CallControl, Released, open_chain, run

PATIENCE_S = 600.0  # for the classifiers together: a busy machine must not turn into a block


class Timed:
    """The mark, and what its choices take."""

    def __init__(self, mark: SamplingMark) -> None:
        self._mark, self.spent = mark, 0.0
        self.scheme, self.key_id = mark.scheme, mark.key_id

    def choose(self, context: Sequence[int], probabilities: NDArray[Any]) -> int | None:
        """As the mark's."""
        began = time.thread_time()
        chosen = self._mark.choose(context, probabilities)
        self.spent += time.thread_time() - began
        return chosen


class Meter:
    """Processor seconds of the engine, and of the mark inside it."""

    def __init__(self, backend: Backend) -> None:
        self._generate = backend.generate
        self.engine = self.mark = 0.0

    def generate(self, job: GenerationJob, mark: SamplingMark | None, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        """As the backend's."""
        timed = Timed(mark) if mark else None
        events = iter(self._generate(job, timed, cancelled))
        while True:
            began = time.thread_time()
            event = next(events, None)
            self.engine += time.thread_time() - began
            if event is None:
                self.mark += timed.spent if timed else 0.0
                return
            yield event


def measure(count: int) -> dict[str, Any]:
    """Run ``count`` requests that are released; shares of the time that decoding alone takes."""
    marks: list[float] = []
    rest: list[float] = []
    tokens = seed = 0
    with tempfile.TemporaryDirectory() as folder:
        engine = EngineConfig(backend="smollm2", isolated=False)
        config = Config(data_dir=folder, engines=(engine,), safety=SafetyConfig(timeout_s=PATIENCE_S))
        with open_chain(config) as chain:
            backend = next(iter(chain.engines)).backend
            meter = Meter(backend)
            backend.generate = meter.generate  # type: ignore[method-assign]
            while len(rest) < count + 1:
                seed += 1
                meter.engine = meter.mark = 0.0
                request = GenerationRequest(
                    ids.new_request_id(), job(seed).prompt, Modality.TEXT, seed=seed, max_tokens=TOKENS
                )
                began = time.process_time()
                last = list(run(chain, request, CallControl(None)))[-1]
                if not isinstance(last, Released):
                    continue
                total = time.process_time() - began
                decoding = meter.engine - meter.mark
                marks.append(meter.mark / decoding)
                rest.append((total - meter.engine) / decoding)
                tokens += last.draft.record.tokens if len(rest) > 1 else 0
    both = [a + b for a, b in zip(marks[1:], rest[1:], strict=True)]  # the first warms up
    return {
        "requests": count,
        "tokens_mean": round(tokens / count),
        "mark_over_decoding": _middle(marks[1:]),
        "everything_else_over_decoding": _middle(rest[1:]),
        "gate_over_decoding": _middle(both),
    }


def _middle(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 3), "low": round(min(values), 3), "high": round(max(values), 3)}
