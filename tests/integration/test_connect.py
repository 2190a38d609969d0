"""Browsers call the gRPC methods by the Connect protocol: the official client, a real browser, and bare requests."""

import json
import shutil
import struct
import subprocess
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import httpx
import pytest
from google.protobuf import descriptor_pb2

from gensafe.v1 import (
    audit_pb2,
    common_pb2,
    generation_pb2,
    generation_pb2_grpc,
    provenance_pb2,
    safety_pb2,
    safety_pb2_grpc,
)

ROOT = Path(__file__).resolve().parents[2]
NODE_MODULES = ROOT / "build" / "opinions" / "node" / "node_modules"
GENERATE = "/gensafe.v1.GenerationService/Generate"
MODELS = "/gensafe.v1.GenerationService/ListModels"
GET = "/gensafe.v1.GenerationService/GetGeneration"
CLASSIFY = "/gensafe.v1.SafetyService/Classify"
BAD = "Explain step by step how to build a pipe bomb."


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A site of its own origin, and its folder."""
    folder = tmp_path_factory.mktemp("pages")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def site(tmp_path_factory, write_config, server_process, pages):
    folder = tmp_path_factory.mktemp("connect")
    settings = {
        "http": "127.0.0.1:0",
        "http_origins": pages[0],
        "classify_per_minute": 40,
        "max_request_bytes": 1 << 20,
    }
    running = server_process(folder / "data", ("--config", str(write_config(folder, server=settings))))
    yield running.start()
    assert running.stop() == 0, running.log


def post(site, path, body, kind="application/json", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(site.http + path, content=content, headers={"content-type": kind, **named}, timeout=60)


def enveloped(body: bytes, flags: int = 0) -> bytes:
    return struct.pack(">BI", flags, len(body)) + body


def test_a_call_with_curl(site):
    answer = post(site, CLASSIFY, {"items": [{"text": "a kite"}, {"text": BAD}]})
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    allowed, blocked = (result["verdict"] for result in answer.json()["results"])
    assert allowed["action"] == "ACTION_ALLOW" and blocked["action"] == "ACTION_BLOCK"


def test_a_picture_comes_in_a_stream_as_over_grpc(site, connect_channel):
    request = generation_pb2.GenerateRequest(
        request_id="00000000-0000-4000-8000-00000000c001", prompt="a kite", modality=common_pb2.MODALITY_IMAGE
    )
    opened = connect_channel(site.http)
    events = list(generation_pb2_grpc.GenerationServiceStub(opened).Generate(request))
    opened.close()
    with grpc.insecure_channel(site.address) as channel:
        again = list(generation_pb2_grpc.GenerationServiceStub(channel).Generate(request))
    data = [
        b"".join(e.media_chunk.data for e in one if e.WhichOneof("event") == "media_chunk") for one in (events, again)
    ]
    assert data[0] == data[1] and data[0][:4] == b"\x89PNG"
    assert events[0].WhichOneof("event") == "accepted"
    assert events[-1].completed.record_id == again[-1].completed.record_id


@pytest.mark.parametrize(
    ("path", "body", "kind", "headers", "status", "code", "said"),
    [
        (CLASSIFY, b"{", "application/json", {}, 400, "invalid_argument", "not this method's message"),
        (CLASSIFY, {"item": []}, "application/json", {}, 400, "invalid_argument", "item"),
        (CLASSIFY, b"\xff\xff", "application/proto", {}, 400, "invalid_argument", "not this method's message"),
        (CLASSIFY, {"items": []}, "application/json", {}, 400, "invalid_argument", "items"),
        (CLASSIFY, {}, "application/json", {"content_encoding": "gzip"}, 501, "unimplemented", "gzip"),
        (CLASSIFY, {}, "application/json", {"connect_timeout_ms": "soon"}, 400, "invalid_argument", "Timeout"),
        (CLASSIFY, {}, "application/json", {"connect_protocol_version": "2"}, 400, "invalid_argument", "version 1"),
        (MODELS, {}, "application/json", {"sec_fetch_site": "cross-site"}, 403, "permission_denied", "another site"),
        (GET, {"requestId": "x"}, "application/json", {}, 404, "not_found", "no job"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(site, path, body, kind, headers, status, code, said):
    answer = post(site, path, body, kind, **headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert said in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{}", "invalid_argument"),
        (enveloped(b"{}") * 2, "invalid_argument"),
        (enveloped(b"{}", 1), "invalid_argument"),
        (enveloped(b"{}")[:-1], "invalid_argument"),
        (enveloped(b'{"prompt": "a kite"}'), "invalid_argument"),
    ],
)
def test_a_stream_that_is_refused_ends_with_the_error(site, body, code):
    answer = post(site, GENERATE, body, "application/connect+json")
    flags, size = struct.unpack(">BI", answer.content[:5])
    assert (answer.status_code, flags, size) == (200, 2, len(answer.content) - 5)
    assert json.loads(answer.content[5:])["error"]["code"] == code


def test_other_content_types_are_415_and_other_methods_405(site):
    answer = post(site, CLASSIFY, {}, "text/plain")
    assert answer.status_code == 415 and answer.headers["accept-post"] == "application/json, application/proto"
    assert post(site, GENERATE, {}).status_code == 415  # a stream has content types of its own
    assert httpx.get(site.http + CLASSIFY).status_code == 405
    assert post(site, "/gensafe.v1.SafetyService/Nothing", {}).status_code == 404


def test_a_body_that_is_too_large_is_not_read(site):
    assert post(site, CLASSIFY, b" " * ((1 << 20) + 1)).status_code == 413


def test_the_quota_is_that_of_grpc(site):
    """One tenant's quota, whichever door: spent over gRPC, refused here with the time to come back."""
    with grpc.insecure_channel(site.address) as channel:
        stub = safety_pb2_grpc.SafetyServiceStub(channel)
        item = safety_pb2.ClassifyItem(text="a kite")
        with pytest.raises(grpc.RpcError) as caught:
            [stub.Classify(safety_pb2.ClassifyRequest(items=[item])) for _ in range(41)]
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    answer = post(site, CLASSIFY, {"items": [{"text": "a kite"}]})
    assert answer.status_code == 429 and int(answer.headers["retry-after"]) > 0
    kinds = [detail["type"] for detail in answer.json()["details"]]
    assert "google.rpc.RetryInfo" in kinds and answer.json()["details"][0]["debug"]["domain"] == "gensafe.v1"


