"""What a server counts and measures, in the exposition format of Prometheus. docs/observability.md lists it.

Labels are bounded: names of parts, kinds and codes that the code or the configuration knows. Names of tenants are
labels only where the configuration asks for it, and then so many; ids, addresses and content never are.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from gensafe import __version__
from gensafe.core.observer import (
    CallEnded,
    ClassifierRan,
    EngineRan,
    Observation,
    QuotaRefused,
    RequestEnded,
    StageRan,
    Used,
    Verified,
)
from gensafe.pipeline import Chain
from gensafe.server.limits import Limits
from gensafe.server.usage_metrics import QuotaGauge, UsageCounters

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
MOST_TENANTS: Final = 50  # named where none are configured: about 50 series each. Chosen, not measured
OTHER: Final = "other"
"""The label of every tenant beyond them."""
# seconds: from a cached text screen (1 ms) to the default deadline of a generation (300 s), about three steps a decade
_BUCKETS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Metrics:
    """An ``Observer`` and what it has heard. Safe between threads.

    Args:
        tenants: Whether names of tenants are labels.
        names: Those that are; () = the first ``MOST_TENANTS`` seen. The rest is ``OTHER``.
    """

    def __init__(self, *, tenants: bool = False, names: Sequence[str] = ()) -> None:
        self.registry = CollectorRegistry()
        self._tenants, self._most = tenants, len(names) or MOST_TENANTS
        self._names, self._lock = set(names), threading.Lock()
        who = ("tenant",) if tenants else ()
        self._requests = Counter(
            "gensafe_requests_total",
            "Generations by how they ended; the reason is a category or the reason of an error.",
            ("modality", "outcome", "reason", *who),
            registry=self.registry,
        )
        self._bytes = Counter(
            "gensafe_released_bytes_total", "Bytes of released outputs.", ("modality", *who), registry=self.registry
        )
        self._stages = self._histogram("gensafe_stage_seconds", "Stages of generations.", "stage", "modality")
        self._classifiers = self._histogram(
            "gensafe_classifier_seconds", "Classifiers, one item each.", "classifier", "modality"
        )
        self._classified = Counter(
            "gensafe_classifier_runs_total",
            "Items by what a classifier said: clear, found, failed.",
            ("classifier", "modality", "result", "reason"),
            registry=self.registry,
        )
        self._engines = self._histogram("gensafe_engine_seconds", "Engines, one job each.", "engine")
        self._engine_runs = Counter(
            "gensafe_engine_runs_total", "Jobs of engines by result.", ("engine", "result"), registry=self.registry
        )
        self._verified = Counter(
            "gensafe_verifications_total", "Verified files by conclusion.", ("conclusion",), registry=self.registry
        )
        self._calls = Counter(
            "gensafe_calls_total",
            "Calls by method and code.",
            ("protocol", "method", "code", *who),
            registry=self.registry,
        )
        self._call_seconds = self._histogram("gensafe_call_seconds", "Calls from start to end.", "protocol", "method")
        self._usage = UsageCounters(self.registry, self._who, labelled=tenants)
        ProcessCollector(registry=self.registry)

    def _histogram(self, name: str, said: str, *labels: str) -> Histogram:
        return Histogram(name, said, labels, buckets=_BUCKETS, registry=self.registry)

    def observe(self, seen: Observation) -> None:
        """Count one observation."""
        match seen:
            case RequestEnded():
                who = self._who(seen.tenant)
                self._requests.labels(modality=seen.modality, outcome=seen.outcome, reason=seen.reason, **who).inc()
                if seen.bytes_released:
                    self._bytes.labels(modality=seen.modality, **who).inc(seen.bytes_released)
            case Used():
                self._usage.used(seen)
            case QuotaRefused():
                self._usage.refused(seen)
            case StageRan():
                self._stages.labels(seen.stage, seen.modality).observe(seen.seconds)
            case ClassifierRan():
                self._classifiers.labels(seen.classifier, seen.modality).observe(seen.seconds)
                self._classified.labels(seen.classifier, seen.modality, seen.result, seen.reason).inc()
            case EngineRan():
                self._engines.labels(seen.engine).observe(seen.seconds)
                self._engine_runs.labels(seen.engine, seen.result).inc()
            case Verified():
                self._verified.labels(seen.conclusion).inc()
            case CallEnded():
                who = self._who(seen.tenant)
                self._calls.labels(protocol=seen.protocol, method=seen.method, code=seen.code, **who).inc()
                self._call_seconds.labels(seen.protocol, seen.method).observe(seen.seconds)

    def watch(self, chain: Chain, limits: Limits) -> None:
        """Also report the state of a server, read when it is asked for."""
        self.registry.register(_State(chain, limits))
        self.registry.register(QuotaGauge(chain, self._who))

    def exposition(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)

    def _who(self, tenant: str) -> Mapping[str, str]:
        if not self._tenants:
            return {}
        if not tenant:  # nobody knows whose
            return {"tenant": ""}
        with self._lock:
            if tenant not in self._names and len(self._names) < self._most:
                self._names.add(tenant)
            return {"tenant": tenant if tenant in self._names else OTHER}


class _State(Collector):
    """Gauges that are read from the parts at the time of asking."""

    def __init__(self, chain: Chain, limits: Limits) -> None:
        self._chain, self._limits = chain, limits

    def collect(self) -> Iterator[GaugeMetricFamily | InfoMetricFamily]:
        """The families; a part that cannot be read is left out, never the rest."""
        yield InfoMetricFamily("gensafe_build", "The running version.", {"version": __version__})
        pools = self._limits.pools
        yield _gauge("gensafe_queue_waiting", "Work that waits.", "kind", {p.name: p.slots.waiting for p in pools})
        yield _gauge("gensafe_queue_running", "Work that runs.", "kind", {p.name: p.slots.running for p in pools})
        total = {p.name: p.slots.total for p in pools}
        yield _gauge("gensafe_queue_slots", "Work that may run at a time.", "kind", total)
        hung = {p.name: p.abandoned for p in pools}
        yield _gauge("gensafe_steps_hung", "Steps that passed their time limit and still run.", "kind", hung)
        parts = {part: not why for part, why in self._limits.health.parts(self._chain).items()}
        yield _gauge("gensafe_part_up", "Whether a part works as far as is known.", "part", parts)
        yield _gauge(
            "gensafe_engine_up",
            "Whether an engine works as far as is known.",
            "engine",
            {engine.name: engine.health.ok for engine in self._chain.engines},
        )
        yield GaugeMetricFamily("gensafe_ready", "Whether generations can be served.", self._limits.health.ready)
        log = self._chain.log
        age_s = max(0.0, self._chain.clock.now_ms() / 1000 - log.checkpoint_ms / 1000)
        yield GaugeMetricFamily("gensafe_log_entries", "Entries of the log.", log.size)
        yield GaugeMetricFamily("gensafe_checkpoint_age_seconds", "Since the newest checkpoint was signed.", age_s)
        owing = self._chain.ledger.owing
        yield GaugeMetricFamily("gensafe_registry_owed", "Endings that the registry does not have yet.", owing)


def _gauge(name: str, said: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, said, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family
