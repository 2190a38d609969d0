"""kill -9 of an engine's process at each step of a request, seen by a caller of a real server.

Whatever the step: the call fails with UNAVAILABLE, no part of a medium has left, the log says how it ended, no intent
stays open, and the next request works.
"""

import json

import grpc
import pytest

from gensafe.client import Client
from gensafe.client.messages import Assembler, generate_request
from gensafe.registry import Registry
from gensafe.v1 import audit_pb2

STEPS = [
    ("die-first", "text"),  # before the first piece
    ("die", "text"),  # mid-stream
    ("die-last", "text"),  # after the last piece, before the record of how it was made
    ("die-sending", "image"),  # in the hand-over of the arrays
    ("die-sending", "audio"),
    ("die-sending", "video"),  # the frames are handed over, the sound is not
]


@pytest.fixture(scope="module")
def failing(tmp_path_factory, server_process):
    folder = tmp_path_factory.mktemp("killed")
    config = folder / "config.toml"
    config.write_text('[[engines]]\nname = "one"\nbackend = "simulator"\noptions = { fail_at = "prompt" }\n')
    running = server_process(folder / "data", ("--config", str(config)))
    running.start()
    yield running
    assert running.stop() == 0, running.log


def entries_of(client) -> list[dict]:
    entries = client.unary(client.audit.Query, audit_pb2.QueryRequest(page_size=1000)).entries
    return [json.loads(e.json)["entry"] for e in entries]


@pytest.mark.parametrize(("step", "modality"), STEPS)
def test_killed_at(failing, step, modality):
    received = []
    with Client(failing.address) as client:
        request = generate_request(f"a garden fail_at={step}", modality, seed=1)
        with pytest.raises(grpc.RpcError) as failure:
            received.extend(client.generation.Generate(request, timeout=60))
        assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "signal 9" in failure.value.details()
        assert not any(e.HasField("media_chunk") or e.HasField("completed") for e in received)
        last = [e for e in entries_of(client) if e.get("request_id") == request.request_id][-1]
        assert (last["event"], last["reason"]) == ("generation.failed", "BACKEND_UNAVAILABLE")
        with Registry.open(failing.data_dir / "registry", readonly=True) as registry:
            assert registry.open_intents() == []
        assembler = Assembler()
        for event in client.events(generate_request("a garden", "text", seed=1)):
            assembler.take(event)
        proof = json.loads(client.proof(assembler.output().record_id).entry_json)["entry"]
        assert proof["event"] == "generation.released"
