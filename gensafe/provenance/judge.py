"""From the C2PA library's report to a ``ManifestReading``: stricter rules first, then plain facts. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cryptography import x509

from gensafe.core.clock import iso
from gensafe.core.digest import sha256
from gensafe.core.errors import ManifestInvalid
from gensafe.keys import pki
from gensafe.provenance import jumbf
from gensafe.provenance.a8 import A8Wrapper
from gensafe.provenance.c2pa_adapter import LibraryReading
from gensafe.provenance.cose import CoseSign1, parse_cose
from gensafe.provenance.revocation import RevocationAnswer, revocation_answers
from gensafe.provenance.trust import TrustStore
from gensafe.provenance.tsa import read_token
from gensafe.provenance.types import (
    GENERATION_LABEL,
    MODERATION_LABEL,
    ActionReading,
    IngredientReading,
    ManifestReading,
    ManifestState,
    SignerReading,
    SoftBindingReading,
    Status,
    TimeStampReading,
)

_TEXT_COMPLAINT: Final = "data hash exclusion does not match the manifest location"
UNSTATED_VERSION: Final = "unstated"  # what engines give as a version that they do not know
_UNTRUSTED: Final = "signingCredential.untrusted"
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

Object = Mapping[str, Any]


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
    label = _text(report.get("active_manifest"))
    manifest = _object(_object(report.get("manifests")).get(label))
    results = _object(report.get("validation_results"))
    active = _object(results.get("activeManifest"))
    successes, informational = _statuses(active, "success"), _statuses(active, "informational")
    failures = list(_statuses(active, "failure"))

    # text: the library cannot bless a wrapper it did not find itself; our strict checks can (C2PA 2.4 annex A.8)
    state = reading.state
    if wrapper is not None:
        held = _text_binding_holds(reading, label, wrapper, successes, failures)
        failures = [f for f in failures if not (held and _TEXT_COMPLAINT in f.explanation)]
        if held and not _breaking(failures):
            state = "Trusted" if any(s.code == "signingCredential.trusted" for s in successes) else "Valid"
        elif not _breaking(failures):
            failures.append(Status("assertion.dataHash.mismatch", "", "the text wrapper is not where the claim says"))

    if claim_only:
        failures = [f for f in failures if f.code not in _UNBOUND]
        if not _breaking(failures):
            state = "Trusted" if any(s.code == "signingCredential.trusted" for s in successes) else "Valid"

    own: list[Status] = []  # what breaks a manifest by our rules, whatever the library says
    # the certificate: what we see must be what the library names
    cose = _cose(store, label)
    signer, mismatch = _signer(manifest, _crjson_signature(reading.crjson, label), cose)
    if mismatch:
        own.append(Status("gensafe.container.ambiguous", "", "two readers find two different manifests"))
    own += [s for s in informational if s.code in _BROKEN_STAMP]
    if cose is not None and not _padding_is_plain(cose):
        own.append(Status("gensafe.padding.used", "", "something is hidden in the signature's unsigned padding"))
    if signer is not None and signer.fingerprint in trust.revoked:
        own.append(Status(REVOKED, "", "the signer's certificate was revoked"))
    time_stamp = _time_stamp(manifest, successes, cose)
    if time_stamp is None and cose is not None and cose.has_time_stamp:
        informational += (Status("timeStamp.malformed", "", "there is a time-stamp, but it is not of this signature"),)
    answers = _revocation(cose, trust, time_stamp, now_ms)
    own += [Status(REVOKED, "", f"{a.source} says: {a.note}") for a in answers if a.revoked]
    successes = _without_ocsp(successes)  # ``answers`` says it, and more: the library passes over some
    successes += tuple(Status(NOT_REVOKED, "", f"{a.source} says: {a.note}") for a in answers if a.revoked is False)
    informational = _without_ocsp(informational)
    informational += tuple(
        Status(UNKNOWN_REVOCATION, "", f"{a.source}: {a.note}") for a in answers if a.revoked is None
    )

    # trust: only through a signer list of ours
    trust_list = trust.signer_list(_text(results.get("trustListUri"))) if state == "Trusted" else None
    failures += own
    if own or state == "Invalid":
        verdict = ManifestState.INVALID
        trust_list = None
    else:
        verdict = ManifestState.TRUSTED if trust_list is not None else ManifestState.VALID
    if verdict is not ManifestState.TRUSTED:
        successes = tuple(s for s in successes if s.code != "signingCredential.trusted")
    if verdict is ManifestState.VALID and not any(f.code == _UNTRUSTED for f in failures):
        failures.append(Status(_UNTRUSTED, "", "the signer is not on one of our signer lists"))
    ingredients, delta_failures = _ingredients(manifest, results)
    if verdict is ManifestState.INVALID and not _breaking(failures):
        failures += list(delta_failures) or [Status("general.error", "", "the library gave no reason")]

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
        title=_text(manifest.get("title")),
        generator=_generator(manifest),
        actions=_actions(manifest),
        ai_disclosure=_assertion(manifest, "c2pa.ai-disclosure"),
        soft_bindings=_soft_bindings(manifest),
        ingredients=ingredients,
        assertions=tuple(_text(a.get("label")) for a in _objects(manifest.get("assertions"))),
        generation=_assertion(manifest, GENERATION_LABEL),
        moderation=_assertion(manifest, MODERATION_LABEL),
        manifest_digest=sha256(store) if store and not mismatch else "",
        remote_url=reading.remote_url,
        manifests=len(_object(report.get("manifests"))),
        raw=report,
        crjson=reading.crjson,
    )


def _breaking(failures: list[Status]) -> list[Status]:
    """Failures that break a manifest; an unknown signer, of the claim or of an identity assertion, does not."""
    return [f for f in failures if f.code != _UNTRUSTED and not f.code.startswith("cawg.")]


def _text_binding_holds(
    reading: LibraryReading, label: str, wrapper: A8Wrapper, successes: tuple[Status, ...], failures: list[Status]
) -> bool:
    """The hash matched, the one complaint is the expected one, and the exclusion is exactly the wrapper."""
    complaints = [f for f in failures if _TEXT_COMPLAINT in f.explanation]
    if len(complaints) != 1 or not any(s.code == "assertion.dataHash.match" for s in successes):
        return False
    if complaints[0].code != "assertion.dataHash.mismatch" or label not in complaints[0].url:
        return False
    hashes = _object(_crjson_manifest(reading.crjson, label).get("assertions")).get("c2pa.hash.data")
    exclusions = _objects(_object(hashes).get("exclusions"))
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


def _padding_is_plain(cose: CoseSign1) -> bool:
    try:
        return cose.padding_is_plain()
    except ManifestInvalid:
        return False


def _signer(manifest: Object, signature: Object, cose: CoseSign1 | None) -> tuple[SignerReading | None, bool]:
    """(signer, whether our certificate contradicts the library's)."""
    info = _object(manifest.get("signature_info"))
    if not info:
        return None, False
    certificate = _object(signature.get("certificateInfo"))
    validity = _object(certificate.get("validity"))
    serial = _text(info.get("cert_serial_number"))
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
            subject=_name(certificate.get("subject")) or _text(info.get("common_name")),
            issuer=_name(certificate.get("issuer")) or _text(info.get("issuer")),
            serial=serial,
            algorithm=_text(info.get("alg")).lower(),
            fingerprint=fingerprint,
            not_before=_text(validity.get("notBefore")),
            not_after=_text(validity.get("notAfter")),
        ),
        False,
    )


