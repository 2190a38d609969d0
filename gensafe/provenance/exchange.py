"""One bounded exchange over HTTP with an authority: time-stamps (RFC 3161) and OCSP (RFC 6960) both are one POST."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx

from gensafe.core.errors import SigningFailed

MAX_RESPONSE: Final = 64 * 1024  # a token with three RSA-4096 certificates has about 8 KiB; the COSE room has 10


@dataclass(frozen=True, slots=True)
class Exchange:
    """How authorities are asked. ``policy``: dotted OID that a token must name, "" = any. ``proxy``: URL, "" = none."""

    connect_s: float = 5.0
    total_s: float = 15.0
    policy: str = ""
    proxy: str = ""


PLAIN: Final = Exchange()


def host(url: str) -> str:
    """The address without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def post(url: str, request: bytes, exchange: Exchange, kind: str) -> bytes:
    """The answer to one POST. The worker thread is left behind where name look-up or the peer takes longer.

    Args:
        url: Its address.
        request: The body.
        exchange: Time limits and proxy.
        kind: Media type of request and answer without its last word: "application/ocsp".

    Raises:
        SigningFailed: not reached, another status than 200, too large, or not complete in time.
    """
    outcome: list[bytes | SigningFailed] = []
    limits = httpx.Timeout(exchange.total_s, connect=min(exchange.connect_s, exchange.total_s))
    client = httpx.Client(trust_env=False, proxy=exchange.proxy or None, timeout=limits, follow_redirects=False)

    def work() -> None:
        try:
            outcome.append(_exchange(client, url, request, kind))
        except SigningFailed as error:
            outcome.append(error)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            outcome.append(SigningFailed(f"cannot be reached: {str(error) or type(error).__name__}"))

    thread = threading.Thread(target=work, name=kind, daemon=True)
    thread.start()
    thread.join(exchange.total_s)
    if not outcome:
        client.close()
        raise SigningFailed(f"no complete answer within {exchange.total_s:g} s")
    client.close()
    if isinstance(outcome[0], SigningFailed):
        raise outcome[0]
    return outcome[0]


def _exchange(client: httpx.Client, url: str, request: bytes, kind: str) -> bytes:
    asked, wanted = ("query", "reply") if kind.endswith("timestamp") else ("request", "response")
    headers = {"Content-Type": f"{kind}-{asked}", "Accept": f"{kind}-{wanted}"}
    body = bytearray()
    with client.stream("POST", url, content=request, headers=headers) as response:
        if response.status_code != 200:
            raise SigningFailed(f"answered with HTTP status {response.status_code}")
        for piece in response.iter_bytes():
            body += piece
            if len(body) > MAX_RESPONSE:
                raise SigningFailed(f"answered more than {MAX_RESPONSE} bytes")
    return bytes(body)
