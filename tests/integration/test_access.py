"""Who may do what, and who sees what: every RPC and HTTP route for every kind of caller, on one real server.

The review saw on ed72f70: B's ``Resolve`` of A's record gave the manifest, which sent as a sidecar gave A's whole
text; ``Query`` showed legal holds to all; B's use of A's request id was ALREADY_EXISTS; ``GetProof`` told "no such
record" from "not yours"; a wrong key beside a certificate was passed over; odd headers were 500.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gensafe.cli import main
from gensafe.provenance import strip_a8
from gensafe.v1 import (
    admin_pb2,
    admin_pb2_grpc,
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
from tests.integration.issuer import AUDIENCE, ISSUER, public_jwk

ROLES = ("generate", "verify", "classify", "audit")
TENANTS = {"A": "acme", "B": "beta"}
DESK = ("A_review", "B_review", "B_admin")  # roles that only a key that names them has
CALLERS = ["nobody", "wrong", *(f"{t}_{role}" for t in "AB" for role in ("all", *ROLES)), *DESK]
MANAGED = [
    "A_all@managed",
    "B_verify@managed",
    "B_audit@managed",
    "A_review@managed",
]  # the same callers with keys of another kind
SIGNED = [
    "A_all@token",
    "B_audit@token",
    "B_generate@token",
    "B_admin@token",
    "wrong@token",
]  # and with tokens of an issuer
TOKENS: dict[str, str] = {}  # what a caller presents, where it is not its own name
TEXT = "a story about a kite that nobody else may read"
MISSING = "0000000000001"


@dataclass
class Site:
    """The server, its addresses, and what tenant A made there."""

    address: str
    http: str
    keys: Path
    data: Path
    request_id: str
    record_id: str
    label: str
    text: bytes
    picture: generation_pb2.Completed
    picture_data: bytes


def key_lines() -> str:
    lines = []
    for caller in CALLERS[2:]:
        tenant, role = caller.split("_")
        digest = hashlib.sha256(caller.encode()).hexdigest()
        lines.append(f"sha256:{digest} {TENANTS[tenant]}" + ("" if role == "all" else f" {role}"))
    return "\n".join(lines) + "\n"


def metadata(caller: str) -> tuple[tuple[str, str], ...]:
    return () if caller == "nobody" else (("authorization", f"Bearer {TOKENS.get(caller, caller)}"),)


def make_tokens(folder: Path, config: Path) -> None:
    """An issuer's tokens, and the configuration that takes them."""
    key, now = ec.generate_private_key(ec.SECP256R1()), int(time.time())
    (folder / "jwks.json").write_text(json.dumps({"keys": [public_jwk(key, "k")]}))
    roles = "\n".join(f'{role} = "{role}"' for role in (*ROLES, "review", "admin"))
    with config.open("a") as file:
        file.write(
            f'[server.oidc]\nissuer = "{ISSUER}"\naudience = "{AUDIENCE}"\njwks = "{folder / "jwks.json"}"\n'
            f'[server.oidc.roles]\nall = "{" ".join(ROLES)}"\n{roles}\n'
        )
    for caller in SIGNED:
        tenant, _, role = caller.partition("@")[0].partition("_")
        claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 3600, "tenant": TENANTS.get(tenant, "acme")}
        signer = ec.generate_private_key(ec.SECP256R1()) if tenant == "wrong" else key
        TOKENS[caller] = jwt.encode(claims | {"roles": [role]}, signer, algorithm="ES256", headers={"kid": "k"})


def make_managed(data: Path) -> None:
    """Keys of ``gensafe keys api``, before there is a server."""
    for caller in MANAGED:
        tenant, role = caller.partition("@")[0].split("_")
        roles = ["--role", role] if role != "all" else []
        words = ["keys", "api", "create", "--tenant", TENANTS[tenant], "--reason", "test", "--actor", "x", *roles]
        with contextlib.redirect_stdout(io.StringIO()) as said:
            assert main([*words, "--data-dir", str(data)]) == 0
        TOKENS[caller] = said.getvalue().strip()


