"""Certificates for the tests of signers: a root of their own, and a leaf for any public key. Never for production."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAYS: Final = 30  # longer than any test runs; short, since these certificates vouch for nothing


def certify(public_key: CertificateIssuerPublicKeyTypes) -> tuple[bytes, bytes]:
    """Certificates for a key that a signer under test holds, in the shape that C2PA asks for.

    Args:
        public_key: Of the signer: P-256, P-384, P-521, Ed25519, or RSA of 2048 bits or more.

    Returns:
        (chain, root), both PEM. The chain is the leaf alone, as ``certificate_chain`` gives it; the root is what
        ``gensafe keys import --root`` takes.
    """
    root_key = ec.generate_private_key(ec.SECP256R1())
    name = _name("root")
    root = _sign(_certificate(name, name, root_key.public_key(), root_key, ca=True), root_key)
    builder = _certificate(_name("signer"), name, public_key, root_key, ca=False).add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
    )
    return _sign(builder, root_key), root


def _name(common: str) -> x509.Name:
    names = (NameOID.ORGANIZATION_NAME, "GenSafe tests"), (NameOID.COMMON_NAME, common)
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in names])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: CertificateIssuerPublicKeyTypes,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=not ca,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
