"""What a verification may use: trust lists, keys, registry, log. Built once, shared by all verifications."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from gensafe.audit import LogReader
from gensafe.core import plugins
from gensafe.core.errors import PluginError
from gensafe.core.observer import Observer, unobserved
from gensafe.core.ports import SamplingWatermark, TextTokenizer, Watermarker
from gensafe.core.softbinding import algorithm_of
from gensafe.core.types import Detection, MarkLevel, Media, Modality, Text
from gensafe.keys import KeyRing
from gensafe.media.limits import LIMITS, Limits
from gensafe.provenance import TrustList, TrustStore, strip_a8
from gensafe.provenance.trust_lists import Lists, TrustFolder
from gensafe.verify.log import AuditLogProver
from gensafe.verify.ports import KeyLookup, Locate, LogProver, MarkDetector, Preparer, Records

PRESENT_AT = 1e-6
"""The bound of promise 4: a mark is called present below this chance of a false alarm, all tries counted."""


@dataclass(frozen=True, slots=True)
class VerifyContext:
    """Everything optional that a verification may use.

    Args:
        trust: Trust lists; an empty store trusts nobody.
        detectors: Watermark search by modality; a modality without one is reported as unsupported.
        preparers: What searches under several keys share, by modality; without one each search begins anew.
        locators: Where in a marked medium its mark is weaker, by modality; a modality without one gets no such line.
        key_for: Watermark keys by modality and epoch; None = watermarks are not searched.
        epochs: Epochs to search, newest first.
        disclosed: Those of them whose keys were published: anybody can write their marks.
        records: The registry.
        log: The log.
        limits: Bounds on what is decoded.
        contained: Parse in a worker process (the default). Switch off only for bytes that you made yourself.
        development: The keys are those of a development installation: what its log proves is no proof to third parties.
    """

    trust: TrustStore = field(default_factory=TrustStore)
    detectors: Mapping[Modality, MarkDetector] = field(default_factory=dict)
    preparers: Mapping[Modality, Preparer] = field(default_factory=dict)
    locators: Mapping[Modality, Locate] = field(default_factory=dict)
    key_for: KeyLookup | None = None
    epochs: tuple[int, ...] = ()
    disclosed: frozenset[int] = frozenset()
    records: Records | None = None
    log: LogProver | None = None
    limits: Limits = LIMITS
    contained: bool = True
    algorithms: tuple[str, ...] = ()  # soft-binding names of the marks that can be searched
    observe: Observer = unobserved
    development: bool = False
    renew: Callable[[VerifyContext], VerifyContext] | None = None  # a server's: keys and trust lists as they are now

    def current(self) -> VerifyContext:
        """This context with what was rotated, revoked or replaced on disk since it was opened."""
        return self.renew(self) if self.renew is not None else self


def open_context(
    keys: KeyRing | None,
    *,
    registry: Records | None = None,
    log: LogReader | None = None,
    tokenizers: Callable[[], tuple[TextTokenizer, ...]] = tuple,
    lists: Lists | None = None,
    folder: TrustFolder | None = None,
    contained: bool = True,
) -> VerifyContext:
    """Build a context from an installation's parts.

    Args:
        keys: The key ring: own trust anchors, revocations and watermark keys. None = outside trust lists only.
        registry: The registry, read-only.
        log: The log, read-only.
        tokenizers: Gives those of the models that may have written a text, at the first text; without one text marks
            are not searched.
        lists: Trust and revocation lists beside the installation's own roots.
        folder: A data directory's lists, followed while the process runs, in place of ``lists``.
        contained: As in ``VerifyContext``.

    Raises:
        PluginError: an installed watermark plugin is broken.
    """
    lists = folder.current() if folder is not None else lists or Lists()
    if keys is None:
        return VerifyContext(_trust(None, lists), contained=contained)
    detectors, algorithms = load_detectors(tokenizers)
    return VerifyContext(
        trust=_trust(keys, lists),
        detectors=detectors,
        preparers=load_verbs("prepare"),
        locators=load_verbs("locate"),
        algorithms=algorithms,
        key_for=keys.watermark_key,
        epochs=keys.watermark_epochs(),
        disclosed=keys.disclosed_epochs(),
        records=registry,
        log=_prover(keys, log),
        contained=contained,
        development=keys.environment == "development",
        renew=_renewal(keys, folder, log) if folder is not None else None,
    )


def _prover(keys: KeyRing, log: LogReader | None) -> AuditLogProver | None:
    return AuditLogProver(log, keys.checkpoint_public_keys(), keys.origin) if log is not None else None


def _trust(keys: KeyRing | None, lists: Lists) -> TrustStore:
    """The installation's own roots, where it has any, before those of the lists."""
    signers, stamps = (keys.trust_anchors(), keys.tsa_anchors()) if keys else (b"", b"")
    return TrustStore(
        signers=((TrustList("own", signers),) if signers else ()) + lists.signers,
        time_stamps=((TrustList("own-tsa", stamps),) if stamps else ()) + lists.time_stamps,
        revoked=keys.revoked_signers() if keys else frozenset(),
        revocations=lists.revocations,
    )


