"""What is counted, who may read it, and what the shipped rules and dashboard ask for.

Before: there was no /metrics and no /livez, /readyz said nothing about signing or engines, and gRPC health stayed
SERVING while nothing could be signed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from gensafe.audit.signatures import SignatureJournal
from gensafe.core.config import Config, QuotaConfig, ServerConfig, UsageConfig
from gensafe.core.errors import BackendUnavailable, Cancelled, SigningFailed
from gensafe.core.observer import (
    OUTCOMES,
    STAGES,
    CallEnded,
    ClassifierRan,
    EngineRan,
    QuotaRefused,
    RequestEnded,
    StageRan,
    Stopwatch,
    Used,
    Verified,
    timed,
)
from gensafe.core.types import GenerationRequest, Modality
from gensafe.core.types.usage import Amounts
from gensafe.pipeline.metering import Meter
from gensafe.pipeline.watched import watched
from gensafe.server.api_keys import ApiKeys
from gensafe.server.health import DRAINING, ENGINE_REST_S, Health, probe
from gensafe.server.http import create_app
from gensafe.server.limits import Limits
from gensafe.server.metrics import Metrics
from gensafe.verify import VerifyContext

OBSERVABILITY = Path(__file__).resolve().parents[3] / "deploy" / "observability"
NAME = re.compile(r"\bgensafe_[a-z_]+\b|\bprocess_[a-z_]+\b")


class Chain:
    """As much of a chain as health and gauges read, with a real engine record."""

    def __init__(self, tmp_path: Path) -> None:
        (tmp_path / "log").mkdir(exist_ok=True)
        quotas = (QuotaConfig(cost=4.0), QuotaConfig(key="k", tokens=10))
        self.config = Config(data_dir=str(tmp_path), usage=UsageConfig(quotas=quotas))
        self.meter = Meter(self.config.usage)
        used = {("alpha", "", "day"): Amounts(micros=1_000_000), ("beta", "", "day"): Amounts(micros=3_000_000)}
        used["beta", "k", "day"] = Amounts(tokens=1, micros=3_000_000)
        self.registry = SimpleNamespace(holds=tuple, usage=SimpleNamespace(running=lambda periods: used))
        self.engines = [
            SimpleNamespace(name=name, health=SimpleNamespace(ok=True, reason="", since=0.0)) for name in ("a", "b")
        ]
        journal = SignatureJournal(tmp_path / "signatures.journal")
        self.signing = SimpleNamespace(
            down=False, outside=False, problems=tuple, try_again=lambda: None, journal=journal
        )
        self.log = SimpleNamespace(size=7, checkpoint_ms=1_000, append=lambda entry: None)
        self.clock = SimpleNamespace(now_ms=lambda: 3_000)
        self.ledger = SimpleNamespace(owing=2)


@pytest.fixture
def everything(tmp_path):
    """Metrics that have heard one of each."""
    metrics = Metrics()
    metrics.watch(Chain(tmp_path), Limits(ServerConfig()))
    metrics.observe(RequestEnded("image", "completed", bytes_released=10))
    metrics.observe(RequestEnded("text", "blocked", "hte", "alpha"))
    metrics.observe(Used("audio", "alpha", Amounts(1, audio_ms=1500, engine_ms=250, micros=20_000)))
    metrics.observe(QuotaRefused("video", "alpha", budget=True))
    metrics.observe(StageRan("mark", "image", 0.2))
    metrics.observe(ClassifierRan("text_rules", "text", "failed", 0.1, "TIMED_OUT"))
    metrics.observe(EngineRan("a", "ok", 1.0))
    metrics.observe(Verified("altered"))
    metrics.observe(CallEnded("grpc", "/gensafe.v1.GenerationService/Generate", "OK", 0.5, "alpha"))
    return metrics


def names(metrics: Metrics) -> set[str]:
    return {sample.name for family in metrics.registry.collect() for sample in family.samples}


def test_every_observation_is_counted(everything):
    text = everything.exposition().decode()
    for line in (
        'gensafe_requests_total{modality="text",outcome="blocked",reason="hte"} 1.0',
        'gensafe_released_bytes_total{modality="image"} 10.0',
        'gensafe_used_audio_seconds_total{modality="audio"} 1.5',
        'gensafe_used_engine_seconds_total{modality="audio"} 0.25',
        'gensafe_used_cost_total{modality="audio"} 0.02',
        'gensafe_used_tokens_total{modality="text"} 0.0',  # a rate sees the first
        'gensafe_quota_refused_total{limit="budget",modality="video"} 1.0',
        'gensafe_quota_used_ratio{period="day",unit="cost"} 0.75',  # of the fullest tenant
        'gensafe_quota_used_ratio{period="day",unit="tokens"} 0.1',
        'gensafe_stage_seconds_count{modality="image",stage="mark"} 1.0',
        'gensafe_classifier_runs_total{classifier="text_rules",modality="text",reason="TIMED_OUT",result="failed"} 1.0',
        'gensafe_engine_runs_total{engine="a",result="ok"} 1.0',
        'gensafe_verifications_total{conclusion="altered"} 1.0',
        'gensafe_queue_waiting{kind="generation"} 0.0',
        "gensafe_log_entries 7.0",
        "gensafe_checkpoint_age_seconds 2.0",
        "gensafe_registry_owed 2.0",
    ):
        assert line in text


def test_tenants_are_labels_only_where_the_configuration_says_so(everything):
    assert "alpha" not in everything.exposition().decode()
    asked = Metrics(tenants=True)
    asked.observe(RequestEnded("text", "completed", "", "alpha"))
    assert 'tenant="alpha"' in asked.exposition().decode()


@pytest.mark.parametrize(("names", "named"), [((), 50), (("t3", "t60"), 2)])
def test_so_many_tenants_are_named_and_the_rest_is_other(tmp_path, names, named):
    metrics = Metrics(tenants=True, names=names)
    metrics.observe(CallEnded("grpc", "m", "UNAUTHENTICATED", 0.1))  # nobody's: takes no place
    for number in range(70):
        metrics.observe(Used("text", f"t{number}", Amounts(1, tokens=2)))
    metrics.watch(Chain(tmp_path), Limits(ServerConfig()))
    text = metrics.exposition().decode()
    found = dict(re.findall(r'gensafe_used_tokens_total{modality="text",tenant="(.+)"} (.+)', text))
    assert len(found) == named + 1 and found["other"] == f"{2.0 * (70 - named)}" and found["t3"] == "2.0"
    assert 'gensafe_quota_used_ratio{period="day",tenant="other",unit="cost"} 0.75' in text


def test_counting_is_safe_between_threads():
    metrics = Metrics()

    def count():
        for _ in range(500):
            metrics.observe(RequestEnded("text", "completed"))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (
        'gensafe_requests_total{modality="text",outcome="completed",reason=""} 4000.0' in metrics.exposition().decode()
    )


def request() -> GenerationRequest:
    return GenerationRequest(request_id="r", tenant="alpha", modality=Modality.TEXT, prompt="secret words")


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (SigningFailed("x"), "failed", "SIGNING_FAILED"),
        (Cancelled("x"), "cancelled", "CANCELLED"),
        (ValueError("secret words"), "failed", "INTERNAL"),
    ],
)
def test_an_error_is_counted_by_its_reason(error, outcome, reason):
    def events():
        yield SimpleNamespace()
        raise error

    seen = []
    with pytest.raises(type(error)):
        list(watched(seen.append, request(), events()))
    assert seen == [RequestEnded("text", outcome, reason, "alpha")]
    assert outcome in OUTCOMES


def test_a_caller_who_leaves_is_counted_and_the_work_is_closed():
    closed = []

    def events():
        try:
            yield SimpleNamespace()
            yield SimpleNamespace()
        finally:
            closed.append(True)

    seen = []
    running = watched(seen.append, request(), events())
    next(running)
    running.close()
    assert closed == [True]
    assert [(one.outcome, one.reason) for one in seen] == [("cancelled", "CANCELLED")]


def test_a_stage_that_fails_is_timed_too():
    seen = []
    with pytest.raises(ValueError), timed(seen.append, "sign", "text"):
        raise ValueError
    assert seen[0].stage in STAGES and seen[0].seconds >= 0
    watch = Stopwatch()
    assert list(watch.over(iter("abc"))) == ["a", "b", "c"]


# --- health ----------------------------------------------------------------------------------------------------------


def test_what_cannot_sign_is_not_ready_and_still_verifies(tmp_path):
    chain, health, tried = Chain(tmp_path), Health(), []
    health.probed(probe(chain))
    assert health.ready and health.can_log
    chain.signing = SimpleNamespace(
        down=True,
        outside=False,
        problems=lambda: ("signing: no token",),
        try_again=lambda: tried.append(1),
        journal=chain.signing.journal,
    )
    health.probed(probe(chain))
    assert not health.ready and health.can_log and tried
    assert health.parts(chain)["signing"] == "signing: no token"
    chain.signing.down = False
    health.probed(probe(chain))
    assert health.ready


def test_one_engine_down_is_said_and_all_down_is_not_ready(tmp_path, monkeypatch):
    chain, health, now = Chain(tmp_path), Health(), [1000.0]
    monkeypatch.setattr("gensafe.server.health.time.monotonic", lambda: now[0])
    down = SimpleNamespace(ok=False, reason="it ended", since=1000.0)
    chain.engines[0].health = down
    health.probed(probe(chain))
    assert health.ready and health.parts(chain)["engine a"] == "it ended"
    chain.engines[1].health = down
    health.probed(probe(chain))
    assert not health.ready and health.parts(chain)["engines"]
    now[0] += ENGINE_REST_S  # somebody must be let through to show that it works again
    health.probed(probe(chain))
    assert health.ready


def test_draining_is_a_part(tmp_path):
    health = Health()
    health.draining = True
    assert not health.ready and not health.can_log
    assert health.parts(Chain(tmp_path))["admission"] == DRAINING


# --- who may read it -------------------------------------------------------------------------------------------------


def client(app, address="127.0.0.1"):
    transport = httpx.ASGITransport(app=app, client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


@pytest.fixture
def keys(tmp_path):
    import hashlib

    def line(key, rest):
        return f"sha256:{hashlib.sha256(key.encode()).hexdigest()} {rest}\n"

    path = tmp_path / "keys"
    path.write_text(line("watcher", "ops metrics") + line("tenant", "alpha") + line("auditor", "alpha audit"))
    return ApiKeys(path)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("address", "headers", "code"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.1"}, 401),  # a proxy on this machine speaks for a stranger
        ("127.0.0.1", {"Forwarded": "for=192.0.2.1"}, 401),
        ("192.0.2.1", {}, 401),
        ("192.0.2.1", {"Authorization": "Bearer watcher"}, 200),
        ("192.0.2.1", {"Authorization": "Bearer tenant"}, 401),  # no roles named = those of one tenant
        ("192.0.2.1", {"Authorization": "Bearer auditor"}, 401),
        ("192.0.2.1", {"Authorization": "Bearer wrong"}, 401),
    ],
)
async def test_metrics_cover_all_tenants_so_they_are_for_operators(keys, everything, address, headers, code):
    app = create_app(VerifyContext(), keys=keys, metrics=everything)
    async with client(app, address) as one:
        assert (await one.get("/metrics", headers=headers)).status_code == code
        for path in ("/livez", "/healthz", "/readyz"):
            assert (await one.get(path, headers=headers)).status_code == 200


@pytest.mark.asyncio
async def test_a_path_that_is_not_served_is_no_label():
    metrics = Metrics()
    async with client(create_app(VerifyContext(), metrics=metrics)) as one:
        await one.get("/secret/path")
        await one.request("BREW", "/verify")
        await one.get("/static/none.css")
    text = metrics.exposition().decode()
    assert "secret" not in text and "BREW" not in text and "none.css" not in text
    assert 'gensafe_calls_total{code="404",method="GET /static/{name}",protocol="http"} 1.0' in text
    assert 'method="GET unknown"' in text


# --- what is shipped for operators -----------------------------------------------------------------------------------


def queries() -> list[str]:
    rules = (OBSERVABILITY / "alerts.yml").read_text("utf-8")
    found = re.findall(r"^\s+expr: (.+)$", rules, re.MULTILINE)
    dashboard = json.loads((OBSERVABILITY / "dashboard.json").read_text("utf-8"))
    found += [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return found


def test_every_query_names_metrics_that_exist(everything):
    asked = {name for query in queries() for name in NAME.findall(query)}
    assert len(asked) >= 12
    assert asked - names(everything) == set()


def test_every_query_names_outcomes_and_results_that_exist():
    known = {"outcome": set(OUTCOMES), "result": {"clear", "found", "failed"}}
    for label, values in known.items():
        asked = {v for q in queries() for m in re.findall(rf'{label}=~?"([^"]+)"', q) for v in m.split("|")}
        assert asked and asked <= values


def test_the_dashboard_shows_every_metric(everything):
    asked = {name.removesuffix("_bucket") for query in queries() for name in NAME.findall(query)}
    ours = {family.name for family in everything.registry.collect() if family.name.startswith("gensafe_")}
    shown = {name for name in ours if any(one.startswith(name) for one in asked)}
    assert ours - shown == set()


def test_promtool_accepts_the_rules():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (apt: prometheus)")
    done = subprocess.run(
        [promtool, "check", "rules", OBSERVABILITY / "alerts.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_exposition(everything):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (apt: prometheus)")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=everything.exposition(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_engine_says_since_when_it_is_down():
    from gensafe.engines.engine import Engine

    def generate(*_):
        raise BackendUnavailable("it ended")
        yield

    engine = Engine("a", SimpleNamespace(generate=generate), {}, None)
    with pytest.raises(BackendUnavailable):
        list(engine.generate(None, None, lambda: False))
    assert not engine.health.ok and engine.health.since > 0
    assert replace(engine.health, since=0.0).reason == "it ended"
