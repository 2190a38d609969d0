"""Was the signer's certificate revoked? Asked of what is available: CRL files, and the OCSP response in the manifest.

Nothing is fetched (RFC 5280 section 6.3, RFC 6960 sections 3.2 and 4.2.2.2):

1. the issuer's certificate: from the manifest's chain or the signer roots, and it must really have signed the leaf
2. each CRL of that issuer: its signature, then the leaf's serial number
3. the stapled response: about this leaf, signed by the issuer or by a responder that the issuer authorised, and current
   at the time that a trusted time-stamp gives (without one: now)
4. a revocation later than the trusted time-stamp leaves the signature standing, unless for a compromise of the key

The C2PA library (0.91) reports on staples too, but passes over those that the issuer itself signed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from asn1crypto import keys
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from gensafe.core.errors import ConfigError

MAX_CRL_BYTES: Final = 8 << 20  # 8 MiB; bounds what a server can make us read. A round number, not measured
STAPLE: Final = "the OCSP response in the manifest"
_COMPROMISED: Final = (
    x509.ReasonFlags.key_compromise,
    x509.ReasonFlags.ca_compromise,
    x509.ReasonFlags.aa_compromise,
)
_CRITICAL: Final = (x509.IssuingDistributionPoint, x509.CRLNumber, x509.AuthorityKeyIdentifier)


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A certificate revocation list under one name; ``der`` holds it."""

    name: str
    der: bytes


@dataclass(frozen=True, slots=True)
class RevocationAnswer:
    """What one source says. ``revoked`` None = it cannot be used; ``note`` says why, or when and for what reason."""

    source: str
    revoked: bool | None
    note: str


def import_revocation_list(name: str, data: bytes) -> RevocationList:
    """Read a CRL (DER or PEM). Who signed it is checked when it is used, against the issuer of the certificate.

    Raises:
        ConfigError: not a CRL, too large, or of a kind that is not handled (delta, indirect, for some reasons only).
    """
    if len(data) > MAX_CRL_BYTES:
        raise ConfigError(f"the revocation list {name!r} has more than {MAX_CRL_BYTES} bytes", field="trust")
    try:
        loaded = x509.load_pem_x509_crl(data) if b"-----BEGIN" in data[:4096] else x509.load_der_x509_crl(data)
        unhandled = [e for e in loaded.extensions if e.critical and not isinstance(e.value, _CRITICAL)]
        point = next((e.value for e in loaded.extensions if isinstance(e.value, x509.IssuingDistributionPoint)), None)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{name!r} is not a certificate revocation list (PEM or DER)", field="trust") from None
    if unhandled or (point is not None and (point.indirect_crl or point.only_some_reasons)):
        raise ConfigError(f"the revocation list {name!r} is a delta, indirect or partial one", field="trust")
    return RevocationList(name, loaded.public_bytes(Encoding.DER))


def describe(kept: RevocationList) -> str:
    """Whose list it is, how much it holds and when the next is due, in one line."""
    loaded = _crl(kept.der)
    due = f", next due {loaded.next_update_utc:%Y-%m-%d}" if loaded.next_update_utc else ""
    return f"{len(loaded)} revoked by {loaded.issuer.rfc4514_string()}{due}"


def older_than(new: RevocationList, kept: RevocationList) -> bool:
    """Whether ``new`` is an earlier list of the same issuer: by CRL number, else by date (RFC 5280 section 5.2.3)."""
    a, b = _crl(new.der), _crl(kept.der)
    if a.issuer != b.issuer:
        return False
    numbers = [_number(each) for each in (a, b)]
    if numbers[0] is not None and numbers[1] is not None:
        return numbers[0] < numbers[1]
    return a.last_update_utc < b.last_update_utc


def _number(loaded: x509.CertificateRevocationList) -> int | None:
    try:
        return loaded.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return None


def revocation_answers(
    chain: Sequence[bytes],
    roots: Sequence[bytes],
    lists: Sequence[RevocationList],
    staples: Sequence[bytes],
    stamped_ms: int | None,
    now_ms: int,
) -> tuple[RevocationAnswer, ...]:
    """Ask every source about the leaf of ``chain``; () when none is about it.

    Args:
        chain: DER certificates, leaf first.
        roots: PEM bundles that may hold the issuer.
        lists: Revocation lists.
        staples: DER OCSP responses from the manifest.
        stamped_ms: Time of a *trusted* time-stamp over the signature, or None.
        now_ms: The time now.
    """
    try:
        leaf, *others = (x509.load_der_x509_certificate(c) for c in chain)
    except ValueError:
        return ()
    if not (lists or staples):
        return ()
    issuer = issuer_of(leaf, others, roots)
    at = datetime.fromtimestamp((now_ms if stamped_ms is None else stamped_ms) / 1000, UTC)
    answers = [a for item in lists if (a := _ask_list(item, leaf, issuer, stamped_ms, at)) is not None]
    answers += [_ask_staple(data, leaf, issuer, stamped_ms, at) for data in staples]
    return tuple(answers)


def issuer_of(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], roots: Sequence[bytes]
) -> x509.Certificate | None:
    """The certificate that really signed ``leaf``: of its chain, or of the PEM bundles ``roots``."""
    return next((c for c in (*others, *_certificates(tuple(roots))) if _issued(leaf, c)), None)


# --- CRL -------------------------------------------------------------------------------------------------------------