def generate(channel: grpc.Channel, caller: str, request_id: str, modality: int, prompt: str = TEXT):
    request = generation_pb2.GenerateRequest(
        request_id=request_id, prompt=prompt, modality=modality, max_tokens=60, seed=1
    )
    stub = generation_pb2_grpc.GenerationServiceStub(channel)
    events = list(stub.Generate(request, metadata=metadata(caller), timeout=60))
    data = b"".join(e.media_chunk.data for e in events if e.WhichOneof("event") == "media_chunk")
    return events[-1].completed, data


@pytest.fixture(scope="module")
def site(tmp_path_factory, write_config, server_process):
    folder = tmp_path_factory.mktemp("access")
    keys = folder / "keys.txt"
    keys.write_text(key_lines())
    settings = {"api_keys": str(keys), "http": "127.0.0.1:0", "http_classify": True, "http_hosts": "verify.example.org"}
    settings["http_per_minute"] = 0  # on a fast machine these tests ask more often than a client address may
    settings["managed_keys"] = True
    data = folder / "data"
    config = write_config(folder, server=settings)
    make_managed(data)
    make_tokens(folder, config)
    server = server_process(data, ("--config", str(config)))
    server.start()
    with grpc.insecure_channel(server.address) as channel:
        request_id = str(uuid.uuid4())
        made, text = generate(channel, "A_all", request_id, common_pb2.MODALITY_TEXT)
        picture, pixels = generate(channel, "A_all", str(uuid.uuid4()), common_pb2.MODALITY_IMAGE)
    http = server.http.removeprefix("http://")
    yield Site(server.address, http, keys, data, request_id, made.record_id, made.manifest.label, text, picture, pixels)
    assert server.stop() == 0, server.log


@pytest.fixture(scope="module")
def channel(site: Site):
    with grpc.insecure_channel(site.address) as opened:
        yield opened


