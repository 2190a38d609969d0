"""One ``Line`` per layer, with its outcome. The conclusion is drawn in ``conclusion``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gensafe.core.types import Outcome
from gensafe.provenance import ManifestReading, ManifestState, TrustStore, hard_binding_holds
from gensafe.provenance.judge import NOT_REVOKED, REVOKED, UNKNOWN_REVOCATION
from gensafe.provenance.types import IngredientReading
from gensafe.verify.conclusion import Container
from gensafe.verify.headline import list_words
from gensafe.verify.inspect import UNKNOWN_TYPE, Inspection
from gensafe.verify.lines import Line

AI_SOURCES: Final = (
    "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia",
    "compositeSynthetic",
    "algorithmicMedia",
    "trainedAlgorithmicData",
)
CAPTURE_SOURCES: Final = ("digitalCapture", "computationalCapture", "negativeFilm", "positiveFilm", "print")
_SIGNATURE_FAILURES: Final = ("claimSignature.", "claim.", "assertion.hashedURI", "manifest.", "general.")
_TRUST_FAILURES: Final = ("signingCredential.",)


def container(found: Inspection) -> Line:
    """Could the bytes be decoded as what they are?"""
    public = {"media_type": found.media_type, "bytes": found.size}
    if found.container is Container.OK:
        return Line("container", Outcome.PASS, f"{found.media_type}, {found.size} bytes", public=public)
    if found.container is Container.UNSUPPORTED:
        return Line("container", Outcome.UNSUPPORTED, found.problem, public=public)
    return Line("container", Outcome.FAIL, found.problem, public=public)


def manifest(found: Inspection) -> Line:
    """Is there a manifest, and could it be read?"""
    reading = found.reading
    if reading is None and found.manifest_problem and found.media_type != UNKNOWN_TYPE:
        return Line("manifest", Outcome.ERROR, found.manifest_problem)
    if reading is None and found.remote_url:
        problem = "kept elsewhere; nothing is fetched: download it and hand it in as a sidecar"
        return Line("manifest", Outcome.UNSUPPORTED, problem, {"remote_url": found.remote_url})
    if reading is None:
        return Line("manifest", Outcome.ABSENT, "no C2PA manifest in the file")
    evidence = {
        "label": reading.label,
        "digest": reading.manifest_digest,
        "title": reading.title,
        "generator": reading.generator,
        "assertions": list(reading.assertions),
    }
    public = {"embedded": reading.embedded, "manifests": reading.manifests}
    if reading.remote_url:
        evidence["remote_url"] = reading.remote_url  # named, never fetched
    if not reading.label:
        return Line("manifest", Outcome.FAIL, f"damaged: {', '.join(reading.failure_codes())}", evidence, public)
    where = "in the file" if reading.embedded else "in a sidecar"
    summary = f"found {where}, written by {reading.generator or 'unknown'}"
    return Line("manifest", Outcome.PASS, summary, evidence, public)


def manifest_details(reading: ManifestReading | None, trust: TrustStore) -> list[Line]:
    """The lines that only exist with a manifest; all absent without one."""
    names = (
        "claim signature",
        "hard binding",
        "signer trust",
        "revocation",
        "time-stamp",
        "ingredients",
        "AI assertions",
    )
    if reading is None or not reading.label:
        return [Line(name, Outcome.ABSENT, "no readable manifest") for name in names]
    return [
        _claim_signature(reading),
        _hard_binding(reading),
        _signer_trust(reading),
        _revocation(reading, trust),
        _time_stamp(reading),
        _ingredients(reading),
        ai_assertions(reading),
    ]


def _claim_signature(reading: ManifestReading) -> Line:
    signer = reading.signer
    public = {
        "signer": signer.subject if signer else "",
        "issuer": signer.issuer if signer else "",
        "algorithm": signer.algorithm if signer else "",
    }
    evidence = {"serial": signer.serial if signer else "", "fingerprint": signer.fingerprint if signer else ""}
    failures = [c for c in reading.failure_codes() if c.startswith(_SIGNATURE_FAILURES)]
    if failures or not reading.has_success("claimSignature.validated"):
        return Line("claim signature", Outcome.FAIL, ", ".join(failures) or "not validated", evidence, public)
    summary = f"signed by {signer.subject if signer else 'unknown'}"
    return Line("claim signature", Outcome.PASS, summary, evidence, public)


def _hard_binding(reading: ManifestReading) -> Line:
    failures = [c for c in reading.failure_codes() if c.endswith(("Hash.mismatch", "Hash.malformed"))]
    if failures:
        return Line("hard binding", Outcome.FAIL, f"the bytes are not those that were signed: {', '.join(failures)}")
    if hard_binding_holds(reading):
        return Line("hard binding", Outcome.PASS, "the bytes are those that were signed")
    return Line("hard binding", Outcome.UNSUPPORTED, "no hard binding of a kind that is checked here")


def _signer_trust(reading: ManifestReading) -> Line:
    codes = [c for c in reading.failure_codes() if c.startswith(_TRUST_FAILURES)]
    public = {"list": reading.trust_list or "", "development": reading.development}
    if reading.trust_list is not None:
        note = "; a development key: proves nothing to third parties" if reading.development else ""
        summary = f"trusted signer ({list_words(reading.trust_list)}){note}"
        return Line("signer trust", Outcome.PASS, summary, public=public)
    broken = [c for c in codes if c != "signingCredential.untrusted"]
    if broken:
        return Line("signer trust", Outcome.FAIL, ", ".join(broken), public=public)
    if reading.state is ManifestState.INVALID and "signingCredential.untrusted" not in codes:
        return Line("signer trust", Outcome.FAIL, "the manifest is broken: trust was not granted", public=public)
    return Line("signer trust", Outcome.FAIL, "the signer is on none of the trust lists used here", public=public)


def _revocation(reading: ManifestReading, trust: TrustStore) -> Line:
    """Own revocations first, then the issuer's lists and the staple; a source that cannot be used is never a pass."""
    name, sources = "revocation", [s for s in (*reading.successes, *reading.informational, *reading.failures)]
    said = {code: "; ".join(s.explanation for s in sources if s.code == code) for code in (REVOKED, NOT_REVOKED)}
    unknown = [s.explanation for s in sources if s.code == UNKNOWN_REVOCATION]
    evidence = {"unusable": unknown} if unknown else {}
    if any(s.code in (REVOKED, "signingCredential.ocsp.revoked") for s in sources):
        return Line(name, Outcome.FAIL, said[REVOKED] or "the signer's certificate was revoked", evidence)
    if said[NOT_REVOKED]:
        return Line(name, Outcome.PASS, said[NOT_REVOKED], evidence)
    if unknown:
        return Line(name, Outcome.ABSENT, "; ".join(unknown), evidence)
    if reading.signer is not None and reading.signer.fingerprint and trust.revoked:
        return Line(name, Outcome.PASS, "not among the certificates revoked here")
    return Line(name, Outcome.ABSENT, "revocation not checked (offline)")


