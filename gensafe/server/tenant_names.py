"""What may name a tenant, and which name of a client certificate does.

A name ends up in the log, in reports and on terminals, permanently: it is short and can be read as it stands.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from gensafe.core.errors import Unauthenticated

MAX_NAME: Final = 255  # a DNS name has at most 253 characters; a SPIFFE id of that length is rare already
_UNSEEN: Final = ("C", "Z")  # Unicode categories: control, format (bidi), surrogate, private, unassigned; separators


def problem_of(name: str) -> str:
    """Why ``name`` cannot name a tenant; "" if it can.

    Allowed: 1 to 255 characters in Unicode form NFC, none of them a control, bidi, other format, private or unassigned
    character; the plain space only between others.
    """
    if not name:
        return "is empty"
    if len(name) > MAX_NAME:
        return f"has {len(name)} characters; at most {MAX_NAME}"
    if name != name.strip(" "):
        return "begins or ends with a space"
    bad = next((c for c in name if c != " " and unicodedata.category(c)[0] in _UNSEEN), "")
    if bad:
        return f"contains the character U+{ord(bad):04X}, which cannot be seen"
    if not unicodedata.is_normalized("NFC", name):
        return "is not in Unicode form NFC, so that two names could look the same"
    return ""


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
