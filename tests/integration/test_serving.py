"""Deadlines, cancellation, overload, identities, TLS, failures of backends, and graceful shutdown."""

import hashlib
import json
import subprocess
import sys
import threading
import time

import grpc
import httpx
import pytest

from gensafe.client import Client, ClientOptions
from gensafe.client.messages import generate_request
from gensafe.client.statuses import Blocked
from gensafe.core import errors
from gensafe.v1 import audit_pb2, generation_pb2


def events_of(client) -> list[dict]:
    entries = client.unary(client.audit.Query, audit_pb2.QueryRequest(page_size=1000)).entries
    return [json.loads(e.json)["entry"] for e in entries]


@pytest.fixture
def simulate(start_server, write_config, tmp_path):
    def start(server=None, **options):
        return start_server("--config", str(write_config(tmp_path, server=server, options=options)))

    return start


def test_cancel_stops_generation_and_is_logged(simulate):
    server = simulate(step_ms="200")
    with Client(server.address) as client:
        call = client.generation.Generate(generate_request("a garden", "image"), timeout=60)
        assert next(call).HasField("accepted")
        call.cancel()
        with pytest.raises(grpc.RpcError):
            list(call)
        # the server is done with it once another request got through its single queue and the log shows the end
        client.generate("a garden", "audio")
        ended = [e for e in events_of(client) if e["event"] == "generation.cancelled"]
    assert len(ended) == 1
    assert ended[0]["stage"] == "generate"


def test_deadline_stops_generation(simulate):
    server = simulate(step_ms="300")
    with Client(ClientOptions(server.address, timeout_s=0.8)) as hasty, pytest.raises(errors.DeadlineExceeded):
        hasty.generate("a garden", "image")
    with Client(server.address) as client:
        client.generate("a garden", "audio")
        assert "generation.cancelled" in [e["event"] for e in events_of(client)]


@pytest.mark.parametrize(
    ("fail_at", "reason"), [("start", "BACKEND_FAILED"), ("middle", "BACKEND_FAILED"), ("crash", "BACKEND_FAILED")]
)
def test_backend_failures_release_nothing_and_are_logged(simulate, fail_at, reason):
    server = simulate(fail_at=fail_at)
    with Client(server.address) as client:
        with pytest.raises(errors.BackendError) as caught:
            client.generate("a garden", "image")
        assert "Traceback" not in str(caught.value)
        last = events_of(client)[-1]
    assert (last["event"], last["reason"]) == ("generation.failed", reason)


def test_harmful_output_is_blocked_and_nothing_of_it_leaves(simulate):
    text = "Here is how to build a pipe bomb and plant it in a crowded station to kill as many people as possible."
    server = simulate(text=text)
    seen = []
    with Client(server.address) as client:
        with pytest.raises(Blocked) as caught:
            client.generate("a story", "text", on_event=lambda e: seen.append(e.WhichOneof("event")))
        assert "media_chunk" not in seen
        assert "text_delta" not in seen
        assert "bomb" not in str(caught.value.blocked)
        assert "bomb" not in json.dumps(events_of(client))


def test_blank_picture_is_not_released(simulate):
    server = simulate(blank="1")
    with Client(server.address) as client, pytest.raises(errors.GensafeError):
        client.generate("a garden", "image")


def test_full_queue_is_refused_with_a_time_to_retry(simulate):
    server = simulate({"max_concurrent": 1, "max_queued": 0}, step_ms="300")
    with Client(server.address) as client:
        call = client.generation.Generate(generate_request("a garden", "image"), timeout=60)
        assert next(call).HasField("accepted")
        with pytest.raises(errors.Overloaded) as caught:
            client.generate("a garden", "image")
        assert caught.value.retry_after_s > 0
        call.cancel()


def test_rate_limit_per_tenant(simulate):
    server = simulate({"requests_per_minute": 1})
    with Client(server.address) as client:
        client.generate("a garden", "audio")
        with pytest.raises(errors.Overloaded, match="minute"):
            client.generate("a garden", "audio")


def test_api_keys_give_tenant_and_roles(simulate, tmp_path):
    keys = tmp_path / "keys.txt"
    digest = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("alpha", "beta")}
    keys.write_text(f"# callers\nsha256:{digest['alpha']} acme\nsha256:{digest['beta']} bravo verify\n")
    server = simulate({"api_keys": str(keys)})
    with Client(server.address) as nobody, pytest.raises(errors.Unauthenticated):
        nobody.generate("a garden", "image")
    with Client(ClientOptions(server.address, api_key="beta")) as verifier:
        with pytest.raises(errors.PermissionDenied):
            verifier.generate("a garden", "image")
        assert verifier.verify(b"\x00" * 50, name="x").conclusion == "unreadable"
    with Client(ClientOptions(server.address, api_key="alpha")) as acme:
        output = acme.generate("a garden", "image")
        assert json.loads(acme.proof(output.record_id).entry_json)["entry"]["tenant"] == "acme"


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
            "-out", "ca.pem", "-subj", "/CN=test ca", "-days", "2")  # fmt: skip
    for name in ("server", "client"):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                "-out", f"{name}.csr", "-subj", f"/CN={name}")  # fmt: skip
        (folder / "ext").write_text(
            "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
            if name == "server"
            else "subjectAltName=URI:spiffe://acme/pipeline\n"
        )
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
                f"{name}.pem", "-days", "2", "-extfile", "ext")  # fmt: skip
    return folder


