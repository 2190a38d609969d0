"""Certificates for claim signing and time-stamping, in the shapes the C2PA certificate profiles ask for.

The claim-signing leaf follows the C2PA conformance profile ``claimSigningLeaf.al1`` (X.509 v3; critical key usage
digitalSignature + nonRepudiation; critical cA = false; SKI and AKI; EKU c2pa-kp-claimSigning plus emailProtection; at
most 366 days). What a development certificate cannot honestly carry is left out: an OCSP address, a product record
and an assurance level. The time-stamp leaf has exactly one, critical EKU: timeStamping (RFC 3161 section 2.3).

Claim signing and time-stamping hang from two roots, so that neither trust list can vouch for the other's role.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

CLAIM_SIGNING_EKU: Final = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")  # c2pa-kp-claimSigning
LEAF_DAYS: Final = 365  # AL1 allows 366
TSA_LEAF_DAYS: Final = 4000  # the TSA profile allows 4110
CA_DAYS: Final = 7300  # 20 years: far longer than the leaves below it; a round number
BACKDATE: Final = timedelta(minutes=5)  # clocks of verifiers run a little behind


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        """The key as unencrypted PKCS#8 PEM (the vault seals it)."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def make_ca(common_name: str, now_ms: int, issuer: Issued | None = None, *, path_length: int | None = None) -> Issued:
    """Make a certificate authority, self-signed unless ``issuer`` is given."""
    usage = _usage(key_cert_sign=True, crl_sign=True)
    basic = x509.BasicConstraints(ca=True, path_length=path_length)
    return _issue(common_name, now_ms, CA_DAYS, issuer, basic, usage, None)


def make_claim_leaf(common_name: str, now_ms: int, issuer: Issued) -> Issued:
    """Make a claim-signing leaf (P-256, for ES256)."""
    eku = (x509.ExtendedKeyUsage([CLAIM_SIGNING_EKU, ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    usage = _usage(digital_signature=True, content_commitment=True)
    return _issue(common_name, now_ms, LEAF_DAYS, issuer, x509.BasicConstraints(ca=False, path_length=None), usage, eku)


def make_tsa_leaf(common_name: str, now_ms: int, issuer: Issued) -> Issued:
    """Make a time-stamping leaf (P-256)."""
    eku = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)
    usage = _usage(digital_signature=True)
    basic = x509.BasicConstraints(ca=False, path_length=None)
    return _issue(common_name, now_ms, TSA_LEAF_DAYS, issuer, basic, usage, eku)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 over the certificate's DER as "sha256:<hex>"."""
    return "sha256:" + certificate.fingerprint(hashes.SHA256()).hex()


def _usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _issue(
    common_name: str,
    now_ms: int,
    days: int,
    issuer: Issued | None,
    basic: x509.BasicConstraints,
    usage: x509.KeyUsage,
    eku: tuple[x509.ExtendedKeyUsage, bool] | None,
) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "GenSafe development"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    start = datetime.fromtimestamp(now_ms // 1000, UTC) - BACKDATE
    end = start + timedelta(days=days)
    if issuer is not None:  # a leaf that outlives its issuer would fail in the middle of its own term
        end = min(end, issuer.certificate.not_valid_after_utc)
    signing_key = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(basic, critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
    )
    if eku is not None:
        builder = builder.add_extension(eku[0], critical=eku[1])
    return Issued(builder.sign(signing_key, hashes.SHA256()), key)
