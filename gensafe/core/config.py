"""One typed configuration, read from a TOML file and ``GENSAFE_*`` environment variables, printed redacted.

Every value has a default that is safe: loopback only, no outbound connections, development keys marked as such.
Environment variables override the file: ``GENSAFE_SERVER_LISTEN`` sets ``[server] listen``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from gensafe.core.config_check import check_config, in_range, is_loopback
from gensafe.core.config_env import place_all
from gensafe.core.errors import ConfigError
from gensafe.core.postgres import without_password
from gensafe.core.textfile import read_text

__all__ = [
    "AuditConfig",
    "Config",
    "EngineConfig",
    "GenerationConfig",
    "LabelConfig",
    "OidcConfig",
    "SafetyConfig",
    "ServerConfig",
    "SigningConfig",
    "StoreConfig",
    "UsageConfig",
    "WatermarkConfig",
    "check_config",
    "is_loopback",
    "load_config",
    "redacted",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OidcConfig:
    """Tokens of an OIDC issuer (JWT) as credentials. docs/access.md; needs the extra ``oidc``."""

    issuer: str = ""  # exactly as its tokens name it; "" = no tokens are taken
    audience: str = ""  # what tokens for this server name as their audience
    jwks: str = ""  # its public keys: a file, or an https:// address
    jwks_ca: str = ""  # PEM file of the CA of that address; "" = the system's
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "EdDSA")  # that tokens may be signed with
    leeway_s: int = in_range(30, 0, 300)  # how far the issuer's clock may be from this one
    cache_s: int = in_range(300, 10, 86_400)  # the keys are read again so often
    keep_s: int = in_range(3600, 0, 604_800)  # how much longer they count where the issuer does not answer
    tenant: str = ""  # of every token; "" = the claim below names it
    tenant_claim: str = "tenant"
    roles_claim: str = "roles"  # a list or words; a path with dots finds nested ones
    roles: Mapping[str, str] = field(default_factory=dict)  # value of that claim -> roles here, e.g. "generate verify"
    subject_claim: str = ""  # names the end user, whom requests then cannot change; "" = requests name them


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The gRPC front and the small HTTP app. docs/serving.md explains the limits; numbers carry their range."""

    listen: str = "127.0.0.1:50051"
    http: str = ""  # "" = no HTTP app; HTTPS with tls_certificate where this is not loopback
    http_classify: bool = False  # /classify on it: what the classifiers say about a file, for holders of an API key
    trusted_proxies: str = (
        ""  # addresses or networks, comma-separated, whose X-Forwarded-For is believed; "" = nobody's
    )
    tls_certificate: str = ""  # PEM files; both or neither
    tls_key: str = ""
    tls_client_ca: str = ""  # set = mutual TLS: callers need a certificate of this CA
    tls_client_map: str = ""  # file of "NAME TENANT ROLE[,ROLE...]" lines: whose certificate it is, and what for
    http_hosts: str = ""  # names, separated by spaces, besides loopback ones; "" with TLS off loopback = any
    http_origins: str = ""  # sites, separated by spaces, whose pages may call from a browser: https://app.example.org
    api_keys: str = ""  # file of "sha256:<hex of key> <tenant> [roles]" lines; set = a key is required
    managed_keys: bool = False  # keys that gensafe keys api makes are taken, and a key is required
    oidc: OidcConfig = field(default_factory=OidcConfig)  # tokens of an issuer are taken, and a credential is required
    max_request_bytes: int = in_range(64 << 20, 1 << 10, 2**31 - 1)  # one message or upload; gRPC counts in 32 bits
    # --- work at a time, and who gets it ---
    max_concurrent: int = in_range(4, 1, 1024)  # generations at a time
    max_queued: int = in_range(16, 0, 100_000)  # further requests wait, then RESOURCE_EXHAUSTED
    tenant_share: float = in_range(0.75, 0.01, 1.0)  # of slots and places in a queue that one tenant may have
    max_verifying: int = in_range(3, 1, 1024)  # verifications at a time, over gRPC and HTTP
    max_classifying: int = in_range(2, 1, 1024)  # classifications at a time, over gRPC and HTTP
    max_reading: int = in_range(8, 1, 1024)  # queries, exports, fetches and the like at a time
    max_calls: int = in_range(512, 1, 100_000)  # open gRPC calls, and HTTP connections
    # --- requests a minute and tenant; 0 = no limit ---
    requests_per_minute: int = in_range(0, 0, 1_000_000)  # Generate and StartGeneration
    verify_per_minute: int = in_range(600, 0, 1_000_000)  # Verify and Resolve
    classify_per_minute: int = in_range(240, 0, 1_000_000)  # items, over gRPC and HTTP
    query_per_minute: int = in_range(1200, 0, 1_000_000)  # every other short call
    export_per_minute: int = in_range(30, 0, 1_000_000)
    http_per_minute: int = in_range(60, 0, 1_000_000)  # costly HTTP requests of one client address
    # --- time, seconds ---
    default_deadline_s: int = in_range(300, 1, 86_400)  # generation, for callers that set none
    verify_timeout_s: int = in_range(120, 1, 3600)  # one verification, waiting not counted
    classify_timeout_s: int = in_range(120, 1, 3600)  # one item
    read_timeout_s: int = in_range(300, 1, 3600)  # one query, export or fetch
    upload_idle_s: int = in_range(30, 1, 3600)  # silence within an upload
    upload_timeout_s: int = in_range(300, 1, 86_400)  # one upload in all
    header_timeout_s: int = in_range(10, 1, 3600)  # until the headers of an HTTP request are complete
    delivery_timeout_s: int = in_range(300, 1, 86_400)  # a call may wait for its reader, in all
    drain_s: int = in_range(
        30, 0, 3600
    )  # grace for running requests on SIGTERM; the process ends 2 s later at the latest
    keep_jobs_days: int = in_range(30, 1, 36_500)  # what is told of a job after it ended; outputs keep their records
    # --- memory ---
    upload_memory_bytes: int = in_range(256 << 20, 1 << 20, 1 << 46)  # all unfinished uploads together
    delivery_memory_bytes: int = in_range(512 << 20, 1 << 20, 1 << 46)  # all outputs on their way to a reader together
    reflection: bool = True
    # --- what operators see; docs/observability.md ---
    metrics_tenants: bool = False  # names of tenants in metrics and access lines
    metrics_tenant_names: tuple[str, ...] = ()  # those that metrics name, the rest is "other"; () = the first 50 seen
    log_format: str = "text"  # text | json: one line each on standard error
    log_level: str = "info"  # debug | info | warning | error

    @property
    def takes_keys(self) -> bool:
        """Whether callers present keys or tokens, of whichever kind."""
        return bool(self.api_keys or self.oidc.issuer) or self.managed_keys

    @property
    def knows_callers(self) -> bool:
        """Whether nobody is served without saying who calls."""
        return self.takes_keys or bool(self.tls_client_ca)


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """One of ``[[engines]]``. A request without a model goes to the first engine that can do what it asks for."""

    name: str = ""  # "" = the backend's name
    backend: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()  # of those the backend serves; () = all
    max_concurrent: int = in_range(0, 0, 1024)  # jobs at a time; 0 = as many as the server runs
    max_queued: int = in_range(16, 0, 100_000)  # jobs that may wait for this engine
    isolated: bool = True  # in a process of its own: what ends it there does not end the server
    fallback: str = ""  # name of the engine that takes over before the first piece of output, if this one is down


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """Bounds of a request. ``backend`` and ``options``: the one engine, in the form before ``[[engines]]``."""

    backend: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    max_prompt_chars: int = in_range(4000, 1, 10_000_000)
    max_inputs: int = in_range(8, 0, 1000)


@dataclass(frozen=True, slots=True)
class SafetyConfig:
    """Policy file and per-classifier time limit."""

    policy: str = ""  # "" = the built-in default policy
    timeout_s: float = in_range(60.0, 0.01, 3600)


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """The log's identity, who time-stamps the checkpoints of its exports, how long it keeps what entries say."""

    origin: str = ""  # "" = "gensafe.local/<random>", chosen once when the keys are made
    time_stamp: str = ""  # "" = nobody; "own" = the key ring's authority; "signing" = those of [signing]; or addresses
    keep_days: int = in_range(
        0, 0, 36_500
    )  # a server forgets the contents of older entries (hashes and proofs stay); 0 = keeps all


@dataclass(frozen=True, slots=True)
class SigningConfig:
    """Who signs claims and who stamps their time. docs/signing.md."""

    provider: str = "file"  # a plugin of gensafe.signers: file, pkcs11, aws-kms, http
    options: Mapping[str, str] = field(default_factory=dict)  # as each provider documents them
    unsealed_keys: bool = False  # production: accept a key ring without a passphrase
    time_stamp: tuple[str, ...] = ()  # RFC 3161 authorities in order; ("none",) = nobody, by name
    time_stamp_policy: str = ""  # dotted OID that tokens must name; "" = any
    ocsp: str = "off"  # staple the responder's word on the claim certificate: off | try | required
    time_stamp_proxy: str = ""  # URL of an HTTP proxy on the way to them; "" = none, whatever the environment says
    time_stamp_connect_s: float = in_range(5.0, 0.1, 60.0)
    time_stamp_total_s: float = in_range(15.0, 0.1, 120.0)  # for one authority


@dataclass(frozen=True, slots=True)
class LabelConfig:
    """What metadata labels say beyond the system's own name."""

    detector_url: str = ""  # where anyone can check a file
    cn_producer: str = ""  # content producer code of GB 45438-2025; the profile "cn" needs it


@dataclass(frozen=True, slots=True)
class WatermarkConfig:
    """``[watermark.image]`` and so on: options of the watermark plugins, as each documents them; when keys come out."""

    image: Mapping[str, str] = field(default_factory=dict)
    audio: Mapping[str, str] = field(default_factory=dict)
    video: Mapping[str, str] = field(default_factory=dict)
    text: Mapping[str, str] = field(default_factory=dict)  # e.g. key_ids = "0,3", as `watermark test-keys` found
    disclose_days: int = in_range(
        180, 0, 36_500
    )  # how long after its end a watermark epoch's key may be published (docs/disclosure.md); 0 = never


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where log and registry live. docs/stores.md."""

    log: str = "sqlite"  # in data_dir; or postgresql://USER@HOST/DATABASE
    registry: str = "sqlite"  # likewise; blobs stay in data_dir


@dataclass(frozen=True, slots=True)
class PriceConfig:
    """One of ``[[usage.prices]]``: what a model costs, in the currency."""

    model: str = ""  # "" = every model without a price of its own
    request: float = in_range(0.0, 0.0, 1e6)
    kilotoken: float = in_range(0.0, 0.0, 1e6)  # a thousand tokens, read and written
    megapixel: float = in_range(0.0, 0.0, 1e6)  # of pictures
    audio_second: float = in_range(0.0, 0.0, 1e6)
    video_second: float = in_range(0.0, 0.0, 1e6)
    engine_second: float = in_range(0.0, 0.0, 1e6)


@dataclass(frozen=True, slots=True)
class QuotaConfig:
    """One of ``[[usage.quotas]]``: what a tenant or a key may use in a period; 0 = no limit of that unit."""

    tenant: str = ""  # "" = each tenant that has no quota of its own for that period
    key: str = ""  # id of a managed key; "" = the tenant with all its keys
    period: str = "day"  # minute | day | month, by UTC
    requests: int = in_range(0, 0, 10**12)
    tokens: int = in_range(0, 0, 10**15)
    pixels: int = in_range(0, 0, 10**15)
    audio_seconds: int = in_range(0, 0, 10**12)
    video_seconds: int = in_range(0, 0, 10**12)
    engine_seconds: int = in_range(0, 0, 10**12)
    cost: float = in_range(0.0, 0.0, 1e12)  # the budget, in the currency


@dataclass(frozen=True, slots=True)
class UsageConfig:
    """Quotas, prices, and what a request is expected to use where it does not say. docs/usage.md."""

    currency: str = "EUR"
    tokens: int = in_range(1024, 1, 10**9)  # a text without max_tokens; where a quota holds, also its bound
    pixels: int = in_range(1 << 20, 1, 10**10)  # a picture without a size
    audio_seconds: float = in_range(30.0, 0.1, 1e6)  # a sound without a length
    video_seconds: float = in_range(10.0, 0.1, 1e6)  # a film without a length
    engine_seconds: float = in_range(60.0, 0.1, 1e6)  # until the first output of a model; then what it took before
    prices: tuple[PriceConfig, ...] = ()
    quotas: tuple[QuotaConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """One of ``[[webhooks]]``: who is told how jobs ended. docs/webhooks.md."""

    tenant: str = ""  # whose jobs; "" = every tenant's
    url: str = ""  # told of each job; "" = only of jobs that name a URL themselves
    hosts: tuple[str, ...] = ()  # HOST or HOST:PORT that a job may name
    secret: str = ""  # file with the key: whsec_... (HMAC-SHA256) or whsk_... (Ed25519), as Standard Webhooks has it
    private: bool = False  # addresses that are not public, and plain http, are allowed


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a deployment can choose."""

    environment: str = "development"  # development | production
    provider: str = "GenSafe development deployment"
    data_dir: str = "gensafe-data"
    server: ServerConfig = field(default_factory=ServerConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    engines: tuple[EngineConfig, ...] = ()  # () = those in the box: smollm2, hibari, symphony
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    signing: SigningConfig = field(default_factory=SigningConfig)
    labels: LabelConfig = field(default_factory=LabelConfig)
    watermark: WatermarkConfig = field(default_factory=WatermarkConfig)
    usage: UsageConfig = field(default_factory=UsageConfig)
    webhooks: tuple[WebhookConfig, ...] = ()


def load_config(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    data_dir: str | None = None,
    server: Mapping[str, Any] | None = None,
) -> Config:
    """Read and check a configuration.

    Args:
        path: TOML file; None = defaults only.
        environ: Environment to take ``GENSAFE_*`` overrides from (pass ``os.environ``); None = none.
        data_dir: Override from a command line.
        server: Overrides of ``[server]`` from a command line; they come last and are checked with the rest.

    Raises:
        ConfigError: unreadable file, unknown key or variable, wrong type or unsafe combination; names the key.
    """
    document: dict[str, Any] = {}
    if path is not None:
        text = read_text(path, "--config")
        try:
            document = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise ConfigError(f"{path} is not valid TOML: {error}", field="--config") from None
    place_all(document, Config, environ or {})
    if data_dir:
        document["data_dir"] = data_dir
    if server:
        table = document.setdefault("server", {})
        if isinstance(table, dict):  # else _build names the fault
            table.update(server)
    config = _build(Config, document, "")
    check_config(config)
    return config


def redacted(config: Config) -> dict[str, Any]:
    """The configuration as a plain dict that is safe to print (paths stay, option values named like secrets do not)."""

    def plain(value: Any, name: str) -> Any:  # noqa: ANN401
        if hasattr(value, "__dataclass_fields__"):
            return {f.name: plain(getattr(value, f.name), f.name) for f in fields(value)}
        if isinstance(value, Mapping):
            return {k: plain(v, k) for k, v in value.items()}
        if isinstance(value, tuple):
            return [plain(v, name) for v in value]
        secret = any(word in name.lower() for word in ("secret", "password", "token", "pin")) or name.lower().endswith(
            "api_key"
        )
        if isinstance(value, str):
            value = without_password(value)
        return "[redacted]" if secret and value else value

    result: dict[str, Any] = plain(config, "")
    return result


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
    if get_origin(hint) is tuple:
        if hint == tuple[str, ...] and isinstance(value, str):  # as environment variables spell a list
            return tuple(value.replace(",", " ").split())
        if not isinstance(value, list):
            raise ConfigError("must be a list", field=where)
        inner = get_args(hint)[0]
        return tuple(_convert(inner, one, f"{where}[{number}]") for number, one in enumerate(value))
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
