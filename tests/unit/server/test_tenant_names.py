"""Which name of a client certificate is its tenant, and what may name one.

The review saw on commit ed72f70, which took the first alternative name of any kind: of a DNS name "d" and a URI the
tenant was "d", an e-mail address was a tenant, and a certificate without names, or with an empty one, was the
tenant "", who saw the log of all.
"""

from __future__ import annotations

import datetime
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gensafe.core.errors import Unauthenticated
from gensafe.core.names import MAX_NAME, problem_of
from gensafe.server.tenant_names import tenant_of

DNS, URI, EMAIL = x509.DNSName, x509.UniformResourceIdentifier, x509.RFC822Name
ADDRESS = x509.IPAddress(ipaddress.ip_address("10.0.0.1"))
FOLDER = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "folder")]))
KEY = ec.generate_private_key(ec.SECP256R1())
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def certificate(common: str | None, names: list[x509.GeneralName]) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common is not None else [])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]))
        .public_key(KEY.public_key())
        .serial_number(7)
        .not_valid_before(START)
        .not_valid_after(START + datetime.timedelta(days=900))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("common", "names", "tenant"),
    [
        ("acme", [], "acme"),
        ("Acme Corp", [], "Acme Corp"),
        ("x", [DNS("beta")], "beta"),
        ("x", [DNS("d"), URI("spiffe://x/acme")], "spiffe://x/acme"),
        (None, [URI("spiffe://x/acme"), DNS("d")], "spiffe://x/acme"),
        ("acme", [EMAIL("mallory@acme.test"), DNS("m")], "m"),
        ("acme", [EMAIL("mallory@acme.test")], "acme"),
        ("acme", [ADDRESS], "acme"),
        ("acme", [ADDRESS, FOLDER, x509.RegisteredID(NameOID.COMMON_NAME)], "acme"),
        ("x", [DNS("first"), DNS("second")], "first"),
    ],
)
def test_the_uri_counts_before_the_dns_name_before_the_common_name(common, names, tenant):
    assert tenant_of(certificate(common, names)) == tenant


@pytest.mark.parametrize(
    ("common", "names", "reason"),
    [
        (None, [], "names no tenant"),
        (None, [EMAIL("mallory@acme.test")], "names no tenant"),
        (None, [ADDRESS, FOLDER], "names no tenant"),
        ("victim", [DNS("")], "DNS name .* is empty"),
        ("victim", [URI("")], "URI .* is empty"),
        ("victim", [URI(""), DNS("d")], "URI .* is empty"),
        (" ", [], "space"),
        ("acme\u202egnp", [], "U\\+202E"),
        ("ac\x00me", [], "U\\+0000"),
        ("a\ncme", [], "U\\+000A"),
        ("a\u00a0b", [], "U\\+00A0"),
        ("zero\u200bwidth", [], "U\\+200B"),
        ("cafe\u0301", [], "NFC"),
        ("x", [URI("spiffe://" + "x" * MAX_NAME)], "characters; at most"),
    ],
)
def test_a_certificate_without_a_usable_name_is_nobody(common, names, reason):
    with pytest.raises(Unauthenticated, match=reason):
        tenant_of(certificate(common, names))


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\xff" * 40])
def test_a_certificate_that_cannot_be_read_is_nobody(pem):
    with pytest.raises(Unauthenticated, match="cannot be read"):
        tenant_of(pem)


def test_names_have_a_length_from_one_to_the_limit():
    assert problem_of("")
    assert not problem_of("a")
    assert not problem_of("a" * MAX_NAME)
    assert problem_of("a" * (MAX_NAME + 1))
