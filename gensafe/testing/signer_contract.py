"""What every ClaimSigner must do, as checks that a plugin's own tests can call.

``check_signer(signer)`` raises AssertionError with the clause that is broken. ``check_failure(signer)`` is for a signer
whose key is unavailable. ``gensafe.testing.certificates.certify`` makes certificates for a key.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from gensafe.core.errors import SigningFailed
from gensafe.core.ports import ClaimSigner

CURVES: Final[dict[str, tuple[str, int, hashes.HashAlgorithm]]] = {  # RFC 9053, section 2.1
    "secp256r1": ("es256", 32, hashes.SHA256()),
    "secp384r1": ("es384", 48, hashes.SHA384()),
    "secp521r1": ("es512", 66, hashes.SHA512()),
}
LEAST_RSA_BITS: Final = 2048  # C2PA 2.2, section 13.2.1
SALT_BYTES: Final = 32  # PS256: as long as the digest, RFC 8230, section 2
CLAIMS: Final = (b"x", b"a claim of ordinary length " * 40, bytes(range(256)) * 512)  # one byte, 1 kB, 128 kB
THREADS: Final = 4  # more than one: requests sign side by side


def check_signer(signer: ClaimSigner) -> None:
    """Run every clause of the contract for a signer that works."""
    key = _check_certificates(signer)
    _check_algorithm(signer, key)
    for claim in CLAIMS:
        signature = signer.sign(claim)
        assert isinstance(signature, bytes), "a signature is bytes"
        assert _holds(key, signature, claim), "the signature verifies under the first certificate's key"
        assert not _holds(key, signature, claim + b"!"), "the signature is of the whole claim"
    with ThreadPoolExecutor(THREADS) as pool:
        claims = [f"claim {number}".encode() for number in range(4 * THREADS)]
        made = list(pool.map(signer.sign, claims))
    assert all(map(_holds, [key] * len(claims), made, claims)), "threads may sign at the same time"


def check_failure(signer: ClaimSigner) -> None:
    """Check that a signer whose key is unavailable says so; the request then fails and nothing is released."""
    said = ""
    try:
        signer.sign(b"claim")
    except SigningFailed as error:
        said = error.message
    assert said, "a signer without its key raises SigningFailed and says what is unavailable"


def _check_certificates(signer: ClaimSigner) -> object:
    """The chain's clauses; returns the leaf's public key."""
    pem = signer.certificate_chain()
    assert pem == signer.certificate_chain(), "the chain is constant"
    chain = x509.load_pem_x509_certificates(pem)
    for child, parent in pairwise(chain):
        assert _answers(child.verify_directly_issued_by, parent), "each certificate is issued by the next one"
    for certificate in chain:
        assert certificate.subject != certificate.issuer, "the chain does not contain the root"
    basic = chain[0].extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not basic.ca, "the first certificate is the signer's, not an authority's"
    assert chain[0].extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature, "it may sign"
    return chain[0].public_key()


def _check_algorithm(signer: ClaimSigner, key: object) -> None:
    assert isinstance(signer.development, bool), "development says whether the root is one for development"
    match key:
        case ec.EllipticCurvePublicKey():
            wanted = CURVES[key.curve.name][0] if key.curve.name in CURVES else "no curve that C2PA allows"
        case ed25519.Ed25519PublicKey():
            wanted = "ed25519"
        case rsa.RSAPublicKey():
            wanted = "ps256" if key.key_size >= LEAST_RSA_BITS else f"an RSA key of {LEAST_RSA_BITS} bits or more"
        case _:
            wanted = "no kind of key that C2PA allows"
    assert signer.algorithm == wanted, f"the algorithm is that of the certificate's key: {wanted}"


def _holds(key: object, signature: bytes, data: bytes) -> bool:
    """Whether the signature, raw r||s for ECDSA, is of ``data``."""
    match key:
        case ec.EllipticCurvePublicKey():
            _, size, digest = CURVES[key.curve.name]
            if len(signature) != 2 * size:
                return False
            r, s = (int.from_bytes(half, "big") for half in (signature[:size], signature[size:]))
            return _answers(key.verify, encode_dss_signature(r, s), data, ec.ECDSA(digest))
        case ed25519.Ed25519PublicKey():
            return _answers(key.verify, signature, data)
        case rsa.RSAPublicKey():
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=SALT_BYTES)
            return _answers(key.verify, signature, data, pss, hashes.SHA256())
    return False


def _answers(verify: Callable[..., None], *arguments: object) -> bool:
    """Whether a check of the crypto library, which raises where it fails, passes."""
    try:
        verify(*arguments)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
