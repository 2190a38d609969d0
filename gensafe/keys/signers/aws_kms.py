"""``provider = "aws-kms"``: the claim key stays in AWS KMS, asked by botocore; ``gensafe[aws]`` installs it.

Sign, GetPublicKey: AWS Key Management Service API Reference, 2014-11-01. Credentials are found as the AWS tools find
them (environment, files, the role of the machine); none are in this configuration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from gensafe.core.errors import ConfigError, SigningFailed
from gensafe.core.ports import ClaimSigner
from gensafe.keys.signer import load_chain
from gensafe.keys.signers.checked import CheckedSigner, read_option, take_options

CONNECT_S: Final = 5.0  # as for time-stamp authorities
READ_S: Final = 10.0  # as for a signing service; KMS answers in some 50 ms
LARGEST_RAW: Final = 4096  # bytes that Sign takes as they are; of more it takes the digest (API reference, Sign)
_ALGORITHMS: Final = {  # name there, digest, bytes of a coordinate (RFC 9053, section 2.1)
    "es256": ("ECDSA_SHA_256", "sha256", 32),
    "es384": ("ECDSA_SHA_384", "sha384", 48),
    "es512": ("ECDSA_SHA_512", "sha512", 66),
}


def create(options: Mapping[str, str]) -> ClaimSigner:
    """Options: ``key_id`` (id, ARN or alias), ``chain`` (PEM); ``region``, ``profile``, ``endpoint`` (an address).

    Raises:
        ConfigError: missing or unknown options, no region, not an EC certificate, or botocore is not installed.
        KeyError_: unreadable certificates.
        SigningFailed: KMS cannot be asked, or its key is not the certificate's.
    """
    options = take_options(options, {"key_id", "chain"}, {"region", "profile", "endpoint"})
    chain = read_option(options, "chain")
    key = _Key(options)
    signer = CheckedSigner(chain, key.sign)
    if signer.algorithm not in _ALGORITHMS:
        raise ConfigError(f"a certificate for {signer.algorithm}", field="signing.options.chain", fix="use P-256")
    key.check(chain)  # a missing key stops the start, not the first request
    return signer


class _Key:
    """One key; clients of botocore are safe to share between threads."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._id = options["key_id"]
        self._client, self._errors = _client(options)

    def check(self, chain: bytes) -> None:
        """Compare the key with the chain's leaf.

        Raises:
            SigningFailed: another key, or KMS cannot be asked.
        """
        encoded = self._ask("GetPublicKey", self._client.get_public_key, KeyId=self._id)["PublicKey"]
        kinds = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        leaf = load_chain(chain)[0].public_key()
        if load_der_public_key(encoded).public_bytes(*kinds) != leaf.public_bytes(*kinds):
            raise SigningFailed("the key in AWS KMS is not the certificate's", field="signing.options.key_id")

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """One signature, raw r||s. Never asked twice: a lost answer may have been a signature.

        Raises:
            SigningFailed: KMS cannot be asked, or refuses.
        """
        name, digest, size = _ALGORITHMS[algorithm]
        kind, message = "RAW", data
        if len(data) > LARGEST_RAW:
            kind, message = "DIGEST", hashlib.new(digest, data).digest()
        answer = self._ask(
            "Sign", self._client.sign, KeyId=self._id, Message=message, MessageType=kind, SigningAlgorithm=name
        )
        try:
            r, s = decode_dss_signature(answer["Signature"])
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        except (ValueError, OverflowError):
            raise SigningFailed("AWS KMS answered with something that is no signature") from None

    def _ask(self, action: str, call: Any, **parameters: Any) -> Any:  # noqa: ANN401 - botocore has no types
        try:
            return call(**parameters)
        except self._errors as error:
            raise SigningFailed(f"AWS KMS, {action}: {error}") from error


def _client(options: Mapping[str, str]) -> tuple[Any, tuple[type[Exception], ...]]:
    """A client, and what its calls raise."""
    try:
        import botocore.config
        import botocore.exceptions
        import botocore.session
    except ImportError:
        raise ConfigError(
            "botocore is not installed", field="signing.provider", fix="pip install 'gensafe[aws]'"
        ) from None
    limits = botocore.config.Config(connect_timeout=CONNECT_S, read_timeout=READ_S, retries={"total_max_attempts": 1})
    errors = botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError
    try:
        session = botocore.session.Session(profile=options.get("profile"))
        client = session.create_client(
            "kms", region_name=options.get("region") or None, endpoint_url=options.get("endpoint"), config=limits
        )
    except (*errors, ValueError) as error:
        raise ConfigError(str(error), field="signing.options", fix="see region, profile and endpoint") from None
    return client, errors
