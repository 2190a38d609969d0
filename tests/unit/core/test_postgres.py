"""Addresses of PostgreSQL databases: what is accepted, what is refused by name, and that no password is printed."""

from __future__ import annotations

import pytest

from gensafe.core.config import Config, StoreConfig, check_config, load_config, redacted
from gensafe.core.errors import ConfigError
from gensafe.core.postgres import parse_postgres, without_password


def test_a_socket_of_this_machine_needs_no_tls():
    found = parse_postgres("postgresql://gensafe@/ledger?host=/run/postgresql", "store.log")
    assert found.driver_url == "postgresql+pg8000://gensafe@/ledger"
    assert found.connect == {"unix_sock": "/run/postgresql/.s.PGSQL.5432"}
    assert found.shown == "postgresql://gensafe@/ledger?host=/run/postgresql"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "db.example.com", "[2001:db8::1]"])
def test_other_machines_are_reached_by_tls_only(host):
    found = parse_postgres(f"postgresql://gensafe:s%40crt@{host}:6000/a%20b", "store.log")
    assert found.driver_url == f"postgresql+pg8000://gensafe@{host}:6000/a%20b"
    assert found.connect["password"] == "s@crt"
    assert ("ssl_context" in found.connect) == (host not in ("127.0.0.1", "localhost", "[::1]"))
    assert "crt" not in found.shown


def test_a_password_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "from outside")
    assert parse_postgres("postgresql://gensafe@localhost/x", "f").connect["password"] == "from outside"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://localhost/x", "names no user"),
        ("postgresql://me@localhost", "names no user, host or database"),
        ("postgresql://me@/x", "names no user, host or database"),
        ("postgresql://me@localhost:port/x", "is not an address"),
        ("postgres://me@localhost/x", "names no user, host or database"),
        ("mysql://me@localhost/x", "names no user, host or database"),
        ("postgresql://me@localhost/x?sslmode=disable", "unknown option 'sslmode'"),
        ("postgresql://me@localhost/x?sslrootcert=/nowhere", "sslrootcert cannot be read"),
        ("a file", "names no user, host or database"),
        ("", "names no user, host or database"),
    ],
)
def test_what_is_no_address_is_refused_by_the_name_of_its_key(address, said):
    with pytest.raises(ConfigError, match=said) as caught:
        check_config(Config(store=StoreConfig(registry=address)))
    assert caught.value.field == "store.registry"


def test_no_password_is_printed():
    config = load_config(environ={"GENSAFE_STORE_LOG": "postgresql://me:se:c@ret@db.example.com/x"})
    assert redacted(config)["store"] == {"log": "postgresql://me@db.example.com/x", "registry": "sqlite"}
    assert without_password("https://me:secret@example.com") == "https://me:secret@example.com"  # not ours to change
