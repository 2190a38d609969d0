"""Which name of a client certificate is its tenant's (``core.names`` says what may name one)."""

from __future__ import annotations

from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import NameOID

from gensafe.core.errors import Unauthenticated
from gensafe.core.names import problem_of


@lru_cache(maxsize=256)  # by certificate: a client sends the same one with every connection
def tenant_of(pem: bytes) -> str:
    """The tenant that a client certificate names: its first URI, else its first DNS name, else its common name.

    Other kinds of alternative names (e-mail, IP address, directory name, ...) name no tenant. The kind that counts is
    the first one present, also when its name is unusable: a certificate never means a weaker name than its strongest.

    Raises:
        Unauthenticated: it cannot be read, has no such name, or the name cannot name a tenant (``problem_of``).
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        kind, name = _name(certificate)
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise Unauthenticated("the names in the client certificate cannot be read") from None
    if not kind:
        raise Unauthenticated(
            "the client certificate names no tenant", fix="it needs a URI, a DNS name or a common name"
        )
    if problem := problem_of(name):
        raise Unauthenticated(f"the {kind} of the client certificate {problem}")
    return name


def _name(certificate: x509.Certificate) -> tuple[str, str]:
    """(kind, name), ("", "") if there is none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    for kind, found in (
        ("URI", names.get_values_for_type(x509.UniformResourceIdentifier)),
        ("DNS name", names.get_values_for_type(x509.DNSName)),
        ("common name", [str(a.value) for a in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]),
    ):
        if found:
            return kind, found[0]
    return "", ""
