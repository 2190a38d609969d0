"""Jobs are rows: they outlive the call that started them, and the process that ran them."""

import base64
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
import standardwebhooks

from gensafe.audit import AuditLog
from gensafe.cli import main
from gensafe.client import Client, ClientOptions
from gensafe.client.messages import generate_request
from gensafe.client.results import Job as ToldJob
from gensafe.client.results import JobState, read
from gensafe.core import errors, ids
from gensafe.core.types import RequestKey
from gensafe.registry import Registry
from gensafe.v1 import common_pb2
from gensafe.v1 import generation_pb2 as pb
from tests.integration.callers import eventually, grpc_models

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

    def write(more="", server=None, **options):
        config = write_config(tmp_path, server={"max_concurrent": 1, "drain_s": 1, **(server or {})}, options=options)
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
            said = standardwebhooks.Webhook(KEY).verify(body, headers)  # id, time and signature, or it raises
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


def test_what_waits_for_a_caller_who_may_no_more_never_runs(configured, start_server, capsys):
    server = start_server(*configured(server={"managed_keys": True}, fail_at="prompt"))

    def gensafe(*words):
        capsys.readouterr()
        assert main([*words, "--actor", "Ada", "--data-dir", str(server.data_dir), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    def client_of(key):
        return Client(ClientOptions(server.address, api_key=key["key"], timeout_s=60))

    create = ("keys", "api", "create", "--reason", "test", "--tenant")
    acme, gone, gone_too, left, other = (
        gensafe(*create, tenant) for tenant in ("acme", "left", "left", "left", "other")
    )
    eventually(lambda: grpc_models(server.address, other["key"]) == "OK")

    def queue(key):
        """Jobs that wait: of a tenant, of a key of another, of an end user of a third."""
        with client_of(acme) as a, client_of(key) as b, client_of(other) as c:
            return a.start("a pond", "text"), b.start("a pond", "text"), c.start("a pond", "text", subject="Zoe")

    def withdraw(key):
        gensafe("keys", "stop", "acme", "--reason", "key leaked")
        gensafe("keys", "api", "revoke", key["key_id"], "--reason", "seen in public")
        assert gensafe("privacy", "erase", "--tenant", "other", "--subject", "Zoe")

    def ended(client, name):
        job = until(client, name, lambda job: job.state != JobState.RUNNING)
        assert job.state == JobState.FAILED
        return job.error_reason

    with client_of(acme) as a, client_of(left) as b, client_of(other) as c:
        finished = c.start("a garden", "text", subject="Zoe")
        assert c.wait(finished, timeout_s=60).completed.generation.model == "simulator"
        running = c.start("a meadow fail_at=wait", "text")
        until(c, running, lambda job: job.started_ms)
        first = queue(gone)
        withdraw(gone)
        assert (ended(a, first[0]), ended(b, first[1])) == ("TENANT_STOPPED", "UNAUTHENTICATED")  # before their turn
        with pytest.raises(errors.TenantStopped):
            a.start("a pond", "text")
        assert c.job(running).state == JobState.RUNNING and c.job(first[2]).started_ms == 0
        c.cancel(running)
        assert ended(c, first[2]) == "NOT_FOUND"
        answer = c.job(finished)  # of an end user who was erased: that there was one, and no more
        assert answer.state == JobState.COMPLETED and not answer.completed.generation.model
        gensafe("keys", "restore", "acme", "--reason", "key replaced")
        running = c.start("a meadow fail_at=wait", "text")
        until(c, running, lambda job: job.started_ms)
        second, stays = queue(gone_too), c.start("a river", "text")
    with Registry.open(server.data_dir / "registry", readonly=True) as registry:
        kept = [registry.jobs.get(RequestKey("other", name)).request for name in (second[2], stays)]
    assert server.stop() == 0, server.log
    withdraw(gone_too)
    files = {digest: (server.data_dir / "registry" / "blobs" / digest[7:9] / digest[9:]).exists() for digest in kept}
    assert list(files.values()) == [False, True]

    server = start_server(*configured(server={"managed_keys": True}), data_dir=server.data_dir)
    with client_of(acme) as a, client_of(left) as b, client_of(other) as c:
        assert c.wait(stays, timeout_s=60).state == JobState.COMPLETED
        found = (ended(a, second[0]), ended(b, second[1]), ended(c, second[2]))
        assert found == ("TENANT_STOPPED", "UNAUTHENTICATED", "NOT_FOUND")
    assert server.stop() == 0, server.log
    entries = entries_of(server.data_dir)
    begun = {entry["request_id"] for entry in entries if entry["event"] == "generation.opened"}
    assert not begun & {*first, *second} and stays in begun
    refused = [entry for entry in entries if entry["event"] == "access.refused"]
    counted = [(entry["tenant"], kind) for entry in refused for kind in entry["refused"] if "waiting job" in kind]
    both = [("acme", "PERMISSION_DENIED waiting job"), ("left", "UNAUTHENTICATED waiting job")]
    assert sorted(counted) == sorted(both * 2)


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
