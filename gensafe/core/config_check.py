"""Which configurations are refused: numbers out of range, and combinations that would not be safe."""

from __future__ import annotations

import ipaddress
import math
import re
import socket
from dataclasses import field, fields
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from gensafe.core.config_oidc import check_oidc
from gensafe.core.errors import ConfigError
from gensafe.core.postgres import SQLITE, parse_postgres

if TYPE_CHECKING:
    from gensafe.core.config import Config, ServerConfig

_LOCAL_NAMES: Final = ("localhost", "localhost.")  # RFC 6761 section 6.3: always this machine
OCSP_CHOICES: Final = ("off", "try", "required")
NO_TIME_STAMP: Final = "none"  # written in signing.time_stamp: nobody outside stamps, on purpose
LOG_FORMATS: Final = ("text", "json")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
PERIODS: Final = ("minute", "day", "month")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")  # ISO 4217
_OID: Final = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
# RFC 6454, section 6.2; "*" would be every page, and a page without TLS is whose network it came through
_ORIGIN: Final = re.compile(r"(https://[a-z0-9.-]+|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?")
_OLD_IPV4: Final = re.compile(r"[0-9a-fx.]+")  # "127.1", "0x7f.1", "0": what system resolvers read as IPv4 too


def in_range(default: float, low: float, high: float) -> Any:  # noqa: ANN401 - stands for the field's own type
    """A number of a configuration class with the range that ``check_config`` holds it to, both ends included."""
    return field(default=default, metadata={"range": (low, high)})


def check_config(config: Config) -> None:
    """Refuse numbers out of range and unsafe combinations.

    Promise 8: plain text and anonymous callers on loopback only, on every port. The HTTP app answers strangers by
    design (it says only what is public), so off loopback it needs TLS; ``/classify`` needs an API key everywhere.

    Raises:
        ConfigError: names the key and the fix.
    """
    _check_ranges(config, "")
    if config.environment not in ("development", "production"):
        raise ConfigError(
            f"{config.environment!r} is not an environment", field="environment", fix="development or production"
        )
    _check_engines(config)
    _check_signing(config)
    for key in ("log", "registry"):
        address = getattr(config.store, key)
        if address != SQLITE:
            parse_postgres(address, f"store.{key}")
    server = config.server
    if bool(server.tls_certificate) != bool(server.tls_key):
        raise ConfigError("certificate and key go together", field="server.tls_certificate", fix="set both tls_* files")
    if server.tls_client_ca and not server.tls_certificate:
        raise ConfigError(
            "mutual TLS needs a server certificate", field="server.tls_client_ca", fix="set tls_certificate"
        )
    if bool(server.tls_client_ca) != bool(server.tls_client_map):
        raise ConfigError(
            "client certificates need a CA, and a map of whose they are and what for",
            field="server.tls_client_map",
            fix="set tls_client_ca and tls_client_map; '* * generate,verify' gives every certificate its own name",
        )
    if not is_loopback(server.listen):
        _check_tls(server, server.listen, "listen")
        if not server.knows_callers:
            raise ConfigError(
                f"{server.listen} is not loopback and callers would be anonymous",
                field="server.listen",
                fix="set server.tls_client_ca, server.api_keys, server.managed_keys or [server.oidc]",
            )
    if server.http and not is_loopback(server.http, "server.http"):
        _check_tls(server, server.http, "http")
    if server.http_classify:
        _check_http_classify(server)
    check_oidc(server.oidc)
    _check_usage(config)
    _check_webhooks(config)
    trusted_proxies(server)
    for origin in server.http_origins.split():
        if not _ORIGIN.fullmatch(origin):
            raise ConfigError(
                f"{origin!r} is not an origin", field="server.http_origins", fix="https://NAME[:PORT], no path"
            )
    for key, choices in (("log_format", LOG_FORMATS), ("log_level", LOG_LEVELS)):
        if getattr(server, key) not in choices:
            raise ConfigError(
                f"{getattr(server, key)!r} is not known", field=f"server.{key}", fix=f"one of: {', '.join(choices)}"
            )
    if server.metrics_tenant_names and not server.metrics_tenants:
        raise ConfigError("names are no labels", field="server.metrics_tenant_names", fix="set metrics_tenants = true")
    if server.upload_memory_bytes < server.max_request_bytes:
        raise ConfigError(
            "is smaller than one request may be",
            field="server.upload_memory_bytes",
            fix=f"at least server.max_request_bytes, {server.max_request_bytes}",
        )


def _check_engines(config: Config) -> None:
    named = [(config.generation.backend, "generation.backend")]
    for number, engine in enumerate(config.engines):
        if not engine.backend:
            raise ConfigError("names no backend", field=f"engines[{number}].backend", fix="see: gensafe plugins")
        named.append((engine.backend, f"engines[{number}].backend"))
    for backend, key in named:
        if config.environment == "production" and backend == "simulator":
            raise ConfigError("the simulator is no model", field=key, fix="configure a real backend")


def _check_usage(config: Config) -> None:
    models = [price.model for price in config.usage.prices]
    if len(set(models)) != len(models):
        raise ConfigError("names a model twice", field="usage.prices", fix="one price for each model")
    for number, quota in enumerate(config.usage.quotas):
        where = f"usage.quotas[{number}]"
        if quota.period not in PERIODS:
            raise ConfigError(
                f"{quota.period!r} is no period", field=f"{where}.period", fix=f"one of: {', '.join(PERIODS)}"
            )
        if quota.cost and not config.usage.prices:
            raise ConfigError("there are no prices", field=f"{where}.cost", fix="set [[usage.prices]]")
    if not _CURRENCY.fullmatch(config.usage.currency):
        raise ConfigError("is no code of a currency", field="usage.currency", fix="three capitals, for example EUR")


