"""Jobs are rows: they outlive the call that started them, and the process that ran them."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import signal
import threading
import time
from typing import ClassVar

import grpc
import httpx
import pytest

from gensafe.audit import AuditLog
from gensafe.client import Client
from gensafe.client.messages import generate_request
from gensafe.client.results import Job as ToldJob
from gensafe.client.results import JobState, read
from gensafe.core import errors, ids
from gensafe.v1 import common_pb2
from gensafe.v1 import generation_pb2 as pb

KEY = bytes(range(32))
POLICY = """base = "balanced"
id = "few"
version = "1"
[classifiers]
text = ["text_rules"]
audio = ["audio_signal"]
"""


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes webhook messages once ``works`` is set; until then it fails."""

    works = False
    got: ClassVar[list] = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        type(self).got.append((self.works, dict(self.headers), body))
        self.send_response(204 if self.works else 503)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    """(class, URL) of a real receiver."""
    kind = type("Fresh", (Receiver,), {"got": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield kind, f"http://127.0.0.1:{server.server_port}/hook"
        server.shutdown()


@pytest.fixture
def configured(write_config, tmp_path):
    """Writes a configuration under which one generation runs and others wait: configured(options of the simulator)."""

    def write(more="", **options):
        config = write_config(tmp_path, server={"max_concurrent": 1, "drain_s": 1}, options=options)
        (tmp_path / "policy.toml").write_text(POLICY)
        config.write_text(config.read_text() + f'[safety]\npolicy = "{tmp_path / "policy.toml"}"\n{more}')
        return "--config", str(config)

    return write


def until(client, name, reached):
    """The job under ``name`` once ``reached`` holds of it."""
    end = time.monotonic() + 60
    while not reached(job := client.job(name)):
        assert time.monotonic() < end, job
        time.sleep(0.05)
    return job


def delivered(kind, names):
    """What the receiver took: request id -> (first type, record id), once it knows of all ``names``."""
    end, found = time.monotonic() + 60, {}
    while not names <= set(found):
        assert time.monotonic() < end, found
        time.sleep(0.1)
        for worked, headers, body in list(kind.got):
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            expected = "v1," + base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
            assert headers["webhook-signature"] == expected
            said = json.loads(body)
            if worked:
                data = said["data"]
                found.setdefault(data["request_id"], (said["type"], data.get("record_id")))
    return found


def entries_of(data_dir):
    with AuditLog.open_readonly(data_dir / "log") as log:
        return [dict(logged.entry) for logged in log.entries()]


def test_a_killed_server_leaves_its_jobs_to_the_next(configured, start_server, receiver, tmp_path):
    kind, url = receiver
    (tmp_path / "secret").write_text("whsec_" + base64.b64encode(KEY).decode())
    hooks = f'[[webhooks]]\nurl = "{url}"\nsecret = "{tmp_path / "secret"}"\nprivate = true\n'
    server = start_server(*configured(hooks, fail_at="prompt"), "--http", "127.0.0.1:0")
    wish = {"prompt": "a lighthouse fail_at=start"}
    made = httpx.post(server.http + "/v1/videos", json=wish).json()
    video = made["id"]
    with Client(server.address) as client:
        finished = client.start("a garden", "audio")
        told = client.wait(finished)
        assert told.state == JobState.COMPLETED, told
        assert told.created_ms <= told.started_ms <= told.ended_ms
        bytes_before = client.fetch(told.completed.record_id)
        assert client.wait(made["gensafe"]["request_id"]).state == JobState.FAILED
        failed = httpx.get(f"{server.http}/v1/videos/{video}").json()
        assert failed["error"]["code"] == "backend_failed"
        running = client.start("a meadow fail_at=hang", "audio")
        under_way = until(client, running, lambda job: job.progress.done >= 2)
        assert under_way.state == JobState.RUNNING and under_way.remaining_ms > 0
        queued = [client.start(f"pond {number}", "audio", seed=number) for number in range(2)]
        waits = client.job(queued[0])
        assert (waits.state, waits.started_ms) == (JobState.RUNNING, 0)
    end = time.monotonic() + 60
    while not kind.got:  # it is told, and fails
        assert time.monotonic() < end
        time.sleep(0.1)
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait(30)
    kind.works = True

    server = start_server(*configured(hooks), "--http", "127.0.0.1:0", data_dir=server.data_dir)
    with Client(server.address) as client:
        # finished: the same answer, and the same bytes
        assert client.job(finished) == told
        assert client.fetch(told.completed.record_id) == bytes_before
        assert httpx.get(f"{server.http}/v1/videos/{video}").json() == failed
        assert [one["id"] for one in httpx.get(server.http + "/v1/videos").json()["data"]] == [video]
        assert httpx.delete(f"{server.http}/v1/videos/{video}").json()["deleted"]
        assert httpx.get(server.http + "/v1/videos").json()["data"] == []
        # it had begun: a failure that says so, in the log too
        cut_off = client.job(running)
        assert (cut_off.state, cut_off.error_reason) == (JobState.FAILED, "INTERRUPTED")
        assert "start it again" in cut_off.error_message
        aborted = [e for e in entries_of(server.data_dir) if e["event"] == "generation.aborted"]
        assert [e["request_id"] for e in aborted] == [running]
        # they waited: they run now, and are what was asked for
        assert [client.wait(name, timeout_s=120).state for name in queued] == [JobState.COMPLETED] * 2
        assert [client.job(name).completed.generation.seed for name in queued] == [0, 1]
        names = [job.request_id for job in client.jobs()]
        assert names == [*reversed(queued), running, finished]  # the video was deleted
        # the one that was cut off runs again under its id, and nothing else may
        with pytest.raises(errors.Conflict):
            client.start("a river", "audio", request_id=running)
        assert client.wait(client.start("a meadow fail_at=hang", "audio", request_id=running)).completed.record_id
        told_of = delivered(kind, {finished, running, *queued, made["gensafe"]["request_id"]})
    assert told_of[finished] == ("generation.completed", told.completed.record_id)
    assert told_of[running][0] == "generation.failed" and told_of[queued[0]][0] == "generation.completed"
    released = [e["request_id"] for e in entries_of(server.data_dir) if e["event"] == "generation.released"]
    assert sorted(released) == sorted([finished, running, *queued])


def test_a_server_that_stops_leaves_what_waits_and_says_what_it_cut_off(configured, start_server):
    server = start_server(*configured(step_ms="700"))  # of each of eight steps: more than it is given to end
    with Client(server.address) as client:
        running = client.start("a meadow", "audio")
        until(client, running, lambda job: job.progress.done >= 1)
        cancelled, queued = client.start("a pond", "audio"), client.start("a garden", "audio")
        assert client.cancel(cancelled).state == JobState.CANCELLED
    assert server.stop() == 0, server.log
    server = start_server(*configured(), data_dir=server.data_dir)
    with Client(server.address) as client:
        assert client.job(running).error_reason == "INTERRUPTED"
        assert client.job(cancelled).state == JobState.CANCELLED
        assert client.wait(queued, timeout_s=60).state == JobState.COMPLETED


def test_list_goes_by_pages_and_kinds(simulated):
    with Client(simulated.address) as client:
        names = [client.start(f"garden {number}", "text") for number in range(3)]
        for name in names:
            client.wait(name)
        ask, found = pb.ListGenerationsRequest(page_size=2, modality=common_pb2.MODALITY_TEXT), []
        while not set(names) <= set(found):
            page = client.unary(client.generation.ListGenerations, ask)
            assert len(page.jobs) <= 2
            found += [job.request_id for job in page.jobs]
            ask.page_token = page.next_page_token
        assert [name for name in found if name in names] == names[::-1]
        for wrong, field in (({"page_size": 101}, "page_size"), ({"page_token": "x"}, "page_token")):
            with pytest.raises(grpc.RpcError, match=f"(?s)INVALID_ARGUMENT.*{field}"):
                client.generation.ListGenerations(pb.ListGenerationsRequest(**wrong))
        with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
            client.generation.GetGeneration(pb.GetGenerationRequest(request_id=ids.new_request_id()))


def test_two_starts_at_once_are_one_job(simulated):
    request = generate_request("a garden", "audio", request_id=ids.new_request_id())
    with Client(simulated.address) as client:
        start = pb.StartGenerationRequest(request=request)
        calls = [client.generation.StartGeneration.future(start, timeout=60) for _ in range(8)]
        assert {call.result().job.request_id for call in calls} == {request.request_id}
        ended = client.wait(request.request_id)
        assert read(ToldJob, client.unary(client.generation.StartGeneration, start).job) == ended
        assert [job.request_id for job in client.jobs()].count(request.request_id) == 1