def _ask_list(
    item: RevocationList, leaf: x509.Certificate, issuer: x509.Certificate | None, stamped_ms: int | None, at: datetime
) -> RevocationAnswer | None:
    loaded = _crl(item.der)
    if loaded.issuer != leaf.issuer:
        return None
    source = f"the revocation list {item.name!r}"
    if issuer is None:
        return RevocationAnswer(source, None, "the issuer's certificate is not available to check it with")
    try:
        genuine = loaded.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except (TypeError, ValueError, UnsupportedAlgorithm, InvalidSignature):
        genuine = False
    if not genuine:
        return RevocationAnswer(source, None, "it is not signed by the issuer")
    found = loaded.get_revoked_certificate_by_serial_number(leaf.serial_number)
    if found is not None:
        try:
            reason = found.extensions.get_extension_for_class(x509.CRLReason).value.reason
        except (x509.ExtensionNotFound, ValueError):
            reason = x509.ReasonFlags.unspecified
        return _revoked(source, found.revocation_date_utc, reason, stamped_ms)
    due = loaded.next_update_utc
    if due is not None and due < at:
        return RevocationAnswer(source, None, f"it is out of date: a newer one was due on {due:%Y-%m-%d}")
    return RevocationAnswer(source, False, f"not revoked as of {loaded.last_update_utc:%Y-%m-%d}")


@lru_cache(maxsize=32)
def _crl(der: bytes) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(der)


# --- OCSP ------------------------------------------------------------------------------------------------------------


def _ask_staple(
    data: bytes, leaf: x509.Certificate, issuer: x509.Certificate | None, stamped_ms: int | None, at: datetime
) -> RevocationAnswer:
    try:
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return RevocationAnswer(STAPLE, None, "the responder refused to answer")
        if issuer is None:
            return RevocationAnswer(STAPLE, None, "the issuer's certificate is not available to check it with")
        if not any(_signed(response, c) for c in _responders(response, issuer, at)):
            return RevocationAnswer(STAPLE, None, "it is not signed by the issuer or its responder")
        single = next((s for s in response.responses if _is_about(s, leaf, issuer)), None)
        if single is None:
            return RevocationAnswer(STAPLE, None, "it is about another certificate")
        if single.certificate_status is ocsp.OCSPCertStatus.REVOKED and single.revocation_time_utc is not None:
            reason = single.revocation_reason or x509.ReasonFlags.unspecified
            return _revoked(STAPLE, single.revocation_time_utc, reason, stamped_ms)
        if single.certificate_status is not ocsp.OCSPCertStatus.GOOD:
            return RevocationAnswer(STAPLE, None, "the responder does not know the certificate")
        due = single.next_update_utc
        if single.this_update_utc > at or (due is not None and due < at):
            return RevocationAnswer(STAPLE, None, f"it is not current on {at:%Y-%m-%d}")
        return RevocationAnswer(STAPLE, False, f"not revoked as of {single.this_update_utc:%Y-%m-%d}")
    except (ValueError, UnsupportedAlgorithm):
        return RevocationAnswer(STAPLE, None, "it is malformed")


def _is_about(single: ocsp.OCSPSingleResponse, leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Serial number, and both hashes of the issuer (RFC 6960 section 4.1.1)."""

    def digest(data: bytes) -> bytes:
        hasher = hashes.Hash(single.hash_algorithm)
        hasher.update(data)
        return hasher.finalize()

    return (
        single.serial_number == leaf.serial_number
        and single.issuer_name_hash == digest(issuer.subject.public_bytes())
        and single.issuer_key_hash == digest(_key_bits(issuer))
    )


def _key_bits(certificate: x509.Certificate) -> bytes:
    """The subjectPublicKey BIT STRING's content: what RFC 6960 hashes."""
    encoded = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return bytes(keys.PublicKeyInfo.load(encoded)["public_key"].contents[1:])


def _responders(response: ocsp.OCSPResponse, issuer: x509.Certificate, at: datetime) -> Iterator[x509.Certificate]:
    """Who may answer for ``issuer``: itself, and responders it issued a certificate for just that."""
    yield issuer
    for certificate in response.certificates:
        try:
            usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except (x509.ExtensionNotFound, ValueError):
            continue
        in_time = certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc
        if ExtendedKeyUsageOID.OCSP_SIGNING in usage and in_time and _issued(certificate, issuer):
            yield certificate


def _signed(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    key, algorithm = certificate.public_key(), response.signature_hash_algorithm
    signature, data = response.signature, response.tbs_response_bytes
    try:
        match key:
            case ec.EllipticCurvePublicKey() if algorithm is not None:
                key.verify(signature, data, ec.ECDSA(algorithm))
            case rsa.RSAPublicKey() if algorithm is not None:
                key.verify(signature, data, padding.PKCS1v15(), algorithm)
            case ed25519.Ed25519PublicKey():
                key.verify(signature, data)
            case _:
                return False
    except InvalidSignature:
        return False
    return True


# --- both ------------------------------------------------------------------------------------------------------------


def _revoked(source: str, when: datetime, reason: x509.ReasonFlags, stamped_ms: int | None) -> RevocationAnswer:
    if reason is x509.ReasonFlags.remove_from_crl:
        return RevocationAnswer(source, False, "a hold was lifted")
    note = f"revoked on {when:%Y-%m-%d} ({reason.value})"
    signed_before = stamped_ms is not None and stamped_ms < when.timestamp() * 1000
    if signed_before and reason not in _COMPROMISED:
        return RevocationAnswer(source, False, f"{note}, after the signature was time-stamped")
    return RevocationAnswer(source, True, note)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


@lru_cache(maxsize=32)
def _certificates(bundles: tuple[bytes, ...]) -> tuple[x509.Certificate, ...]:
    return tuple(c for pem in bundles if pem for c in x509.load_pem_x509_certificates(pem))