def _check_webhooks(config: Config) -> None:
    for number, one in enumerate(config.webhooks):
        where = f"webhooks[{number}]"
        if not one.url and not one.hosts:
            raise ConfigError("tells nobody", field=f"{where}.url", fix="set url, or the hosts that jobs may name")
        if one.url and not one.url.startswith(("https://", "http://") if one.private else "https://"):
            fix = "https://…; plain http only with private = true"
            raise ConfigError(f"{one.url!r} is no address for a webhook", field=f"{where}.url", fix=fix)
        if not one.secret:
            raise ConfigError("names no file", field=f"{where}.secret", fix="a file with whsec_… or whsk_…")


def _check_signing(config: Config) -> None:
    """Production says who stamps its time: authorities, or "none" by name."""
    signing = config.signing
    if NO_TIME_STAMP in signing.time_stamp:
        if len(signing.time_stamp) > 1:
            raise ConfigError("names authorities and none", field="signing.time_stamp", fix="one or the other")
    else:
        for url in signing.time_stamp:
            check_authority(url, "signing.time_stamp")
    for url in config.audit.time_stamp.replace(",", " ").split():
        if url not in ("own", "signing"):
            check_authority(url, "audit.time_stamp")
    if signing.time_stamp_policy and not _OID.fullmatch(signing.time_stamp_policy):
        raise ConfigError("is not a dotted OID", field="signing.time_stamp_policy", fix="for example 1.2.3.4.1")
    if signing.ocsp not in OCSP_CHOICES:
        raise ConfigError(f"is {signing.ocsp!r}", field="signing.ocsp", fix=f"one of: {', '.join(OCSP_CHOICES)}")
    if config.environment == "production" and not signing.time_stamp:
        raise ConfigError(
            "production names who time-stamps its claims",
            field="signing.time_stamp",
            fix='addresses of RFC 3161 authorities, or "none": then every record and report says so',
        )


def check_authority(url: str, key: str) -> None:
    """Check the address of a time-stamp authority: https, or http to this machine.

    Raises:
        ConfigError: names ``key``.
    """
    try:
        parts = urlsplit(url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        parts.port  # noqa: B018 - raises for one that is none
    except ValueError:
        host, secure = "", False
    if not host or (not secure and not (parts.scheme == "http" and is_loopback_host(host))):
        raise ConfigError(f"{url!r} is not the address of a time-stamp authority", field=key, fix="https://…")


def trusted_proxies(server: ServerConfig) -> list[str]:
    """The addresses and networks of ``trusted_proxies``.

    Raises:
        ConfigError: one is neither.
    """
    named = [part.strip() for part in server.trusted_proxies.split(",") if part.strip()]
    for part in named:
        try:
            ipaddress.ip_network(part)
        except ValueError:
            raise ConfigError(
                f"{part!r} is not an address or network", field="server.trusted_proxies", fix="for example 10.0.0.0/8"
            ) from None
    return named


def split_address(address: str, key: str = "server.listen") -> tuple[str, int]:
    """(host without brackets, port) of HOST:PORT.

    Raises:
        ConfigError: not of that form; names ``key``.
    """
    host, _, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    known = port.isascii() and port.isdigit() and int(port[:6]) <= 65535 and len(port) <= 5
    if not bare or not known or bare != bare.strip() or (":" in bare) != (bare != host):
        raise ConfigError(f"{address!r} is not HOST:PORT", field=key, fix="for example 127.0.0.1:50051")
    return bare, int(port)


def is_loopback(address: str, key: str = "server.listen") -> bool:
    """Whether HOST:PORT names only this machine. Any name but ``localhost`` does not: where it leads can change.

    Raises:
        ConfigError: not of the form HOST:PORT; names ``key``.
    """
    return is_loopback_host(split_address(address, key)[0])


def is_loopback_host(host: str) -> bool:
    """Whether a name or an address, without port or brackets, means this machine only."""
    return host.lower() in _LOCAL_NAMES or is_loopback_ip(host)


def is_loopback_ip(host: str) -> bool:
    """Whether an IP address, also in an old spelling or mapped into IPv6, is this machine's own."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        if not _OLD_IPV4.fullmatch(host.lower()):
            return False
        try:
            found = ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def _check_ranges(section: Any, prefix: str) -> None:  # noqa: ANN401 - any configuration class
    for item in fields(section):
        value = getattr(section, item.name)
        if hasattr(value, "__dataclass_fields__"):
            _check_ranges(value, f"{prefix}{item.name}.")
        elif isinstance(value, tuple) and value and hasattr(value[0], "__dataclass_fields__"):
            for number, one in enumerate(value):
                _check_ranges(one, f"{prefix}{item.name}[{number}].")
        elif "range" in item.metadata:
            low, high = item.metadata["range"]
            if not math.isfinite(value) or not low <= value <= high:
                raise ConfigError(f"{value} is out of range", field=f"{prefix}{item.name}", fix=f"{low} to {high}")


def _check_tls(server: ServerConfig, address: str, key: str) -> None:
    if not server.tls_certificate:
        raise ConfigError(
            f"{address} is not loopback and TLS is off",
            field=f"server.{key}",
            fix="use 127.0.0.1 or set server.tls_certificate and server.tls_key",
        )


def _check_http_classify(server: ServerConfig) -> None:
    if not server.http:
        raise ConfigError("there is no HTTP app", field="server.http_classify", fix="set server.http or --http")
    if not server.takes_keys:
        raise ConfigError(
            "strangers could try what gets past the classifiers",
            field="server.http_classify",
            fix="set server.api_keys or server.managed_keys; keys need the role classify",
        )
