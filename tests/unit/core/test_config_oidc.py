"""Which ``[server.oidc]`` sections are refused, and where a section is enough to leave loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

from gensafe.core.config import load_config
from gensafe.core.errors import ConfigError

GOOD = {
    "issuer": '"https://login.example.org"',
    "audience": '"gensafe"',
    "jwks": '"https://login.example.org/keys"',
    "roles": '{ makers = "generate verify" }',
}


def load(tmp_path: Path, changes: dict[str, str | None], server: str = ""):
    lines = [f"{key} = {value}" for key, value in (GOOD | changes).items() if value is not None]
    path = tmp_path / "config.toml"
    path.write_text("\n".join(["[server]", server, "[server.oidc]", *lines]) + "\n")
    return load_config(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("issuer", None),
        ("audience", None),
        ("jwks", None),
        ("jwks", '"http://login.example.org/keys"'),
        ("jwks", '"ftp://x/keys"'),
        ("roles", None),
        ("roles", '{ makers = "root" }'),
        ("algorithms", '["HS256"]'),
        ("algorithms", '["none"]'),
        ("algorithms", "[]"),
        ("tenant", '"ac\\u202eme"'),
        ("tenant_claim", '""'),
        ("leeway_s", "3600"),
        ("cache_s", "1"),
    ],
)
def test_an_issuer_whose_tokens_could_not_be_checked_is_refused_by_the_key(tmp_path, key, value):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {key: value})
    assert caught.value.field is not None and caught.value.field.startswith(f"server.oidc.{key}")


def test_tokens_are_an_identity_for_another_address_and_for_classify(tmp_path):
    tls = 'tls_certificate = "c"\ntls_key = "k"\nlisten = "0.0.0.0:50051"\n'
    assert load(tmp_path, {}, tls).server.knows_callers
    assert load(tmp_path, {}, 'http = "127.0.0.1:8080"\nhttp_classify = true\n').server.takes_keys
    (tmp_path / "bare.toml").write_text("[server]\n" + tls)
    with pytest.raises(ConfigError, match="anonymous"):
        load_config(tmp_path / "bare.toml")
