"""``provider = "http"``: the claim key stays in a signing service, reached over mutual TLS.

The exchange is small enough for a service of a page: ``POST url`` with ``{"algorithm": "es256", "digest": base64}``
answers ``{"signature": base64}`` (raw r||s for ECDSA). The digest is SHA-256/384/512 as the algorithm says (SHA-256 for
ps256); ed25519 takes ``data`` in place of ``digest``. docs/signing.md describes it for whoever writes the service.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import httpx

from gensafe.core.config_check import is_loopback_host
from gensafe.core.errors import ConfigError, SigningFailed
from gensafe.core.ports import ClaimSigner
from gensafe.keys.signers.checked import CountingSigner, read_option, take_options

TIMEOUT_S: Final = 10.0  # connecting, and each read and write; a KMS answers in some 50 ms
MAX_ANSWER: Final = 16 * 1024  # bytes; an RSA-4096 signature has 700 in base64
_DIGESTS: Final = {"es256": "sha256", "es384": "sha384", "es512": "sha512", "ps256": "sha256"}


def create(options: Mapping[str, str]) -> ClaimSigner:
    """Options: ``url``, ``chain``; ``ca`` (PEM roots of the service), ``client_cert`` and ``client_key`` (PEM files).

    Off loopback the service is reached over https with a client certificate only: whoever can call it can sign.

    Raises:
        ConfigError: missing or unknown options, an address that is not allowed, or unreadable files.
        KeyError_: unreadable certificates.
    """
    options = take_options(options, {"url", "chain"}, {"ca", "client_cert", "client_key"})
    parts = urlsplit(options["url"])
    local = parts.scheme == "http" and is_loopback_host(parts.hostname or "")
    mutual = parts.scheme == "https" and {"ca", "client_cert", "client_key"} <= set(options)
    if not (local or mutual):
        raise ConfigError(
            "a signing service is reached over https with ca, client_cert and client_key",
            field="signing.options.url",
            fix="http is for loopback only",
        )
    service = _Service(options["url"], _context(options) if mutual else None)
    return CountingSigner(read_option(options, "chain"), service.sign, service.count)


class _Service:
    """Keeps connections; httpx clients are safe to share between threads."""

    def __init__(self, url: str, context: ssl.SSLContext | None) -> None:
        self._url = url
        self._client = httpx.Client(trust_env=False, timeout=TIMEOUT_S, verify=context or False)

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """Ask for one signature. Never asked twice: a lost answer may have been a signature.

        Raises:
            SigningFailed: unreachable, refused, or not the answer described above.
        """
        asked = {"algorithm": algorithm}
        if algorithm in _DIGESTS:
            asked["digest"] = base64.b64encode(hashlib.new(_DIGESTS[algorithm], data).digest()).decode()
        else:
            asked["data"] = base64.b64encode(data).decode()
        body = self._answer("POST", asked)
        try:
            return base64.b64decode(json.loads(body)["signature"], validate=True)
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise SigningFailed("the signing service's answer holds no signature") from None

    def count(self) -> int:
        """How many signatures the key made, by anybody: ``GET url`` answers ``{"signatures": N}``.

        Raises:
            SigningFailed: unreachable, or it keeps no count.
        """
        body = self._answer("GET", None)
        try:
            counted = json.loads(body)["signatures"]
        except (ValueError, KeyError, TypeError):
            counted = None
        if not isinstance(counted, int) or isinstance(counted, bool) or counted < 0:
            raise SigningFailed("the signing service's answer holds no count of signatures")
        return counted

    def _answer(self, method: str, asked: dict[str, str] | None) -> bytes:
        try:
            with self._client.stream(method, self._url, json=asked) as response:
                status, body = response.status_code, bytearray()
                for piece in response.iter_bytes():
                    body += piece
                    if len(body) > MAX_ANSWER:
                        raise SigningFailed("the signing service answered too much")
        except (httpx.HTTPError, OSError) as error:
            said = str(error) or type(error).__name__
            raise SigningFailed(f"the signing service cannot be reached: {said}") from error
        if status != 200:
            raise SigningFailed(f"the signing service answered with HTTP status {status}")
        return bytes(body)


def _context(options: Mapping[str, str]) -> ssl.SSLContext:
    for name in ("ca", "client_cert", "client_key"):
        read_option(options, name)  # names the file that cannot be read
    try:
        context = ssl.create_default_context(cafile=options["ca"])
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(options["client_cert"], options["client_key"])
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"the certificates cannot be used: {error}", field="signing.options.client_cert") from None
    return context
