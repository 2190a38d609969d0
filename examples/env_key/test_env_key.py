"""The contract that every signer keeps, on this one."""

import env_key
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gensafe.testing.certificates import certify
from gensafe.testing.signer_contract import check_failure, check_signer


@pytest.fixture
def signer(tmp_path, monkeypatch):
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    monkeypatch.setenv("CLAIM_KEY", pem.decode())
    chain, _ = certify(key.public_key())
    (tmp_path / "chain.pem").write_bytes(chain)
    return env_key.create({"chain": str(tmp_path / "chain.pem")})


def test_contract(signer):
    check_signer(signer)


def test_without_its_key_it_says_so(signer, monkeypatch):
    monkeypatch.delenv("CLAIM_KEY")
    check_failure(signer)
