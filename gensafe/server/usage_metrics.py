"""What was used and what it cost, for metrics: counted as it is settled, and how full quotas and budgets are.

How full they are is read from the registry when it is asked for: it holds over restarts and for every server that
shares the registry. The counters are those of this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gensafe.core.errors import RegistryError
from gensafe.core.observer import QuotaRefused, Used
from gensafe.core.types import Modality
from gensafe.core.types.usage import MICRO
from gensafe.pipeline import Chain

Who = Callable[[str], Mapping[str, str]]
"""The label of a tenant; {} = names of tenants are no labels."""

# unit as counted -> (name of its metric, and of the unit in labels; how many make one; what it is)
UNITS: Final[Mapping[str, tuple[str, int, str]]] = {
    "tokens": ("tokens", 1, "Tokens read and written."),
    "pixels": ("pixels", 1, "Pixels of images."),
    "audio_ms": ("audio_seconds", 1000, "Seconds of audio."),
    "video_ms": ("video_seconds", 1000, "Seconds of video."),
    "engine_ms": ("engine_seconds", 1000, "Seconds that engines worked, also for what came to nothing."),
    "micros": ("cost", MICRO, "What it cost, in the currency of the configuration."),
}
_OWN: Final = {
    Modality.TEXT: "tokens",
    Modality.IMAGE: "pixels",
    Modality.AUDIO: "audio_ms",
    Modality.VIDEO: "video_ms",
}


class UsageCounters:
    """Counters of what was used and refused. Safe between threads.

    Args:
        registry: Where they are exposed.
        who: Label of a tenant.
        labelled: Whether there is one.
    """

    def __init__(self, registry: CollectorRegistry, who: Who, *, labelled: bool) -> None:
        self._who = who
        labels = ("modality", *(("tenant",) if labelled else ()))
        self._used = {
            unit: Counter(f"gensafe_used_{name}_total", said, labels, registry=registry)
            for unit, (name, _, said) in UNITS.items()
        }
        self._refused = Counter(
            "gensafe_quota_refused_total",
            "Generations refused before they began, by what they would have exceeded: quota or budget.",
            ("limit", *labels),
            registry=registry,
        )
        for modality in () if labelled else Modality:  # from 0, so that a rate sees the first of them
            for unit in (_OWN[modality], "engine_ms", "micros"):
                self._used[unit].labels(modality=modality.value)
            for limit in ("quota", "budget"):
                self._refused.labels(limit=limit, modality=modality.value)

    def used(self, seen: Used) -> None:
        """Count what a request used."""
        labels = {"modality": seen.modality, **self._who(seen.tenant)}
        for unit, counter in self._used.items():
            amount = getattr(seen.spent, unit)
            if amount:
                counter.labels(**labels).inc(amount / UNITS[unit][1])

    def refused(self, seen: QuotaRefused) -> None:
        """Count a refusal."""
        limit = "budget" if seen.budget else "quota"
        self._refused.labels(limit=limit, modality=seen.modality, **self._who(seen.tenant)).inc()


class QuotaGauge(Collector):
    """How much of each quota and budget is used or reserved, in its running period.

    Args:
        chain: Whose registry and quotas.
        who: Label of a tenant. Where several are one, theirs is the fullest.
    """

    def __init__(self, chain: Chain, who: Who) -> None:
        self._chain, self._who = chain, who

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The family; left out while the registry cannot be read, or no quota is configured."""
        quotas = self._chain.config.usage.quotas
        if not quotas:
            return
        fullest: dict[tuple[str, ...], float] = {}
        try:
            running = self._chain.registry.usage.running(frozenset(quota.period for quota in quotas))
        except RegistryError:
            return
        for (tenant, key_id, period), used in running.items():
            for limit in self._chain.meter.limits(tenant, key_id):
                if (limit.period, limit.key_id) == (period, key_id):
                    labels = (period, UNITS.get(limit.unit, (limit.unit,))[0], *self._who(tenant).values())
                    ratio = getattr(used, limit.unit) / limit.most
                    fullest[labels] = max(ratio, fullest.get(labels, 0.0))
        names = ("period", "unit", *self._who("").keys())
        said = "Used and reserved part of the fullest quota or budget, 0 to 1."
        family = GaugeMetricFamily("gensafe_quota_used_ratio", said, labels=names)
        for labels, ratio in fullest.items():
            family.add_metric(labels, ratio)
        yield family
