"""A claim signer whose private key is held in this process (files, tests). KMS and PKCS#11 signers are plugins."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from gensafe.core.errors import KeyError_, SigningFailed

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

# COSE algorithm, bytes of a coordinate and hash of each curve: RFC 9053, section 2.1.
CURVES: dict[str, tuple[str, int, hashes.HashAlgorithm]] = {
    "secp256r1": ("es256", 32, hashes.SHA256()),
    "secp384r1": ("es384", 48, hashes.SHA384()),
    "secp521r1": ("es512", 66, hashes.SHA512()),
}


class LocalClaimSigner:
    """Signs with a key in memory.

    Args:
        key: EC P-256/P-384/P-521, Ed25519, or RSA of at least 2048 bits.
        chain: PEM certificates, leaf first, without the root.
        development: The chain ends in a development root.

    Raises:
        KeyError_: unsupported key, empty chain, or the leaf does not belong to the key.
    """

    def __init__(self, key: PrivateKey, chain: bytes, *, development: bool) -> None:
        self.algorithm = algorithm_of(key)
        self.development = development
        self._key = key
        self._chain = chain
        leaf = load_chain(chain)[0]
        if _spki(leaf.public_key()) != _spki(key.public_key()):
            raise KeyError_("the first certificate of the chain is not for this key", field="chain", fix="leaf first")

    def certificate_chain(self) -> bytes:
        """PEM, leaf first, without the root."""
        return self._chain

    def sign(self, data: bytes) -> bytes:
        """Sign ``data``: raw r||s for ECDSA, PS256 for RSA, plain Ed25519.

        Raises:
            SigningFailed: the crypto library refused.
        """
        try:
            match self._key:
                case ec.EllipticCurvePrivateKey() as key:
                    _, size, digest = CURVES[key.curve.name]
                    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
                    return r.to_bytes(size, "big") + s.to_bytes(size, "big")
                case ed25519.Ed25519PrivateKey() as key:
                    return key.sign(data)
                case rsa.RSAPrivateKey() as key:
                    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
                    return key.sign(data, pss, hashes.SHA256())
        except Exception as error:
            raise SigningFailed(f"the claim key could not sign: {error}") from error


def load_private_key(pem: bytes, passphrase: bytes | None = None) -> PrivateKey:
    """Parse a PKCS#8 (or other PEM) private key.

    Raises:
        KeyError_: not a key, wrong passphrase, or a kind that C2PA does not allow.
    """
    try:
        key = serialization.load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError) as error:
        raise KeyError_(f"the private key cannot be read: {error}", field="key") from None
    algorithm_of(key)
    return cast(PrivateKey, key)


def load_chain(pem: bytes) -> list[x509.Certificate]:
    """Certificates of a PEM chain, leaf first; at least one.

    Raises:
        KeyError_: none is readable.
    """
    try:
        chain = x509.load_pem_x509_certificates(pem)
    except ValueError:
        chain = []
    if not chain:
        raise KeyError_("the certificate chain holds no readable PEM certificate", field="chain")
    return chain


def check_chain(chain: list[x509.Certificate], root_pem: bytes) -> None:
    """Check that ``chain`` (leaf first) ends in the root.

    Raises:
        KeyError_: it does not.
    """
    try:
        links = [*chain, x509.load_pem_x509_certificate(root_pem)]
    except ValueError:
        raise KeyError_("the root is not a PEM certificate", field="root") from None
    for child, parent in pairwise(links):
        try:
            child.verify_directly_issued_by(parent)
        except Exception:
            name = child.subject.rfc4514_string()
            raise KeyError_(
                f"{name!r} was not issued by the next certificate", field="chain", fix="leaf first"
            ) from None


def algorithm_of(key: object) -> str:
    """The C2PA algorithm of a private or public key: es256 | es384 | es512 | ps256 | ed25519.

    Raises:
        KeyError_: a kind, curve or size that C2PA does not allow.
    """
    match key:
        case ec.EllipticCurvePrivateKey() | ec.EllipticCurvePublicKey():
            if key.curve.name not in CURVES:
                raise KeyError_(f"curve {key.curve.name} is not allowed for C2PA claims", field="key", fix="use P-256")
            return CURVES[key.curve.name][0]
        case ed25519.Ed25519PrivateKey() | ed25519.Ed25519PublicKey():
            return "ed25519"
        case rsa.RSAPrivateKey() | rsa.RSAPublicKey():
            if key.key_size < 2048:
                raise KeyError_("RSA keys need at least 2048 bits", field="key")
            return "ps256"
    raise KeyError_(f"{type(key).__name__} cannot sign C2PA claims", field="key", fix="use P-256 or Ed25519")


def _spki(key: object) -> bytes:
    return key.public_bytes(  # type: ignore[attr-defined, no-any-return]  # every public key has it
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
