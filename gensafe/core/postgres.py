"""Addresses of PostgreSQL databases, as the configuration names them.

``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``; a socket folder of this machine as ``?host=/run/postgresql``. To
every other machine the connection uses TLS and checks the server's certificate and name: with the system's roots, or
those in ``?sslrootcert=FILE``. A password may come from the environment instead (``PGPASSWORD``), as with libpq.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from gensafe.core.errors import ConfigError

SQLITE: Final = "sqlite"
PORT: Final = 5432  # PostgreSQL's own default
SILENCE_S: Final = 60  # of a server elsewhere, until it is given up; longer than any statement of ours took. By eye
_SCHEMES: Final = ("postgresql", "postgresql+pg8000")
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
_FORM: Final = 'for example "postgresql://gensafe@db.example.com/gensafe"'


@dataclass(frozen=True, slots=True)
class Postgres:
    """One database. ``shown`` has no password."""

    driver_url: str  # for SQLAlchemy, without password
    connect: Mapping[str, Any]  # arguments of pg8000's ``connect``
    shown: str


def is_postgres(address: str) -> bool:
    """Whether an address means PostgreSQL."""
    return address.partition("://")[0] in _SCHEMES


def parse_postgres(address: str, field: str) -> Postgres:
    """Read an address.

    Args:
        address: See the module.
        field: The configuration key that errors name.

    Raises:
        ConfigError: not of that form, an unknown option, or a certificate file that cannot be read.
    """
    try:
        parts = urlsplit(address)
        port = parts.port or PORT
    except ValueError:
        raise ConfigError("is not an address of PostgreSQL", field=field, fix=_FORM) from None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    socket = options.pop("unix_sock", "")  # as pg8000 spells it
    folder = options.pop("host", "")
    roots = options.pop("sslrootcert", "")
    if options:
        raise ConfigError(f"has an unknown option {min(options)!r}", field=field, fix="host or sslrootcert")
    if folder.startswith("/"):
        socket = f"{folder}/.s.PGSQL.{port}"
    host = parts.hostname or (folder if not socket else "")
    user, database = unquote(parts.username or ""), unquote(parts.path.lstrip("/"))
    if parts.scheme not in _SCHEMES or not user or not database or not (host or socket):
        raise ConfigError("names no user, host or database", field=field, fix=_FORM)
    connect: dict[str, Any] = {}
    password = unquote(parts.password) if parts.password else os.environ.get("PGPASSWORD", "")
    if password:
        connect["password"] = password
    if socket:
        connect["unix_sock"] = socket
    else:
        connect["timeout"] = SILENCE_S
        if host not in _LOCAL or roots:
            connect["ssl_context"] = _tls(roots, field)
    place = f"{host}:{port}" if ":" not in host else f"[{host}]:{port}"
    bare = f"{quote(user)}@{'' if socket else place}/{quote(database)}"
    shown = f"postgresql://{bare}" + (f"?host={os.path.dirname(socket)}" if socket else "")
    return Postgres(f"postgresql+pg8000://{bare}", connect, shown)


def without_password(address: str) -> str:
    """``address`` as it may be printed."""
    if not is_postgres(address):
        return address
    before, at, after = address.rpartition("@")
    scheme, slashes, person = before.partition("://")
    return f"{scheme}{slashes}{person.partition(':')[0]}{at}{after}"


def _tls(roots: str, field: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=roots or None)
    except OSError as error:
        raise ConfigError(f"sslrootcert cannot be read: {error.strerror or error}", field=field) from None
