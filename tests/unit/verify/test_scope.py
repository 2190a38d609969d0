"""What of a record is shown to whom: without a scope, each of these attacks gave another tenant's whole text."""

import json

import pytest

from gensafe import media
from gensafe.core import ids
from gensafe.core.types import Text
from gensafe.core.types.caller import Everything, OneTenant, Public
from gensafe.provenance import strip_a8
from gensafe.verify import verify_bytes
from gensafe.verify.render import junit, report_dict, report_text, reports_csv

OWNER, OTHER = OneTenant("local"), OneTenant("another")
HARMLESS = "Nothing to see here."
ATTACKS = (
    "wrapper on another text",
    "manifest as sidecar",
    "sentence taken out, wrapper gone",
    "sentence taken out, wrapper kept",
)


def everything_said(report):
    """All that leaves: text, JSON, CSV, JUnit and crJSON."""
    shown = (report_text(report), json.dumps(report_dict(report), ensure_ascii=False), reports_csv([report]))
    return "\n".join((*shown, junit([report]), report.crjson))


@pytest.fixture(scope="module")
def secret(outputs):
    return strip_a8(outputs["text"].data.decode())


@pytest.fixture(scope="module")
def attacks(outputs, secret):
    """Name -> (bytes, sidecar): ways to ask for a text one does not have."""
    signed, output = outputs["text"].data.decode(), outputs["text"]
    words = secret.split(" ")
    redacted = " ".join([*words[:20], "[REDACTED]", *words[30:]])
    wrapper = signed[len(secret) :]
    made = (
        ((HARMLESS + wrapper).encode(), None),
        (HARMLESS.encode(), output.manifest.data),
        (redacted.encode(), None),
        ((redacted + wrapper).encode(), None),
    )
    return dict(zip(ATTACKS, made, strict=True))


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("scope", [OTHER, Public()], ids=["another tenant", "a stranger"])
def test_no_text_of_another_tenant_comes_back(attack, scope, attacks, secret, deployment):
    data, sidecar = attacks[attack]
    report = verify_bytes(data, name="x", context=deployment.context, sidecar=sidecar, scope=scope)
    said, known = everything_said(report), " ".join(data.decode().split())
    words = secret.split()
    for first in range(len(words) - 3):
        piece = " ".join(words[first : first + 4])
        assert piece not in said or piece in known, piece


@pytest.mark.parametrize("scope", [OWNER, Everything()], ids=["the tenant", "the owner of the data"])
def test_the_tenant_is_shown_where_its_text_was_changed(scope, attacks, deployment):
    data, _ = attacks["sentence taken out, wrapper kept"]
    report = verify_bytes(data, name="x", context=deployment.context, scope=scope)
    assert "difference" in json.dumps(report_dict(report))


@pytest.mark.parametrize("kind", ["image", "audio", "text"])
@pytest.mark.parametrize("scope", [OTHER, Public()], ids=["another tenant", "a stranger"])
@pytest.mark.parametrize("stripped", [False, True], ids=["as released", "stripped"])
def test_nothing_of_the_record_is_shown_to_others(kind, scope, stripped, outputs, deployment):
    output = outputs[kind]
    data, record = output.data, output.record
    if stripped:
        decoded = media.decode(data, record.media_type)
        bare = isinstance(decoded, Text)
        data = strip_a8(decoded.text).encode() if bare else media.encode(decoded, record.media_type)
    report = verify_bytes(data, name="x", context=deployment.context, scope=scope)
    checks = {c.name: c for c in report.checks}
    assert checks["registry record"].summary == "there is a record of this output"
    assert checks["registry record"].evidence == {}
    assert checks["log inclusion"].evidence == {} and checks["log inclusion"].outcome == "pass"
    of_the_file = {"manifest", "AI assertions", "soft binding", "ingredients", "labels"}
    said = json.dumps([c.evidence for n, c in checks.items() if n not in of_the_file]) + report.explanation
    hidden = [ids.record_id_text(record.record_id), record.leaf_hash, "similarity"]
    if stripped:
        said = everything_said(report).replace(report.digest, "")
        hidden += [record.digest, record.manifest_label, record.manifest_digest]
        assert report.crjson == ""
    for value in hidden:
        assert value not in said, value


def test_likeness_to_another_tenants_record_is_not_even_mentioned(attacks, deployment):
    data, _ = attacks["sentence taken out, wrapper gone"]
    mine = verify_bytes(data, name="x", context=deployment.context, scope=OWNER)
    theirs = verify_bytes(data, name="x", context=deployment.context, scope=OTHER)
    assert "resembles" in report_text(mine)
    assert "resembles" not in report_text(theirs)
