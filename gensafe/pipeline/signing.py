"""What a process signs with, as it is now: the claim signer, who stamps time, and the trust it checks itself against.

Keys are rotated, revoked and imported, and trust lists replaced, by other processes while this one serves. Each request
takes the tools once; whatever changed on disk by then is in force. A tool that cannot be had fails the request closed
and is tried again at the next: a token that comes back signs again without a restart.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

from cryptography import x509

from gensafe.audit.signatures import SignatureJournal
from gensafe.core import plugins
from gensafe.core.clock import iso
from gensafe.core.config import Config
from gensafe.core.config_check import NO_TIME_STAMP
from gensafe.core.errors import ConfigError, GensafeError, KeyError_, SigningFailed
from gensafe.core.ports import ClaimSigner, Clock
from gensafe.installation import Installation
from gensafe.keys import KeyRing, pki
from gensafe.keys.index import KeyInfo
from gensafe.provenance import (
    Exchange,
    LocalTimeStamper,
    OcspStaples,
    OutsideTimeStamper,
    TimeStamper,
    TrustList,
    TrustStore,
)

_PROBE: Final = b"gensafe: does the signer work?"  # not a COSE Sig_structure: verifies nothing anywhere
_OWN: Final = "file"  # the provider that, without options, is the key ring itself


@dataclass(frozen=True, slots=True)
class Tools:
    """What one request signs with."""

    signer: NotedSigner
    time_stamper: TimeStamper | None
    trust: TrustStore
    staple: bytes = b""  # OCSP response about the signer's certificate; b"" = none is carried


class NotedSigner(ClaimSigner, Protocol):
    """A signer whose signatures are in the journal. ``made``: their digests, in order."""

    made: list[str]


class Signing:
    """Hands out the tools of the moment; safe to share between threads.

    Args:
        config: ``signing`` and ``environment``.
        keys: The key ring, refreshed here.
        clock: Source of the time for the development authority.

    Raises:
        ConfigError, PluginError, KeyError_, SigningFailed: signing could not work as configured.
    """

    def __init__(self, config: Config, keys: KeyRing, clock: Clock) -> None:
        self._config = config.signing
        self._keys = keys
        self._clock = clock
        self._lock = threading.RLock()
        self._folder = Installation(config).trust_folder()
        self.journal = SignatureJournal(Installation(config).signature_journal)
        self._signer: tuple[str, ClaimSigner] | None = None
        self._failed = ""
        self._check_seal(config)
        self._outside = outside_time_stamper(config, config.signing.time_stamp, self._time_stamp_anchors)
        self._staples = staples_of(config, clock)
        if self.outside and not self._time_stamp_anchors():
            raise ConfigError(
                "no list says which time-stamp authorities are trusted",
                field="signing.time_stamp",
                fix="gensafe trust import ROOTS.pem --kind time-stamps --name NAME",
            )
        self.tools()

    @property
    def outside(self) -> bool:
        """Whether outside authorities stamp the time."""
        return self._outside is not None

    def tools(self, record: str = "", since: int = 0) -> Tools:
        """Signer, time-stamper and trust for one request.

        Args:
            record: Record id that will be signed for; "" = a test of the signer.
            since: Index of the request's ``generation.opened`` entry: none before it names its signatures.

        Raises:
            SigningFailed: there is nothing to sign with; ``problems`` says so until it works again.
        """
        with self._lock:
            try:
                self._keys.refresh()
                info = self._keys.claim_key()
                signer = _Watched(self._signer_of(info), self, info.public, record, since)
                tools = Tools(signer, self._stamper(), self.trust())
            except GensafeError as error:
                self._failed = error.message
                if isinstance(error, KeyError_):
                    raise SigningFailed(f"nothing can be signed: {error.message}", fix=error.fix) from error
                raise
        if self._staples is None:
            return tools
        chain, roots = tools.signer.certificate_chain(), self._keys.trust_anchors()
        return replace(tools, staple=self._staples.current(chain, roots))

    def trust(self) -> TrustStore:
        """Own signers, own and outside time-stamp authorities, revoked leaves: as they are now."""
        own = self._keys.tsa_anchors()
        lists = self._folder.current()
        return TrustStore(
            signers=(TrustList("own", self._keys.trust_anchors()),),
            time_stamps=((TrustList("own-tsa", own),) if own else ()) + lists.time_stamps,
            revoked=self._keys.revoked_signers(),
            revocations=lists.revocations,
        )

    def source_trust(self) -> TrustStore:
        """Who is trusted as a signer of inputs and engines' answers: own signers and every imported list."""
        own = self.trust()
        return replace(own, signers=own.signers + self._folder.current().signers)

    def problems(self) -> tuple[str, ...]:
        """Why signing does not work, or not as configured, at its last attempt; () = nothing known."""
        found = [f"signing: {self._failed}"] if self._failed else []
        found += [self._folder.problem] if self._folder.problem else []
        found += [f"OCSP: {self._staples.problem}"] if self._staples is not None and self._staples.problem else []
        return (*found, *(self._outside.problems() if self._outside else ()))

    def ask_authorities(self) -> tuple[str, ...]:
        """Ask every outside authority now; what is wrong with those that fail."""
        return self._outside.ask_all() if self._outside else ()

    @property
    def down(self) -> bool:
        """Whether the last attempt to sign failed, no time-stamp authority answers, or OCSP forbids it."""
        if self._staples is not None and self._staples.down:
            return True
        return bool(self._failed) or (self._outside is not None and self._outside.down)

    def try_again(self) -> None:
        """Where signing failed, sign something that is no claim; where no authority answered, ask those not resting."""
        if self._failed:
            try:
                self.tools().signer.sign(_PROBE)
            except Exception:  # whatever a plug-in raises
                return  # kept in ``problems``
        if self._outside is not None and self._outside.down:
            self._outside.ask_rested()
        if self._staples is not None and self._staples.down:
            with suppress(GensafeError):  # kept in ``problems``
                self.tools()

    def report(self, problem: str) -> None:
        """Keep why the signer failed; "" = it worked."""
        self._failed = problem
        if problem:
            with self._lock:
                self._signer = None  # opened anew at the next request: sessions do not survive a removed token

    def _signer_of(self, info: KeyInfo) -> ClaimSigner:
        if self._signer is None or self._signer[0] != info.key_id:
            signer = open_signer(self._config.provider, self._config.options, self._keys)
            leaf = x509.load_pem_x509_certificates(signer.certificate_chain())[0]
            if pki.fingerprint(leaf) != info.public:
                raise KeyError_(
                    "the signer's certificate is not the key ring's active claim key",
                    field="signing.options",
                    fix="gensafe keys import --chain CHAIN.pem --root ROOT.pem",
                )
            self._signer = info.key_id, signer
        _check_term(self._signer[1], self._clock)
        return self._signer[1]

    def _stamper(self) -> TimeStamper | None:
        if self._outside is not None or NO_TIME_STAMP in self._config.time_stamp:
            return self._outside
        credential = self._keys.tsa_credential()
        return LocalTimeStamper(credential.key, credential.chain, self._clock) if credential else None

    def _time_stamp_anchors(self) -> bytes:
        return b"".join(each.pem for each in self._folder.current().time_stamps)

    def _check_seal(self, config: Config) -> None:
        if config.environment == "production" and not self._keys.sealed and not config.signing.unsealed_keys:
            raise ConfigError(
                "private keys lie on this disk in the clear",
                field="signing.unsealed_keys",
                fix="make the key ring with GENSAFE_KEY_PASSPHRASE set, or accept it with unsealed_keys = true",
            )


