"""The OCSP response for the claim certificate, fetched, checked and kept, to be stapled into each manifest.

1. the responder: the address that the certificate itself names (RFC 5280 section 4.2.2.1)
2. ask for the certificate's state (RFC 6960), without a nonce: responders answer with what they signed beforehand
3. check the answer as a reader of the manifest will: about this certificate, by its issuer's responder, current
4. keep it, and ask again half way to its end; a responder that then fails leaves the kept one in use until its end
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from gensafe.core.errors import SigningFailed
from gensafe.core.ports import Clock
from gensafe.keys import pki
from gensafe.provenance.exchange import Exchange, host, post
from gensafe.provenance.revocation import issuer_of, revocation_answers

KIND: Final = "application/ocsp"
UNSTATED_MS: Final = 3_600_000  # how long an answer without a next update is used: an hour. Chosen, not measured
REST_MS: Final = 30_000  # how long a responder that failed is left alone; as time-stamp authorities are

log = logging.getLogger("gensafe.provenance")


@dataclass(frozen=True, slots=True)
class _Kept:
    """A response and, in ms since 1970, when to ask again and when it ends."""

    der: bytes
    renew_ms: int
    ends_ms: int


class OcspStaples:
    """Hands out the current response for a claim certificate; safe to share between threads.

    Args:
        exchange: Time limits and proxy.
        clock: The time.
        required: Whether there is no signing without a response; else it is left out where none can be had.
    """

    def __init__(self, exchange: Exchange, clock: Clock, *, required: bool) -> None:
        self.problem = ""  # why the last attempt failed; "" = it worked
        self.down = False  # whether nothing can be signed for it
        self._exchange = exchange
        self._clock = clock
        self._required = required
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._revoked: set[str] = set()  # until the responder says otherwise; its silence does not
        self._rest_until = 0

    def current(self, chain: bytes, roots: bytes) -> bytes:
        """The DER response to staple; b"" where none can be had and none is required.

        Args:
            chain: PEM certificates, leaf first.
            roots: PEM certificates that may have issued a chain of one.

        Raises:
            SigningFailed: the certificate is revoked, or a response is required and cannot be had.
        """
        certificates = x509.load_pem_x509_certificates(chain)
        name = pki.fingerprint(certificates[0])
        with self._lock:
            try:
                found = self._current(name, certificates, roots)
            except SigningFailed:
                self.down = True
                raise
            self.down = False
            return found

    def _current(self, name: str, certificates: list[x509.Certificate], roots: bytes) -> bytes:
        now = self._clock.now_ms()
        kept = self._kept.get(name)
        if kept is None or now >= kept.renew_ms:
            if now >= self._rest_until:
                self._renew(name, certificates, roots, now)
            kept = self._kept.get(name)
        if name in self._revoked:
            raise SigningFailed(self.problem, fix="gensafe keys import installs another certificate")
        if kept is not None and now >= kept.ends_ms:
            kept = None
        if kept is None and self._required:
            raise SigningFailed(f"no OCSP response: {self.problem}", fix="see gensafe doctor")
        return kept.der if kept is not None else b""

    def _renew(self, name: str, certificates: list[x509.Certificate], roots: bytes, now: int) -> None:
        try:
            self._kept[name] = self._fetched(certificates, roots, now)
            self._revoked.discard(name)
            self.problem = ""
        except SigningFailed as error:
            log.warning("OCSP: %s", error.message)
            if isinstance(error, _Revoked):
                self._kept.pop(name, None)
                self._revoked.add(name)
            if name not in self._revoked or isinstance(error, _Revoked):
                self.problem = error.message
            self._rest_until = now + REST_MS

    def _fetched(self, certificates: list[x509.Certificate], roots: bytes, now: int) -> _Kept:
        leaf = certificates[0]
        url = _responder(leaf)
        issuer = issuer_of(leaf, certificates[1:], (roots,))
        if issuer is None:
            raise SigningFailed("the issuer of the claim certificate is not in its chain and not among the roots")
        builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA1())  # noqa: S303 - names a certificate (RFC 5019)
        try:
            der = post(url, builder.build().public_bytes(Encoding.DER), self._exchange, KIND)
        except SigningFailed as error:
            raise SigningFailed(f"the responder {host(url)} {error.message}") from None
        ders = [c.public_bytes(Encoding.DER) for c in certificates]
        (answer,) = revocation_answers(ders, (roots,), (), (der,), None, now)
        if answer.revoked is not False:
            said = f"the responder {host(url)}: {answer.note}"
            raise _Revoked(f"the claim certificate is revoked: {said}") if answer.revoked else SigningFailed(said)
        due = next(iter(ocsp.load_der_ocsp_response(der).responses)).next_update_utc
        ends = int(due.timestamp() * 1000) if due is not None else now + UNSTATED_MS
        return _Kept(der, now + (ends - now) // 2, ends)


class _Revoked(SigningFailed):
    """The responder says so: nothing is signed with it, required or not."""


def _responder(leaf: x509.Certificate) -> str:
    try:
        places = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        places = x509.AuthorityInformationAccess([])
    for place in places:
        address = place.access_location.value
        if place.access_method == AuthorityInformationAccessOID.OCSP and address.startswith(("http://", "https://")):
            return str(address)
    raise SigningFailed("the claim certificate names no OCSP responder")