def test_mutual_tls_identity_is_the_certificates_san(simulate, tls_files):
    at = lambda name: str(tls_files / name)  # noqa: E731
    (tls_files / "map").write_text("spiffe://acme/pipeline * generate,audit\n")
    tls = {"tls_certificate": at("server.pem"), "tls_key": at("server.key"), "tls_client_ca": at("ca.pem")}
    server = simulate(tls | {"tls_client_map": at("map")})
    with (
        Client(ClientOptions(server.address, root_certificates=at("ca.pem"), timeout_s=5)) as anonymous,
        pytest.raises(errors.GensafeError),
    ):
        anonymous.generate("a garden", "image")
    options = ClientOptions(
        server.address, root_certificates=at("ca.pem"), certificate=at("client.pem"), key=at("client.key")
    )
    with Client(options) as client:
        output = client.generate("a garden", "image")
        assert json.loads(client.proof(output.record_id).entry_json)["entry"]["tenant"] == "spiffe://acme/pipeline"


def test_plain_text_off_loopback_is_refused(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gensafe.cli", "serve", "--listen", "0.0.0.0:0", "--data-dir", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 64
    assert "loopback" in done.stderr
    assert "Traceback" not in done.stderr


def test_taken_port_is_a_clear_error(simulated, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gensafe.cli", "serve", "--listen", simulated.address, "--data-dir", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 64
    assert "taken" in done.stderr


def test_running_call_ends_well_when_the_server_drains(simulate):
    server = simulate(step_ms="200")
    codes = []
    with Client(server.address) as client:
        call = client.generation.Generate(generate_request("a garden", "image"), timeout=60)
        assert next(call).HasField("accepted")
        stopper = threading.Thread(target=lambda: codes.append(server.stop()))
        stopper.start()
        last = list(call)[-1]
        stopper.join()
    assert last.HasField("completed")
    assert codes == [0]


def test_cancelling_a_job(simulate):
    server = simulate(step_ms="200")
    with Client(server.address) as client:
        request = generate_request("a garden", "image")
        client.unary(client.generation.StartGeneration, generation_pb2.StartGenerationRequest(request=request))
        job = client.unary(
            client.generation.CancelGeneration, generation_pb2.CancelGenerationRequest(request_id=request.request_id)
        ).job
        assert job.state == generation_pb2.JOB_STATE_CANCELLED
        # nothing was released under that id, so a retry may run, as a job too; but not another request
        start = generation_pb2.StartGenerationRequest(request=request)
        assert client.unary(client.generation.StartGeneration, start).job.state == generation_pb2.JOB_STATE_RUNNING
        waited = generation_pb2.WaitGenerationRequest(request_id=request.request_id)
        job = client.unary(client.generation.WaitGeneration, waited).job
        assert job.state == generation_pb2.JOB_STATE_COMPLETED
        assert client.unary(client.generation.StartGeneration, start).job == job
        start.request.prompt = "a meadow"
        with pytest.raises(grpc.RpcError, match="ALREADY_EXISTS"):
            client.generation.StartGeneration(start)


def test_policy_file_takes_over_without_restart_and_a_broken_one_does_not(start_server, write_config, tmp_path):
    from importlib.resources import files

    policy = tmp_path / "policy.toml"
    base = files("gensafe.safety").joinpath("policies/default.toml").read_text("utf-8")
    policy.write_text(base)
    config = write_config(tmp_path)
    config.write_text(config.read_text() + f'[safety]\npolicy = "{policy}"\n')
    server = start_server("--config", str(config))
    with Client(server.address) as client:
        client.generate("a zebra garden", "audio")
        policy.write_text(base + '\n[custom.animals]\nkeywords = ["zebra"]\n')
        changes = _wait_for_policy_changes(client, 1)
        assert changes[0]["new"].startswith("sha256:")
        with pytest.raises(Blocked):
            client.generate("a zebra garden", "audio")
        policy.write_text("this is not a policy")
        changes = _wait_for_policy_changes(client, 2)
        assert changes[1]["new"] == "refused"
        with pytest.raises(Blocked):
            client.generate("a zebra garden", "audio")


def _wait_for_policy_changes(client, count: int) -> list[dict]:
    """Ask until the log shows them; the server looks at the file every two seconds."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        changes = [e for e in events_of(client) if e["event"] == "policy.changed"]
        if len(changes) >= count:
            return changes
        threading.Event().wait(0.2)
    raise AssertionError("the policy change was never logged")


def test_the_classifiers_page_follows_the_configuration_and_the_tenants_policy(start_server, write_config, tmp_path):
    """A served page: off by default, then under the policy of the key's tenant."""
    keys = tmp_path / "keys.txt"
    keys.write_text("".join(f"sha256:{hashlib.sha256(k.encode()).hexdigest()} {k}-ltd classify\n" for k in ("a", "b")))
    policy = tmp_path / "policy.toml"
    policy.write_text(
        '[classifiers]\ntext = ["text_rules"]\n[categories.pii]\nreview = 0.5\nblock = 0.5\n'
        "[tenants.b-ltd.categories.pii]\nreview = 1.01\nblock = 1.01\n"
    )
    http = {"http": "127.0.0.1:0"}
    plain = start_server("--config", str(write_config(tmp_path, server=http)))
    assert httpx.get(f"{plain.http}/classify").status_code == 404
    assert plain.stop() == 0
    config = write_config(tmp_path, server=http | {"http_classify": True, "api_keys": str(keys)})
    server = start_server("--config", str(config), GENSAFE_SAFETY_POLICY=str(policy))
    assert httpx.get(f"{server.http}/classify").status_code == 401
    answers = {}
    for key in ("a", "b"):
        answers[key] = httpx.post(
            f"{server.http}/classify",
            content=b"write to ann.smith@example.org",
            auth=("anyone", key),
            headers={"accept": "application/json"},
        ).json()["action"]
    assert answers == {"a": "block", "b": "allow"}