def _time_stamp(manifest: Object, successes: tuple[Status, ...], cose: CoseSign1 | None) -> TimeStampReading | None:
    """None when there is no time-stamp that matches the signature."""
    validated = any(s.code == "timeStamp.validated" for s in successes)
    if not validated:
        return None
    trusted = any(s.code == "timeStamp.trusted" for s in successes)
    time = _text(_object(manifest.get("signature_info")).get("time"))
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


def _ingredients(manifest: Object, results: Object) -> tuple[tuple[IngredientReading, ...], tuple[Status, ...]]:
    """Ingredients with what was recorded about them when added, and what is found about them now."""
    deltas: dict[str, list[Status]] = {}
    for delta in _objects(results.get("ingredientDeltas")):
        uri = _text(delta.get("ingredientAssertionURI")).rsplit("/", 1)[-1]
        deltas.setdefault(uri, []).extend(_statuses(_object(delta.get("validationDeltas")), "failure"))
    found: list[IngredientReading] = []
    for item in _objects(manifest.get("ingredients")):
        recorded = _object(_object(item.get("validation_results")).get("activeManifest"))
        failures = list(_statuses(recorded, "failure"))
        failures += [_status(s) for s in _objects(item.get("validation_status"))]
        failures += deltas.get(_text(item.get("label")), [])
        trusted = any(s.code == "signingCredential.trusted" for s in _statuses(recorded, "success"))
        state: ManifestState | None
        if _breaking(failures):
            state = ManifestState.INVALID
        elif not item.get("active_manifest"):
            state = None
        else:
            state = ManifestState.TRUSTED if trusted and not failures else ManifestState.VALID
        found.append(
            IngredientReading(
                title=_text(item.get("title")),
                media_type=_text(item.get("format")),
                relationship=_text(item.get("relationship")),
                state=state,
                failures=tuple(dict.fromkeys(failures)),
            )
        )
    return tuple(found), tuple(s for statuses in deltas.values() for s in statuses)


