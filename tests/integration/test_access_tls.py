"""Client certificates on a real server: whose call it is, and that one wrong credential is never passed over.

The review saw on ed72f70: certificates without a name saw the entries of every tenant; an e-mail address was a tenant;
the key decided over the certificate; a wrong key beside a certificate was ignored.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import json
import shutil
import socket
import ssl
import time

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gensafe.v1 import audit_pb2, audit_pb2_grpc, provenance_pb2, provenance_pb2_grpc

DNS, URI, EMAIL = x509.DNSName, x509.UniformResourceIdentifier, x509.RFC822Name
ADDRESS = x509.IPAddress(ipaddress.ip_address("10.0.0.1"))
CLIENTS: dict[str, tuple[str | None, list[x509.GeneralName]]] = {
    "common name": ("acme", []),
    "dns": ("x", [DNS("beta")]),
    "uri": ("x", [DNS("d"), URI("spiffe://x/acme")]),
    "email": ("acme", [EMAIL("mallory@acme.test")]),
    "email only": (None, [EMAIL("mallory@acme.test")]),
    "address only": (None, [ADDRESS]),
    "nothing": (None, []),
    "reader": ("reader", []),
    "no roles": ("no roles", []),
    "empty dns": ("victim", [DNS("")]),
    "hidden": ("acme\u202e", []),
}
TENANT = {"reader": "beta", "common name": "acme", "dns": "beta", "uri": "spiffe://x/acme", "email": "acme"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mtls")
    now = datetime.datetime.now(datetime.UTC)
    authority = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])

    def make(name: str, common: str | None, names: list[x509.GeneralName], *, ca: bool = False) -> None:
        key = authority if ca else ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common is not None else [])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = builder.sign(authority, hashes.SHA256())
        (folder / f"{name}.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        form = serialization.PrivateFormat.PKCS8
        (folder / f"{name}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))

    make("ca", "ca", [], ca=True)
    names = [DNS("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    make("server", "server", names)
    make("next", "next", names)
    for name, (common, names) in CLIENTS.items():
        make(name, common, names)
    keys = [f"sha256:{hashlib.sha256(t.encode()).hexdigest()} {t}" for t in ("acme", "beta")]
    keys.append(f"sha256:{hashlib.sha256(b'acme-reads').hexdigest()} acme audit")
    (folder / "keys.txt").write_text("\n".join(keys) + "\n")
    (folder / "clients.txt").write_text(
        "# NAME TENANT ROLES\n* * generate,verify,classify,audit\nreader beta audit\nno roles beta verify\n"
    )
    return folder


@pytest.fixture(scope="module")
def server(files, write_config, server_process):
    settings = {
        "tls_certificate": str(files / "server.pem"),
        "tls_key": str(files / "server.key"),
        "tls_client_ca": str(files / "ca.pem"),
        "tls_client_map": str(files / "clients.txt"),
        "api_keys": str(files / "keys.txt"),
        "http": "0.0.0.0:0",  # off loopback: HTTPS
    }
    server = server_process(files / "data", ("--config", str(write_config(files, server=settings))))
    server.start()
    yield server
    assert server.stop() == 0, server.log


@pytest.fixture(scope="module")
def address(server):
    return server.address


def ask(files, address: str, name: str, *keys: str) -> str:
    """Which tenants' entries a caller reads after an export of its own, or how it is refused."""
    pair = [(files / f"{name}.{end}").read_bytes() for end in ("key", "pem")] if name else [None, None]
    credentials = grpc.ssl_channel_credentials((files / "ca.pem").read_bytes(), *pair)
    metadata = tuple(("authorization", f"Bearer {key}") for key in keys)
    with grpc.secure_channel(address, credentials) as channel:
        stub = audit_pb2_grpc.AuditServiceStub(channel)
        try:
            list(stub.Export(audit_pb2.ExportRequest(), metadata=metadata, timeout=20))
            found = stub.Query(audit_pb2.QueryRequest(page_size=1000), metadata=metadata, timeout=20)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    return ",".join(sorted({json.loads(e.json)["entry"].get("tenant", "") for e in found.entries} - {""}))