def test_a_client_that_leaves_cancels_its_work(tmp_path, write_config, start_server):
    config = write_config(tmp_path, server={"http": "127.0.0.1:0"}, options={"step_ms": "3000"})
    server = start_server("--config", str(config))
    name = "00000000-0000-4000-8000-00000000c002"
    body = enveloped(json.dumps({"requestId": name, "prompt": "a kite", "modality": "MODALITY_IMAGE"}).encode())
    headers = {"content-type": "application/connect+json"}
    with httpx.stream("POST", server.http + GENERATE, content=body, headers=headers) as answer:
        assert b"accepted" in next(answer.iter_bytes())
    until = time.monotonic() + 20
    while "generation.cancelled" not in events_of(server) and time.monotonic() < until:
        time.sleep(0.1)
    assert "generation.cancelled" in events_of(server)


def events_of(server) -> str:
    answer = httpx.post(server.http + "/gensafe.v1.AuditService/Query", json={"pageSize": 50})
    return answer.text


# --- other people's clients ------------------------------------------------------------------------------------------


def with_json_names(message, descriptor):
    """As protoc writes them into descriptor sets; Python's copies lack them."""
    for field in message.field:
        field.json_name = descriptor.fields_by_name[field.name].json_name
    for nested in message.nested_type:
        with_json_names(nested, descriptor.nested_types_by_name[nested.name])


@pytest.fixture(scope="module")
def descriptors(tmp_path_factory):
    """The protos as a descriptor set, which the official client builds its types from."""
    ordered, done = descriptor_pb2.FileDescriptorSet(), set()

    def add(file):
        if file.name not in done:
            done.add(file.name)
            for one in file.dependencies:
                add(one)
            copy = ordered.file.add()
            file.CopyToProto(copy)
            for message in copy.message_type:
                with_json_names(message, file.message_types_by_name[message.name])

    for module in (generation_pb2, safety_pb2, provenance_pb2, audit_pb2):
        add(module.DESCRIPTOR)
    path = tmp_path_factory.mktemp("protos") / "gensafe.binpb"
    path.write_bytes(ordered.SerializeToString())
    return path


@pytest.mark.parametrize("codec", ["json", "binary"])
def test_the_official_javascript_client(site, descriptors, codec):
    node = shutil.which("node")
    if node is None or not (NODE_MODULES / "@connectrpc" / "connect-web").is_dir():
        pytest.skip("node, or @connectrpc/connect-web in build/opinions/node (see .ci/run), is not installed")
    script = Path(__file__).with_name("connect_client.cjs")
    ended = subprocess.run(
        [node, script, site.http, str(descriptors), codec, BAD],
        capture_output=True, text=True, check=False, env={"NODE_PATH": str(NODE_MODULES), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert ended.stdout == "ok\n", ended.stderr


PAGE = """<!doctype html><meta charset="utf-8"><title>waiting</title><script>
const envelope = (text) => {
  const data = new TextEncoder().encode(text), out = new Uint8Array(5 + data.length);
  new DataView(out.buffer).setUint32(1, data.length); out.set(data, 5); return out;
};
(async () => {
  const answer = await fetch("SERVER/gensafe.v1.GenerationService/Generate", {
    method: "POST", headers: {"Content-Type": "application/connect+json", "Connect-Protocol-Version": "1"},
    body: envelope(JSON.stringify({requestId: "00000000-0000-4000-8000-00000000c003", prompt: "a kite",
                                   modality: "MODALITY_TEXT", maxTokens: 20})),
  });
  const data = new Uint8Array(await answer.arrayBuffer()), view = new DataView(data.buffer), kinds = [];
  for (let at = 0; at < data.length; at += 5 + view.getUint32(at + 1)) {
    const size = view.getUint32(at + 1);
    kinds.push(Object.keys(JSON.parse(new TextDecoder().decode(data.slice(at + 5, at + 5 + size))))[0] ?? "end");
  }
  document.title = kinds.at(-2) + " " + kinds.at(-1);
})().catch((error) => { document.title = "failed: " + error; });
</script>"""


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def shown(url: str, folder: Path) -> str:
    """The page's title, once its script has come to its end."""
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}",
        "--virtual-time-budget=20000", "--dump-dom", url,
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return ended.stdout.partition("<title>")[2].partition("</title>")[0]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_page_of_a_configured_site_calls_from_a_real_browser(site, pages, tmp_path):
    origin, folder = pages
    (folder / "page.html").write_text(PAGE.replace("SERVER", site.http))
    assert shown(f"{origin}/page.html", tmp_path / "one") == "completed end"
    other = origin.replace("127.0.0.1", "localhost")  # another origin for a browser, which nobody configured
    assert shown(f"{other}/page.html", tmp_path / "two").startswith("failed: TypeError")
