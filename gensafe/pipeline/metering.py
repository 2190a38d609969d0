"""What a request may use at most, what it used, and what that costs.

The forecast is what is reserved before anything starts; one that would exceed a quota or budget refuses the
request. It is a bound for what the request or the engine's limits fix: tokens, pixels, seconds. Engine time is not: it
is expected from what the model took before, and a request that takes longer is counted in full afterwards.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field, replace
from typing import Final

from gensafe.core.config import PriceConfig, QuotaConfig, UsageConfig
from gensafe.core.types import Audio, Draft, GenerationJob, GenerationRequest, Image, Modality, Video
from gensafe.core.types.usage import MICRO, Amounts, Limit, Reservation

# expected engine time: the longest so far, forgotten by a tenth with each shorter one. Chosen, not measured
_FORGET: Final = 0.1
_SECONDS_A_CHARACTER: Final = 0.15  # slow speech: 80 words a minute of five letters and a space. Chosen


@dataclass(slots=True)
class Meter:
    """Forecasts, measures and prices. Safe between threads.

    Args:
        config: Prices, quotas and what is assumed.
    """

    config: UsageConfig
    _took: dict[tuple[str, Modality], float] = field(default_factory=dict)  # engine milliseconds
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def bounded(self, request: GenerationRequest, job: GenerationJob) -> GenerationJob:
        """The job, with a bound of tokens where a quota holds for a text that names none."""
        if request.modality is Modality.TEXT and not job.max_tokens and self.limits(request.tenant, request.key_id):
            return replace(job, max_tokens=self.config.tokens)
        return job

    def reservation(self, request: GenerationRequest, job: GenerationJob) -> Reservation:
        """What to reserve for a request, and the bounds that must hold."""
        return Reservation(
            request.tenant,
            job.model,
            request.modality.value,
            self.forecast(job),
            request.key_id,
            self.limits(request.tenant, request.key_id),
        )

    def forecast(self, job: GenerationJob) -> Amounts:
        """What a job may use at most."""
        wishes, usual = job.parameters, self.config
        amounts = Amounts(requests=1, engine_ms=self._expected_ms(job))
        match job.modality:
            case Modality.TEXT:
                # a token is a character or more in what tokenizers make of common text
                read = len(job.prompt) + sum(len(m.text) for m in job.messages)
                amounts = replace(amounts, tokens=read + (job.max_tokens or usual.tokens))
            case Modality.IMAGE:
                pixels = wishes.width * wishes.height if wishes.width and wishes.height else usual.pixels
                amounts = replace(amounts, pixels=pixels)
            case Modality.AUDIO:
                said = len(job.prompt) * _SECONDS_A_CHARACTER  # where the prompt is spoken
                amounts = replace(amounts, audio_ms=_ms(wishes.seconds or max(said, usual.audio_seconds)))
            case Modality.VIDEO:
                amounts = replace(amounts, video_ms=_ms(wishes.seconds or usual.video_seconds))
        return self.priced(job.model, amounts)

    def measured(self, job: GenerationJob, draft: Draft, engine_s: float) -> Amounts:
        """What a finished draft used; the next forecast of its model learns from it."""
        media, record = draft.media, draft.record
        amounts = Amounts(requests=1, engine_ms=_ms(engine_s))
        if job.modality is Modality.TEXT:
            amounts = replace(amounts, tokens=record.tokens_in + record.tokens)
        elif isinstance(media, Image):
            amounts = replace(amounts, pixels=media.pixels.shape[0] * media.pixels.shape[1])
        elif isinstance(media, Audio):
            amounts = replace(amounts, audio_ms=_ms(media.samples.shape[1] / media.rate))
        elif isinstance(media, Video):
            amounts = replace(amounts, video_ms=_ms(len(media.frames) / media.fps))
        with self._lock:
            key, took = (job.model, job.modality), _ms(engine_s)
            self._took[key] = max(took, (1 - _FORGET) * self._took.get(key, 0.0) + _FORGET * took)
        return self.priced(job.model, amounts)

    def unfinished(self, job: GenerationJob, engine_s: float) -> Amounts:
        """What a request used that came to no draft."""
        return self.priced(job.model, Amounts(requests=1, engine_ms=_ms(engine_s)))

    def priced(self, model: str, amounts: Amounts) -> Amounts:
        """The amounts with their cost, rounded up to a millionth of the currency."""
        price = self._price(model)
        cost = (
            amounts.requests * price.request
            + amounts.tokens * price.kilotoken / 1000
            + amounts.pixels * price.megapixel / 1e6
            + amounts.audio_ms * price.audio_second / 1000
            + amounts.video_ms * price.video_second / 1000
            + amounts.engine_ms * price.engine_second / 1000
        )
        return replace(amounts, micros=math.ceil(round(cost * MICRO, 3)))

    def limits(self, tenant: str, key_id: str) -> tuple[Limit, ...]:
        """Every bound for a caller: of each period the tenant's own, else those of each tenant; and its key's."""
        quotas = self.config.quotas
        of_key = [q for q in quotas if q.key and q.key == key_id and q.tenant in ("", tenant)]
        own = [q for q in quotas if not q.key and q.tenant == tenant]
        periods = {q.period for q in own}
        shared = [q for q in quotas if not q.key and not q.tenant and q.period not in periods]
        return tuple(limit for quota in (*own, *shared, *of_key) for limit in _limits(quota))

    def _price(self, model: str) -> PriceConfig:
        by_model = {price.model: price for price in self.config.prices}
        return by_model.get(model) or by_model.get("") or PriceConfig()

    def _expected_ms(self, job: GenerationJob) -> int:
        with self._lock:
            took = self._took.get((job.model, job.modality))
        return _ms(self.config.engine_seconds) if took is None else math.ceil(took)


def _limits(quota: QuotaConfig) -> list[Limit]:
    most = {
        "requests": quota.requests,
        "tokens": quota.tokens,
        "pixels": quota.pixels,
        "audio_ms": quota.audio_seconds * 1000,
        "video_ms": quota.video_seconds * 1000,
        "engine_ms": quota.engine_seconds * 1000,
        "micros": math.floor(quota.cost * MICRO),
    }
    return [Limit(quota.period, unit, bound, quota.key) for unit, bound in most.items() if bound]


def _ms(seconds: float) -> int:
    return math.ceil(seconds * 1000)
