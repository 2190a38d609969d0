"""Forecasts are bounds, measures are what came out, prices are exact, and quotas are the right caller's."""

from __future__ import annotations

import numpy as np
import pytest

from gensafe.core.config import PriceConfig, QuotaConfig, UsageConfig
from gensafe.core.types import (
    Audio,
    Draft,
    GenerationJob,
    GenerationRecord,
    GenerationRequest,
    Image,
    Message,
    Modality,
    Parameters,
    Role,
    Text,
    Video,
)
from gensafe.core.types.usage import Amounts
from gensafe.pipeline.metering import Meter

PRICES = (PriceConfig(request=0.001, kilotoken=0.02, megapixel=0.5, audio_second=0.01, video_second=0.1),
          PriceConfig(model="large", engine_second=1.0))  # fmt: skip


def job(modality: Modality, **more) -> GenerationJob:
    return GenerationJob("twelve chars", modality, (), 1, more.pop("max_tokens", 0), more.pop("model", "m"), **more)


def draft(media, tokens: int = 0, tokens_in: int = 0) -> Draft:
    return Draft(media, GenerationRecord("b", "m", "1", "sha256:0", 1, tokens, "", tokens_in=tokens_in))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (job(Modality.TEXT, max_tokens=50), {"tokens": 62}),
        (job(Modality.TEXT), {"tokens": 12 + 1024}),
        (job(Modality.TEXT, max_tokens=50, messages=(Message(Role.USER, "x" * 8),)), {"tokens": 70}),
        (job(Modality.IMAGE, parameters=Parameters(width=64, height=32)), {"pixels": 2048}),
        (job(Modality.IMAGE), {"pixels": 1 << 20}),
        (job(Modality.AUDIO, parameters=Parameters(seconds=2.5)), {"audio_ms": 2500}),
        (job(Modality.AUDIO), {"audio_ms": 30_000}),
        (job(Modality.VIDEO, parameters=Parameters(seconds=3)), {"video_ms": 3000}),
        (job(Modality.VIDEO), {"video_ms": 10_000}),
    ],
)
def test_a_forecast_is_what_was_asked_for_or_the_usual(wanted, expected):
    assert Meter(UsageConfig()).forecast(wanted) == Amounts(requests=1, engine_ms=60_000, **expected)


@pytest.mark.parametrize(
    ("modality", "made", "expected"),
    [
        (Modality.TEXT, draft(Text("a b c"), tokens=3, tokens_in=4), {"tokens": 7}),
        (Modality.IMAGE, draft(Image(np.zeros((20, 30, 3), np.uint8))), {"pixels": 600}),
        (Modality.AUDIO, draft(Audio(np.zeros((2, 8001), np.float32), 8000)), {"audio_ms": 1001}),
        (Modality.VIDEO, draft(Video(np.zeros((12, 8, 8, 3), np.uint8), 8.0)), {"video_ms": 1500}),
    ],
)
def test_a_draft_is_measured_as_it_is(modality, made, expected):
    assert Meter(UsageConfig()).measured(job(modality), made, 0.25) == Amounts(requests=1, engine_ms=250, **expected)


def test_prices_are_exact_to_a_millionth_and_a_models_own_go_before():
    meter = Meter(UsageConfig(prices=PRICES))
    assert meter.priced("m", Amounts(requests=1, tokens=1500)).micros == 31_000
    assert meter.priced("m", Amounts(pixels=1)).micros == 1  # half a millionth costs one
    assert meter.priced("m", Amounts(tokens=3)).micros == 60  # 0.1 + 0.2 is not 0.30000000000000004
    assert meter.priced("large", Amounts(requests=5, engine_ms=1500)).micros == 1_500_000
    assert Meter(UsageConfig()).priced("m", Amounts(requests=9, tokens=9)).micros == 0


def test_engine_time_is_expected_from_what_the_model_took():
    meter = Meter(UsageConfig())
    for seconds, expected in ((2.0, 2000), (0.5, 1850), (4.0, 4000)):
        meter.measured(job(Modality.TEXT), draft(Text("a")), seconds)
        assert meter.forecast(job(Modality.TEXT)).engine_ms == expected
    assert meter.forecast(job(Modality.TEXT, model="other")).engine_ms == 60_000


def test_a_tenants_own_quota_goes_before_that_of_each_and_a_keys_comes_on_top():
    quotas = (
        QuotaConfig(requests=10), QuotaConfig(period="month", cost=5.0),
        QuotaConfig(tenant="acme", requests=99, audio_seconds=7), QuotaConfig(key="k1", period="minute", requests=2),
    )  # fmt: skip
    meter = Meter(UsageConfig(prices=PRICES, quotas=quotas))

    def bounds(tenant: str, key_id: str = "") -> set[tuple[str, str, int, str]]:
        return {(limit.period, limit.unit, limit.most, limit.key_id) for limit in meter.limits(tenant, key_id)}

    month = ("month", "micros", 5_000_000, "")
    assert bounds("beta") == {("day", "requests", 10, ""), month}
    assert bounds("acme") == {("day", "requests", 99, ""), ("day", "audio_ms", 7000, ""), month}
    assert bounds("beta", "k1") == {("day", "requests", 10, ""), month, ("minute", "requests", 2, "k1")}


def test_a_text_is_bounded_where_a_quota_holds_and_only_there():
    request = GenerationRequest("id", "twelve chars", Modality.TEXT, tenant="acme")
    free, held = Meter(UsageConfig()), Meter(UsageConfig(quotas=(QuotaConfig(tenant="acme", tokens=9),)))
    assert free.bounded(request, job(Modality.TEXT)).max_tokens == 0
    assert held.bounded(request, job(Modality.TEXT)).max_tokens == 1024
    assert held.bounded(request, job(Modality.TEXT, max_tokens=5)).max_tokens == 5