def calls(site: Site, channel: grpc.Channel):
    """{name: (role that it needs, what tenant B gets when it holds the role, the call)}."""
    generation = generation_pb2_grpc.GenerationServiceStub(channel)
    safety = safety_pb2_grpc.SafetyServiceStub(channel)
    provenance = provenance_pb2_grpc.ProvenanceServiceStub(channel)
    audit = audit_pb2_grpc.AuditServiceStub(channel)
    admin = admin_pb2_grpc.AdminServiceStub(channel)
    job = generation_pb2.GenerateRequest(
        request_id="00000000-0000-4000-8000-00000000000a", prompt=TEXT, modality=common_pb2.MODALITY_TEXT, max_tokens=9
    )
    again = generation_pb2.GenerateRequest(
        request_id=site.request_id, prompt=TEXT, modality=common_pb2.MODALITY_TEXT, max_tokens=60, seed=1
    )
    by_record = {"record_id": site.record_id}
    return {
        "Generate": ("generate", "OK", lambda **k: list(generation.Generate(again, **k))),
        "StartGeneration": ("generate", "OK", lambda **k: generation.StartGeneration(
            generation_pb2.StartGenerationRequest(request=job), **k)),
        "ListGenerations": ("generate", "OK", lambda **k: generation.ListGenerations(
            generation_pb2.ListGenerationsRequest(), **k)),
        "ListModels": ("generate", "OK", lambda **k: generation.ListModels(generation_pb2.ListModelsRequest(), **k)),
        "FetchOutput": ("generate", "NOT_FOUND", lambda **k: list(generation.FetchOutput(
            generation_pb2.FetchOutputRequest(**by_record), **k))),
        "Classify": ("classify", "OK", lambda **k: safety.Classify(
            safety_pb2.ClassifyRequest(items=[safety_pb2.ClassifyItem(text="a kite")]), **k)),
        "ClassifyStream": ("classify", "OK", lambda **k: list(safety.ClassifyStream(
            iter([safety_pb2.ClassifyStreamRequest(delta="a kite")]), **k))),
        "Verify": ("verify", "OK", lambda **k: provenance.Verify(iter([provenance_pb2.VerifyRequest(data=b"x")]), **k)),
        "Resolve(record)": ("verify", "NOT_FOUND", lambda **k: provenance.Resolve(
            provenance_pb2.ResolveRequest(**by_record), **k)),
        "Resolve(digest)": ("verify", "NOT_FOUND", lambda **k: provenance.Resolve(
            provenance_pb2.ResolveRequest(digest=site.picture.digest), **k)),
        "Resolve(payload)": ("verify", "NOT_FOUND", lambda **k: provenance.Resolve(
            provenance_pb2.ResolveRequest(payload_hex="0" + site.record_id), **k)),
        "Query": ("audit", "OK", lambda **k: audit.Query(audit_pb2.QueryRequest(), **k)),
        "Export": ("audit", "OK", lambda **k: list(audit.Export(audit_pb2.ExportRequest(), **k))),
        "GetProof(record)": ("audit", "NOT_FOUND", lambda **k: audit.GetProof(
            audit_pb2.GetProofRequest(**by_record), **k)),
        "GetProof(index)": ("audit", "NOT_FOUND", lambda **k: audit.GetProof(
            audit_pb2.GetProofRequest(index=site.picture.log.index), **k)),
        "GetCheckpoint": ("audit", "OK", lambda **k: audit.GetCheckpoint(audit_pb2.GetCheckpointRequest(), **k)),
        "ListReviews": ("review admin", "OK", lambda **k: admin.ListReviews(admin_pb2.ListReviewsRequest(), **k)),
        "GetReview": ("review admin", "OK", found(lambda **k: admin.GetReview(
            admin_pb2.GetReviewRequest(review_id="0" * 16), **k))),
        "CopyReview": ("review admin", "OK", found(lambda **k: list(admin.CopyReview(
            admin_pb2.CopyReviewRequest(review_id="0" * 16, actor="x"), **k)))),
        "DecideReview": ("review admin", "OK", found(lambda **k: admin.DecideReview(admin_pb2.DecideReviewRequest(
            review_id="0" * 16, actor="x", reason="y", decision=admin_pb2.REVIEW_DECISION_REJECTED), **k))),
        "ListHolds": ("admin", "OK", lambda **k: admin.ListHolds(admin_pb2.ListHoldsRequest(), **k)),
        "PlaceHold": ("admin", "OK", lambda **k: admin.PlaceHold(admin_pb2.PlaceHoldRequest(
            hold_id=uuid.uuid4().hex, scope="tenant:nobody", reason="y", actor="x"), **k)),
        "ReleaseHold": ("admin", "OK", refused(lambda **k: admin.ReleaseHold(
            admin_pb2.ReleaseHoldRequest(hold_id="none", reason="y", actor="x"), **k))),
        "ReportMisuse": ("review admin", "OK", found(lambda **k: admin.ReportMisuse(
            admin_pb2.ReportMisuseRequest(record_id=MISSING, words="y", actor="x"), **k))),
        "ListCases": ("review admin", "OK", lambda **k: admin.ListCases(admin_pb2.ListCasesRequest(), **k)),
        "GetCase": ("review admin", "OK", found(lambda **k: admin.GetCase(
            admin_pb2.GetCaseRequest(ticket=MISSING), **k))),
        "DecideCase": ("review admin", "OK", found(lambda **k: admin.DecideCase(admin_pb2.DecideCaseRequest(
            ticket=MISSING, actor="x", reason="y", answer="z", decision=admin_pb2.CASE_DECISION_UPHELD), **k))),
        "PerformDrill": ("admin", "OK", lambda **k: admin.PerformDrill(
            admin_pb2.PerformDrillRequest(actor="x"), **k)),
        "Erase": ("admin", "OK", lambda **k: admin.Erase(
            admin_pb2.EraseRequest(tenant="nobody", dry_run=True, actor="x"), **k)),
    }  # fmt: skip


