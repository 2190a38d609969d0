"""Claim signers outside this process: a SoftHSM2 token, a signing service over mutual TLS, a file.

Before, ``gensafe.signers`` was a plugin group that nothing loaded, and ``serve`` signed with the key ring's key only.
"""

import base64
import importlib.util
import json
import os
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from gensafe.core import plugins
from gensafe.core.clock import SystemClock
from gensafe.core.errors import ConfigError, KeyError_, PluginError, SigningFailed
from gensafe.keys import pki

_spec = importlib.util.spec_from_file_location("soft_token", Path(__file__).parents[2] / "assets" / "soft_token.py")
module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(module)
hardware = pytest.mark.skipif(not os.path.exists(module.MODULE), reason="SoftHSM2 is not installed")
NOW = SystemClock().now_ms()


def issue():
    """(root, leaf, chain) of a claim key."""
    root = pki.make_ca("root", NOW)
    middle = pki.make_ca("middle", NOW, root, path_length=0)
    leaf = pki.make_claim_leaf("signer", NOW, middle)
    return root, leaf, leaf.certificate_pem() + middle.certificate_pem()


@pytest.fixture
def claim(tmp_path):
    """The leaf, and the path of its chain."""
    _, leaf, chain = issue()
    path = tmp_path / "chain.pem"
    path.write_bytes(chain)
    return leaf, str(path)


@pytest.fixture
def token(tmp_path, claim, monkeypatch):
    made = module.SoftToken(tmp_path / "hsm", claim[0].key_pem())
    monkeypatch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
    return made


def load(name, **options):
    return plugins.load("gensafe.signers", name, options)


@hardware
def test_a_token_signs_and_a_removed_one_fails_until_it_is_back(token, claim):
    signer = load("pkcs11", chain=claim[1], **token.options)
    assert signer.algorithm == "es256" and not signer.development
    assert len(signer.sign(b"claim")) == 64  # checked against the leaf inside
    token.remove()
    for _ in range(2):
        with pytest.raises(SigningFailed, match="token 'gensafe'"):
            signer.sign(b"claim")
    token.bring_back()
    assert len(signer.sign(b"claim")) == 64


@hardware
def test_a_token_is_shared_by_threads(token, claim):
    signer = load("pkcs11", chain=claim[1], **token.options)
    made = []
    threads = [threading.Thread(target=lambda: made.append(signer.sign(b"x"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8


@hardware
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"token": "other"}, "token 'other'"),
        ({"key": "other"}, "token 'gensafe'"),
        ({"module": "/nowhere.so"}, "module cannot be used|token"),
        ({"pin_file": "/etc/hostname"}, "token 'gensafe'"),
        ({"pn": "1"}, "unknown option"),
        ({"key": ""}, "token 'gensafe'"),
    ],
)
def test_what_is_configured_wrongly_stops_the_start(token, claim, change, message):
    with pytest.raises((SigningFailed, ConfigError), match=message):
        load("pkcs11", **{"chain": claim[1], **token.options, **change})


@hardware
def test_a_token_with_another_key_than_the_certificate_is_refused(token, tmp_path):
    other = tmp_path / "other.pem"
    other.write_bytes(issue()[2])
    with pytest.raises(SigningFailed, match="not of the certificate's key"):
        load("pkcs11", chain=str(other), **token.options).sign(b"claim")


def test_a_file_signs_and_must_be_private(claim, tmp_path):
    key = tmp_path / "key.pem"
    key.write_bytes(claim[0].key_pem())
    key.chmod(0o600)
    assert len(load("file", key=str(key), chain=claim[1]).sign(b"x")) == 64
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="other users"):
        load("file", key=str(key), chain=claim[1])
    with pytest.raises(ConfigError, match="is needed"):
        load("file", chain=claim[1])
    key.chmod(0o600)
    other = tmp_path / "other.pem"
    other.write_bytes(issue()[2])
    with pytest.raises(KeyError_, match="not for this key"):
        load("file", key=str(key), chain=str(other))


def test_an_unknown_provider_names_those_installed():
    with pytest.raises(PluginError, match="no plugin named 'cloud'"):
        load("cloud")


# --- the signing service ---------------------------------------------------------------------------------------------


def tls_leaf(name: str, issuer: pki.Issued) -> pki.Issued:
    """A certificate for TLS, for 127.0.0.1."""
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    start = datetime.now(UTC) - timedelta(minutes=5)
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    return pki.Issued(built.sign(issuer.key, hashes.SHA256()), key)


class Service:
    """The other side of docs/signing.md: one key, one page of code. ``mode`` says how it answers."""

    def __init__(self, key, context=None):
        service = self
        self.mode, self.count = "good", 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert asked["algorithm"] == "es256" and set(asked) == {"algorithm", "digest"}
                digest = base64.b64decode(asked["digest"])
                r, s = decode_dss_signature(key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
                service.count += 1
                signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
                if service.mode == "wrong":
                    signature = bytes(64)
                if service.mode == "short":
                    signature = signature[:63]
                body = json.dumps({"signature": base64.b64encode(signature).decode()}).encode()
                body = {"junk": b"junk", "empty": b"{}", "large": bytes(1 << 16)}.get(service.mode, body)
                self.send_response(503 if service.mode == "down" else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.handle_error = lambda *_: None  # refused handshakes are expected here
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.server.server_port}/sign"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def service(claim):
    running = Service(claim[0].key)
    yield running
    running.close()


def test_a_service_signs_and_bad_answers_fail(service, claim):
    signer = load("http", url=service.url, chain=claim[1])
    assert len(signer.sign(b"claim")) == 64
    for mode, message in (
        ("wrong", "not of the certificate's key"),
        ("short", "not of the certificate's key"),
        ("junk", "no signature"),
        ("empty", "no signature"),
        ("large", "too much"),
        ("down", "503"),
    ):
        service.mode = mode
        with pytest.raises(SigningFailed, match=message):
            signer.sign(b"claim")
    service.mode = "good"
    assert len(signer.sign(b"claim")) == 64
    assert service.count == 8  # nothing is asked twice


def test_mutual_tls(claim, tmp_path):
    ca = pki.make_ca("tls root", NOW)
    stranger_ca = pki.make_ca("other root", NOW)
    for name, issuer in (("server", ca), ("client", ca), ("stranger", stranger_ca)):
        made = tls_leaf(name, issuer)
        (tmp_path / f"{name}.pem").write_bytes(made.certificate_pem())
        (tmp_path / f"{name}.key").write_bytes(made.key_pem())
    for name, issuer in (("ca", ca), ("stranger-ca", stranger_ca)):
        (tmp_path / f"{name}.pem").write_bytes(issuer.certificate_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    context.load_verify_locations(tmp_path / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    running = Service(claim[0].key, context)

    def ask(client="client", ca="ca"):
        files = {"ca": f"{ca}.pem", "client_cert": f"{client}.pem", "client_key": f"{client}.key"}
        paths = {name: str(tmp_path / file) for name, file in files.items()}
        return load("http", url=running.url, chain=claim[1], **paths).sign(b"claim")

    try:
        assert len(ask()) == 64
        for wrong in ({"client": "stranger"}, {"ca": "stranger-ca"}):
            with pytest.raises(SigningFailed, match="cannot be reached"):
                ask(**wrong)
        assert running.count == 1
    finally:
        running.close()


@pytest.mark.parametrize("url", ["https://kms.example/sign", "http://kms.example/sign", "ftp://127.0.0.1/", "x"])
def test_a_service_elsewhere_needs_mutual_tls(claim, url):
    with pytest.raises(ConfigError, match="over https with ca"):
        load("http", url=url, chain=claim[1])
