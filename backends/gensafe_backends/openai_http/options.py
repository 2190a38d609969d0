"""The backend's options, read and checked once."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gensafe.core.errors import ConfigError
from gensafe.core.types import Modality
from gensafe_backends.openai_http.dialects import DIALECTS, Dialect
from gensafe_backends.openai_http.marks import NAMES as MARK_OPTIONS
from gensafe_backends.openai_http.marks import EngineMark, read_mark

_NAMES: Final = frozenset(
    {
        "url",
        "model",
        "outputs",
        "dialect",
        "api_key_file",
        "image_size",
        "voice",
        "sound",
        "transcription_model",
        "connect_timeout_s",
        "idle_timeout_s",
        "timeout_s",
        "retries",
        "ca_file",
        "client_certificate_file",
        "client_key_file",
        "proxy",
        "extra",
        *MARK_OPTIONS,
    }
)
SWITCHES: Final = frozenset({"watermarking", "watermark", "vllm_xargs"})  # of a mark, in a request to vLLM or SGLang
_SIZE: Final = re.compile(r"[1-9]\d{1,4}x[1-9]\d{1,4}\Z")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Options:
    """Where the engine is and how to speak to it.

    Args:
        base: URL up to and including ``/v1``, without a slash at its end.
        extra: Names that a request may set in the body, by the operator's list.
        connect_s: Longest wait for a connection.
        idle_s: Longest wait between two pieces of an answer.
        total_s: Longest whole exchange.
        retries: Further tries before the first byte of an answer, on 429, 502, 503, 504 and refused connections.
        mark: What the engine says it marks text with, proved on each text.
    """

    base: str
    model: str
    outputs: frozenset[Modality]
    dialect: Dialect
    dialect_name: str
    key: str
    image_size: str
    voice: str
    sound: str
    transcription_model: str
    connect_s: float
    idle_s: float
    total_s: float
    retries: int
    ca_file: str
    client_certificate: tuple[str, str] | None
    proxy: str
    extra: frozenset[str]
    mark: EngineMark | None = None

    @property
    def origin(self) -> str:
        """What the generation record states as the place of the engine."""
        return self.base


def read_options(options: Mapping[str, str]) -> Options:
    """Check the options and fill in the defaults.

    Raises:
        ConfigError: an option is missing, unknown or not usable; names it.
    """
    unknown = sorted(set(options) - _NAMES)
    if unknown:
        raise ConfigError(
            f"unknown option of openai_http: {unknown[0]}", field=unknown[0], fix=f"known: {', '.join(sorted(_NAMES))}"
        )
    for needed in ("url", "model"):
        if not options.get(needed):
            raise ConfigError("openai_http needs url and model", field=needed)
    dialect = options.get("dialect", "compatible")
    if dialect not in DIALECTS:
        raise ConfigError(f"no dialect {dialect!r}", field="dialect", fix=f"one of: {', '.join(sorted(DIALECTS))}")
    size = options.get("image_size", "1024x1024")
    if not _SIZE.match(size):
        raise ConfigError("is not WIDTHxHEIGHT", field="image_size", fix="1024x1024")
    extra = frozenset(name.strip() for name in options.get("extra", "").split(",") if name.strip())
    for name in sorted(extra):
        if not _NAME.match(name):
            raise ConfigError(f"{name!r} is not a parameter name", field="extra")
    if options.get("engine_mark") and extra & SWITCHES:
        raise ConfigError(f"{min(extra & SWITCHES)!r} lets a caller switch the engine's mark off", field="extra")
    sound = options.get("sound", "speech")
    if sound not in ("speech", "sound"):
        raise ConfigError("is not speech or sound", field="sound")
    if sound == "sound" and not DIALECTS[dialect].sound:
        raise ConfigError(f"the dialect {dialect!r} has no endpoint for audio", field="sound")
    return Options(
        base=_base(options["url"]),
        model=options["model"],
        outputs=_outputs(options.get("outputs", "text")),
        dialect=DIALECTS[dialect],
        dialect_name=dialect,
        key=_key(options["api_key_file"]) if options.get("api_key_file") else "",
        image_size=size,
        voice=options.get("voice", "alloy"),
        sound=sound,
        transcription_model=options.get("transcription_model", ""),
        connect_s=_seconds(options, "connect_timeout_s", 10),
        idle_s=_seconds(options, "idle_timeout_s", 60),
        total_s=_seconds(options, "timeout_s", 600),
        retries=_retries(options.get("retries", "2")),
        ca_file=_file(options, "ca_file"),
        client_certificate=_pair(options),
        proxy=options.get("proxy", ""),
        extra=extra,
        mark=read_mark(options),
    )


def _base(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"is not a URL: {error}", field="url") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ConfigError("is not a base URL", field="url", fix="https://host/v1, without user, query or fragment")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ConfigError("plain http is for loopback only", field="url", fix="use https")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _outputs(names: str) -> frozenset[Modality]:
    try:
        return frozenset(Modality(name.strip()) for name in names.split(","))
    except ValueError as error:
        raise ConfigError(str(error), field="outputs", fix="text, image, audio, video") from error


def _key(path: str) -> str:
    try:
        key = Path(path).read_text(encoding="utf-8-sig").strip()
    except (OSError, ValueError) as error:
        raise ConfigError("the key file is not readable", field="api_key_file") from error
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError("the key file does not hold one key", field="api_key_file")
    return key


def _seconds(options: Mapping[str, str], name: str, default: float) -> float:
    try:
        value = float(options.get(name, default))
    except ValueError:
        value = -1.0
    if not 0 < value <= 86_400:
        raise ConfigError("is not between 0 and 86400 seconds", field=name)
    return value


def _retries(text: str) -> int:
    if not text.isdecimal() or int(text) > 10:
        raise ConfigError("is not a number from 0 to 10", field="retries")
    return int(text)


def _file(options: Mapping[str, str], name: str) -> str:
    path = options.get(name, "")
    if path and not Path(path).is_file():
        raise ConfigError("no such file", field=name)
    return path


def _pair(options: Mapping[str, str]) -> tuple[str, str] | None:
    certificate, key = _file(options, "client_certificate_file"), _file(options, "client_key_file")
    if bool(certificate) != bool(key):
        raise ConfigError("a client certificate needs both files", field="client_certificate_file")
    return (certificate, key) if certificate else None
