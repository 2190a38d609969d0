"""From the C2PA library's report to a ``ManifestReading``: stricter rules first, then plain facts. Pure."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final

from cryptography import x509

from gensafe.core.clock import iso
from gensafe.core.digest import sha256
from gensafe.core.errors import ManifestInvalid
from gensafe.keys import pki
from gensafe.provenance import crjson, jumbf
from gensafe.provenance.a8 import A8Wrapper
from gensafe.provenance.c2pa_adapter import LibraryReading
from gensafe.provenance.cose import CoseSign1, parse_cose
from gensafe.provenance.ingredients import chain_of, delta_failures
from gensafe.provenance.report import (
    UNTRUSTED,
    Object,
    as_object,
    as_objects,
    as_text,
    breaking,
    generator,
    statuses,
)
from gensafe.provenance.revocation import RevocationAnswer, revocation_answers
from gensafe.provenance.trust import TrustStore
from gensafe.provenance.tsa import read_token
from gensafe.provenance.types import (
    GENERATION_LABEL,
    MODERATION_LABEL,
    ActionReading,
    ManifestReading,
    ManifestState,
    SignerReading,
    SoftBindingReading,
    Status,
    TimeStampReading,
)

_TEXT_COMPLAINT: Final = "data hash exclusion does not match the manifest location"
UNSTATED_VERSION: Final = "unstated"  # what engines give as a version that they do not know
REVOKED: Final = "signingCredential.revoked"
NOT_REVOKED: Final = "signingCredential.notRevoked"
UNKNOWN_REVOCATION: Final = "signingCredential.revocationUnknown"
_BROKEN_STAMP: Final = ("timeStamp.mismatch",)
"""A time-stamp that is not of this signature: c2pa-rs reports it as informational; we treat it as tampering."""
_UNBOUND: Final = (
    "assertion.dataHash.mismatch",
    "assertion.bmffHash.mismatch",
    "assertion.boxesHash.mismatch",
    "assertion.collectionHash.mismatch",
)
_BINDINGS: Final = ("assertion.dataHash.match", "assertion.bmffHash.match", "assertion.boxesHash.match")


def judge(
    reading: LibraryReading,
    store: bytes,
    trust: TrustStore,
    wrapper: A8Wrapper | None = None,
    *,
    now_ms: int,
    claim_only: bool = False,
) -> ManifestReading:
    """Judge what the library reported.

    Args:
        reading: The library's report.
        store: The manifest store as we found it ourselves; b"" where we cannot find it in this container.
        trust: Trust lists.
        wrapper: The text wrapper the store came from, for text.
        now_ms: The time now, for revocation lists.
        claim_only: There is no asset; judge signature and assertions, and leave the hard binding out.
    """
    report = reading.report
    label = as_text(report.get("active_manifest"))
    manifest = as_object(as_object(report.get("manifests")).get(label))
    results = as_object(report.get("validation_results"))
    active = as_object(results.get("activeManifest"))
    successes, informational = statuses(active, "success"), statuses(active, "informational")
    failures = list(statuses(active, "failure"))

    complained = len(failures)
    state, failures = _state_with_our_binding(reading, label, wrapper, successes, failures, claim_only=claim_only)
    shown = reading.crjson
    if wrapper is not None and len(failures) < complained:
        shown = crjson.without_complaint(shown, label, _TEXT_COMPLAINT)
    cose = _cose(store, label)
    signer, mismatch = _signer(manifest, crjson.signature_of(reading.crjson, label), cose)
    time_stamp = _time_stamp(manifest, successes, cose)
    answers = _revocation(cose, trust, time_stamp, now_ms)
    own = _broken_rules(mismatch, informational, cose, signer, trust, answers)
    successes = _without_ocsp(successes)  # ``answers`` says it, and more: the library passes over some
    successes += tuple(Status(NOT_REVOKED, "", f"{a.source} says: {a.note}") for a in answers if a.revoked is False)
    informational = _without_ocsp(informational)
    if time_stamp is None and cose is not None and cose.has_time_stamp:
        informational += (Status("timeStamp.malformed", "", "there is a time-stamp, but it is not of this signature"),)
    informational += tuple(
        Status(UNKNOWN_REVOCATION, "", f"{a.source}: {a.note}") for a in answers if a.revoked is None
    )

    # trust: only through a signer list of ours
    trust_list = trust.signer_list(as_text(results.get("trustListUri"))) if state == "Trusted" else None
    failures += own
    if own or state == "Invalid":
        verdict = ManifestState.INVALID
        trust_list = None
    else:
        verdict = ManifestState.TRUSTED if trust_list is not None else ManifestState.VALID
    if verdict is not ManifestState.TRUSTED:
        successes = tuple(s for s in successes if s.code != "signingCredential.trusted")
    if verdict is ManifestState.VALID and not any(f.code == UNTRUSTED for f in failures):
        failures.append(Status(UNTRUSTED, "", "the signer is not on one of our signer lists"))
    if verdict is ManifestState.INVALID and not breaking(failures):
        failures += list(delta_failures(report)) or [Status("general.error", "", "the library gave no reason")]

    return ManifestReading(
        state=verdict,
        library_state=reading.state,
        label=label,
        embedded=reading.embedded or wrapper is not None,
        signer=signer,
        trust_list=trust_list,
        successes=successes,
        informational=informational,
        failures=tuple(failures),
        time_stamp=time_stamp,
        title=as_text(manifest.get("title")),
        generator=generator(manifest),
        actions=_actions(manifest),
        ai_disclosure=_assertion(manifest, "c2pa.ai-disclosure"),
        soft_bindings=_soft_bindings(manifest),
        ingredients=chain_of(report, label, lambda of: _revoked_signer(store, of, trust)),
        assertions=tuple(as_text(a.get("label")) for a in as_objects(manifest.get("assertions"))),
        generation=_assertion(manifest, GENERATION_LABEL),
        moderation=_assertion(manifest, MODERATION_LABEL),
        manifest_digest=sha256(store) if store and not mismatch else "",
        remote_url=reading.remote_url,
        manifests=len(as_object(report.get("manifests"))),
        raw=report,
        crjson=shown,
    )


def _state_with_our_binding(
    reading: LibraryReading,
    label: str,
    wrapper: A8Wrapper | None,
    successes: tuple[Status, ...],
    failures: list[Status],
    *,
    claim_only: bool,
) -> tuple[str, list[Status]]:
    """The library's state and failures, with the hard binding as we judge it.

    Text: the library cannot bless a wrapper it did not find itself; our strict checks can (C2PA 2.4 annex A.8).
    Without an asset (``claim_only``) there is nothing to be bound to.
    """
    state, able = reading.state, "Valid"
    if any(s.code == "signingCredential.trusted" for s in successes):
        able = "Trusted"
    if wrapper is not None:
        held = _text_binding_holds(reading, label, wrapper, successes, failures)
        failures = [f for f in failures if not (held and _TEXT_COMPLAINT in f.explanation)]
        if not breaking(failures):
            if held:
                state = able
            else:
                said = "the text wrapper is not where the claim says"
                failures = [*failures, Status("assertion.dataHash.mismatch", "", said)]
    if claim_only:
        failures = [f for f in failures if f.code not in _UNBOUND]
        state = able if not breaking(failures) else state
    return state, failures


def _broken_rules(
    mismatch: bool,
    informational: tuple[Status, ...],
    cose: CoseSign1 | None,
    signer: SignerReading | None,
    trust: TrustStore,
    answers: tuple[RevocationAnswer, ...],
) -> list[Status]:
    """What breaks a manifest by our rules, whatever the library says."""
    own: list[Status] = []
    if mismatch:  # what we see must be what the library names
        own.append(Status("gensafe.container.ambiguous", "", "two readers find two different manifests"))
    own += [s for s in informational if s.code in _BROKEN_STAMP]
    if cose is not None and not _padding_is_plain(cose):
        own.append(Status("gensafe.padding.used", "", "something is hidden in the signature's unsigned padding"))
    if signer is not None and signer.fingerprint in trust.revoked:
        own.append(Status(REVOKED, "", "the signer's certificate was revoked"))
    return own + [Status(REVOKED, "", f"{a.source} says: {a.note}") for a in answers if a.revoked]


def _text_binding_holds(
    reading: LibraryReading, label: str, wrapper: A8Wrapper, successes: tuple[Status, ...], failures: list[Status]
) -> bool:
    """The hash matched, the one complaint is the expected one, and the exclusion is exactly the wrapper."""
    complaints = [f for f in failures if _TEXT_COMPLAINT in f.explanation]
    if len(complaints) != 1 or not any(s.code == "assertion.dataHash.match" for s in successes):
        return False
    if complaints[0].code != "assertion.dataHash.mismatch" or label not in complaints[0].url:
        return False
    hashes = as_object(crjson.manifest_of(reading.crjson, label).get("assertions")).get("c2pa.hash.data")
    exclusions = as_objects(as_object(hashes).get("exclusions"))
    expected = {"start": wrapper.start, "length": wrapper.length}
    return len(exclusions) == 1 and dict(exclusions[0]) == expected


def hard_binding_holds(reading: ManifestReading) -> bool:
    """Whether the manifest's hash of the file's own bytes matched."""
    return any(reading.has_success(code) for code in _BINDINGS) and not any(
        code.endswith("Hash.mismatch") for code in reading.failure_codes()
    )


# --- reading the report's parts --------------------------------------------------------------------------------------


def _cose(store: bytes, label: str) -> CoseSign1 | None:
    """The active manifest's signature, if our reading of the store agrees with the library's on which one is active."""
    if not store:
        return None
    try:
        path = jumbf.signature_path(store)
        if jumbf.label(store, path[1]) != label:
            return None
        return parse_cose(store[path[3].content : path[3].end])
    except ManifestInvalid:
        return None


def _revoked_signer(store: bytes, label: str, trust: TrustStore) -> tuple[Status, ...]:
    """A failure if we revoked the signer of the manifest ``label`` of ``store``; nothing if it cannot be seen."""
    if not store or not trust.revoked:
        return ()
    try:
        box = jumbf.signature_of(store, label)
        leaf = x509.load_der_x509_certificate(parse_cose(store[box.content : box.end]).certificates()[0])
    except (ManifestInvalid, ValueError, IndexError):
        return ()
    revoked = pki.fingerprint(leaf) in trust.revoked
    return (Status(REVOKED, label, "the signer's certificate was revoked"),) if revoked else ()


def _padding_is_plain(cose: CoseSign1) -> bool:
    try:
        return cose.padding_is_plain()
    except ManifestInvalid:
        return False


def _signer(manifest: Object, signature: Object, cose: CoseSign1 | None) -> tuple[SignerReading | None, bool]:
    """(signer, whether our certificate contradicts the library's)."""
    info = as_object(manifest.get("signature_info"))
    if not info:
        return None, False
    certificate = as_object(signature.get("certificateInfo"))
    validity = as_object(certificate.get("validity"))
    serial = as_text(info.get("cert_serial_number"))
    fingerprint = ""
    if cose is not None:
        try:
            leaf = x509.load_der_x509_certificate(cose.certificates()[0])
            if str(leaf.serial_number) != serial:
                return None, True
            fingerprint = pki.fingerprint(leaf)
        except (ValueError, IndexError, ManifestInvalid):
            return None, True
    return (
        SignerReading(
            subject=_name(certificate.get("subject")) or as_text(info.get("common_name")),
            issuer=_name(certificate.get("issuer")) or as_text(info.get("issuer")),
            serial=serial,
            algorithm=as_text(info.get("alg")).lower(),
            fingerprint=fingerprint,
            not_before=as_text(validity.get("notBefore")),
            not_after=as_text(validity.get("notAfter")),
        ),
        False,
    )


def _time_stamp(manifest: Object, successes: tuple[Status, ...], cose: CoseSign1 | None) -> TimeStampReading | None:
    """None when there is no time-stamp that matches the signature."""
    validated = any(s.code == "timeStamp.validated" for s in successes)
    if not validated:
        return None
    trusted = any(s.code == "timeStamp.trusted" for s in successes)
    time = as_text(as_object(manifest.get("signature_info")).get("time"))
    authority = ""
    try:
        tokens = cose.time_stamps() if cose is not None else ()
        if tokens:
            token = read_token(tokens[0])
            time, authority = time or iso(token.time_ms), token.authority
    except ManifestInvalid:
        pass
    return TimeStampReading(time, trusted, authority)


def _revocation(
    cose: CoseSign1 | None, trust: TrustStore, time_stamp: TimeStampReading | None, now_ms: int
) -> tuple[RevocationAnswer, ...]:
    if cose is None:
        return ()
    try:
        chain, staples = cose.certificates(), cose.ocsp_responses()
        stamped = None
        if time_stamp is not None and time_stamp.trusted:
            stamped = round(datetime.fromisoformat(time_stamp.time).timestamp() * 1000)
    except (ManifestInvalid, ValueError):
        return (RevocationAnswer("the manifest", None, "its revocation values are malformed"),)
    return revocation_answers(chain, [t.pem for t in trust.signers], trust.revocations, staples, stamped, now_ms)


def _without_ocsp(statuses: tuple[Status, ...]) -> tuple[Status, ...]:
    return tuple(s for s in statuses if not s.code.startswith("signingCredential.ocsp."))


def _actions(manifest: Object) -> tuple[ActionReading, ...]:
    found: list[ActionReading] = []
    for assertion in as_objects(manifest.get("assertions")):
        if not as_text(assertion.get("label")).startswith("c2pa.actions"):
            continue
        for action in as_objects(as_object(assertion.get("data")).get("actions")):
            agent = action.get("softwareAgent")
            named = as_object(agent)
            text = agent if isinstance(agent, str) else _named_agent(named)
            found.append(
                ActionReading(
                    action=as_text(action.get("action")),
                    digital_source_type=as_text(action.get("digitalSourceType")),
                    software_agent=text.strip(),
                    when=as_text(action.get("when")),
                )
            )
    return tuple(found)


def _named_agent(agent: Object) -> str:
    """Name and version; a version that the engine did not state is no part of a name."""
    version = as_text(agent.get("version"))
    return f"{as_text(agent.get('name'))} {'' if version == UNSTATED_VERSION else version}"


def _soft_bindings(manifest: Object) -> tuple[SoftBindingReading, ...]:
    found: list[SoftBindingReading] = []
    for assertion in as_objects(manifest.get("assertions")):
        if as_text(assertion.get("label")).startswith("c2pa.soft-binding"):
            data = as_object(assertion.get("data"))
            for block in as_objects(data.get("blocks")):
                value = block.get("value")
                rendered = value if isinstance(value, str) else json.dumps(value)
                found.append(SoftBindingReading(as_text(data.get("alg")), rendered))
    return tuple(found)


def _assertion(manifest: Object, label: str) -> Object:
    for assertion in as_objects(manifest.get("assertions")):
        if assertion.get("label") == label:
            return as_object(assertion.get("data"))
    return {}


def _name(value: object) -> str:
    """A distinguished name such as ``CN=signer, O=company``."""
    parts = as_object(value)
    return ", ".join(f"{key}={as_text(parts[key])}" for key in sorted(parts))