RPCS = [
    "Generate", "StartGeneration", "ListGenerations", "ListModels", "FetchOutput", "Classify", "ClassifyStream",
    "Verify",
    "Resolve(record)", "Resolve(digest)", "Resolve(payload)", "Query", "Export", "GetProof(record)", "GetProof(index)",
    "GetCheckpoint", "ListReviews", "GetReview", "CopyReview", "DecideReview", "ListHolds", "PlaceHold", "ReleaseHold",
    "Erase", "ReportMisuse", "ListCases", "GetCase", "DecideCase", "PerformDrill",
]  # fmt: skip


def found(call):
    """A call about something that is not there: for who may make it, that is the right answer."""
    return answered(call, "NOT_FOUND")


def refused(call):
    """A call that nothing can be done about, likewise."""
    return answered(call, "FAILED_PRECONDITION")


def answered(call, code: str):
    def checked(**options) -> None:
        with pytest.raises(grpc.RpcError) as caught:
            call(**options)
        if caught.value.code().name != code:
            raise caught.value

    return checked


def outcome(call, **options) -> str:
    try:
        call(timeout=60, **options)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def expected(caller: str, role: str, for_b: str) -> str:
    if caller.partition("@")[0] in ("nobody", "wrong"):
        return "UNAUTHENTICATED"
    tenant, held = caller.partition("@")[0].split("_")
    if held not in role.split() and not (held == "all" and role in ROLES):
        return "PERMISSION_DENIED"
    return "OK" if tenant == "A" else for_b


@pytest.mark.parametrize("rpc", RPCS)
def test_every_rpc_for_every_caller_by_connect(rpc: str, site: Site, connect_channel):
    """The same table through the browsers' door; what takes a stream of requests is left to gRPC."""
    opened = connect_channel(f"http://{site.http}")
    role, for_b, call = calls(site, opened)[rpc]
    streamed = rpc in ("Verify", "ClassifyStream")
    got = {caller: outcome(call, metadata=metadata(caller)) for caller in CALLERS}
    wanted = {caller: expected(caller, role, for_b) for caller in CALLERS}
    opened.close()
    assert got == {c: "UNIMPLEMENTED" if streamed and code == "OK" else code for c, code in wanted.items()}


@pytest.mark.parametrize("rpc", RPCS)
def test_every_rpc_for_every_caller(rpc: str, site: Site, channel: grpc.Channel):
    role, for_b, call = calls(site, channel)[rpc]
    callers = (*CALLERS, *MANAGED, *SIGNED)
    got = {caller: outcome(call, metadata=metadata(caller)) for caller in callers}
    assert got == {caller: expected(caller, role, for_b) for caller in callers}


def test_every_rpc_is_in_the_table(site: Site, channel: grpc.Channel):
    from google.protobuf.descriptor_pool import Default

    names = {name.partition("(")[0] for name in RPCS} | {"GetGeneration", "WaitGeneration", "CancelGeneration"}
    served = set()
    for service in ("GenerationService", "SafetyService", "ProvenanceService", "AuditService", "AdminService"):
        served |= {m.name for m in Default().FindServiceByName(f"gensafe.v1.{service}").methods}
    assert names == served
    assert set(RPCS) == set(calls(site, channel))


