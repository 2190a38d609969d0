"""Outside time-stamp authorities (RFC 3161) by URL: asked in order, each answer checked before it is used.

1. ask the first authority that did not just fail (a circuit breaker per authority), with a fresh nonce
2. bound the whole exchange: connecting, and everything together
3. check the answer: granted, this request's imprint, nonce and policy (RFC 3161 section 2.4.2)
4. check the token's signature and chain against the time-stamp trust lists, at the token's own time
5. whatever fails sends the request to the next authority; with none left, signing fails
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import rfc3161_client
from asn1crypto import tsp
from cryptography import x509

from gensafe.core.config_check import check_authority
from gensafe.core.errors import ManifestInvalid, SigningFailed
from gensafe.provenance.exchange import PLAIN, Exchange, host, post
from gensafe.provenance.tsa import imprint_of, read_token

KIND: Final = "application/timestamp"
FAILURES_TO_OPEN: Final = 3  # failures in a row after which an authority is left alone; as for outside classifiers
REST_S: Final = 30.0  # how long it is left alone before the next try

log = logging.getLogger("gensafe.provenance")


@dataclass(slots=True)
class _Breaker:
    failures: int = 0
    open_until: float = 0.0
    problem: str = ""


class OutsideTimeStamper:
    """A ``TimeStamper`` that asks outside authorities, in order.

    Args:
        urls: Addresses; https, or http on loopback.
        anchors: Gives the PEM roots of the time-stamp lists at the time of asking.
        exchange: Time limits, policy, proxy.
        clock: Seconds, monotonic, for the circuit breakers.

    Raises:
        ConfigError: no address, or one that is not allowed.
    """

    def __init__(
        self,
        urls: Sequence[str],
        anchors: Callable[[], bytes],
        exchange: Exchange = PLAIN,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for url in urls:
            check_authority(url, "signing.time_stamp")
        self._anchors = anchors
        self._exchange = exchange
        self._clock = clock
        self._lock = threading.Lock()
        self._breakers = {url: _Breaker() for url in dict.fromkeys(urls)}

    def problems(self) -> tuple[str, ...]:
        """What is wrong with each authority that failed last time it was asked; () = nothing known."""
        with self._lock:
            return tuple(
                f"time-stamp authority {host(url)}: {b.problem}" for url, b in self._breakers.items() if b.problem
            )

    @property
    def down(self) -> bool:
        """Whether every authority failed when it was last asked."""
        with self._lock:
            return all(b.problem for b in self._breakers.values())

    def ask_all(self) -> tuple[str, ...]:
        """Ask every authority for a stamp on nothing; what is wrong with those that fail."""
        for url, breaker in self._breakers.items():
            self._try(url, breaker)
        return self.problems()

    def _try(self, url: str, breaker: _Breaker) -> None:
        try:
            self._ask(url, bytes(32))
        except SigningFailed as error:
            self._failed(breaker, error.message)
        else:
            self._worked(breaker)

    def ask_rested(self) -> None:
        """As ``ask_all``, without those whose circuit breaker is open."""
        for url, breaker in self._breakers.items():
            with self._lock:
                resting = breaker.open_until > self._clock()
            if not resting:
                self._try(url, breaker)

    def stamp(self, imprint: bytes) -> bytes:
        """Time-stamp a SHA-256 digest (32 bytes); DER TimeStampToken.

        Raises:
            SigningFailed: no authority gave a token that checks; names what each did.
        """
        for url, breaker in self._breakers.items():
            with self._lock:
                if breaker.open_until > self._clock():
                    continue
            try:
                token = self._ask(url, imprint)
            except SigningFailed as error:
                log.warning("time-stamp authority %s: %s", host(url), error.message)
                self._failed(breaker, error.message)
            else:
                self._worked(breaker)
                return token
        raise SigningFailed(
            "no time-stamp: " + "; ".join(self.problems()), fix="see gensafe doctor; nothing is released unstamped"
        )

    def _worked(self, breaker: _Breaker) -> None:
        with self._lock:
            breaker.failures, breaker.open_until, breaker.problem = 0, 0.0, ""

    def _failed(self, breaker: _Breaker, problem: str) -> None:
        with self._lock:
            breaker.failures += 1
            breaker.problem = problem
            if breaker.failures >= FAILURES_TO_OPEN:
                breaker.open_until = self._clock() + REST_S

    def _ask(self, url: str, imprint: bytes) -> bytes:
        nonce = secrets.randbits(63) | 1 << 62  # 63 bits and never short: some authorities drop leading zeros
        request = {"version": "v1", "message_imprint": imprint_of(imprint), "nonce": nonce, "cert_req": True}
        if self._exchange.policy:
            request["req_policy"] = self._exchange.policy
        body = post(url, tsp.TimeStampReq(request).dump(), self._exchange, KIND)
        return check_response(body, imprint, self._anchors(), nonce=nonce, policy=self._exchange.policy)


def check_response(body: bytes, imprint: bytes, anchors: bytes, *, nonce: int | None, policy: str = "") -> bytes:
    """Check a DER TimeStampResp whole; returns its token.

    Args:
        body: The authority's answer.
        imprint: SHA-256 digest that was sent.
        anchors: PEM roots that may stamp time.
        nonce: That of the request; None = none was sent.
        policy: Dotted OID asked for; "" = any.

    Raises:
        SigningFailed: refused, for another request, or not by an authority on the time-stamp lists.
    """
    try:
        answer = tsp.TimeStampResp.load(body, strict=True)
        status = answer["status"]["status"].native
        if status != "granted":
            raise SigningFailed(f"answered {status!r}")
        token: bytes = answer["time_stamp_token"].dump()
        read = read_token(token)
    except (ValueError, TypeError, KeyError, ManifestInvalid):
        raise SigningFailed("its answer is not an RFC 3161 response") from None
    if read.imprint != imprint or (nonce is not None and read.nonce != nonce):
        raise SigningFailed("its answer is for another request")
    if policy and read.policy != policy:
        raise SigningFailed(f"it stamped under policy {read.policy}, not {policy}")
    if not anchors:
        raise SigningFailed("there is no time-stamp list to check it against: gensafe trust import --kind time-stamps")
    try:
        builder = rfc3161_client.VerifierBuilder(roots=x509.load_pem_x509_certificates(anchors), nonce=nonce)
        builder.build().verify(rfc3161_client.decode_timestamp_response(body), imprint)
    except (rfc3161_client.VerificationError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise SigningFailed(f"its token is not from an authority on the time-stamp lists: {said}") from None
    return token
