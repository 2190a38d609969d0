"""The public keys of an OIDC issuer (RFC 7517), from a file or over HTTPS: kept, read again in time, bounded.

- Read again every ``cache_s`` by the watcher, and at once for a key id that is not known, but at most once in
  ``REFETCH_S``: callers who invent key ids make no traffic.
- Where the issuer does not answer, the keys read before count for ``keep_s`` more. After that nobody can be identified
  (``IdentityUnavailable``), which is another answer than "wrong token".
- A key id is looked up among the keys that were read and is nothing else: no path, no address. Keys that a token brings
  along or points to (``jwk``, ``jku``, ``x5u``, ``x5c``) are not looked at.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from gensafe.core.config import OidcConfig
from gensafe.core.errors import ConfigError, GensafeError, IdentityUnavailable
from gensafe.core.textfile import MAX_TEXT_BYTES, read_bytes

log = logging.getLogger("gensafe.server")

REFETCH_S: Final = 10.0  # between two reads of the keys, whoever asks. Chosen, not measured
_TIMEOUT_S: Final = 5.0  # a caller with a new key id waits for it. Chosen
_MAX_BYTES: Final = 1 << 20  # large issuers publish some ten keys, 20 kB
_MIN_RSA_BITS: Final = 2048  # NIST SP 800-131A
_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey


class Jwks:
    """The keys of one issuer. Read on any thread, looked up on the event loop.

    Args:
        config: Where they are and how long they count.
        now: Seconds, monotonic.
    """

    def __init__(self, config: OidcConfig, now: Callable[[], float] = time.monotonic) -> None:
        self._config, self._now = config, now
        self._lock = threading.Lock()
        self._keys: dict[str, tuple[PublicKey, str]] = {}
        self._read_at = -1e9  # monotonic seconds; long ago
        self._tried_at = -1e9
        self._looking: asyncio.Task[None] | None = None
        self._problem = ""

    def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """The key for a token's ``kid`` and ``alg``; None = there is none. Without ``kid`` the only one that fits.

        Raises:
            IdentityUnavailable: the keys could not be read for too long.
        """
        self._check_age()
        if kid is not None:
            found = self._keys.get(kid)
            return found[0] if found is not None and _fits(*found, algorithm) else None
        fitting = [key for key, alg in self._keys.values() if _fits(key, alg, algorithm)]
        return fitting[0] if len(fitting) == 1 else None

    def knows(self, kid: str) -> bool:
        """Whether a key of this id was read."""
        return kid in self._keys

    async def look_for(self, kid: str) -> None:
        """Read the keys again if ``kid`` is not known and it is time; several callers wait for one look."""
        if self._looking is None or self._looking.done():
            if kid in self._keys or self._now() - self._tried_at < REFETCH_S:
                return
            self._looking = asyncio.create_task(asyncio.to_thread(self._try))
        await asyncio.shield(self._looking)

    def refresh(self) -> None:
        """Read the keys if they are due. What is wrong is in the server's log."""
        now = self._now()
        if now - self._read_at >= self._config.cache_s and now - self._tried_at >= REFETCH_S:
            self._try()

    def _check_age(self) -> None:
        if self._now() - self._read_at > self._config.cache_s + self._config.keep_s:
            raise IdentityUnavailable("the issuer's keys cannot be read, so tokens cannot be checked", fix="try again")

    def _try(self) -> None:
        with self._lock:
            self._tried_at = began = self._now()
            try:
                self._keys = _parse(self._read())
            except (OSError, ValueError, httpx.HTTPError, GensafeError) as error:
                if str(error) != self._problem:
                    log.error("OIDC: the keys of %s cannot be read: %s", self._config.issuer, error)
                self._problem = str(error) or type(error).__name__
            else:
                self._read_at, self._problem = began, ""

    def _read(self) -> bytes:
        source = self._config.jwks
        if "://" not in source:
            return read_bytes(Path(source), "server.oidc.jwks", largest=MAX_TEXT_BYTES)
        context = ssl.create_default_context(cafile=self._config.jwks_ca or None)
        with (
            httpx.Client(verify=context, timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False) as client,
            client.stream("GET", source, headers={"accept": "application/json"}) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise ConfigError(f"{source} answers {answer.status_code}", field="server.oidc.jwks")
            data = bytearray()
            for piece in answer.iter_bytes():
                data += piece
                if len(data) > _MAX_BYTES:
                    raise ConfigError(f"{source} sends more than {_MAX_BYTES} bytes", field="server.oidc.jwks")
            return bytes(data)


def _parse(data: bytes) -> dict[str, tuple[PublicKey, str]]:
    """Key id -> (key, its ``alg`` or ""). Keys that check no signatures are left out, and all of an id that is doubled.

    Raises:
        ValueError: not a set of keys, or none in it can be used.
    """
    document = json.loads(data)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("not a JSON Web Key Set")
    found: dict[str, tuple[PublicKey, str]] = {}
    doubled: set[str] = set()
    for number, one in enumerate(listed):
        key = _key(one) if isinstance(one, dict) else None
        if key is None:
            continue
        kid = one.get("kid", f"\0{number}")  # no token can name a key without an id
        if kid in found:
            doubled.add(kid)
        found[kid] = (key, one.get("alg") or "")
    found = {kid: key for kid, key in found.items() if kid not in doubled}
    if not found:
        raise ValueError("no key in the set can check signatures")
    return found


def _key(one: dict[str, Any]) -> PublicKey | None:
    from jwt import PyJWK, PyJWTError

    if one.get("kty") not in ("RSA", "EC", "OKP") or one.get("use", "sig") != "sig":
        return None
    if not isinstance(one.get("kid", ""), str) or "verify" not in one.get("key_ops", ["verify"]):
        return None
    try:
        key = PyJWK.from_dict({name: value for name, value in one.items() if name != "d"}).key
    except (PyJWTError, ValueError, TypeError):
        return None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _MIN_RSA_BITS:
        return None
    return key if isinstance(key, PublicKey) else None


def _fits(key: PublicKey, declared: str, algorithm: str) -> bool:
    """Whether a token signed with ``algorithm`` may be checked with this key: its kind says, and its own ``alg``."""
    if declared and declared != algorithm:
        return False
    if isinstance(key, rsa.RSAPublicKey):
        return algorithm[:2] in ("RS", "PS")
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES.get(algorithm) == key.curve.name
    return algorithm == "EdDSA"
