"""kill -9 between any two steps: no released byte without a leaf, and the next start leaves nothing open."""

import json

import grpc
import pytest

from gensafe.audit import AuditLog, fsck
from gensafe.client import Client
from gensafe.client.messages import Assembler, generate_request
from gensafe.core import ids
from gensafe.pipeline.chain import FAULT_POINTS
from gensafe.registry import Registry


def entries_of(data_dir) -> list[dict]:
    with AuditLog.open_readonly(data_dir / "log") as log:
        return [dict(e.entry) for e in log.entries()]


POLICY = """base = "balanced"
id = "few"
version = "1"
[classifiers]
text = ["text_rules"]
audio = ["audio_signal"]
"""


def with_few_classifiers(config):
    """What is tried here is the order of steps: classifiers that take seconds to load would only make it slower."""
    policy = config.with_name("policy.toml")
    policy.write_text(POLICY)
    config.write_text(config.read_text() + f'[safety]\npolicy = "{policy}"\n')
    return config


CASES = [(point, "audio") for point in FAULT_POINTS] + [
    (point, "text") for point in ("opened", "generated", "recorded")
]


@pytest.mark.parametrize(("point", "modality"), CASES)
def test_kill_at(point, modality, start_server, write_config, tmp_path):
    config = str(with_few_classifiers(write_config(tmp_path)))
    server = start_server("--config", config, "--test-crash-at", point)
    request = generate_request("a garden", modality, seed=1, request_id=ids.new_request_id())
    received = []
    with Client(server.address) as client:
        with pytest.raises(grpc.RpcError):
            received.extend(client.generation.Generate(request, timeout=60))
    assert server.process.wait(30) == -9

    # 1. no media byte left (text may have streamed, but only after its intent was durable)
    assert not any(e.HasField("media_chunk") or e.HasField("completed") for e in received)
    logged = entries_of(server.data_dir)
    if received:
        assert "generation.opened" in [e["event"] for e in logged]
    released_before = [e for e in logged if e["event"] == "generation.released"]
    assert bool(released_before) == (point in ("recorded", "released"))

    # 2. the next start closes what was open, and the log holds
    server = start_server("--config", config)
    with Registry.open(server.data_dir / "registry", readonly=True) as registry:
        assert registry.open_intents() == []
        assert registry.usage.reserved() == []
        used = [day.spent.requests for day in registry.usage.days(0, 2**50)]
        assert sum(used) == (1 if released_before else 0)  # what a crash cut off costs nothing
    events = [e["event"] for e in entries_of(server.data_dir)]
    assert ("generation.aborted" in events) == (not released_before)

    # 3. a retry under the same id works: it replays what was logged as released, else runs anew
    assembler = Assembler()
    with Client(server.address) as client:
        for event in client.events(request):
            assembler.take(event)
        output = assembler.output()
        proof = json.loads(client.proof(output.record_id).entry_json)["entry"]
    assert proof["output"]["digest"] == output.completed.digest
    released = [e for e in entries_of(server.data_dir) if e["event"] == "generation.released"]
    assert len(released) == 1
    with Registry.open(server.data_dir / "registry", readonly=True) as registry:
        (day,) = registry.usage.days(0, 2**50)
        row = registry.usage.of(int(output.record_id, 16))
    spent = output.completed.usage.spent
    assert day.spent == row.spent and day.spent.requests == 1  # neither lost nor doubled
    assert (spent.audio_ms, spent.tokens) == (
        row.spent.audio_ms,
        row.spent.tokens,
    ) and spent.audio_ms + spent.tokens > 0
    assert server.stop() == 0
    assert fsck(server.data_dir / "log").ok