class _Watched:
    """A signer that notes every signature in the journal, and tells ``Signing`` how it went."""

    def __init__(self, signer: ClaimSigner, watch: Signing, fingerprint: str, record: str, since: int) -> None:
        self.algorithm, self.development = signer.algorithm, signer.development
        self.made: list[str] = []
        self._signer = signer
        self._watch = watch
        self._about = fingerprint, record, since

    def certificate_chain(self) -> bytes:
        return self._signer.certificate_chain()

    def sign(self, data: bytes) -> bytes:
        number = self._watch.journal.asked(*self._about, data)
        try:
            signature = self._signer.sign(data)
            self.made.append(self._watch.journal.made(number, signature))
        except Exception as error:
            self._watch.report(error.message if isinstance(error, GensafeError) else type(error).__name__)
            raise
        self._watch.report("")
        return signature


def open_signer(provider: str, options: Mapping[str, str], keys: KeyRing) -> ClaimSigner:
    """The configured claim signer.

    The plugin is told where the key ring keeps the active key's certificates, unless the options name others.

    Raises:
        PluginError, ConfigError, KeyError_, SigningFailed: it cannot be had.
    """
    given = dict(options)
    if provider == _OWN and not given:
        return keys.claim_signer()
    given.setdefault("chain", str(keys.claim_chain_path()))
    signer: ClaimSigner = plugins.load("gensafe.signers", provider, given)
    return signer


def outside_time_stamper(
    config: Config, urls: tuple[str, ...], anchors: Callable[[], bytes]
) -> OutsideTimeStamper | None:
    """A client of the authorities ``urls`` with the exchange of ``[signing]``; None for no address or "none"."""
    if not urls or NO_TIME_STAMP in urls:
        return None
    return OutsideTimeStamper(urls, anchors, _exchange(config))


def staples_of(config: Config, clock: Clock) -> OcspStaples | None:
    """Where OCSP responses come from, as ``[signing] ocsp`` says; None for "off"."""
    wanted = config.signing.ocsp
    return None if wanted == "off" else OcspStaples(_exchange(config), clock, required=wanted == "required")


def _exchange(config: Config) -> Exchange:
    signing = config.signing
    return Exchange(
        connect_s=signing.time_stamp_connect_s,
        total_s=signing.time_stamp_total_s,
        policy=signing.time_stamp_policy,
        proxy=signing.time_stamp_proxy,
    )


def _check_term(signer: ClaimSigner, clock: Clock) -> None:
    leaf = x509.load_pem_x509_certificates(signer.certificate_chain())[0]
    end_ms = int(leaf.not_valid_after_utc.timestamp() * 1000)
    if end_ms < clock.now_ms():
        raise SigningFailed(f"the claim certificate ended {iso(end_ms)}", fix="import a new one: gensafe keys import")
