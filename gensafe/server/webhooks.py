"""Tell others how jobs ended, as Standard Webhooks says (https://www.standardwebhooks.com, specification 1.0).

A message is stored with the end of its job, so a crash neither loses it nor makes two; it is signed anew, with the time
of the attempt, each time it is sent. Redirects are not followed. Addresses that are not public are refused unless the
operator allows them, and the connection goes to the very address that was checked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import ipaddress
import json
import logging
import secrets
import socket
import ssl
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gensafe import __version__
from gensafe.core.clock import iso
from gensafe.core.config import WebhookConfig
from gensafe.core.errors import ConfigError, InvalidRequest
from gensafe.core.ports import Clock
from gensafe.core.textfile import read_text
from gensafe.registry import WebhookMessage, WebhookTable
from gensafe.v1 import generation_pb2 as pb

log = logging.getLogger("gensafe.server")

# seconds until the second, third ... attempt: the schedule that the specification suggests, about three days in all
PAUSES_S: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
TIMEOUT_S: Final = 15.0  # of one attempt: the specification suggests 15 to 30
AT_ONCE: Final = 4  # receivers that are slow delay others less; a small number, not measured
A_LOOK: Final = 64  # messages of one look; the rest two seconds later. A round number
MAX_URL: Final = 2000  # characters; a round number that every client takes
_SECRET_BYTES: Final = (24, 64)  # of an HMAC secret, by the specification
_ED25519_BYTES: Final = (32, 64)  # a seed, or a seed and its public key; RFC 8032
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052
GONE: Final = 410  # the receiver wants no more of it


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One of ``[[webhooks]]`` with its key."""

    config: WebhookConfig
    secret: bytes
    signer: Ed25519PrivateKey | None

    def takes(self, tenant: str, url: str) -> bool:
        """Whether messages of ``tenant`` may go to ``url`` under this key."""
        if self.config.tenant not in ("", tenant):
            return False
        return url == self.config.url or host_of(urlsplit(url)) in self.config.hosts

    def signature(self, message_id: str, at_s: int, body: bytes) -> str:
        """The value of ``webhook-signature``."""
        signed = f"{message_id}.{at_s}.".encode() + body
        if self.signer is not None:
            return "v1a," + base64.b64encode(self.signer.sign(signed)).decode()
        return "v1," + base64.b64encode(hmac.digest(self.secret, signed, hashlib.sha256)).decode()


def host_of(parts: SplitResult) -> str:
    """HOST, or HOST:PORT where the port is not the scheme's own."""
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    host = parts.hostname or ""
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"


def read_endpoints(configs: Sequence[WebhookConfig]) -> tuple[Endpoint, ...]:
    """Read the keys.

    Raises:
        ConfigError: one is unreadable or of the wrong form.
    """
    return tuple(_endpoint(config, f"webhooks[{number}].secret") for number, config in enumerate(configs))


def _endpoint(config: WebhookConfig, field: str) -> Endpoint:
    kind, _, text = read_text(Path(config.secret), field).strip().partition("_")
    lengths = {"whsec": range(_SECRET_BYTES[0], _SECRET_BYTES[1] + 1), "whsk": _ED25519_BYTES}.get(kind, ())
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) not in lengths:
        raise ConfigError(
            f"{config.secret} holds no key",
            field=field,
            fix="whsec_ and 24 to 64 bytes in base64 (HMAC), or whsk_ and 32 or 64 (Ed25519)",
        )
    return Endpoint(config, key, Ed25519PrivateKey.from_private_bytes(key[:32]) if kind == "whsk" else None)


