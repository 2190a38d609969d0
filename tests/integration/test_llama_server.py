"""A real llama.cpp server (prebuilt in ``xllamacpp``) with real weights behind ``openai_http`` and the whole chain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from gensafe.core import ids
from gensafe.core.config import Config, EngineConfig
from gensafe.core.errors import BackendUnavailable, Cancelled, ConfigError
from gensafe.core.types import GenerationRequest, Message, Modality, Parameters, Role
from gensafe.pipeline import CallControl, Released, ReleasedText, open_chain, run
from gensafe_backends.smollm2.weights import find_weights

if find_spec("xllamacpp") is None:
    pytest.skip("xllamacpp is not installed", allow_module_level=True)
try:
    WEIGHTS = find_weights()
except ConfigError as error:
    pytest.skip(str(error), allow_module_level=True)

SERVER = """
import sys, time, xllamacpp as x
p = x.CommonParams()
p.model.path, p.n_ctx, p.n_parallel, p.port = sys.argv[1], 4096, 2, 0
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
p.endpoint_metrics = True
s = x.Server(p)
print(s.listening_address, flush=True)
time.sleep(600)
"""


class Llama:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(WEIGHTS)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.url = ""
        for line in self.process.stdout:  # the library prints too
            if line.startswith("http"):
                self.url = line.strip()
                break
        assert self.url

    def working(self) -> int:
        """Slots that compute now."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("llamacpp:requests_processing "):
                    return int(float(line.split()[1]))
        return 0

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def llama() -> Iterator[Llama]:
    server = Llama()
    yield server
    server.stop()


@pytest.fixture
def chain(llama, tmp_path):
    engine = EngineConfig(
        name="llama",
        backend="openai_http",
        options={"url": f"{llama.url}/v1", "model": "m", "dialect": "llama.cpp", "retries": "0"},
        isolated=False,
    )
    with open_chain(Config(data_dir=str(tmp_path), engines=(engine,))) as chain:
        yield chain


def request(seed=7, max_tokens=40):
    return GenerationRequest(
        ids.new_request_id(),
        "Describe a quiet harbor in the morning.",
        Modality.TEXT,
        seed=seed,
        max_tokens=max_tokens,
        messages=(Message(Role.SYSTEM, "You write short, calm prose."),),
        parameters=Parameters(temperature=0.7, top_k=40),
    )


def test_real_text_goes_through_the_whole_chain_and_one_seed_gives_one_text(chain):
    first, again = (
        next(e for e in run(chain, request(), CallControl()) if isinstance(e, Released)).recorded.signed.marked.judged
        for _ in range(2)
    )
    assert first.draft.media == again.draft.media and len(first.draft.media.text) > 40
    record = first.draft.record
    assert record.tokens_in > 10 and record.tokens in range(1, 41) and record.sampling_mark.startswith("not marked")


def test_a_kill_in_mid_story_is_a_clear_failure_and_nothing_is_released(chain, llama):
    events = run(chain, request(max_tokens=400), CallControl())
    next(e for e in events if isinstance(e, ReleasedText))
    os.kill(llama.process.pid, signal.SIGKILL)
    seen = []
    with pytest.raises(BackendUnavailable):
        seen.extend(events)
    assert not any(isinstance(e, Released) for e in seen)
    assert [e.entry["event"] for e in chain.log.entries()][-1] == "generation.failed"
    assert not chain.registry.open_intents()


def test_cancelling_in_mid_story_stops_the_server_s_work(chain, llama):
    try:
        llama.working()
    except OSError:
        pytest.skip("this build of llama.cpp offers no metrics")
    control = CallControl()
    events = run(chain, request(max_tokens=1500), control)
    next(e for e in events if isinstance(e, ReleasedText))
    control.cancel()
    with pytest.raises(Cancelled):
        list(events)
    assert _eventually(lambda: llama.working() == 0)


def _eventually(condition, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False