def test_jobs_of_one_id_are_each_tenants_own(site: Site, channel: grpc.Channel):
    stub = generation_pb2_grpc.GenerationServiceStub(channel)
    name = str(uuid.uuid4())
    body = generation_pb2.GenerateRequest(
        request_id=name, prompt="a kite", modality=common_pb2.MODALITY_TEXT, max_tokens=9
    )
    stub.StartGeneration(generation_pb2.StartGenerationRequest(request=body), metadata=metadata("A_all"), timeout=60)
    wait = generation_pb2.WaitGenerationRequest(request_id=name)
    for call, request in (
        (stub.GetGeneration, generation_pb2.GetGenerationRequest(request_id=name)),
        (stub.WaitGeneration, wait),
        (stub.CancelGeneration, generation_pb2.CancelGenerationRequest(request_id=name)),
    ):
        for caller, code in (("B_all", "NOT_FOUND"), ("A_verify", "PERMISSION_DENIED"), ("wrong", "UNAUTHENTICATED")):
            assert outcome(lambda **k: call(request, **k), metadata=metadata(caller)) == code  # noqa: B023
    listed = {c: stub.ListGenerations(generation_pb2.ListGenerationsRequest(), metadata=metadata(c), timeout=60).jobs
              for c in ("A_all", "B_all")}  # fmt: skip
    assert name in [job.request_id for job in listed["A_all"]]
    assert name not in [job.request_id for job in listed["B_all"]]
    body.prompt = "another prompt, the same id"
    stub.StartGeneration(generation_pb2.StartGenerationRequest(request=body), metadata=metadata("B_all"), timeout=60)
    jobs = {c: stub.WaitGeneration(wait, metadata=metadata(c), timeout=60).job for c in ("A_all", "B_all")}
    assert jobs["A_all"].completed.record_id
    assert jobs["B_all"].completed.record_id not in ("", jobs["A_all"].completed.record_id)


def test_a_request_id_tells_nothing_about_other_tenants(site: Site, channel: grpc.Channel):
    name = str(uuid.uuid4())
    first, text = generate(channel, "A_all", name, common_pb2.MODALITY_TEXT)
    made, other = generate(channel, "B_all", name, common_pb2.MODALITY_TEXT, "a prompt of B")
    assert made.record_id != first.record_id
    assert other
    repeated, again = generate(channel, "A_all", name, common_pb2.MODALITY_TEXT)
    assert (repeated.record_id, again) == (first.record_id, text)
    with pytest.raises(grpc.RpcError) as caught:
        generate(channel, "B_all", name, common_pb2.MODALITY_TEXT, "a third prompt")
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS  # of its own id, as before


# --- what verification says ------------------------------------------------------------------------------------------


def verify(channel: grpc.Channel, caller: str, data: bytes, **options) -> provenance_pb2.VerifyResponse:
    stub = provenance_pb2_grpc.ProvenanceServiceStub(channel)
    first = provenance_pb2.VerifyRequest(options=provenance_pb2.VerifyOptions(name="x.txt", **options), data=data)
    return stub.Verify(iter([first]), metadata=metadata(caller), timeout=60)


def manifest_of(site: Site, channel: grpc.Channel) -> bytes:
    stub = provenance_pb2_grpc.ProvenanceServiceStub(channel)
    request = provenance_pb2.ResolveRequest(record_id=site.record_id)
    return stub.Resolve(request, metadata=metadata("A_verify"), timeout=30).manifest


def edits(site: Site, channel: grpc.Channel):
    """Ways to make a verifier compare something with A's text without having it."""
    text = site.text.decode()
    visible = strip_a8(text)
    wrapper, words = text[len(visible) :], visible.split(" ")
    masked = " ".join("[REDACTED]" if n % 3 == 0 else word for n, word in enumerate(words))
    return visible, {
        "wrapper on another text": ("Nothing to see here." + wrapper, {}),
        "words masked": (masked, {}),
        "words masked, wrapper kept": (masked + wrapper, {}),
        "manifest as a sidecar": ("Nothing to see here.\n", {"sidecar": manifest_of(site, channel)}),
    }


@pytest.mark.parametrize("how", ["wrapper on another text", "words masked", "words masked, wrapper kept",
                                 "manifest as a sidecar"])  # fmt: skip
