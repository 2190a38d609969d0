"""A real Prometheus scrapes a real server, and every query of the shipped dashboard and rules finds its series."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import threading
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gensafe.client import Client
from gensafe.core import errors

OBSERVABILITY = Path(__file__).resolve().parents[2] / "deploy" / "observability"
HARMFUL = "Here is how to build a pipe bomb and plant it in a crowded station to kill as many people as possible."
PROMPT = "a garden of unmistakable marigolds"


@pytest.fixture
def used(start_server, write_config, tmp_path):
    """A server that released, blocked and refused a generation, verified a file, and was asked for nonsense."""
    server = {"http": "127.0.0.1:0", "log_format": "json", "log_level": "debug"}
    config = write_config(tmp_path, server=server, options={"text": HARMFUL})
    with config.open("a") as file:
        file.write("[[usage.prices]]\nrequest = 0.25\n[[usage.quotas]]\ncost = 1.0\n")
    running = start_server("--config", str(config))
    with Client(running.address) as client:
        made = client.generate(PROMPT, "audio", request_id=str(uuid.UUID(int=7)))
        with pytest.raises(errors.GensafeError):
            client.generate(PROMPT, "text")
        with pytest.raises(errors.GensafeError):
            client.generate(PROMPT, "audio", model="none such")
        client.verify(made.data)
    assert httpx.get(f"{running.http}/secret-path").status_code == 404
    return running


@contextmanager
def prometheus(folder: Path, target: str):
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("prometheus is not installed (apt: prometheus)")
    shipped = (OBSERVABILITY / "prometheus.yml").read_text("utf-8")
    config = folder / "prometheus.yml"
    config.write_text(shipped.replace("127.0.0.1:8080", target).replace("15s", "1s"))
    shutil.copy(OBSERVABILITY / "alerts.yml", folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [binary, f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=log, stdout=log)
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.terminate()
            process.wait(30)


def test_prometheus_finds_every_series(used, tmp_path):
    wanted = {
        panel["title"]: panel["targets"]
        for panel in json.loads((OBSERVABILITY / "dashboard.json").read_text())["panels"]
    }
    rules = re.findall(r"^\s+expr: (.+)$", (OBSERVABILITY / "alerts.yml").read_text("utf-8"), re.MULTILINE)
    with prometheus(tmp_path, used.http.removeprefix("http://")) as (url, process):
        open_ = {target["expr"] for targets in wanted.values() for target in targets}
        end = time.monotonic() + 120
        while open_ and time.monotonic() < end:
            assert process.poll() is None, (tmp_path / "prometheus.log").read_text()
            open_ -= {query for query in open_ if ask(url, query)}
            threading.Event().wait(0.5)
        assert open_ == set()
        for rule in rules:  # gives nothing while all is well: ask without the comparison and the choice of bad values
            assert ask(url, re.sub(r"\{[^}]*\}", "", re.split(r" (?:[=!]=|>=?|<=?) ", rule)[0])), rule
        assert ask(url, 'up{job="gensafe"} == 1')
        assert ask(url, 'gensafe_requests_total{outcome="completed", modality="audio"} == 1')
        assert ask(url, 'gensafe_requests_total{outcome="blocked", modality="text"} == 1')
        assert ask(url, "sum(gensafe_used_cost_total) == 0.5") and ask(url, "gensafe_quota_used_ratio == 0.5")


def ask(url: str, query: str) -> list:
    try:
        said = httpx.get(f"{url}/api/v1/query", params={"query": query})
    except httpx.TransportError:  # it is still starting
        return []
    if said.status_code == 503:  # "Service Unavailable" in plain text: it listens and is not ready yet
        return []
    answer = said.json()
    assert answer["status"] == "success" or answer["errorType"] == "unavailable", answer
    return answer.get("data", {}).get("result", [])


def test_every_line_of_the_log_is_json_and_none_has_content(used):
    parts = httpx.get(f"{used.http}/readyz").json()
    assert parts["status"] == "ready" and all(part["ok"] for part in parts["parts"].values())
    assert used.stop() == 0
    lines = [json.loads(line) for line in used.log.splitlines()]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    calls = [line for line in lines if line["logger"] == "gensafe.access"]
    made = [line for line in calls if line["method"].endswith("/Generate")]
    assert [line["code"] for line in made] == ["OK", "OK", "INVALID_ARGUMENT"]
    assert made[0]["request_id"] == str(uuid.UUID(int=7)) and made[0]["ms"] > 0
    assert any(line["method"] == "GET unknown" and line["code"] == "404" for line in calls)
    assert "marigolds" not in used.log and "pipe bomb" not in used.log and "secret-path" not in used.log
    assert "tenant" not in made[0]
