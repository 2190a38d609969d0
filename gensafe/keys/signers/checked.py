"""What all signers outside this process share: their certificates, and a check of every signature they return.

A signature is checked against the leaf before it is used. A signer that answers with another key's signature, or with
none, thereby fails as a signer; it does not surface later as a manifest that verifies nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from gensafe.core.errors import ConfigError, SigningFailed
from gensafe.core.textfile import MAX_SECRET_BYTES, read_bytes
from gensafe.keys.signer import CURVES, algorithm_of, load_chain


class CheckedSigner:
    """A ``ClaimSigner`` around a function that signs.

    Args:
        chain: PEM certificates, leaf first, without the root.
        sign: (data, algorithm) -> signature, raw r||s for ECDSA; raises SigningFailed.

    Raises:
        KeyError_: unreadable certificates, or a key that C2PA does not allow.
    """

    development = False  # whoever keeps keys in a signer has certificates of their own

    def __init__(self, chain: bytes, sign: Callable[[bytes, str], bytes]) -> None:
        self._chain = chain
        self._key = load_chain(chain)[0].public_key()
        self.algorithm = algorithm_of(self._key)
        self._sign = sign

    def certificate_chain(self) -> bytes:
        """PEM, leaf first, without the root."""
        return self._chain

    def sign(self, data: bytes) -> bytes:
        """Sign ``data`` and check the signature.

        Raises:
            SigningFailed: no signature, or one that is not of the leaf's key.
        """
        signature = self._sign(data, self.algorithm)
        try:
            _verify(self._key, signature, data)
        except (InvalidSignature, ValueError):
            raise SigningFailed("the signer's signature is not of the certificate's key") from None
        return signature


class CountingSigner(CheckedSigner):
    """A signer that can say how many signatures its key ever made.

    Args:
        chain: As for ``CheckedSigner``.
        sign: As for ``CheckedSigner``.
        count: The key's counter; raises SigningFailed.
    """

    def __init__(self, chain: bytes, sign: Callable[[bytes, str], bytes], count: Callable[[], int]) -> None:
        super().__init__(chain, sign)
        self.count = count


def _verify(key: object, signature: bytes, data: bytes) -> None:
    match key:
        case ec.EllipticCurvePublicKey():
            _, size, digest = CURVES[key.curve.name]
            if len(signature) != 2 * size:
                raise InvalidSignature
            r, s = (int.from_bytes(half, "big") for half in (signature[:size], signature[size:]))
            key.verify(encode_dss_signature(r, s), data, ec.ECDSA(digest))
        case ed25519.Ed25519PublicKey():
            key.verify(signature, data)
        case rsa.RSAPublicKey():
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
            key.verify(signature, data, pss, hashes.SHA256())


def take_options(options: Mapping[str, str], needed: set[str], allowed: set[str]) -> dict[str, str]:
    """Check the names in ``[signing.options]``.

    Raises:
        ConfigError: one is missing or unknown.
    """
    for name in sorted(needed - set(options)):
        raise ConfigError("is needed", field=f"signing.options.{name}")
    unknown = sorted(set(options) - needed - allowed)
    if unknown:
        known = ", ".join(sorted(needed | allowed))
        raise ConfigError("unknown option", field=f"signing.options.{unknown[0]}", fix=f"known: {known}")
    return dict(options)


def read_option(options: Mapping[str, str], name: str) -> bytes:
    """The file that an option names.

    Raises:
        ConfigError: unreadable.
    """
    return read_bytes(Path(options[name]), f"signing.options.{name}", largest=MAX_SECRET_BYTES, error=ConfigError)
