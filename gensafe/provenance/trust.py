"""Trust lists. Signer lists and time-stamp lists are kept apart, and a match in one never counts for the other."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gensafe.core.errors import ConfigError
from gensafe.keys.testkeys import is_public_test_key
from gensafe.provenance.revocation import RevocationList

SIGNER_EKUS: Final = (
    "1.3.6.1.4.1.62558.2.1",  # c2pa-kp-claimSigning
    "1.3.6.1.5.5.7.3.4",  # emailProtection
    "1.3.6.1.5.5.7.3.36",  # documentSigning
)


@dataclass(frozen=True, slots=True)
class TrustList:
    """Root certificates under one name. ``name`` is shown in reports; ``pem`` holds the roots."""

    name: str
    pem: bytes

    @property
    def uri(self) -> str:
        """How the list is named towards the C2PA library; unique to name and content."""
        return f"urn:gensafe:trust:{hashlib.sha256(self.name.encode() + b'|' + self.pem).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class TrustStore:
    """Who may sign claims (``signers``), who may time-stamp them (``time_stamps``), and which leaves were revoked.

    ``revoked`` holds leaf fingerprints, "sha256:<hex>"; ``revocations`` are the issuers' own lists. An empty store
    trusts nobody.
    """

    signers: tuple[TrustList, ...] = ()
    time_stamps: tuple[TrustList, ...] = ()
    revoked: frozenset[str] = field(default_factory=frozenset)
    revocations: tuple[RevocationList, ...] = ()

    def signer_list(self, uri: str) -> str | None:
        """Name of the *signer* list with this URI; None for any other, time-stamp lists included."""
        return next((t.name for t in self.signers if t.uri == uri), None)


def import_trust_list(name: str, pem: bytes, *, allow_test_keys: bool = False) -> TrustList:
    """Read a PEM bundle (such as the C2PA trust list) and keep only what is usable as a root.

    Args:
        name: Shown in reports.
        pem: Concatenated PEM certificates; text between them is ignored.
        allow_test_keys: Accept roots whose private keys are public (tests only).

    Raises:
        ConfigError: no certificate, or a public test root.
    """
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ConfigError(f"trust list {name!r} holds no readable PEM certificate", field="trust") from None
    if not allow_test_keys:
        for certificate in certificates:
            if is_public_test_key(certificate):
                subject = certificate.subject.rfc4514_string()
                raise ConfigError(f"trust list {name!r} holds the public test root {subject!r}", field="trust")
    roots = dict.fromkeys(c.public_bytes(Encoding.PEM) for c in certificates)
    return TrustList(name, b"".join(roots))