@pytest.mark.parametrize("name", CLIENTS)
def test_a_certificate_is_one_tenant_or_nobody(name: str, files, address: str):
    got = ask(files, address, name)
    if name in TENANT:
        assert got == TENANT[name]
    elif name == "no roles":  # a certificate has the roles that the map gives it
        assert got.startswith("PERMISSION_DENIED") and "lacks the role" in got
    else:
        assert got.startswith("UNAUTHENTICATED: ")
        assert "client certificate" in got
    assert ask(files, address, name, "acme").startswith("UNAUTHENTICATED") is (TENANT.get(name) != "acme")


def test_every_credential_that_is_presented_must_be_right(files, address: str):
    assert ask(files, address, "dns", "beta") == "beta"
    assert "different tenants" in ask(files, address, "dns", "acme")
    assert "not known here" in ask(files, address, "dns", "nope")
    assert "more than one" in ask(files, address, "dns", "beta", "beta")
    assert ask(files, address, "", "acme").startswith("UNAVAILABLE")  # TLS itself asks for a certificate


def test_with_a_certificate_and_a_key_the_keys_roles_count(files, address: str):
    assert ask(files, address, "common name", "acme-reads") == "acme"
    pair = [(files / f"common name.{end}").read_bytes() for end in ("key", "pem")]
    credentials = grpc.ssl_channel_credentials((files / "ca.pem").read_bytes(), *pair)
    with grpc.secure_channel(address, credentials) as channel, pytest.raises(grpc.RpcError) as caught:
        provenance_pb2_grpc.ProvenanceServiceStub(channel).Verify(
            iter([provenance_pb2.VerifyRequest(data=b"x")]),
            metadata=(("authorization", "Bearer acme-reads"),),
            timeout=20,
        )
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def greet(files, address: str, *, oldest: bool = False) -> str:
    """The name in the certificate that a port shows, or how the handshake ended."""
    context = ssl.create_default_context(cafile=str(files / "ca.pem"))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.load_cert_chain(files / "dns.pem", files / "dns.key")
    context.set_alpn_protocols(["h2", "http/1.1"])
    if oldest:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    port = int(address.rpartition(":")[2])
    try:
        with socket.create_connection(("127.0.0.1", port), 20) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                subject = dict(pair for part in secure.getpeercert()["subject"] for pair in part)
                return f"{secure.version()} {subject['commonName']}"
    except OSError as error:  # ssl.SSLError is one
        return f"refused: {error}"


def test_both_ports_speak_tls_1_3_and_nothing_older(files, server):
    for address in (server.address, server.http):
        assert greet(files, address) == "TLSv1.3 server"
        assert greet(files, address, oldest=True).startswith("refused")


def test_a_changed_certificate_is_taken_over_and_a_broken_one_is_not(files, server, address):
    def becomes(name: str) -> None:
        end = time.monotonic() + 30
        while [greet(files, port) for port in (server.address, server.http)] != [f"TLSv1.3 {name}"] * 2:
            assert time.monotonic() < end, server.log
            time.sleep(0.1)

    for kind in ("pem", "key"):
        shutil.copy(files / f"server.{kind}", files / f"kept.{kind}")
    try:
        for kind in ("pem", "key"):
            shutil.copy(files / f"next.{kind}", files / f"server.{kind}")
        becomes("next")
        (files / "server.pem").write_text("no certificate")
        for port in (server.address, server.http):
            assert greet(files, port) == "TLSv1.3 next"
        assert ask(files, address, "dns") == "beta"
    finally:
        for kind in ("pem", "key"):
            shutil.copy(files / f"kept.{kind}", files / f"server.{kind}")
    becomes("server")
    assert "stay in use" in server.log


def test_the_map_of_clients_is_read_again_and_who_is_not_in_it_is_refused(files, address):
    good = (files / "clients.txt").read_text()
    try:
        (files / "clients.txt").write_text("reader beta audit\n")
        assert ask(files, address, "reader") == "beta"
        assert "nobody that is known" in ask(files, address, "dns")
        (files / "clients.txt").write_text("reader beta root\n")
        assert ask(files, address, "reader") == "beta"  # a broken file changes nothing
    finally:
        (files / "clients.txt").write_text(good)
    assert ask(files, address, "dns") == "beta"