def _renewal(keys: KeyRing, folder: TrustFolder, log: LogReader | None) -> Callable[[VerifyContext], VerifyContext]:
    def renew(context: VerifyContext) -> VerifyContext:
        keys.refresh()
        trust = _trust(keys, folder.current())
        epochs, disclosed = keys.watermark_epochs(), keys.disclosed_epochs()
        return replace(context, trust=trust, epochs=epochs, disclosed=disclosed, log=_prover(keys, log))

    return renew


def load_detectors(
    tokenizers: Callable[[], tuple[TextTokenizer, ...]] = tuple,
) -> tuple[Mapping[Modality, MarkDetector], tuple[str, ...]]:
    """The installed watermark plugins as detectors, and their soft-binding names."""
    detectors: dict[Modality, MarkDetector] = {}
    names: list[str] = []
    installed = {p.name for p in plugins.list_plugins("gensafe.watermarks")}
    for modality in (Modality.IMAGE, Modality.AUDIO, Modality.VIDEO):
        if modality.value not in installed:
            continue
        watermarker: Watermarker = plugins.load("gensafe.watermarks", modality.value)
        detectors[modality] = watermarker.detect
        names.append(algorithm_of(watermarker.scheme))
    if Modality.TEXT.value in installed:
        return _Detectors(detectors, tokenizers), tuple(names)
    return detectors, tuple(names)


def load_verbs(name: str) -> dict[Modality, Any]:
    """A method that not every watermark plugin has, of those that have it; the ports in core say what it takes."""
    found: dict[Modality, Any] = {}
    installed = {p.name for p in plugins.list_plugins("gensafe.watermarks")}
    for modality in (Modality.IMAGE, Modality.AUDIO, Modality.VIDEO):
        if modality.value in installed:
            verb = getattr(plugins.load("gensafe.watermarks", modality.value), name, None)
            if verb is not None:
                found[modality] = verb
    return found


class _Detectors(Mapping[Modality, MarkDetector]):
    """Detectors by modality; that of texts is made at the first text, since tokenizers come with whole models."""

    def __init__(self, made: dict[Modality, MarkDetector], tokenizers: Callable[[], tuple[TextTokenizer, ...]]) -> None:
        self._made, self._tokenizers = made, tokenizers
        self._lock = Lock()
        self._asked = False

    def __getitem__(self, modality: Modality) -> MarkDetector:
        if modality is Modality.TEXT:
            self._load()
        return self._made[modality]

    def __iter__(self) -> Iterator[Modality]:
        self._load()
        return iter(self._made)

    def __len__(self) -> int:
        self._load()
        return len(self._made)

    def _load(self) -> None:
        with self._lock:
            if not self._asked:
                self._asked = True
                found = self._tokenizers()
                if found:
                    self._made[Modality.TEXT] = _text_detector(found)


def _text_detector(tokenizers: tuple[TextTokenizer, ...]) -> MarkDetector:
    """Searches a text under every tokenizer; the best answer counts, its bound times the number of tries."""
    scheme: SamplingWatermark = plugins.load("gensafe.watermarks", Modality.TEXT.value)

    def detect(content: Media, key: bytes) -> Detection:
        if not isinstance(content, Text):
            raise PluginError("the text detector was handed something else than text")
        text = strip_a8(content.text)
        found = [scheme.detect(tokenizer.encode(text), key) for tokenizer in tokenizers]
        best = min(found, key=lambda one: (one.level is not MarkLevel.PRESENT, one.p_value))
        p_value = min(1.0, best.p_value * len(found))
        level = best.level
        if level is MarkLevel.PRESENT and p_value > PRESENT_AT:
            level = MarkLevel.NONE
        if level is MarkLevel.NONE and any(one.level is MarkLevel.UNDECIDABLE for one in found):
            level = MarkLevel.UNDECIDABLE
        return replace(best, p_value=p_value, level=level, attempts=sum(one.attempts for one in found))

    return detect
