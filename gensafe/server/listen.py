"""Take the addresses before anything slow is loaded, so that a port in use is one line and not a late surprise."""

from __future__ import annotations

import socket
from pathlib import Path

from gensafe.core.config import Config
from gensafe.core.config_check import is_loopback, is_loopback_ip, split_address
from gensafe.core.config_profile import gaps
from gensafe.core.errors import ConfigError

BACKLOG = 128  # connections that wait to be accepted; Python's and many servers' usual number. Not measured


def claim(config: Config) -> socket.socket | None:
    """Check the gRPC address and the TLS files, and bind the HTTP address; None without an HTTP app.

    gRPC binds by itself later, so its address is only tried; another process may still take it in between.

    Raises:
        ConfigError: an address is in use or not this machine's, a TLS file cannot be read, or production demands more;
            names the key.
    """
    check_files(config)
    if config.environment == "production":
        for gap in gaps(config):
            raise gap
    _bind(config.server.listen, "server.listen").close()
    return _bind(config.server.http, "server.http") if config.server.http else None


def check_files(config: Config) -> None:
    """Look whether every file that says who may call can be read.

    Raises:
        ConfigError: one cannot; names the key.
    """
    for key in ("tls_certificate", "tls_key", "tls_client_ca", "tls_client_map", "api_keys"):
        _check_readable(getattr(config.server, key), f"server.{key}")
    oidc = config.server.oidc
    _check_readable(oidc.jwks_ca, "server.oidc.jwks_ca")
    _check_readable("" if "://" in oidc.jwks else oidc.jwks, "server.oidc.jwks")


def _bind(address: str, key: str) -> socket.socket:
    host, port = split_address(address, key)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise ConfigError(f"{host!r} is not a known host", field=key, fix="use an address of this machine") from None
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(where)
        # bound but not listening, a second process could bind too where SO_REUSEADDR is set on both
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"cannot listen on {address}: {error.strerror}", field=key, fix="is the port taken?"
        ) from None
    if is_loopback(address, key) and not is_loopback_ip(bound.getsockname()[0]):
        bound.close()
        raise ConfigError(f"{host!r} does not lead to this machine alone", field=key, fix="use 127.0.0.1")
    return bound


def _check_readable(path: str, key: str) -> None:
    if not path:
        return
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", field=key) from None