def test_verification_gives_no_other_tenant_what_the_record_holds(how: str, site: Site, channel: grpc.Channel):
    visible, ways = edits(site, channel)
    text, options = ways[how]
    words = visible.split()
    secrets = [s for s in (" ".join(words[n : n + 3]) for n in range(len(words) - 2)) if s not in text]
    assert secrets
    for caller in ("B_all", "B_verify"):
        said = str(verify(channel, caller, text.encode(), crjson=True, **options))
        assert not [words for words in secrets if words in said]
        if "sidecar" not in options and "wrapper" not in how:
            assert site.record_id not in said
    answer = httpx.post(f"http://{site.http}/verify", content=text.encode(), headers={"accept": "application/json"})
    assert site.record_id not in answer.text
    assert not [words for words in secrets if words in answer.text]


def test_the_owner_is_shown_the_difference(site: Site, channel: grpc.Channel):
    _, ways = edits(site, channel)
    text, options = ways["words masked, wrapper kept"]
    assert "difference" in str(verify(channel, "A_verify", text.encode(), **options))


# --- the log ---------------------------------------------------------------------------------------------------------


def entries_seen(channel: grpc.Channel, caller: str) -> list[dict]:
    stub = audit_pb2_grpc.AuditServiceStub(channel)
    found = stub.Query(audit_pb2.QueryRequest(page_size=1000), metadata=metadata(caller), timeout=30)
    return [json.loads(e.json)["entry"] for e in found.entries]


def exported(channel: grpc.Channel, caller: str) -> list[dict]:
    stub = audit_pb2_grpc.AuditServiceStub(channel)
    pieces = stub.Export(audit_pb2.ExportRequest(), metadata=metadata(caller), timeout=60)
    data = b"".join(p.data for p in pieces if p.file == "entries.jsonl")
    return [json.loads(line)["entry"] for line in data.splitlines()]


@pytest.mark.parametrize("read", [entries_seen, exported])
def test_a_tenant_reads_its_own_entries_and_public_ones(read, site: Site, channel: grpc.Channel):
    verify(channel, "A_verify", b"x")  # leaves an entry of nobody
    for letter, tenant in TENANTS.items():
        entries = read(channel, f"{letter}_audit")
        assert {entry["tenant"] for entry in entries if "tenant" in entry} <= {tenant}
        assert {entry["event"] for entry in entries if "tenant" not in entry} <= {
            "key.rotated", "key.committed", "policy.changed", "service.started", "filter.unavailable",
            "filter.restored",
        }  # fmt: skip
    assert any(entry.get("tenant") == "acme" for entry in read(channel, "A_audit"))


def test_a_proof_is_refused_alike_whether_there_is_a_record_or_not(site: Site, channel: grpc.Channel):
    stub = audit_pb2_grpc.AuditServiceStub(channel)
    own = entries_seen(channel, "B_audit")
    assert own

    def refusal(**what) -> str:
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetProof(audit_pb2.GetProofRequest(**what), metadata=metadata("B_audit"), timeout=30)
        return f"{caught.value.code()} {caught.value.details()}"

    assert refusal(record_id=site.record_id) == refusal(record_id=MISSING)
    assert refusal(index=site.picture.log.index) == refusal(index=10**9) == refusal(index=-1)
    fetch = generation_pb2_grpc.GenerationServiceStub(channel).FetchOutput
    said = []
    for record in (site.record_id, MISSING):
        with pytest.raises(grpc.RpcError) as caught:
            list(fetch(generation_pb2.FetchOutputRequest(record_id=record), metadata=metadata("B_all"), timeout=30))
        said.append(caught.value.details().replace(record, "ID"))
    assert said[0] == said[1]


# --- HTTP ------------------------------------------------------------------------------------------------------------


