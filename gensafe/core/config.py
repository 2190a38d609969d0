"""One typed configuration, read from a TOML file and ``GENSAFE_*`` environment variables, printed redacted.

Every value has a default that is safe: loopback only, no outbound connections, development keys marked as such.
Environment variables override the file: ``GENSAFE_SERVER_LISTEN`` sets ``[server] listen``.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from gensafe.core.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The gRPC front and the small HTTP app."""

    listen: str = "127.0.0.1:50051"
    http: str = ""  # "" = no HTTP app
    http_classify: bool = False  # /classify on it: what the classifiers say about a file, for holders of an API key
    tls_certificate: str = ""  # PEM files; both or neither
    tls_key: str = ""
    tls_client_ca: str = ""  # set = mutual TLS, the identity is the client certificate's SAN or CN
    api_keys: str = ""  # file of "sha256:<hex of key> <tenant> [roles]" lines; set = a key is required
    max_request_bytes: int = 64 * 1024 * 1024
    max_concurrent: int = 4  # generations at a time
    max_queued: int = 16  # further requests wait, then RESOURCE_EXHAUSTED
    requests_per_minute: int = 0  # per tenant; 0 = no limit
    default_deadline_s: int = 300  # for callers that set none
    drain_s: int = 30  # grace for running requests on SIGTERM
    reflection: bool = True


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """Which backend serves, and with which options."""

    backend: str = "symphony"
    options: Mapping[str, str] = field(default_factory=dict)
    max_prompt_chars: int = 4000
    max_inputs: int = 8


@dataclass(frozen=True, slots=True)
class SafetyConfig:
    """Policy file and per-classifier time limit."""

    policy: str = ""  # "" = the built-in default policy
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """The log's identity, who time-stamps the checkpoints of its exports, how long it keeps what entries say."""

    origin: str = ""  # "" = "gensafe.local/<random>", chosen once when the keys are made
    time_stamp: str = ""  # "" = nobody; "own" = the key ring's authority; else the address of an RFC 3161 authority
    keep_days: int = 0  # a server forgets the contents of older entries (hashes and proofs stay); 0 = keeps all


@dataclass(frozen=True, slots=True)
class LabelConfig:
    """What metadata labels say beyond the system's own name."""

    detector_url: str = ""  # where anyone can check a file
    cn_producer: str = ""  # content producer code of GB 45438-2025; the profile "cn" needs it