def _actions(manifest: Object) -> tuple[ActionReading, ...]:
    found: list[ActionReading] = []
    for assertion in _objects(manifest.get("assertions")):
        if not _text(assertion.get("label")).startswith("c2pa.actions"):
            continue
        for action in _objects(_object(assertion.get("data")).get("actions")):
            agent = action.get("softwareAgent")
            named = _object(agent)
            text = agent if isinstance(agent, str) else _named_agent(named)
            found.append(
                ActionReading(
                    action=_text(action.get("action")),
                    digital_source_type=_text(action.get("digitalSourceType")),
                    software_agent=text.strip(),
                    when=_text(action.get("when")),
                )
            )
    return tuple(found)


def _named_agent(agent: Object) -> str:
    """Name and version; a version that the engine did not state is no part of a name."""
    version = _text(agent.get("version"))
    return f"{_text(agent.get('name'))} {'' if version == UNSTATED_VERSION else version}"


def _soft_bindings(manifest: Object) -> tuple[SoftBindingReading, ...]:
    found: list[SoftBindingReading] = []
    for assertion in _objects(manifest.get("assertions")):
        if _text(assertion.get("label")).startswith("c2pa.soft-binding"):
            data = _object(assertion.get("data"))
            for block in _objects(data.get("blocks")):
                value = block.get("value")
                rendered = value if isinstance(value, str) else json.dumps(value)
                found.append(SoftBindingReading(_text(data.get("alg")), rendered))
    return tuple(found)


def _assertion(manifest: Object, label: str) -> Object:
    for assertion in _objects(manifest.get("assertions")):
        if assertion.get("label") == label:
            return _object(assertion.get("data"))
    return {}


def _generator(manifest: Object) -> str:
    infos = _objects(manifest.get("claim_generator_info"))
    if infos:
        return f"{_text(infos[0].get('name'))} {_text(infos[0].get('version'))}".strip()
    return _text(manifest.get("claim_generator"))


def _crjson_manifest(crjson: str, label: str) -> Object:
    try:
        document = json.loads(crjson)
    except ValueError:
        return {}
    return next((m for m in _objects(_object(document).get("manifests")) if m.get("label") == label), {})


def _crjson_signature(crjson: str, label: str) -> Object:
    return _object(_crjson_manifest(crjson, label).get("signature"))


def _name(value: object) -> str:
    """A distinguished name such as ``CN=signer, O=company``."""
    parts = _object(value)
    return ", ".join(f"{key}={_text(parts[key])}" for key in sorted(parts))


def _statuses(results: Object, kind: str) -> tuple[Status, ...]:
    return tuple(_status(item) for item in _objects(results.get(kind)))


def _status(item: Object) -> Status:
    return Status(_text(item.get("code")), _text(item.get("url")), _text(item.get("explanation")))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _object(value: object) -> Object:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> tuple[Object, ...]:
    return tuple(item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()
