"""Rules of C2PA 2.4 and of the conformance programme 0.2 for generators, over one crJSON; written here, not copied.

Each names its clause. They are fewer than the programme's own rubrics, which ``test_rubrics.py`` runs too where a copy
of them is given: those are published under CC BY 4.0 and are not part of this repository.
"""

import re
from collections.abc import Iterator

URN = re.compile(r"urn:c2pa:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}(:.*)?")
SEMVER = re.compile(r"\d+\.\d+\.\d+")
BINDINGS = ("c2pa.hash.data", "c2pa.hash.bmff.v3", "c2pa.hash.boxes")
INCEPTION = ("c2pa.created", "c2pa.opened")
MUST = ("claimSignature.validated", "claimSignature.insideValidity", "signingCredential.trusted", "timeStamp.trusted")
OWN_PARAMETERS = {"ingredientIds", "ingredients", "description", "redacted", "sourceLanguage", "targetLanguage"}


def broken(crjson: dict) -> list[str]:
    """The rules that the active manifest breaks, each "clause: what"."""
    manifest = crjson["manifests"][0]
    return [*_claim(manifest), *_actions(manifest), *_assertions(manifest), *_validation(manifest)]


def _claim(manifest: dict) -> Iterator[str]:
    if not URN.fullmatch(manifest["label"]):
        yield "2.4 section 8.1: the label of a manifest is urn:c2pa: and a UUID of version 4"
    claim = manifest.get("claim.v2")
    if claim is None:
        yield "2.4 section 10.3: the claim is a c2pa.claim.v2"
        return
    if not SEMVER.match(claim["claim_generator_info"].get("specVersion", "")):
        yield "programme 0.2: claim_generator_info.specVersion is set, in the form of SemVer"
    if not claim["claim_generator_info"].get("name"):
        yield "2.4 section 10.3.2.3: claim_generator_info names the generator"
    if claim.get("alg") not in ("sha256", "sha384", "sha512"):
        yield "2.4 section 13.1: the hash algorithm is SHA2-256, SHA2-384 or SHA2-512"


def _actions(manifest: dict) -> Iterator[str]:
    created = _created(manifest)
    first = manifest["assertions"].get("c2pa.actions.v2", {})
    actions = first.get("actions", [])
    if not actions or actions[0]["action"] not in INCEPTION or "c2pa.actions.v2" not in created:
        yield "2.4 section 18.15.2: the first action of the first created actions assertion is created or opened"
        return
    if [a["action"] for a in actions].count("c2pa.created") + [a["action"] for a in actions].count("c2pa.opened") > 1:
        yield "2.4 section 18.15.2: there is one action of inception"
    if actions[0]["action"] == "c2pa.created" and "digitalSourceType" not in actions[0]:
        yield "2.4 section 18.15.2: created has a digital source type"
    if actions[0]["action"] == "c2pa.opened" and "digitalSourceType" in actions[0]:
        yield "programme 0.2: opened has no digital source type"
    if first.get("allActionsIncluded") is not True:
        yield "2.4 section 18.15.3: allActionsIncluded is true"
    for action in actions:
        if not action["action"].startswith("c2pa.") and "." not in action["action"]:
            yield f"2.4 section 18.15.4: {action['action']} is neither standard nor in a name space"
        for name in action.get("parameters", {}):
            if name not in OWN_PARAMETERS and "." not in name:
                yield f"2.4 section 18.15.4.7: parameter {name} is neither standard nor in a name space"
    bound = any(a["action"] == "c2pa.watermarked.bound" for a in actions)
    if bound != ("c2pa.soft-binding" in manifest["assertions"]):
        yield "2.4 section 18.10: a bound watermark has a soft binding, and a soft binding its action"


def _assertions(manifest: dict) -> Iterator[str]:
    assertions, created = manifest["assertions"], _created(manifest)
    named = created | _names(manifest, "gathered_assertions")
    if set(assertions) != named:
        yield f"2.4 section 10.3.2.2: the claim names the assertions that are there ({set(assertions) ^ named})"
    bindings = [name for name in assertions if name.startswith(BINDINGS)]
    if len(bindings) != 1 or not set(bindings) <= created:
        yield "2.4 section 9.2: one hard binding, attested by the signer"
    for name, value in assertions.items():
        if name.startswith("c2pa.ingredient"):
            if not name.startswith("c2pa.ingredient.v3"):
                yield f"programme 0.2: {name} is an ingredient of an older version"
            if value.get("relationship") not in ("parentOf", "componentOf", "inputTo"):
                yield f"2.4 section 18.16.3: {name} has no known relationship"
    if sum(v.get("relationship") == "parentOf" for v in assertions.values() if isinstance(v, dict)) > 1:
        yield "2.4 section 18.16.3: one parent at most"


def _validation(manifest: dict) -> Iterator[str]:
    results = manifest.get("validationResults", {})
    for failure in results.get("failure") or [{"code": "none stated"}] * (not results):
        yield f"2.4 section 15: {failure['code']}"
    codes = {status["code"] for status in results.get("success", [])}
    for code in MUST:
        if code not in codes:
            yield f"2.4 section 15: {code} is not among the successes"
    if not codes & {"assertion.dataHash.match", "assertion.bmffHash.match", "assertion.boxesHash.match"}:
        yield "2.4 section 15.12: the hard binding matched"


def _created(manifest: dict) -> set[str]:
    return _names(manifest, "created_assertions")


def _names(manifest: dict, field: str) -> set[str]:
    found = manifest.get("claim.v2", {}).get(field, [])
    return {each["url"].rpartition("/")[2] for each in found}
