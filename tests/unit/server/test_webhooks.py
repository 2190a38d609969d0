"""Messages about jobs: signed as Standard Webhooks says, tried again, and never sent where they may not go."""

import base64
import http.server
import ssl
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gensafe.core.clock import FixedClock
from gensafe.core.config import WebhookConfig
from gensafe.core.errors import ConfigError, InvalidRequest
from gensafe.registry import Registry
from gensafe.registry.webhooks import queue
from gensafe.server.webhooks import PAUSES_S, Webhooks, is_public, read_endpoints
from gensafe.v1 import generation_pb2 as pb
from tests.integration.issuer import own_certificate

NOW = 1_700_000_000_000
SIGNING_KEY = b"whsk_" + base64.b64encode(bytes(32))
TOLD = pb.Job(request_id="r", state=pb.JOB_STATE_FAILED, error_reason="INTERRUPTED", error_message="never sent")


@pytest.fixture
def receiver():
    """A real receiver: answers the statuses of ``answers`` one after another, and keeps what it got."""

    class Handler(http.server.BaseHTTPRequestHandler):
        answers: list = []  # noqa: RUF012 - of this class only
        got: list = []  # noqa: RUF012

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.got.append((self.path, dict(self.headers), body))
            self.send_response(self.answers.pop(0))
            self.send_header("location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Handler.url, Handler.server = f"http://127.0.0.1:{server.server_port}/hook?a=1", server
        yield Handler
        server.shutdown()


@pytest.fixture
def site(tmp_path):
    """site(**configuration) -> (webhooks, registry, clock), with a message queued about TOLD."""
    opened = []

    def make(key=SIGNING_KEY, **config):
        (tmp_path / "secret").write_bytes(key)
        clock = FixedClock(NOW)
        registry = Registry.open(tmp_path / "registry", clock=clock)
        opened.append(registry)
        made = read_endpoints([WebhookConfig(secret=str(tmp_path / "secret"), **config)])
        return Webhooks(made, registry.webhooks, clock), registry, clock

    yield make
    for registry in opened:
        registry.close()


def send(webhooks, registry, told=TOLD, tenant="acme", url=""):
    messages = webhooks.messages(tenant, url, told)
    registry._db.write("test", lambda connection: queue(connection, messages))
    webhooks.step()


def test_a_failed_message_is_sent_again_and_a_redirect_is_not_followed(receiver, site):
    webhooks, registry, clock = site(url=receiver.url, private=True)
    receiver.answers[:] = [500, 302, 204]
    send(webhooks, registry)
    webhooks.step()
    assert len(receiver.got) == 1  # not before its time
    registry.close()
    webhooks, registry, clock = site(url=receiver.url, private=True)  # another process
    for pause in PAUSES_S[:2]:
        clock.advance(pause * 1000)
        webhooks.step()
    clock.advance(PAUSES_S[-1] * 1000)
    webhooks.step()
    assert [path for path, *_ in receiver.got] == ["/hook?a=1"] * 3
    assert len({headers["webhook-id"] for _, headers, _ in receiver.got}) == 1
    assert all(b"never sent" not in body and b'"INTERRUPTED"' in body for *_, body in receiver.got)
    _, headers, body = receiver.got[-1]
    scheme, _, signature = headers["webhook-signature"].partition(",")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().verify(base64.b64decode(signature), signed)
    assert scheme == "v1a" and int(headers["webhook-timestamp"]) == NOW // 1000 + sum(PAUSES_S[:2])


def test_it_gives_up_in_the_end_and_at_once_where_it_is_unwanted(receiver, site):
    webhooks, registry, clock = site(url=receiver.url, private=True)
    receiver.answers[:] = [410]
    send(webhooks, registry)
    receiver.answers[:] = [500] * 20
    send(webhooks, registry)
    for _ in range(20):
        clock.advance(PAUSES_S[-1] * 1000)
        webhooks.step()
    assert len(receiver.got) == 1 + 1 + len(PAUSES_S)
    webhooks.forget(clock.now_ms() + 1)


def test_https_goes_only_to_a_receiver_whose_certificate_is_trusted(receiver, site, tmp_path, monkeypatch):
    authority, pair = own_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    webhooks, registry, clock = site(url=receiver.url.replace("http:", "https:"), private=True)
    receiver.answers[:] = [204]
    send(webhooks, registry)
    (waits,) = registry.webhooks.due(clock.now_ms() + PAUSES_S[0] * 1000, 9)
    assert "CERTIFICATE_VERIFY_FAILED" in waits.outcome and not receiver.got
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    clock.advance(PAUSES_S[0] * 1000)
    webhooks.step()
    assert len(receiver.got) == 1


def test_addresses_that_are_not_public_get_nothing(receiver, site):
    webhooks, registry, clock = site(url=receiver.url)
    send(webhooks, registry)
    assert not receiver.got
    (waits,) = registry.webhooks.due(clock.now_ms() + PAUSES_S[0] * 1000, 9)
    assert waits.outcome == "AddressRefused: the address is not public"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1", "fe80::1%eth0", "fd00::1",
     "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::"],
)  # fmt: skip
def test_private_addresses_in_every_spelling(address):
    assert not is_public(address)
    assert is_public("93.184.215.14") and is_public("2606:2800:21f:cb07:6820:80da:af6b:8b2c")


def test_a_job_may_name_only_what_its_tenant_is_allowed(site):
    webhooks, *_ = site(tenant="acme", hosts=("hooks.example.org", "other.example.org:8443"))
    for url in (
        "",
        "https://hooks.example.org/a?b",
        "https://hooks.example.org:443",
        "https://other.example.org:8443/",
    ):
        webhooks.check("acme", url)
    for url in (
        "http://hooks.example.org/",
        "https://hooks.example.org:8443/",
        "https://hooks.example.org.evil.example/",
        "https://evil.example/@hooks.example.org",
        "https://hooks.example.org@evil.example/",
        "https://user@hooks.example.org/",
        "https://hooks.example.org/\r\nx: y",
        "https://[hooks.example.org/",
        "file:///etc/passwd",
        "https://hooks.example.org/" + "a" * 2000,
    ):
        with pytest.raises(InvalidRequest, match="webhook_url"):
            webhooks.check("acme", url)
    with pytest.raises(InvalidRequest, match="webhook_url"):
        webhooks.check("other", "https://hooks.example.org/")
    assert [one.url for one in webhooks.messages("acme", "https://hooks.example.org/", TOLD)] == [
        "https://hooks.example.org/"
    ]
    assert not webhooks.messages("other", "", TOLD)


@pytest.mark.parametrize("key", [b"", b"secret", b"whsec_AAAA", b"whsk_" + base64.b64encode(bytes(40)), b"whsec_!"])
def test_a_file_without_a_key_is_refused_by_name(site, key):
    with pytest.raises(ConfigError, match=r"webhooks\[0\].secret"):
        site(key, url="https://example.org")