def _time_stamp(reading: ManifestReading) -> Line:
    stamp = reading.time_stamp
    if stamp is None:
        bad = [s.code for s in (*reading.informational, *reading.failures) if s.code.startswith("timeStamp.")]
        if bad:
            return Line("time-stamp", Outcome.FAIL, ", ".join(dict.fromkeys(bad)))
        return Line("time-stamp", Outcome.ABSENT, "no trusted time: only the signer's word for when it was signed")
    public = {"time": stamp.time, "authority": stamp.authority, "trusted": stamp.trusted}
    if stamp.trusted:
        summary = f"{stamp.time} by {stamp.authority or 'a trusted authority'}"
        return Line("time-stamp", Outcome.PASS, summary, public=public)
    return Line("time-stamp", Outcome.FAIL, f"{stamp.time}, by an authority on none of the lists", public=public)


def _ingredients(reading: ManifestReading) -> Line:
    if not reading.ingredients:
        return Line("ingredients", Outcome.ABSENT, "none recorded")
    items = [_ingredient(i) for i in reading.ingredients]
    broken = [i.title for i in _all_of(reading.ingredients) if i.state is ManifestState.INVALID]
    signed = sum(1 for i in _all_of(reading.ingredients) if i.state is not None)
    summary = f"{len(items)} recorded" + (f"; {signed} with credentials of their own" if signed else "")
    return Line(
        "ingredients",
        Outcome.FAIL if broken else Outcome.PASS,
        summary + (f"; {len(broken)} broken" if broken else ""),
        {"ingredients": items, "chain": chain_lines(reading)},
        {"ingredients": [{k: i[k] for k in ("media_type", "relationship", "state")} for i in items]},
        caller_summary=summary + (f"; broken: {', '.join(broken)}" if broken else ""),
    )


def _ingredient(item: IngredientReading) -> dict[str, object]:
    own = {"generator": item.generator, "signer": item.signer, "time": item.time}
    return {
        "title": item.title,
        "media_type": item.media_type,
        "relationship": item.relationship,
        "state": item.state.value if item.state else "no manifest",
        "failures": sorted({f.code for f in item.failures}),
        **{name: value for name, value in own.items() if value},
        **({"ingredients": [_ingredient(i) for i in item.ingredients]} if item.ingredients else {}),
    }


