"""How a client reaches a server: in the clear on this machine only, TLS to everywhere else."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc

from gensafe.core.config_check import is_loopback_host
from gensafe.core.errors import ConfigError

if TYPE_CHECKING:
    from gensafe.client.messages import ClientOptions

# 64 MiB: the server's own bound of a request (``max_request_bytes``) by default
MAX_MESSAGE: Final = 64 * 1024 * 1024
_SOCKETS: Final = ("unix:", "unix-abstract:")
_ADDRESSES: Final = ("ipv4:", "ipv6:")


def is_local(target: str) -> bool:
    """Whether a gRPC target (HOST:PORT, or with a scheme) means this machine only.

    ``unix:`` and ``unix-abstract:`` sockets, and 127.0.0.0/8, ::1 and ``localhost`` by name, ``dns:``, ``ipv4:`` or
    ``ipv6:``. A target that asks a name server of its own (``dns://SERVER/NAME``) does not.
    """
    if target.startswith(_SOCKETS):
        return True
    for scheme in _ADDRESSES:
        if target.startswith(scheme):
            return all(_is_local_address(part) for part in target.removeprefix(scheme).split(","))
    return _is_local_address(target.removeprefix("dns:///").removeprefix("dns:"))


def _is_local_address(address: str) -> bool:
    if address.startswith("["):
        host, _, port = address[1:].partition("]")
        port = port.removeprefix(":")
    elif address.count(":") > 1:  # an IPv6 address without a port
        host, port = address, ""
    else:
        host, _, port = address.partition(":")
    return is_loopback_host(host) and (not port or port.isdigit())


def uses_tls(options: ClientOptions) -> bool:
    """Whether the connection is encrypted.

    Raises:
        ConfigError: plain text was asked for, but the server is on another machine.
    """
    wanted = options.tls
    if wanted is None:
        wanted = bool(options.root_certificates or options.certificate) or not is_local(options.address)
    if not wanted and not is_local(options.address):
        raise ConfigError(
            f"{options.address} is not on this machine, and without TLS anybody on the way could read the call",
            field="tls",
            fix="leave tls out, or set it",
        )
    if not wanted and (options.root_certificates or options.certificate):
        raise ConfigError("certificates need TLS", field="tls", fix="leave tls out, or set it")
    return wanted


def credentials(options: ClientOptions) -> grpc.ChannelCredentials | None:
    """TLS credentials, or None for plain text. Without ``root_certificates`` the system's own roots are trusted.

    Raises:
        ConfigError: as ``uses_tls``; a file cannot be read; a certificate without its key or the other way round.
    """
    if not uses_tls(options):
        return None
    if bool(options.certificate) != bool(options.key):
        raise ConfigError("a client certificate and its key go together", field="certificate", fix="give both files")
    roots = _read(options.root_certificates, "root_certificates") if options.root_certificates else _system_roots()
    key = _read(options.key, "key") if options.key else None
    return grpc.ssl_channel_credentials(roots, key, _read(options.certificate, "certificate") if key else None)


def metadata(options: ClientOptions) -> tuple[tuple[str, str], ...]:
    """Call metadata: the API key and the language, if there are any.

    Raises:
        ConfigError: one of them holds what no header can carry.
    """
    key, language = options.api_key, options.language
    if not language.isascii() or not language.isprintable():
        raise ConfigError("not a language", field="language", fix='a code such as "de" or "pt-BR"')
    spoken = (("accept-language", language),) if language else ()
    if not key:
        return spoken
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            "contains a space, a line break or a character outside ASCII",
            field="api_key",
            fix="is there a newline at its end?",
        )
    return (("authorization", f"Bearer {key}"), *spoken)


def channel_options(options: ClientOptions) -> list[tuple[str, int | str]]:
    """GRPC channel options: large messages both ways, no retries inside gRPC, no proxy to this machine.

    With a retry policy in the service config, grpcio 1.85 hangs past the deadline when a server dies in the middle of a
    streaming call; the clients retry by themselves instead (``messages.BACKOFF_S``). gRPC sends calls to 127.0.0.1 to
    the proxy of ``grpc_proxy``, ``https_proxy`` and ``http_proxy``, which would look for the server on its own machine.
    """
    chosen: list[tuple[str, int | str]] = [
        ("grpc.max_receive_message_length", MAX_MESSAGE),
        ("grpc.max_send_message_length", MAX_MESSAGE),
        ("grpc.enable_retries", 0),
    ]
    return [*chosen, ("grpc.enable_http_proxy", 0)] if is_local(options.address) else chosen


def _system_roots() -> bytes | None:
    """The certificate authorities that this system trusts (``SSL_CERT_FILE`` counts); None = gRPC's own list."""
    found = ssl.create_default_context().get_ca_certs(binary_form=True)
    return "".join(map(ssl.DER_cert_to_PEM_cert, found)).encode() or None


def _read(path: str, field: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", field=field) from None
