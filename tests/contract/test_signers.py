"""The built-in signers keep the signer contract, and the contract sees what is wrong with those that do not."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gensafe.core import plugins
from gensafe.core.errors import SigningFailed
from gensafe.keys import KeyRing
from gensafe.testing.certificates import certify
from gensafe.testing.signer_contract import check_failure, check_signer

KEYS = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "es512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
}
NONE = serialization.NoEncryption()


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_key_in_a_file(algorithm, tmp_path):
    key: Any = KEYS[algorithm]()
    chain, _ = certify(key.public_key())
    files = {"key": tmp_path / "key.pem", "chain": tmp_path / "chain.pem"}
    files["key"].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, NONE))
    files["key"].chmod(0o600)
    files["chain"].write_bytes(chain)
    signer = plugins.load("gensafe.signers", "file", {name: str(path) for name, path in files.items()})
    assert signer.algorithm == algorithm
    check_signer(signer)


def test_a_key_in_the_key_ring(tmp_path):
    check_signer(KeyRing.open(tmp_path).claim_signer())


class Signer:
    algorithm, development = "es256", False

    def __init__(self, **changed):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.chain, self.root = certify(self.key.public_key())
        vars(self).update(changed)

    def certificate_chain(self):
        return self.chain

    def sign(self, data):
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))  # DER, where C2PA wants r||s


class OfAnotherKey(Signer):
    def sign(self, data):
        return bytes(64)


class WithRoot(Signer):
    def certificate_chain(self):
        return self.chain + self.root


@pytest.mark.parametrize(
    ("signer", "clause"),
    [
        (Signer(), "verifies under"),
        (OfAnotherKey(), "verifies under"),
        (WithRoot(), "does not contain the root"),
        (Signer(algorithm="es384"), "the algorithm is that of the certificate's key: es256"),
    ],
)
def test_the_contract_names_the_clause_that_is_broken(signer, clause):
    with pytest.raises(AssertionError, match=clause):
        check_signer(signer)


def test_a_signer_that_hides_a_failure_is_seen():
    with pytest.raises(AssertionError, match="raises SigningFailed"):
        check_failure(OfAnotherKey())

    class Honest(OfAnotherKey):
        def sign(self, data):
            raise SigningFailed("the token is not plugged in")

    check_failure(Honest())