def _all_of(items: tuple[IngredientReading, ...]) -> Iterator[IngredientReading]:
    for item in items:
        yield item
        yield from _all_of(item.ingredients)


def chain_lines(reading: ManifestReading) -> list[str]:
    """The chain of credentials as a drawing: this file's manifest, and below it what it was made from."""
    signer = reading.signer.subject if reading.signer else ""
    time = reading.time_stamp.time if reading.time_stamp else ""
    top = _node("this file", reading.state.value, reading.generator, signer, time)
    return [top, *_branches(reading.ingredients, "")]


def _branches(items: tuple[IngredientReading, ...], before: str) -> list[str]:
    lines: list[str] = []
    for number, item in enumerate(items, start=1):
        last = number == len(items)
        state = item.state.value if item.state else "no credentials"
        what = f"{item.relationship}: {item.title or 'untitled'} ({item.media_type or 'type not stated'})"
        broken = ", ".join(sorted({f.code for f in item.failures}))
        node = _node(what, f"{state}: {broken}" if broken else state, item.generator, item.signer, item.time)
        lines.append(f"{before}{'└─ ' if last else '├─ '}{node}")
        lines += _branches(item.ingredients, before + ("   " if last else "│  "))
    return lines


def _node(what: str, state: str, generator: str, signer: str, time: str) -> str:
    parts = [f"by {generator}" if generator else "", f"signed by {signer}" if signer else "", time]
    return f"{what} [{state}] {', '.join(p for p in parts if p)}".rstrip()


def ai_assertions(reading: ManifestReading) -> Line:
    """What the manifest says about how the content came to be."""
    sources = [a.digital_source_type.rsplit("/", 1)[-1] for a in reading.actions if a.digital_source_type]
    evidence = {
        "actions": [
            {"action": a.action, "source": a.digital_source_type, "agent": a.software_agent, "when": a.when}
            for a in reading.actions
        ],
        "disclosure": dict(reading.ai_disclosure),
        "generation": dict(reading.generation),
        "moderation": dict(reading.moderation),
    }
    if states_ai(reading):
        model = next((a.software_agent for a in reading.actions if a.software_agent), "")
        summary = f"says it was generated by AI: {model or 'an unnamed model'}"
        return Line("AI assertions", Outcome.PASS, summary, evidence, {"claim": "ai", "model": model})
    if any(s in CAPTURE_SOURCES for s in sources):
        summary = f"says it was captured: {', '.join(sources)}"
        return Line("AI assertions", Outcome.ABSENT, summary, evidence, {"claim": "captured"})
    return Line("AI assertions", Outcome.ABSENT, "says nothing about AI", evidence)


def states_ai(reading: ManifestReading) -> bool:
    """Whether any action carries an AI digital source type."""
    return any(a.digital_source_type.rsplit("/", 1)[-1] in AI_SOURCES for a in reading.actions)


def labels(found: Inspection) -> Line:
    """What the label fields say (IPTC, TC260 AIGC, our own): claims that anyone can write, so no proof either way."""
    name, said = "labels", found.labels
    if said is None:
        return Line(name, Outcome.UNSUPPORTED, f"label fields are not read from {found.media_type}")
    source = str(said.get("iptc", {}).get("DigitalSourceType", "")).rsplit("/", 1)[-1]
    aigc = said.get("aigc", {})
    own = said.get("label", {})
    ai = source in AI_SOURCES or str(aigc.get("Label", "")) in ("1", "2", "3") or bool(own)
    public = {"source_type": source, "aigc_places": list(said.get("aigc_places", ())), "ai": ai}
    evidence = {"aigc": dict(aigc), "own": dict(own), "problems": list(said.get("problems", ()))}
    if said.get("problems"):
        return Line(name, Outcome.FAIL, "; ".join(said["problems"]), evidence, public)
    claims = [f"IPTC source {source}"] if source else []
    claims += [f"AIGC label {aigc.get('Label', '?')} by {aigc.get('ContentProducer') or 'nobody'}"] if aigc else []
    claims += [f"{own.get('action', 'made')} by {own.get('system', '?')} of {own['provider']}"] if own else []
    if not claims:
        return Line(name, Outcome.ABSENT, "no label fields")
    reading = found.reading
    captured = reading is not None and any(
        a.digital_source_type.rsplit("/", 1)[-1] in CAPTURE_SOURCES for a in reading.actions
    )
    if ai and captured:
        return Line(name, Outcome.FAIL, f"{'; '.join(claims)}: the manifest says it was captured", evidence, public)
    signed = reading is not None and hard_binding_holds(reading)
    covered = "covered by the signature" if signed else "a claim, covered by no signature"
    return Line(name, Outcome.PASS, f"{'; '.join(claims)} ({covered})", evidence, public)