@dataclass(frozen=True, slots=True)
class WatermarkConfig:
    """``[watermark.image]`` and so on: options of the watermark plugins, as each documents them."""

    image: Mapping[str, str] = field(default_factory=dict)
    audio: Mapping[str, str] = field(default_factory=dict)
    video: Mapping[str, str] = field(default_factory=dict)
    text: Mapping[str, str] = field(default_factory=dict)  # e.g. key_ids = "0,3", as `watermark test-keys` found


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a deployment can choose."""

    environment: str = "development"  # development | production
    provider: str = "GenSafe development deployment"
    data_dir: str = "gensafe-data"
    server: ServerConfig = field(default_factory=ServerConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    labels: LabelConfig = field(default_factory=LabelConfig)
    watermark: WatermarkConfig = field(default_factory=WatermarkConfig)


def load_config(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """Read and check a configuration.

    Args:
        path: TOML file; None = defaults only.
        environ: Environment to take ``GENSAFE_*`` overrides from (pass ``os.environ``); None = none.

    Raises:
        ConfigError: unreadable file, unknown key, wrong type or unsafe combination; names the key.
    """
    document: dict[str, Any] = {}
    if path is not None:
        try:
            document = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}", field="--config") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid TOML: {error}", field="--config") from None
    for name, value in sorted((environ or {}).items()):
        if name.startswith("GENSAFE_"):
            _override(document, name, value)
    config = _build(Config, document, "")
    check_config(config)
    return config


def check_config(config: Config) -> None:
    """Refuse unsafe combinations (promise 8: plain text and anonymous callers on loopback only).

    Raises:
        ConfigError: names the key and the fix.
    """
    if config.environment not in ("development", "production"):
        raise ConfigError(
            f"{config.environment!r} is not an environment", field="environment", fix="development or production"
        )
    if config.environment == "production" and config.generation.backend == "simulator":
        raise ConfigError("the simulator is no model", field="generation.backend", fix="configure a real backend")
    server = config.server
    if bool(server.tls_certificate) != bool(server.tls_key):
        raise ConfigError("certificate and key go together", field="server.tls_certificate", fix="set both tls_* files")
    if server.tls_client_ca and not server.tls_certificate:
        raise ConfigError(
            "mutual TLS needs a server certificate", field="server.tls_client_ca", fix="set tls_certificate"
        )
    if not is_loopback(server.listen):
        if not server.tls_certificate:
            raise ConfigError(
                f"{server.listen} is not loopback and TLS is off",
                field="server.listen",
                fix="listen on 127.0.0.1 or set server.tls_certificate and server.tls_key",
            )
        if not (server.tls_client_ca or server.api_keys):
            raise ConfigError(
                f"{server.listen} is not loopback and callers would be anonymous",
                field="server.listen",
                fix="set server.tls_client_ca or server.api_keys",
            )
    if server.http_classify:
        _check_http_classify(server)
    for name in ("max_request_bytes", "max_concurrent", "default_deadline_s"):
        if getattr(server, name) <= 0:
            raise ConfigError("must be positive", field=f"server.{name}")
    if config.audit.keep_days < 0:
        raise ConfigError("must not be negative", field="audit.keep_days", fix="0 keeps all")


def _check_http_classify(server: ServerConfig) -> None:
    if not server.http or not is_loopback(server.http):
        raise ConfigError(
            "callers' keys would cross the network in plain text",
            field="server.http_classify",
            fix="set server.http to 127.0.0.1:PORT and let a proxy with TLS stand before it",
        )
    if not server.api_keys:
        raise ConfigError(
            "strangers could try what gets past the classifiers",
            field="server.http_classify",
            fix="set server.api_keys; keys need the role classify",
        )


def is_loopback(address: str) -> bool:
    """Whether HOST:PORT names only this machine.

    Raises:
        ConfigError: not of the form HOST:PORT.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{address!r} is not HOST:PORT", field="server.listen", fix="for example 127.0.0.1:50051")
    host = host.strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def redacted(config: Config) -> dict[str, Any]:
    """The configuration as a plain dict that is safe to print (paths stay, option values named like secrets do not)."""

    def plain(value: Any, name: str) -> Any:  # noqa: ANN401
        if hasattr(value, "__dataclass_fields__"):
            return {f.name: plain(getattr(value, f.name), f.name) for f in fields(value)}
        if isinstance(value, Mapping):
            return {k: plain(v, k) for k, v in value.items()}
        secret = any(word in name.lower() for word in ("secret", "password", "token")) or name.lower().endswith(
            "api_key"
        )
        return "[redacted]" if secret and value else value

    result: dict[str, Any] = plain(config, "")
    return result


def _override(document: dict[str, Any], name: str, value: str) -> None:
    key = name.removeprefix("GENSAFE_").lower()
    for section in ("server", "generation", "safety", "audit", "labels"):
        if key.startswith(section + "_"):
            document.setdefault(section, {})[key.removeprefix(section + "_")] = value
            return
    if key in {f.name for f in fields(Config)}:  # other GENSAFE_ names, such as the API key's, are not configuration
        document[key] = value


def _build(kind: type[T], document: Mapping[str, Any], prefix: str) -> T:
    hints = get_type_hints(kind)
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in document.items():
        where = f"{prefix}{key}"
        if key not in known:
            raise ConfigError("unknown key", field=where, fix=f"known: {', '.join(sorted(known))}")
        values[key] = _convert(hints[key], value, where)
    return kind(**values)


def _convert(hint: Any, value: Any, where: str) -> Any:  # noqa: ANN401
    if hasattr(hint, "__dataclass_fields__"):
        if not isinstance(value, Mapping):
            raise ConfigError("must be a table", field=where)
        return _build(hint, value, f"{where}.")
    if hint is bool:
        if isinstance(value, str) and value.lower() in ("true", "false", "1", "0"):
            return value.lower() in ("true", "1")
        if isinstance(value, bool):
            return value
    elif hint in (int, float):
        try:
            if not isinstance(value, bool):
                return hint(value)
        except (TypeError, ValueError):
            pass
    elif hint is str:
        if isinstance(value, str):
            return value
    elif isinstance(value, Mapping) and all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        return dict(value)
    wanted = getattr(hint, "__name__", "table of strings")
    raise ConfigError(f"{value!r} is not a {wanted}", field=where)