class Webhooks:
    """What is told to whom, and the sending of it.

    Args:
        endpoints: ``read_endpoints``.
        table: Where messages wait.
        clock: Source of times.
    """

    def __init__(self, endpoints: Sequence[Endpoint], table: WebhookTable, clock: Clock) -> None:
        self._endpoints, self._table, self._clock = endpoints, table, clock

    def check(self, tenant: str, url: str) -> None:
        """Refuse a URL that a job names and that is not allowed.

        Raises:
            InvalidRequest: not one that a webhook of this tenant may be sent to.
        """
        if not url:
            return
        try:
            parts = urlsplit(url)
            known = len(url) <= MAX_URL and url.isascii() and url.isprintable() and " " not in url
            named = known and parts.scheme in ("https", "http") and "@" not in parts.netloc and host_of(parts)
        except ValueError:
            named = False
        found = self._find(tenant, url) if named else None
        if found is None or (parts.scheme == "http" and not found.config.private):
            fix = "an https URL at one of the hosts that the operator lists in webhooks.hosts for your tenant"
            raise InvalidRequest("is not allowed", field="webhook_url", fix=fix)

    def messages(self, tenant: str, job_url: str, told: pb.Job) -> list[WebhookMessage]:
        """What is to be sent about a job that has ended or is held."""
        urls = [e.config.url for e in self._endpoints if e.config.url and e.config.tenant in ("", tenant)]
        state = pb.JobState.Name(told.state).removeprefix("JOB_STATE_").lower()
        data = {"request_id": told.request_id, "state": state}
        if told.HasField("completed"):
            data |= {"record_id": told.completed.record_id, "digest": told.completed.digest}
        elif told.HasField("held"):
            data |= {"review_id": told.held.review_id}
        reason = told.blocked.reason if told.HasField("blocked") else told.error_reason
        if reason:
            data |= {"reason": reason}
        now_ms = self._clock.now_ms()
        body = json.dumps({"type": f"generation.{state}", "timestamp": iso(now_ms), "data": data})
        everyone = dict.fromkeys([*urls, *([job_url] if job_url else [])])
        return [
            WebhookMessage(f"msg_{secrets.token_hex(16)}", tenant, url, body, now_ms, next_ms=now_ms)
            for url in everyone
        ]

    def step(self) -> None:
        """Send what is due. One thread at a time.

        Raises:
            RegistryError: what is due cannot be read, or an attempt not noted; it is tried again.
        """
        due = self._table.due(self._clock.now_ms(), A_LOOK)
        if due:
            with ThreadPoolExecutor(AT_ONCE, "webhooks") as pool:
                list(pool.map(self._try, due))

    def forget(self, before_ms: int) -> None:
        """Forget old messages that nothing more is done about."""
        self._table.forget(before_ms)

    def _find(self, tenant: str, url: str) -> Endpoint | None:
        return next((one for one in self._endpoints if one.takes(tenant, url)), None)

    def _try(self, message: WebhookMessage) -> None:
        endpoint = self._find(message.tenant, message.url)
        if endpoint is None:
            self._table.tried(message.message_id, "no longer configured", None)
            return
        now_ms, body = self._clock.now_ms(), message.body.encode()
        headers = {
            "content-type": "application/json",
            "user-agent": f"gensafe/{__version__}",
            "webhook-id": message.message_id,
            "webhook-timestamp": str(now_ms // 1000),
            "webhook-signature": endpoint.signature(message.message_id, now_ms // 1000, body),
        }
        try:
            status = post(message.url, headers, body, private=endpoint.config.private)
            outcome, delivered = str(status), 200 <= status < 300
            ended = delivered or status == GONE
        except (OSError, ValueError, http.client.HTTPException) as error:
            outcome, ended = f"{type(error).__name__}: {error}"[:200], False
        last = message.attempts >= len(PAUSES_S)
        next_ms = None if ended or last else now_ms + PAUSES_S[message.attempts] * 1000
        if next_ms is None and outcome[:1] != "2":
            log.warning("webhook message %s was given up: %s", message.message_id, outcome)
        self._table.tried(message.message_id, outcome, next_ms)


class AddressRefused(OSError):
    """The host has an address that is not public."""


def post(url: str, headers: dict[str, str], body: bytes, *, private: bool) -> int:
    """Send one request and return the status of the answer, which is not read further.

    Raises:
        AddressRefused: the host has an address that is not public, and ``private`` is false.
        OSError, HTTPException, ValueError: no answer.
    """
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    found = [info[4] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not private and not all(is_public(str(where[0])) for where in found):
        raise AddressRefused("the address is not public")
    connection = socket.create_connection((str(found[0][0]), port), TIMEOUT_S)
    timer = threading.Timer(TIMEOUT_S, _cut, (connection,))  # a receiver that sends a byte now and then
    timer.daemon = True
    timer.start()
    try:
        if secure:
            connection = ssl.create_default_context().wrap_socket(connection, server_hostname=host)
        speaker = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        speaker.sock = connection
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        speaker.request("POST", path, body, headers | {"host": host_of(parts), "connection": "close"})
        return speaker.getresponse().status
    finally:
        timer.cancel()
        connection.close()


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def is_public(address: str) -> bool:
    """Whether an address is reached over the public network, also one that carries an IPv4 address within."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast
