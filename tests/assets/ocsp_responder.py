"""An OCSP responder over HTTP for tests, and claim certificates that name it."""

import http.server
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from gensafe.keys import pki


def naming(leaf, issuer, url):
    """The leaf anew, with the responder's address in it."""
    old = leaf.certificate
    builder = x509.CertificateBuilder().subject_name(old.subject).issuer_name(old.issuer).public_key(old.public_key())
    builder = builder.serial_number(old.serial_number)
    builder = builder.not_valid_before(old.not_valid_before_utc).not_valid_after(old.not_valid_after_utc)
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    place = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
    builder = builder.add_extension(x509.AuthorityInformationAccess([place]), critical=False)
    return pki.Issued(builder.sign(issuer.key, hashes.SHA256()), leaf.key)


class Responder:
    """What it answers: ``status`` good | revoked | unknown | down; ``by`` signs; ``asked`` counts."""

    def __init__(self, issuer, now=None):
        self.issuer, self.by, self.status, self.asked = issuer, issuer, "good", 0
        self.now = now or datetime.now(UTC).replace(microsecond=0)
        self.leaf = None

    def answer(self, request):
        revoked = self.status == "revoked"
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=self.leaf.certificate,
            issuer=self.issuer.certificate,
            algorithm=ocsp.load_der_ocsp_request(request).hash_algorithm,
            cert_status=getattr(ocsp.OCSPCertStatus, self.status.upper()),
            this_update=self.now - timedelta(hours=1),
            next_update=self.now + timedelta(hours=2),
            revocation_time=self.now - timedelta(minutes=30) if revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.by.certificate)
        return builder.sign(self.by.key, hashes.SHA256()).public_bytes(Encoding.DER)


@contextmanager
def serving(responder):
    """The address of the responder."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            request = self.rfile.read(int(self.headers["Content-Length"]))
            responder.asked += 1
            assert self.headers["Content-Type"] == "application/ocsp-request"
            body = b"" if responder.status == "down" else responder.answer(request)
            self.send_response(200 if body else 503)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()
