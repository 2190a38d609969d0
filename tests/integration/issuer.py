"""A little OIDC issuer for tests: keys of every kind, a key set over HTTPS, and tokens."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

ISSUER = "https://login.example.org"
AUDIENCE = "gensafe"
_ALGORITHMS = {"rsa": "RS256", "ec": "ES256"}


def public_jwk(key: Any, kid: str) -> dict[str, Any]:
    """The public half of a key as an issuer publishes it."""
    kinds = {
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
    }
    to_jwk = next(algorithm.to_jwk for kind, algorithm in kinds.items() if isinstance(key, kind))
    return json.loads(to_jwk(key.public_key())) | {"kid": kid, "use": "sig"}


class Issuer:
    """Serves ``keys`` at ``url`` until it is left; ``down`` = answers 503; ``asked`` counts requests."""

    def __init__(self, folder: Path) -> None:
        self.keys: dict[str, Any] = {
            "rsa": rsa.generate_private_key(65537, 2048),
            "ec": ec.generate_private_key(ec.SECP256R1()),
            "ed": ed25519.Ed25519PrivateKey.generate(),
        }
        self.extra: list[dict[str, Any]] = []
        self.down, self.asked, self.paths = False, 0, set[str]()
        self.ca, pair = own_certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                issuer.paths.add(self.path)
                body = issuer.document()
                self.send_response(503 if issuer.down else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}/jwks"

    def document(self) -> bytes:
        return json.dumps({"keys": [public_jwk(key, kid) for kid, key in self.keys.items()] + self.extra}).encode()

    def sign(self, claims: dict[str, Any], kid: str) -> str:
        return jwt.encode(claims, self.keys[kid], algorithm=_ALGORITHMS.get(kid, "EdDSA"), headers={"kid": kid})

    def rotate(self, old: str, new: str) -> None:
        self.keys[new] = ed25519.Ed25519PrivateKey.generate()
        del self.keys[old]

    def __enter__(self) -> Issuer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def own_certificate(folder: Path) -> tuple[Path, tuple[Path, Path]]:
    """(the issuer's own CA, (certificate, key)) as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "issuer.pem", folder / "issuer.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    return paths[0], paths
