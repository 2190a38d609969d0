"""Tokens of a real little issuer over HTTPS: the right ones name tenant, roles and end user, every other is refused.

New mechanism. The attacks are those of RFC 8725 (JWT best current practices) sections 2 and 3.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gensafe.audit import AuditLog
from gensafe.client import Client, ClientOptions
from gensafe.core import errors
from gensafe.server.tokens import MAX_TOKEN
from tests.integration.callers import all_of, eventually, fronts, grpc_models
from tests.integration.issuer import AUDIENCE, ISSUER, Issuer


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    with Issuer(tmp_path_factory.mktemp("issuer")) as running:
        yield running


@pytest.fixture(scope="module")
def server(issuer, tmp_path_factory, write_config, server_process):
    folder = tmp_path_factory.mktemp("oidc")
    config = write_config(folder, server={"http": "127.0.0.1:0", "http_per_minute": 0, "query_per_minute": 0})
    with config.open("a") as file:
        file.write(
            f'[server.oidc]\nissuer = "{ISSUER}"\naudience = "{AUDIENCE}"\njwks = "{issuer.url}"\n'
            f'jwks_ca = "{issuer.ca}"\ncache_s = 10\nsubject_claim = "sub"\ntenant_claim = "org"\n'
            'roles_claim = "realm.groups"\n[server.oidc.roles]\nmakers = "generate"\n'
            'everybody = "generate verify classify audit"\n'
        )
    running = server_process(folder / "data", ("--config", str(config)))
    running.start()
    yield running
    assert running.stop() == 0, running.log
    assert "unexpected error" not in running.log


def claims(**changes: object) -> dict:
    now = int(time.time())
    body = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 600, "sub": "ada", "org": "acme"}
    body |= {"realm": {"groups": ["everybody", "strangers"]}} | changes
    return {name: value for name, value in body.items() if value is not None}


def raw(header: dict, body: dict, signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(body).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_a_token_names_tenant_roles_and_end_user_on_every_front(issuer, server):
    for kid in ("rsa", "ec", "ed"):
        token = issuer.sign(claims(), kid)
        assert all_of(fronts(server.address, server.http, token), "OK"), kid
    assert grpc_models(server.address, issuer.sign(claims(aud=["other", AUDIENCE]), "rsa")) == "OK"
    maker = issuer.sign(claims(realm={"groups": "makers strangers"}, org="beta"), "ec")
    assert fronts(server.address, server.http, maker) == {
        "grpc": "OK", "openai": "OK", "envoy": "PERMISSION_DENIED", "guard": "PERMISSION_DENIED",
        "binding": "PERMISSION_DENIED", "verify": "OK",
    }  # fmt: skip
    with Client(ClientOptions(server.address, api_key=maker)) as client:
        made = client.generate("a garden", "text", max_tokens=9)
        client.generate("a garden", "text", max_tokens=9, subject="ada")
        with pytest.raises(errors.PermissionDenied, match="another end user"):
            client.generate("a garden", "text", max_tokens=9, subject="bo")
    with AuditLog.open_readonly(server.data_dir / "log") as log:
        entry = next(e.entry for e in log.entries() if e.entry.get("record_id") == made.record_id)
    assert entry["tenant"] == "beta" and entry["subject"].startswith("hmac-sha256:")


def wrong_tokens(issuer: Issuer) -> dict[str, tuple[str, str]]:
    """Name -> (token, part of what is said)."""
    good, now = claims(), int(time.time())
    public = issuer.keys["rsa"].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head, body, signature = issuer.sign(good, "ec").split(".")
    other = base64.urlsafe_b64encode(json.dumps(claims(org="beta")).encode()).rstrip(b"=").decode()
    mine = ec.generate_private_key(ec.SECP256R1())
    my_jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(mine.public_key()))
    hs = raw({"alg": "HS256", "typ": "JWT", "kid": "rsa"}, good)
    confused = hs.rpartition(".")[0]
    mac = base64.urlsafe_b64encode(hmac.new(pem, confused.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()

    def forged(**headers: object) -> str:
        return jwt.encode(good, mine, algorithm="ES256", headers=headers)

    return {
        "expired": (issuer.sign(claims(exp=now - 60), "rsa"), "has expired"),
        "not yet": (issuer.sign(claims(nbf=now + 600), "rsa"), "not valid yet"),
        "issued later": (issuer.sign(claims(iat=now + 600), "rsa"), "not valid yet"),
        "other audience": (issuer.sign(claims(aud="shop"), "rsa"), "another audience"),
        "no audience": (issuer.sign(claims(aud=None), "rsa"), "lacks exp, iss or aud"),
        "other issuer": (issuer.sign(claims(iss=ISSUER + "/"), "rsa"), "another issuer"),
        "for ever": (issuer.sign(claims(exp=None), "rsa"), "lacks exp, iss or aud"),
        "exp is text": (issuer.sign(claims(exp="later"), "rsa"), "not valid"),
        "alg none": (raw({"alg": "none"}, good), "algorithm"),
        "alg None": (raw({"alg": "NoNe", "kid": "rsa"}, good), "algorithm"),
        "alg is a list": (raw({"alg": ["RS256"], "kid": "rsa"}, good, b"x"), ""),
        "public key as a secret": (f"{confused}.{mac}", "algorithm"),
        "key of another kind": (raw({"alg": "RS256", "kid": "ec"}, good, b"x" * 64), "not signed with a key"),
        "unknown key": (forged(kid="mine"), "not signed with a key"),
        "no key id": (forged(), "wrong"),
        "another's key id": (forged(kid="ec"), "signature is wrong"),
        "key id is a path": (forged(kid="../../../../etc/passwd"), "not signed with a key"),
        "key id is an address": (forged(kid="https://evil.test/jwks"), "not signed with a key"),
        "key id is SQL": (forged(kid="x' UNION SELECT 'key"), "not signed with a key"),
        "key id is long": (forged(kid="k" * 300), "key id"),
        "key id is a number": (raw({"alg": "ES256", "kid": 7}, good, b"x" * 64), "cannot be read"),
        "brings its key": (forged(kid="ec", jwk=my_jwk), "signature is wrong"),
        "points to its key": (forged(kid="mine", jku="https://evil.test/jwks"), "not signed with a key"),
        "critical extension": (forged(kid="ec", crit=["b64"], b64=False), "extensions"),
        "changed": (f"{head}.{other}.{signature}", "signature is wrong"),
        "no signature": (f"{head}.{body}.", "wrong"),
        "no JSON": ("eyJ.eyJ.eyJ", "cannot be read"),
        "too long": (issuer.sign(claims(pad="x" * MAX_TOKEN), "ec"), ""),
        "no tenant": (issuer.sign(claims(org=None), "rsa"), "tenant"),
        "tenant is a list": (issuer.sign(claims(org=["acme"]), "rsa"), "tenant"),
        "tenant hides": (issuer.sign(claims(org="ac\u202eme"), "rsa"), "U+202E"),
        "no end user": (issuer.sign(claims(sub=None), "rsa"), "end user"),
    }


def test_every_wrong_token_is_refused_whatever_else_is_right(issuer, server):
    before = issuer.asked
    known = httpx.get(f"{server.http}/softbinding/v1/services/supportedAlgorithms", timeout=30).json()["watermarks"]
    query = {"alg": known[0]["alg"], "value": base64.b64encode(bytes(7)).decode()}
    for name, (token, said) in wrong_tokens(issuer).items():
        if name != "too long":  # gRPC's own bound for headers comes first
            answer = grpc_models(server.address, token)
            assert answer.startswith("UNAUTHENTICATED") and said in answer, (name, answer)
            assert token not in answer
        http = httpx.get(f"{server.http}/v1/models", headers={"authorization": f"Bearer {token}"}, timeout=30)
        assert http.status_code == 401 and said in http.text, (name, http.text)
        url, headers = f"{server.http}/softbinding/v1/matches/byBinding", {"authorization": f"Bearer {token}"}
        binding = httpx.get(url, params=query, headers=headers, timeout=30)
        assert binding.status_code == 401, name
    assert issuer.asked - before <= 4  # many unknown key ids, and one look in ten seconds
    assert issuer.paths == {"/jwks"}


def test_a_token_without_a_known_role_may_do_nothing(issuer, server):
    for groups in ([], ["strangers"], [1, {}], {"makers": 1}, 7, None):
        token = issuer.sign(claims(realm={"groups": groups}), "rsa")
        assert grpc_models(server.address, token).startswith("PERMISSION_DENIED"), groups
    assert grpc_models(server.address, issuer.sign(claims(realm="makers"), "rsa")).startswith("PERMISSION_DENIED")


def test_keys_rotate_and_the_issuer_goes_away_while_the_server_runs(issuer, server):
    old = issuer.sign(claims(), "ed")
    assert grpc_models(server.address, old) == "OK"
    issuer.rotate("ed", "ed2")
    new = issuer.sign(claims(), "ed2")
    eventually(lambda: grpc_models(server.address, new) == "OK")  # a look for the unknown key id
    assert "not signed with a key" in grpc_models(server.address, old)  # and the old one is gone
    issuer.down = True
    try:
        assert grpc_models(server.address, new) == "OK"
        asked = issuer.asked
        eventually(lambda: issuer.asked > asked)  # it was looked for, in vain
        assert grpc_models(server.address, new) == "OK"
    finally:
        issuer.down = False
