"""Nobody can stop the service for others: slow readers, full queues, hung steps, silent uploads.

Real servers and sockets. On the older code four callers that did not read held all slots without end, CancelGeneration
of a queued job did not answer, quotas counted Generate only, silent uploads and half-sent headers stayed open.
"""

import hashlib
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gensafe.client import Client, ClientOptions
from gensafe.client.messages import generate_request
from gensafe.core import errors
from gensafe.v1 import audit_pb2, generation_pb2, provenance_pb2, safety_pb2

NOT_READING = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1)]


@pytest.fixture
def simulate(start_server, write_config, tmp_path):
    def start(server=None, arguments=(), environment=None, **options):
        keys = tmp_path / "keys.txt"
        keys.write_text("".join(f"sha256:{hashlib.sha256(k.encode()).hexdigest()} {k}\n" for k in ("alpha", "beta")))
        config = write_config(tmp_path, server={"api_keys": str(keys), "drain_s": 1, **(server or {})}, options=options)
        return start_server("--config", str(config), *arguments, **(environment or {}))

    return start


def client(server, key="alpha", **options):
    return Client(ClientOptions(server.address, api_key=key, **options))


def key_of(name):
    return (("authorization", f"Bearer {name}"),)


@contextmanager
def not_reading(server, key, count):
    """Calls for a picture that read one event and then nothing; no deadline."""
    calls, channels = [], []
    for _ in range(count):
        channel = grpc.insecure_channel(server.address, NOT_READING)
        generate = channel.unary_stream(
            "/gensafe.v1.GenerationService/Generate",
            request_serializer=generation_pb2.GenerateRequest.SerializeToString,
            response_deserializer=generation_pb2.GenerateResponse.FromString,
        )
        call = generate(generate_request("slow", "image"), metadata=key_of(key))
        first = next(call)
        channels.append(channel)
        calls.append((call, first.accepted))
    yield calls
    for channel in channels:
        channel.close()


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        threading.Event().wait(0.05)


def test_callers_that_do_not_read_hold_no_slot_and_are_ended(simulate):
    server = simulate({"max_concurrent": 2, "delivery_timeout_s": 8})
    with not_reading(server, "beta", 2) as calls, client(server, timeout_s=30) as other:
        assert other.generate("a garden", "audio").data
        call, accepted = calls[1]
        wait_until(lambda: server.log.count("does not take its answer") == 2, 90)
        with pytest.raises(grpc.RpcError, match="nobody read"):
            list(call)
        with client(server, "beta") as slow:  # what was released is not lost
            wait_until(lambda: fetched(slow, accepted.record_id))


def fetched(client, record_id):
    with suppress(errors.NotFound):
        return client.fetch(record_id)


def test_a_tenant_has_its_share_of_the_queue_and_turns_are_taken(simulate):
    server = simulate({"max_concurrent": 1, "max_queued": 4, "tenant_share": 0.5}, step_ms="150")
    with client(server, "beta") as greedy, client(server, timeout_s=60) as other:
        started = [start_job(greedy) for _ in range(3)]  # one runs, two wait: its share
        with pytest.raises(errors.Overloaded) as caught:
            greedy.generate("a garden", "audio")
        assert caught.value.retry_after_s > 0
        assert other.generate("a garden", "audio").data
        states = [job_of(greedy, name).state for name in started]
        assert states[2] == generation_pb2.JOB_STATE_RUNNING  # the other's turn came before the third


def start_job(client):
    request = generate_request("a garden", "image")
    client.unary(client.generation.StartGeneration, generation_pb2.StartGenerationRequest(request=request))
    return request.request_id


def job_of(client, name):
    return client.unary(client.generation.GetGeneration, generation_pb2.GetGenerationRequest(request_id=name)).job


def test_cancelling_a_queued_job_and_a_deadline_in_the_queue_answer_at_once(simulate):
    server = simulate({"max_concurrent": 1}, step_ms="60000")  # nothing ever ends by itself
    with client(server) as one:
        running, queued = start_job(one), start_job(one)
        cancel = generation_pb2.CancelGenerationRequest(request_id=queued)
        job = one.generation.CancelGeneration(cancel, timeout=20, metadata=key_of("alpha")).job
        assert job.state == generation_pb2.JOB_STATE_CANCELLED
        assert job_of(one, running).state == generation_pb2.JOB_STATE_RUNNING
        with pytest.raises(errors.DeadlineExceeded):
            with client(server, timeout_s=1) as hasty:
                hasty.generate("a garden", "audio")


@pytest.mark.parametrize("key", ["verify_per_minute", "classify_per_minute", "query_per_minute", "export_per_minute"])
def test_every_kind_of_call_has_a_quota_per_tenant(simulate, key):
    server = simulate({key: 3})
    with client(server) as one, client(server, "beta") as other:

        def call(who):
            kinds = {
                "verify_per_minute": lambda: who.verify(b"x", name="x"),
                "classify_per_minute": lambda: who.unary(
                    who.safety.Classify, safety_pb2.ClassifyRequest(items=[safety_pb2.ClassifyItem(text="x")] * 3)
                ),
                "query_per_minute": lambda: who.unary(who.audit.Query, audit_pb2.QueryRequest()),
                "export_per_minute": lambda: list(
                    who.audit.Export(audit_pb2.ExportRequest(), metadata=key_of(who.options.api_key), timeout=30)
                ),
            }
            kinds[key]()

        for _ in range(5 if key != "classify_per_minute" else 1):
            with suppress(errors.Overloaded, grpc.RpcError):
                call(one)
        with pytest.raises((errors.Overloaded, grpc.RpcError), match="a minute"):
            call(one)
        call(other)


