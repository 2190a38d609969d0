"""The claim signatures in a file, read by ourselves: who signed, and the digest of the signature."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from cryptography import x509

from gensafe.core.digest import sha256
from gensafe.core.errors import ManifestInvalid
from gensafe.keys import pki
from gensafe.provenance import a8, containers, jumbf
from gensafe.provenance.cose import parse_cose


@dataclass(frozen=True, slots=True)
class Claim:
    """One manifest's signature. ``signer``: fingerprint of the leaf; both "sha256:<hex>"."""

    label: str
    signer: str
    signature: str


def claims_of(data: bytes) -> tuple[Claim, ...]:
    """Every manifest of the store in ``data``, a file, a text or a store itself; () where there is none to be read."""
    try:
        store = _store(data)
        return tuple(_claim(store, box) for box in jumbf.manifests(store)) if store else ()
    except (ManifestInvalid, ValueError, IndexError):
        return ()


def _store(data: bytes) -> bytes:
    found = containers.extract(data)
    if found or data[4:8] == b"jumb":
        return found or data
    try:
        wrapper = a8.parse_a8(unicodedata.normalize("NFC", data.decode("utf-8")))
    except UnicodeDecodeError:
        return b""
    return wrapper.store if wrapper is not None else b""


def _claim(store: bytes, manifest: jumbf.Box) -> Claim:
    label = jumbf.label(store, manifest)
    box = jumbf.signature_of(store, label)
    cose = parse_cose(store[box.content : box.end])
    leaf = x509.load_der_x509_certificate(cose.certificates()[0])
    return Claim(label, pki.fingerprint(leaf), sha256(cose.signature))
