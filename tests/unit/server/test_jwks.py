"""The keys of an issuer: when they are read, how long they count, and which are taken.

Time is the test's; the issuer is a real one over HTTPS.
"""

from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gensafe.core.config import OidcConfig
from gensafe.core.errors import IdentityUnavailable
from gensafe.server.jwks import REFETCH_S, Jwks
from tests.integration.issuer import Issuer, public_jwk


class Hand:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    with Issuer(tmp_path_factory.mktemp("issuer")) as running:
        yield running


@pytest.fixture
def read(issuer):
    """(key set, clock): read once."""
    now = Hand()
    config = OidcConfig("https://i", "a", issuer.url, str(issuer.ca), cache_s=100, keep_s=50)
    issuer.down, issuer.extra = False, []
    keys = Jwks(config, now)
    keys.refresh()
    return keys, now


def look(keys: Jwks, *kids: str) -> None:
    async def all_at_once() -> None:
        await asyncio.gather(*(keys.look_for(kid) for kid in kids))

    asyncio.run(all_at_once())


def test_unknown_key_ids_cost_one_look_in_ten_seconds(issuer, read):
    keys, now = read
    before = issuer.asked
    look(keys, *(f"invented-{n}" for n in range(50)))
    assert issuer.asked == before  # it was read just now
    now.at += REFETCH_S
    look(keys, *(f"invented-{n}" for n in range(50)))
    assert issuer.asked == before + 1
    now.at += REFETCH_S
    look(keys, "rsa")  # it is known
    assert issuer.asked == before + 1


def test_an_issuer_that_is_down_is_believed_for_a_while_and_then_nobody_is_known(issuer, read, caplog):
    keys, now = read
    issuer.down = True
    now.at += 101
    keys.refresh()
    assert keys.find("ec", "ES256") is not None
    assert "503" in caplog.text
    now.at += 50
    with pytest.raises(IdentityUnavailable):
        keys.find("ec", "ES256")
    issuer.down = False
    keys.refresh()
    assert keys.find("ec", "ES256") is not None


def test_a_key_that_the_issuer_withdrew_is_gone_at_the_next_reading(issuer, read):
    keys, now = read
    kept = issuer.keys.pop("ec")
    try:
        now.at += 99
        keys.refresh()
        assert keys.find("ec", "ES256") is not None
        now.at += 1
        keys.refresh()
        assert keys.find("ec", "ES256") is None
    finally:
        issuer.keys["ec"] = kept


def test_a_key_checks_only_what_its_kind_and_its_alg_allow(issuer, read):
    keys, now = read
    issuer.extra = [public_jwk(ec.generate_private_key(ec.SECP384R1()), "p384"),
                    public_jwk(issuer.keys["rsa"], "ps") | {"alg": "PS256"}]  # fmt: skip
    now.at += 100
    keys.refresh()
    found = {
        (kid, alg)
        for kid in ("rsa", "ec", "ed", "p384", "ps", "none")
        for alg in ("RS256", "PS256", "ES256", "ES384", "EdDSA", "HS256", "none")
        if keys.find(kid, alg) is not None
    }
    assert found == {
        ("rsa", "RS256"), ("rsa", "PS256"), ("ps", "PS256"), ("ec", "ES256"), ("p384", "ES384"), ("ed", "EdDSA"),
    }  # fmt: skip
    assert keys.find(None, "ES256") is not None  # the only one of its kind
    assert keys.find(None, "PS256") is None  # two would fit


@pytest.mark.parametrize(
    "bad",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "bad"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "bad"},
        public_jwk(rsa.generate_private_key(65537, 1024), "bad"),
        public_jwk(rsa.generate_private_key(65537, 2048), "bad") | {"use": "enc"},
        public_jwk(rsa.generate_private_key(65537, 2048), "bad") | {"key_ops": ["encrypt"]},
        {"kty": "RSA", "kid": "bad"},
        {"kid": "bad"},
        {"kty": "RSA", "kid": ["bad"]},
        "bad",
        None,
    ],
    ids=lambda bad: str(bad)[:40],
)
def test_what_checks_no_signatures_is_no_key(issuer, read, bad):
    keys, now = read
    issuer.extra = [bad]
    now.at += 100
    keys.refresh()
    assert not keys.knows("bad")
    assert keys.find("ec", "ES256") is not None


def test_two_keys_of_one_id_are_none(issuer, read):
    keys, now = read
    issuer.extra = [public_jwk(ec.generate_private_key(ec.SECP256R1()), "ec")]
    now.at += 100
    keys.refresh()
    assert keys.find("ec", "ES256") is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"keys": 7}', '{"keys": []}', "not json", '{"keys": [{"kty": "oct"}]}']
)
def test_a_file_that_is_no_key_set_leaves_the_keys_as_they_were(issuer, tmp_path, text, caplog):
    path, now, issuer.extra = tmp_path / "jwks.json", Hand(), []
    path.write_bytes(issuer.document())
    keys = Jwks(OidcConfig("https://i", "a", str(path), cache_s=100), now)
    keys.refresh()
    path.write_text(text)
    now.at += 100
    keys.refresh()
    assert keys.find("ec", "ES256") is not None
    assert "cannot be read" in caplog.text