def test_uploads_end_and_share_one_memory(simulate):
    mib = 1 << 20
    limits = {"upload_memory_bytes": 8 * mib, "max_request_bytes": 8 * mib, "upload_idle_s": 15, "http": "127.0.0.1:0"}
    server = simulate(limits)
    release = threading.Event()

    def silent(size):
        for _ in range(size):
            yield provenance_pb2.VerifyRequest(data=bytes(mib))
        release.wait(60)

    with client(server) as one:
        two = [one.provenance.Verify.future(silent(6), metadata=key_of("alpha")) for _ in range(2)]
        codes = {call.exception(120).code().name for call in two}
        assert codes == {"RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}  # one found no memory left, the other was silent
        answer = httpx.post(f"{server.http}/verify", content=iter([bytes(9 * mib)]))
        assert answer.status_code == 413
        release.set()
        assert one.verify(bytes(3 * mib), name="x")  # given back


def test_silent_connections_are_closed(simulate):
    server = simulate({"http": "127.0.0.1:0", "header_timeout_s": 1, "upload_idle_s": 1, "max_calls": 30})
    host, port = server.http.removeprefix("http://").split(":")

    opened = ExitStack()

    def connect(data):
        one = opened.enter_context(socket.create_connection((host, int(port)), timeout=20))
        with suppress(ConnectionError):  # one too many is closed at once
            one.sendall(data)
        return one

    half = [connect(b"GET /verify HTTP/1.1\r\nHost: 127.0.0.1\r\nX-a: ") for _ in range(10)]
    nothing = connect(b"")
    body = connect(b"POST /verify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nabc")
    assert body.recv(100).startswith(b"HTTP/1.1 408")
    assert all(ended(one) for one in (*half, nothing))
    many = [connect(b"") for _ in range(40)]
    wait_until(lambda: sum(closed_now(one) for one in many) >= 10)
    wait_until(lambda: all(closed_now(one) for one in many))
    assert httpx.get(f"{server.http}/healthz").status_code == 200
    opened.close()


def ended(one):
    try:
        return one.recv(10) == b""
    except ConnectionError:
        return True


def closed_now(one):
    one.settimeout(0.01)
    try:
        return one.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_forwarded_addresses_are_believed_from_trusted_proxies_only(simulate):
    for proxies, expected in (("", {200, 429}), ("127.0.0.1", {200})):
        server = simulate({"http": "127.0.0.1:0", "http_per_minute": 3, "trusted_proxies": proxies})
        url = f"{server.http}/softbinding/v1/matches/byBinding"
        sent = {"alg": "x", "value": "AAAA"}
        codes = {httpx.post(url, json=sent, headers={"X-Forwarded-For": f"10.0.0.{i}"}).status_code for i in range(8)}
        assert codes == expected, codes
        assert server.stop() == 0


def test_health_follows_the_log(simulate):
    """The log's folder cannot be written: NOT_SERVING, UNAVAILABLE with a reason, and back without a restart."""
    import resource

    server = simulate({"http": "127.0.0.1:0"})
    pid = server.process.pid
    with client(server) as one, grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        def status(name="gensafe.v1.GenerationService"):
            return stub.Check(health_pb2.HealthCheckRequest(service=name)).status

        assert status() == health_pb2.HealthCheckResponse.SERVING
        old = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, old[1]))
        wait_until(lambda: status() == health_pb2.HealthCheckResponse.NOT_SERVING)
        assert status("gensafe.v1.AuditService") == health_pb2.HealthCheckResponse.SERVING
        assert httpx.get(f"{server.http}/readyz").status_code == 503
        with pytest.raises(grpc.RpcError) as caught:
            list(one.generation.Generate(generate_request("a garden", "audio"), metadata=key_of("alpha"), timeout=30))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        resource.prlimit(pid, resource.RLIMIT_FSIZE, old)
        wait_until(lambda: status() == health_pb2.HealthCheckResponse.SERVING)
        assert httpx.get(f"{server.http}/readyz").status_code == 200
        assert one.generate("a garden", "audio").data


def test_garbage_instead_of_a_message_is_the_callers_fault(simulate):
    """It was UNKNOWN, with the name of a Python exception."""
    server = simulate()
    with grpc.insecure_channel(server.address) as channel:
        for method in ("GenerationService/Generate", "SafetyService/Classify", "AuditService/Query"):
            call = channel.unary_stream(f"/gensafe.v1.{method}")
            with pytest.raises(grpc.RpcError) as caught:
                list(call(b"\xff\xff\xff", metadata=key_of("alpha"), timeout=20))
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        verify = channel.stream_unary("/gensafe.v1.ProvenanceService/Verify")
        with pytest.raises(grpc.RpcError) as caught:
            verify(iter([b"\xff\xff"]), metadata=key_of("alpha"), timeout=20)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "Traceback" not in server.log
