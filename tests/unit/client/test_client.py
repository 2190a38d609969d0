"""The clients against real gRPC servers: what is sent where, what is checked, what an error says.

Seen by the review or read in the code of ed72f70: a key for 192.0.2.1 went out in the clear (no credentials were made);
proxies of the environment were asked for 127.0.0.1; a download resumed on wrong bytes came back as if it were right;
"prompt: prompt: ..." and "(retry after 2 s) (retry after 2 s)"; AsyncClient had no fetch, classify, proof or close.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import inspect
import json
import socket
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_status import rpc_status

from gensafe.cli import main
from gensafe.client import AsyncClient, Client, ClientOptions, results
from gensafe.client.channel import channel_options, credentials, is_local, metadata
from gensafe.client.statuses import Blocked, HeldForReview
from gensafe.core import errors
from gensafe.core.types import Span
from gensafe.server import status
from gensafe.v1 import (
    audit_pb2,
    audit_pb2_grpc,
    common_pb2,
    generation_pb2,
    generation_pb2_grpc,
    provenance_pb2,
    provenance_pb2_grpc,
    safety_pb2,
    safety_pb2_grpc,
)

DATA = bytes(range(256)) * 40
PIECE = 1000
ERRORS = {
    "prompt": errors.PromptNotUnderstood("I do not know 'moves'", unknown=("moves",), fix="use other words"),
    "queue": errors.Overloaded("the queue is full", retry_after_s=2.0, subject="server"),
    "field": errors.InvalidRequest("must not be negative", field="max_tokens", fix="0 or more"),
    "missing": errors.NotFound("no such record", field="record_id"),
    "reused": errors.Conflict("the id belongs to another request", field="request_id", fix="send a fresh UUID"),
    "plain": errors.BackendError("the model failed"),
}


class Generation(generation_pb2_grpc.GenerationServiceServicer):
    """Sends DATA, in a way that a record id names; raises the error that a prompt names."""

    def FetchOutput(self, request, context):
        data, pieces = DATA, []
        for start in range(request.offset, len(data), PIECE):
            pieces.append(generation_pb2.FetchOutputResponse(offset=start, data=data[start : start + PIECE]))
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        end = generation_pb2.FetchOutputResponse(offset=len(data), digest=digest, size=len(data))
        match request.record_id:
            case "no end":
                return iter(pieces)
            case "gap":
                del pieces[2]
            case "doubled":
                pieces.insert(2, pieces[2])
            case "changed":
                pieces[2].data = bytes(PIECE)
            case "wrong size":
                end.size += 1
            case "wrong digest":
                end.digest = "sha256:" + "0" * 64
            case "more after the end":
                pieces.append(end)
        return iter([*pieces, end])

    def Generate(self, request, context):
        context.abort_with_status(rpc_status.to_status(status.to_status(ERRORS[request.prompt])))


class Audit(audit_pb2_grpc.AuditServiceServicer):
    """Says which key came with the call."""

    def GetProof(self, request, context):
        return audit_pb2.GetProofResponse(entry_json=dict(context.invocation_metadata()).get("authorization", ""))


class Safety(safety_pb2_grpc.SafetyServiceServicer):
    """One result an item."""

    def Classify(self, request, context):
        return safety_pb2.ClassifyResponse(results=[safety_pb2.ClassifyResult() for _ in request.items])


class Provenance(provenance_pb2_grpc.ProvenanceServiceServicer):
    """Says how much came."""

    def Verify(self, requests, context):
        return provenance_pb2.VerifyResponse(
            conclusion="nothing found", explanation=str(sum(len(r.data) for r in requests))
        )


@pytest.fixture(scope="module")
def address():
    server = grpc.server(ThreadPoolExecutor(4))
    generation_pb2_grpc.add_GenerationServiceServicer_to_server(Generation(), server)
    audit_pb2_grpc.add_AuditServiceServicer_to_server(Audit(), server)
    safety_pb2_grpc.add_SafetyServiceServicer_to_server(Safety(), server)
    provenance_pb2_grpc.add_ProvenanceServiceServicer_to_server(Provenance(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


def blocking(options, verb, *args, **named):
    with Client(options) as client:
        return getattr(client, verb)(*args, **named)


def awaited(options, verb, *args, **named):
    async def call():
        async with AsyncClient(options) as client:
            return await getattr(client, verb)(*args, **named)

    return asyncio.run(call())


@pytest.fixture(params=[blocking, awaited], ids=["Client", "AsyncClient"])
def ask(request):
    return request.param


# --- where it connects to, and how -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "local"),
    [
        ("127.0.0.1:50051", True), ("127.8.9.1:1", True), ("localhost:1", True), ("LOCALHOST:1", True),
        ("[::1]:1", True), ("::1", True), ("127.0.0.1", True), ("dns:///localhost:1", True), ("dns:127.0.0.1:1", True),
        ("ipv4:127.0.0.1:1", True), ("ipv6:[::1]:1", True), ("unix:/tmp/s", True), ("unix:///tmp/s", True),
        ("unix-abstract:name", True), ("[::ffff:127.0.0.1]:1", True),
        ("192.0.2.1:50051", False), ("example.com:1", False), ("localhost.example.com:1", False), ("0.0.0.0:1", False),
        ("127.0.0.1.example.com:1", False), ("ipv4:127.0.0.1:1,192.0.2.1:1", False),
        ("dns://192.0.2.1/localhost:1", False), ("xds:///localhost:1", False), ("localhost@example.com:1", False),
        ("[2001:db8::1]:1", False), ("", False),
        ("http://localhost:1", False), ("128.0.0.1:1", False),
    ],
)  # fmt: skip
def test_what_is_this_machine(target: str, local: bool):
    assert is_local(target) is local
    assert (credentials(ClientOptions(target, api_key="k")) is None) is local
    assert (("grpc.enable_http_proxy", 0) in channel_options(ClientOptions(target))) is local


@pytest.mark.parametrize("key", ["", "k"])
def test_plain_text_to_another_machine_is_refused(key: str):
    with pytest.raises(errors.ConfigError, match="not on this machine"):
        Client(ClientOptions("192.0.2.1:50051", api_key=key, tls=False))
    with pytest.raises(errors.ConfigError, match="need TLS"):
        Client(ClientOptions("127.0.0.1:1", root_certificates="ca.pem", tls=False))


@pytest.mark.parametrize("key", ["a b", "key\n", "\u202e", "ü", "\x00"])
def test_a_key_that_no_header_can_carry_is_named(key: str):
    with pytest.raises(errors.ConfigError, match="api_key"):
        Client(ClientOptions("127.0.0.1:1", api_key=key))


def test_files_of_certificates_are_named():
    for options, word in (
        (ClientOptions("h:1", root_certificates="/none"), "root_certificates"),
        (ClientOptions("h:1", certificate="/none"), "certificate"),
        (ClientOptions("h:1", key="/none"), "certificate"),
        (ClientOptions("h:1", certificate="/none", key="/none"), "key"),
    ):
        with pytest.raises(errors.ConfigError, match=word):
            credentials(options)


def test_the_key_is_sent_and_only_if_there_is_one(ask, address: str):
    assert ask(ClientOptions(address, api_key="k"), "proof", "x").entry_json == "Bearer k"
    assert ask(address, "proof", "x").entry_json == ""
    assert metadata(ClientOptions(address)) == ()


@pytest.mark.parametrize("name", ["grpc_proxy", "https_proxy", "http_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"])
def test_no_proxy_is_asked_for_this_machine(name: str, ask, address: str, monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        for other in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
            monkeypatch.delenv(other, raising=False)
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        assert ask(ClientOptions(address, timeout_s=20), "proof", "x") is not None
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()


# --- what it checks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, PIECE, 5 * PIECE + 7, len(DATA)])
def test_a_download_goes_on_where_it_broke(ask, address: str, size: int):
    assert ask(address, "fetch", "good", have=DATA[:size]) == DATA


def test_a_download_on_wrong_bytes_is_refused(ask, address: str):
    with pytest.raises(errors.BackendError, match="from the start"):
        ask(address, "fetch", "good", have=bytes(5000))


@pytest.mark.parametrize(
    "how", ["no end", "gap", "doubled", "changed", "wrong size", "wrong digest", "more after the end"]
)
def test_a_server_that_sends_something_else_is_noticed(how: str, ask, address: str):
    with pytest.raises(errors.BackendError):
        ask(address, "fetch", how)


def test_both_clients_have_the_same_verbs(ask, address: str):
    verbs = lambda kind: {n for n, f in inspect.getmembers(kind, inspect.isfunction) if not n.startswith("_")}  # noqa: E731
    assert verbs(Client) == verbs(AsyncClient)
    for verb in verbs(Client) - {"unary"}:
        parameters = [list(inspect.signature(getattr(kind, verb)).parameters) for kind in (Client, AsyncClient)]
        assert parameters[0] == parameters[1], verb
    assert len(ask(address, "classify", "a")) == 1
    assert ask(address, "verify", bytes(700_000)).explanation == "700000"


# --- what an error says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_arrives_as_it_was_raised(name: str, ask, address: str):
    with pytest.raises(errors.GensafeError) as caught:
        ask(address, "generate", name, "text")
    raised, got = ERRORS[name], caught.value
    assert type(got) is type(raised)
    assert (str(got), got.message, got.field, got.fix) == (str(raised), raised.message, raised.field, raised.fix)


def test_plain_text_to_a_server_with_tls_says_so(ask, tls_address: str):
    with pytest.raises(errors.BackendUnavailable, match="does the server use TLS"):
        ask(ClientOptions(tls_address, timeout_s=20), "proof", "x")


def test_a_certificate_of_an_unknown_authority_says_so(ask, tls_address: str):
    with pytest.raises(errors.BackendUnavailable, match="give --ca"):
        ask(ClientOptions(tls_address, tls=True, timeout_s=20), "proof", "x")


def test_the_systems_roots_are_trusted(ask, tls_address: str, tls_files, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_files / "server.pem"))
    with pytest.raises(errors.GensafeError, match=r"not implemented|UNIMPLEMENTED|Method not found"):
        ask(ClientOptions(tls_address, tls=True, timeout_s=20), "proof", "x")


def test_a_server_that_is_down_gets_no_hint_about_tls(ask):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(errors.BackendUnavailable) as caught:
            ask(ClientOptions(f"127.0.0.1:{unused.getsockname()[1]}", timeout_s=20), "proof", "x")
    assert "TLS" not in str(caught.value)


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory):
    """A certificate for localhost and 127.0.0.1 that signs itself."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    (folder / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return folder