def bearer(caller: str) -> dict[str, str]:
    return {} if caller == "nobody" else {"authorization": f"Bearer {TOKENS.get(caller, caller)}"}


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("GET", "/verify", None),
        ("POST", "/verify", "anyone"),
        ("GET", "/healthz", None),
        ("GET", "/softbinding/v1/manifests/LABEL", None),
        ("GET", "/softbinding/v1/manifests/LABEL/receipts", None),
        ("GET", "/softbinding/v1/services/capabilities", "anyone"),
        ("POST", "/softbinding/v1/matches/byContent", "anyone"),
        ("GET", "/softbinding/v1/matches/byBinding", "verify"),
        ("POST", "/softbinding/v1/manifests", "nobody"),
        ("POST", "/softbinding/v1/matches/byReference", "nobody"),
        ("GET", "/classify", "classify"),
    ],
)
def test_every_http_route_for_every_caller(method: str, path: str, role: str | None, site: Site):
    options: dict = {}
    if path.endswith(("byContent", "/verify")) and method == "POST":
        options["content"] = site.picture_data
    if path.endswith("byBinding"):
        payload = bytes.fromhex("0" + site.picture.record_id)
        options["params"] = {"alg": algorithm(site), "value": base64.b64encode(payload).decode()}
    for caller in ("nobody", "wrong", "A_all", "A_generate", "A_classify", "B_all", *MANAGED, *SIGNED):
        url = f"http://{site.http}{path.replace('LABEL', site.picture.manifest.label)}"
        got = httpx.request(method, url, headers=bearer(caller), timeout=60, **options).status_code
        held = caller.partition("@")[0].partition("_")[2]
        if role == "nobody":
            want = 403
        elif role is None:
            want = 200
        elif caller.startswith("wrong"):
            want = 401
        elif role == "anyone" or held in ("all", role):
            want = 200
        else:
            want = 401 if caller == "nobody" and role == "classify" else 403
        assert got == want, (caller, got, want)


def algorithm(site: Site) -> str:
    listed = httpx.get(f"http://{site.http}/softbinding/v1/services/supportedAlgorithms").json()["watermarks"]
    return next(item["alg"] for item in listed if "image" in item["alg"])


def test_a_binding_finds_only_the_askers_records(site: Site):
    payload = base64.b64encode(bytes.fromhex("0" + site.picture.record_id)).decode()
    query = {"alg": algorithm(site), "value": payload}
    url = f"http://{site.http}/softbinding/v1/matches/byBinding"
    found = httpx.get(url, params=query, headers=bearer("A_verify")).json()["matches"]
    assert found == [{"manifestId": site.picture.manifest.label}]
    assert httpx.get(url, params=query, headers=bearer("B_verify")).json()["matches"] == []
    missing = dict(query, value=base64.b64encode(bytes.fromhex("0" + MISSING)).decode())
    told = [httpx.get(url, params=p) for p in (query, missing)]
    assert told[0].status_code == told[1].status_code == 403
    assert told[0].text == told[1].text
    for caller, offered in (("nobody", False), ("A_generate", False), ("A_verify", True)):
        answer = httpx.get(f"http://{site.http}/softbinding/v1/services/capabilities", headers=bearer(caller)).json()
        assert ("queryByBinding" in answer["supportedCapabilities"]) is offered


def test_a_stranger_finds_a_manifest_by_the_file_and_never_by_its_likeness(site: Site):
    """The review saw: words masked out of A's text led to its manifest by likeness."""
    url = f"http://{site.http}/softbinding/v1/matches/byContent"
    found = httpx.post(url, content=site.picture_data, timeout=60).json()["matches"]
    assert [match["manifestId"] for match in found] == [site.picture.manifest.label]
    alike = strip_a8(site.text.decode()).encode()
    for caller, seen in (("nobody", False), ("B_verify", False), ("A_verify", True)):
        matches = httpx.post(url, content=alike, headers=bearer(caller), timeout=60).json()["matches"]
        assert (site.label in [match["manifestId"] for match in matches]) is seen


