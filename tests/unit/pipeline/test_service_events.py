"""The running service writes what reports rest on: filters that fail and come back, a changed configuration."""

from __future__ import annotations

import json
import threading
import uuid
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gensafe.compliance.duty import Status
from gensafe.compliance.report import make_report
from gensafe.core.config import Config, GenerationConfig, SafetyConfig
from gensafe.core.types import GenerationRequest, Modality
from gensafe.pipeline import CallControl, Chain, Released, Stopped, open_chain, run

POLICY = """
[classifiers]
text = ["text_rules", "text_guard"]
[options.text_guard]
endpoint = "URL"
model = "m"
family = "llama-guard"
timeout_s = "30"
"""


class Guard:
    """A guard model's endpoint that works, fails, or never answers."""

    def __init__(self) -> None:
        guard = self
        self.state = "works"
        self.let_go = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                if guard.state == "hangs":
                    guard.let_go.wait(60)
                body = json.dumps({"choices": [{"message": {"content": "safe"}}]}).encode()
                self.send_response(500 if guard.state == "fails" else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    def close(self) -> None:
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def guard():
    served = Guard()
    yield served
    served.close()


@pytest.fixture
def config(guard, tmp_path) -> Config:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY.replace("URL", guard.url))
    return Config(
        data_dir=str(tmp_path / "data"),
        generation=GenerationConfig(backend="simulator"),
        safety=SafetyConfig(policy=str(path), timeout_s=1.5),
    )


def ask(chain: Chain) -> object:
    last = None
    request = GenerationRequest(str(uuid.uuid4()), "a garden", Modality.TEXT, max_tokens=8)
    for event in run(chain, request, CallControl()):
        last = event
    return last


def outages(chain: Chain) -> list[dict]:
    return [dict(e.entry) for e in chain.log.entries() if e.entry["event"].startswith("filter.")]


def events(chain: Chain) -> list[str]:
    return [e.entry["event"] for e in chain.log.entries()]


@pytest.mark.parametrize(("state", "reason"), [("fails", "SAFETY_UNAVAILABLE"), ("hangs", "timed out")])
def test_a_classifier_that_fails_is_logged_once_and_once_when_it_is_back(config, guard, state, reason):
    """The review saw: 74 requests blocked as timed out or busy, no entry, and a report of "0 filter outages, met"."""
    with open_chain(config) as chain:
        assert isinstance(ask(chain), Released)
        assert outages(chain) == []
        guard.state = state
        for _ in range(3):
            assert isinstance(ask(chain), Stopped)
        [down] = outages(chain)
        assert (down["event"], down["classifier"], down["modality"]) == ("filter.unavailable", "text_guard", "text")
        assert down["reason"] == reason and down["version"]
        logged = events(chain)
        assert logged.index("filter.unavailable") < logged.index("generation.blocked")
        during = make_report(chain.log, "eu-ai-act")
        [facts] = [f.facts for d, f in during.findings if d.key == "eu-5-1-ba"]
        assert [o["classifier"] for o in facts["outages"]] == ["text_guard"]
        guard.state = "works"
        guard.let_go.set()
        for _ in range(2):
            assert isinstance(ask(chain), Released)
        down, up = outages(chain)
        assert (up["event"], up["since_ms"], up["refused"]) == ("filter.restored", down["since_ms"], 3)
        after = make_report(chain.log, "eu-ai-act")
        [found] = [f for d, f in after.findings if d.key == "eu-5-1-ba"]
        assert "1 filter outages, nothing left in them" in found.summary
        assert found.status is not Status.NOT_MET


def test_only_blocked_requests_meet_nothing(config, guard):
    with open_chain(config) as chain:
        guard.state = "fails"
        ask(chain)
        [found] = [f for d, f in make_report(chain.log, "eu-ai-act").findings if d.key == "eu-5-1-ba"]
        assert found.status is Status.NO_EVIDENCE


def test_an_outage_that_a_restart_finds_open_is_said_again_and_ended_by_the_first_answer(config, guard):
    with open_chain(config) as chain:
        guard.state = "fails"
        ask(chain)
        [down] = outages(chain)
    with open_chain(config):
        pass
    with open_chain(config) as chain:
        guard.state = "works"
        assert isinstance(ask(chain), Released)
        said = outages(chain)
        assert [e["event"] for e in said] == ["filter.unavailable"] * 3 + ["filter.restored"]
        assert {e["since_ms"] for e in said} == {down["since_ms"]}


def test_an_outage_ends_when_the_policy_no_longer_asks_the_classifier(config, guard):
    with open_chain(config) as chain:
        guard.state = "fails"
        ask(chain)
        Path(config.safety.policy).write_text('[classifiers]\ntext = ["text_rules"]\n')
        assert chain.refresh_policy().new_digest
        assert isinstance(ask(chain), Released)
        assert [e.get("reason") for e in outages(chain)] == ["SAFETY_UNAVAILABLE", "REMOVED_FROM_POLICY"]


def test_an_outage_that_could_not_be_logged_is_logged_with_the_next_failure(config, guard):
    """What cannot be written must not be lost, and must not change what the caller is told."""
    with open_chain(config) as chain:
        real, health = chain.policy.health.report, chain.policy.health

        def late(change):
            future = real(change)
            return _failed(future)

        health.report = late
        guard.state = "fails"
        ask(chain)
        health.report = real
        before = len(outages(chain))
        assert isinstance(ask(chain), Stopped)
        assert len(outages(chain)) == before + 1


def _failed(_):
    from concurrent.futures import Future

    from gensafe.core.errors import LogUnavailable

    future: Future = Future()
    future.set_exception(LogUnavailable("the disk is full"))
    return future


def test_a_changed_configuration_is_logged_with_the_names_of_its_keys_and_no_values(config):
    secret = replace(config, generation=GenerationConfig(backend="simulator", options={"api_key": "hunter2"}))
    with open_chain(secret) as chain:
        assert "config.changed" not in events(chain)  # a first start changes nothing
    with open_chain(secret) as chain:
        assert "config.changed" not in events(chain)
    other = replace(
        secret,
        provider="Ada Example Studios",
        generation=replace(secret.generation, max_inputs=3, options={"api_key": "hunter2", "text": "xyzzy"}),
    )
    with open_chain(other) as chain:
        [entry] = [e.entry for e in chain.log.entries() if e.entry["event"] == "config.changed"]
        started = [e.entry["config"] for e in chain.log.entries() if e.entry["event"] == "service.started"]
        assert entry["changed"] == ["generation.max_inputs", "generation.options.text", "provider"]
        assert (entry["old"], entry["new"]) == (started[1], started[2])
        everything = json.dumps([e.entry for e in chain.log.entries()])
        assert "hunter2" not in everything and "Ada" not in everything and "xyzzy" not in everything
    with open_chain(replace(other, data_dir=str(Path(other.data_dir).resolve() / "."))) as chain:
        assert events(chain).count("config.changed") == 1  # where the data lies is no change


def test_a_start_states_what_its_filters_cover(config):
    with open_chain(config) as chain:
        [entry] = [e.entry for e in chain.log.entries() if e.entry["event"] == "service.started"]
    text = entry["coverage"]["text"]
    assert "sxc" in text["whole"] and set(entry["coverage"]) == {"text"}