@pytest.fixture(scope="module")
def tls_address(tls_files):
    server = grpc.server(ThreadPoolExecutor(2))
    pair = ((tls_files / "server.key").read_bytes(), (tls_files / "server.pem").read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


# --- the command line ------------------------------------------------------------------------------------------------


def test_a_named_variable_that_is_not_set_is_named(address: str, capsys, tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NOSUCH", raising=False)
    monkeypatch.delenv("GENSAFE_API_KEY", raising=False)
    command = ["generate", "plain", "--modality", "text", "-o", str(tmp_path / "x.txt"), "--server", address]
    assert main([*command, "--api-key-env", "NOSUCH"]) != 0
    assert "'NOSUCH' is not set" in capsys.readouterr().err
    assert main(command) != 0
    assert "the model failed" in capsys.readouterr().err


# --- jobs, streams, deadlines, waits that a server asks for -----------------------------------------------------------


class Jobs(generation_pb2_grpc.GenerationServiceServicer):
    """Jobs by name of their prompt; refuses a call as often as it is told, and asks to wait."""

    def __init__(self):
        self.refusals: list[errors.GensafeError] = []
        self.asked = 0
        self.looks = 0
        self.address = ""
        self.left = 0.0
        self.state = generation_pb2.JOB_STATE_RUNNING

    def StartGeneration(self, request, context):
        job = generation_pb2.Job(request_id=request.request.prompt, state=generation_pb2.JOB_STATE_RUNNING)
        return generation_pb2.StartGenerationResponse(job=job)

    def WaitGeneration(self, request, context):
        self.looks += 1
        state = generation_pb2.JOB_STATE_RUNNING if self.looks < 3 else STATES[request.request_id]
        job = generation_pb2.Job(
            request_id=request.request_id, state=state, error_reason="NOT_FOUND", error_message="x"
        )
        if job.state == generation_pb2.JOB_STATE_COMPLETED:
            job.completed.record_id = "r"
        elif job.state != generation_pb2.JOB_STATE_RUNNING and request.request_id in ("blocked", "held"):
            getattr(job, request.request_id).categories.append("hte")
        return generation_pb2.WaitGenerationResponse(job=job)

    def GetGeneration(self, request, context):
        job = generation_pb2.Job(request_id=request.request_id, state=self.state)
        return generation_pb2.GetGenerationResponse(job=job)

    def CancelGeneration(self, request, context):
        job = generation_pb2.Job(request_id=request.request_id, state=generation_pb2.JOB_STATE_CANCELLED)
        return generation_pb2.CancelGenerationResponse(job=job)

    FetchOutput = Generation.FetchOutput

    def Generate(self, request, context):
        for word in request.prompt.split():
            yield generation_pb2.GenerateResponse(text_delta=generation_pb2.TextDelta(text=word))
        yield generation_pb2.GenerateResponse(media_chunk=generation_pb2.MediaChunk(data=b"ab"))
        digest = "sha256:" + hashlib.sha256(b"ab").hexdigest()
        yield generation_pb2.GenerateResponse(completed=generation_pb2.Completed(digest=digest))

    def ListModels(self, request, context):
        self.asked += 1
        self.left = context.time_remaining()
        if self.refusals:
            context.abort_with_status(rpc_status.to_status(status.to_status(self.refusals.pop())))
        return generation_pb2.ListModelsResponse()


STATES = {
    "done": generation_pb2.JOB_STATE_COMPLETED,
    "blocked": generation_pb2.JOB_STATE_BLOCKED,
    "held": generation_pb2.JOB_STATE_HELD,
    "failed": generation_pb2.JOB_STATE_FAILED,
    "cancelled": generation_pb2.JOB_STATE_CANCELLED,
    "running": generation_pb2.JOB_STATE_RUNNING,
    "empty": generation_pb2.JOB_STATE_BLOCKED,
}
RESULTS = {
    results.Amounts: generation_pb2.Amounts,
    results.Coverage: common_pb2.Coverage,
    results.Finding: common_pb2.Finding,
    results.Generation: generation_pb2.Generation,
    results.Job: generation_pb2.Job,
    results.Judgement: safety_pb2.ClassifyResult,
    results.LogReceipt: generation_pb2.LogReceipt,
    results.Manifest: generation_pb2.ManifestInfo,
    results.Model: generation_pb2.Model,
    results.Progress: generation_pb2.Progress,
    results.Proof: audit_pb2.GetProofResponse,
    results.Receipt: generation_pb2.Completed,
    results.Refusal: generation_pb2.Blocked,
    results.Review: generation_pb2.Held,
    results.Usage: generation_pb2.Usage,
    results.Verdict: common_pb2.Verdict,
    results.Watermark: generation_pb2.Watermark,
}


def judged() -> common_pb2.Verdict:
    """A verdict with one finding."""
    finding = common_pb2.Finding(category="hte", score=0.9, action=common_pb2.ACTION_BLOCK)
    finding.spans.add(start=1, end=4)
    return common_pb2.Verdict(
        stage=common_pb2.STAGE_OUTPUT,
        modality=common_pb2.MODALITY_TEXT,
        action=common_pb2.ACTION_BLOCK,
        findings=[finding],
    )


@pytest.fixture
def jobs():
    server, service = grpc.server(ThreadPoolExecutor(4)), Jobs()
    generation_pb2_grpc.add_GenerationServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    service.address = f"127.0.0.1:{port}"
    yield service
    server.stop(None)


def test_a_job_from_start_to_result(ask, jobs):
    assert ask(jobs.address, "start", "done", "video") == "done"
    output = ask(jobs.address, "result", "done")
    assert jobs.looks == 3 and output.data == DATA and output.record_id == "r"
    assert ask(jobs.address, "job", "done") == results.Job(
        "done", results.JobState.RUNNING, results.Progress("", 0, 0), None, None, None, "", ""
    )
    assert ask(jobs.address, "cancel", "done").state is results.JobState.CANCELLED


@pytest.mark.parametrize("state", [0, 99])
def test_a_state_of_another_version_is_an_error_and_not_a_guess(ask, jobs, state):
    jobs.state = state
    with pytest.raises(errors.BackendError, match=f"unknown state: {state}"):
        ask(jobs.address, "job", "done")


def test_a_job_that_ended_with_nothing_is_an_error(ask, jobs):
    jobs.looks = 3
    with pytest.raises(errors.BackendError, match="not with what"):
        ask(jobs.address, "result", "empty")


def test_every_field_of_a_result_is_one_of_its_message():
    """And every field of the message is in the result: nothing that the server says is lost on the way."""
    for kind, message in RESULTS.items():
        assert {f.name for f in dataclasses.fields(kind)} == set(message.DESCRIPTOR.fields_by_name), kind


def test_a_result_as_json_has_no_bytes_and_nothing_that_is_absent():
    completed = generation_pb2.Completed(record_id="r")
    completed.manifest.sidecar = b"secret"
    completed.output_verdict.CopyFrom(judged())
    receipt = results.read(results.Receipt, completed)
    assert receipt.output_verdict.findings[0].spans == (Span(1, 4),)
    said = json.loads(json.dumps(results.as_json(receipt)))
    assert "sidecar" not in said["manifest"] and "prompt_verdict" not in said
    assert said["output_verdict"]["action"] == "block" and said["size"] == 0


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("blocked", Blocked),
        ("held", HeldForReview),
        ("failed", errors.NotFound),
        ("cancelled", errors.Cancelled),
        ("running", errors.DeadlineExceeded),
    ],
)
def test_a_job_without_output_says_why(ask, jobs, state, kind):
    jobs.looks = 3
    with pytest.raises(kind):
        ask(jobs.address, "result", state, timeout_s=0.2 if state == "running" else None)