@pytest.mark.parametrize(
    "header",
    [b"Basic \xff", b"Basic", b"Basic ====", b"Basic /w==", b"Bearer", b"Bearer \xff", b"\xff\xfe", b"", b"Digest x",
     b"Basic " + base64.b64encode("ü:é".encode()), b"Bearer " + b"x" * 4000],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/classify", "/softbinding/v1/services/capabilities"])
def test_odd_credentials_are_401(header: bytes, path: str, site: Site):
    answer = httpx.get(f"http://{site.http}{path}", headers=[(b"authorization", header)])
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers


def test_two_credentials_are_not_one(site: Site):
    headers = [("authorization", "Bearer A_all"), ("authorization", "Bearer wrong")]
    assert httpx.get(f"http://{site.http}/classify", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:9", 200), ("127.0.0.1", 200), ("127.9.9.9:80", 200), ("[::1]:80", 200), ("verify.example.org", 200),
     ("VERIFY.example.org.:443", 200), ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("localhost.evil", 421),
     ("", 421), ("verify.example.org:x", 421), ("10.0.0.1", 421)],
)  # fmt: skip
def test_other_names_of_the_server_are_refused(host: str, status: int, site: Site):
    """Before: any name was served, so a page of another site could read answers (DNS rebinding)."""
    assert httpx.get(f"http://{site.http}/healthz", headers={"host": host}).status_code == status


# --- keys that change (last: it changes the file) --------------------------------------------------------------------


def test_a_removed_key_stops_working_on_every_door(site: Site, channel: grpc.Channel):
    call = calls(site, channel)["Query"][2]
    page = f"http://{site.http}/classify"
    good = site.keys.read_text()
    try:
        assert outcome(call, metadata=metadata("B_audit")) == "OK"
        assert httpx.get(page, headers=bearer("B_classify")).status_code == 200
        site.keys.write_text("\n".join(line for line in good.splitlines() if " beta" not in line) + "\n")
        assert outcome(call, metadata=metadata("B_audit")) == "UNAUTHENTICATED"
        assert httpx.get(page, headers=bearer("B_classify")).status_code == 401
        assert outcome(call, metadata=metadata("A_audit")) == "OK"
        site.keys.write_text("not a key file")
        assert outcome(call, metadata=metadata("A_audit")) == "OK"
        assert outcome(call, metadata=metadata("B_audit")) == "UNAUTHENTICATED"
        assert "stay in force" in (site.data / "server.log").read_text()
    finally:
        site.keys.write_text(good)
    assert outcome(call, metadata=metadata("B_audit")) == "OK"


def test_a_legal_hold_is_the_owners_to_know(tmp_path: Path, write_config, server_process):
    """The review saw: acme and beta read the hold's id and scope by Query, Export and GetProof."""
    keys = tmp_path / "keys.txt"
    keys.write_text(key_lines())
    config = write_config(tmp_path, server={"api_keys": str(keys)})
    data = tmp_path / "data"
    server = server_process(data, ("--config", str(config)))
    server.start()
    server.stop()
    assert main(["privacy", "hold", "CASE-7-fraud-probe", "--scope", "tenant:acme", "--data-dir", str(data)]) == 0
    server.start()
    try:
        with grpc.insecure_channel(server.address) as channel:
            audit = audit_pb2_grpc.AuditServiceStub(channel)
            size = int(
                audit.GetCheckpoint(audit_pb2.GetCheckpointRequest(), metadata=metadata("A_audit"), timeout=30)
                .checkpoint.split("\n")[1]
            )  # fmt: skip
            for caller in ("A_audit", "B_audit"):
                assert "CASE-7" not in str(entries_seen(channel, caller))
                pieces = audit.Export(audit_pb2.ExportRequest(format="csv"), metadata=metadata(caller), timeout=60)
                assert b"CASE-7" not in b"".join(piece.data for piece in pieces)
                for index in range(size):
                    request = audit_pb2.GetProofRequest(index=index)
                    seen: list[str] = []
                    code = outcome(lambda **k: seen.append(audit.GetProof(request, **k).entry_json),  # noqa: B023
                                   metadata=metadata(caller))  # fmt: skip
                    assert code in ("OK", "NOT_FOUND")
                    assert "CASE-7" not in "".join(seen)
    finally:
        assert server.stop() == 0