def test_a_text_arrives_in_pieces(jobs):
    with Client(jobs.address) as client:
        assert list(client.stream_text("one two three")) == ["one", "two", "three"]

    async def read():
        async with AsyncClient(jobs.address) as client:
            return [piece async for piece in client.stream_text("one two three")]

    assert asyncio.run(read()) == ["one", "two", "three"]


def test_a_call_may_have_its_own_deadline(ask, jobs):
    ask(ClientOptions(jobs.address, timeout_s=100), "models", timeout_s=5.0)
    assert 0 < jobs.left <= 5
    ask(ClientOptions(jobs.address, timeout_s=100), "models")
    assert jobs.left > 50


def test_a_wait_that_the_server_asks_for_is_kept_within_patience(ask, jobs):
    spent = errors.Overloaded("the quota is spent", retry_after_s=0.05, subject="acme")
    jobs.refusals = [spent, spent]
    assert ask(ClientOptions(jobs.address, patience_s=5.0), "models") == [] and jobs.asked == 3


@pytest.mark.parametrize(("asked", "patience"), [(60.0, 5.0), (0.05, 0.0), (60.0, 1000.0)])
def test_a_longer_wait_is_raised_at_once(ask, jobs, asked, patience):
    """Also where the call's deadline comes first."""
    jobs.refusals = [errors.Overloaded("the quota is spent", retry_after_s=asked, subject="acme")]
    with pytest.raises(errors.Overloaded) as caught:
        ask(ClientOptions(jobs.address, patience_s=patience, timeout_s=30), "models")
    assert jobs.asked == 1 and caught.value.retry_after_s == pytest.approx(asked)
