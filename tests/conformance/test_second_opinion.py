"""Verifiers written by others, on every file of ours and on tampered ones.

``encypher-c2pa`` (dev extra) reads everything; ``c2patxt`` reads text only and pins another ``cryptography``, so it
lives in a virtual environment of its own, named by ``TEST_C2PATXT_PYTHON`` (its interpreter).
"""

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest

from gensafe.core.clock import SystemClock
from gensafe.keys import LocalClaimSigner, pki
from gensafe.provenance import (
    Exchange,
    ManifestState,
    OcspStaples,
    TrustList,
    TrustStore,
    read_asset,
    sign_asset,
)

_spec = importlib.util.spec_from_file_location(
    "ocsp_responder", Path(__file__).parents[1] / "assets" / "ocsp_responder.py"
)
responders = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(responders)

encypher = pytest.importorskip("encypher_c2pa", reason="the dev extra installs encypher-c2pa")
C2PATXT = os.environ.get("TEST_C2PATXT_PYTHON", "")

TYPES = [
    "image/png",
    "image/jpeg",
    "image/webp",
    "audio/wav",
    "audio/mpeg",
    "audio/flac",
    "video/mp4",
    "text/plain",
    "audio/ogg",
]
BY_TEXT = """
import json, sys, c2patxt
request = json.loads(sys.stdin.read())
context = c2patxt.VerifyContext(anchors_pem=request["anchors"].encode())
answers = []
for text in request["texts"]:
    verdict = c2patxt.verify(text, context=context)
    statuses = (*verdict.success, *verdict.informational, *verdict.failure)
    answers.append({"state": verdict.state.value, "codes": [getattr(s.code, "value", str(s.code)) for s in statuses]})
print(json.dumps(answers))
"""


def second_opinion(data, media_type, bench, manifest=None, anchors=None):
    return encypher.verify(
        data,
        media_type,
        manifest_store=None if manifest is None or manifest.embedded else manifest.data,
        trust_pem=(anchors or bench.ring.trust_anchors()).decode(),
        tsa_trust_pem=bench.ring.tsa_anchors().decode(),
        no_default_trust=True,
        telemetry=False,
        online=False,
    )


@pytest.mark.parametrize("media_type", TYPES)
def test_a_second_verifier_trusts_our_files(media_type, signed, bench):
    data, manifest = signed[media_type]
    report = second_opinion(data, media_type, bench, manifest)
    assert report["validation_state"] == "Trusted"
    assert report["integrity"] == "valid" and report["hard_binding"] == "match"
    codes = {item["code"] for item in report["validation_results"]["success"]}
    assert {"timeStamp.validated", "timeStamp.trusted", "signingCredential.trusted"} <= codes
    assert report["validation_results"]["failure"] == []


@pytest.mark.parametrize("media_type", ["image/png", "video/mp4", "text/plain", "audio/ogg"])
def test_a_second_verifier_reads_our_staple(media_type, bench, samples):
    now = SystemClock().now_ms()
    root = pki.make_ca("staple root", now)
    responder = responders.Responder(root)
    with responders.serving(responder) as url:
        responder.leaf = responders.naming(pki.make_claim_leaf("staple signer", now, root), root, url)
        chain, anchors = responder.leaf.certificate_pem(), root.certificate_pem()
        staple = OcspStaples(Exchange(), SystemClock(), required=True).current(chain, anchors)
    signer = LocalClaimSigner(responder.leaf.key, chain, development=False)
    trust = TrustStore((TrustList("own", anchors),), bench.trust.time_stamps)
    plain = samples.all_files()[media_type]
    data, manifest = sign_asset(plain, media_type, samples.facts(), signer, bench.tsa, trust, staple=staple)
    report = second_opinion(data, media_type, bench, manifest, anchors)
    assert report["validation_state"] == "Trusted"
    codes = {item["code"] for item in report["validation_results"]["success"]}
    assert "signingCredential.ocsp.notRevoked" in codes


@pytest.mark.parametrize("media_type", TYPES)
def test_both_refuse_changed_content(media_type, signed, bench):
    data, manifest = signed[media_type]
    at = {"image/webp": 400, "audio/wav": 1000, "text/plain": 4}.get(media_type, -20 if manifest.embedded else -1)
    damaged = bytearray(data)
    damaged[at] ^= 1
    sidecar = None if manifest.embedded else manifest.data
    ours = read_asset(bytes(damaged), media_type, sidecar=sidecar, trust=bench.trust)
    assert ours.state is ManifestState.INVALID
    theirs = second_opinion(bytes(damaged), media_type, bench, manifest)
    assert theirs["validation_state"] == "Invalid"


@pytest.mark.parametrize("media_type", ["image/png", "video/mp4", "text/plain"])
def test_both_refuse_a_signer_whose_root_is_only_a_time_stamp_root(media_type, signed, bench):
    data, _ = signed[media_type]
    report = encypher.verify(
        data,
        media_type,
        tsa_trust_pem=bench.ring.trust_anchors().decode(),
        no_default_trust=True,
        telemetry=False,
        online=False,
    )
    assert report["validation_state"] == "Valid"
    confused = TrustStore(time_stamps=(TrustList("x", bench.ring.trust_anchors()),))
    assert read_asset(data, media_type, trust=confused).state is ManifestState.VALID


@pytest.mark.skipif(not C2PATXT, reason="TEST_C2PATXT_PYTHON does not name an interpreter with c2patxt")
def test_a_text_verifier_accepts_our_wrapper_and_refuses_changes(signed, bench):
    good = signed["text/plain"][0].decode()
    texts = [good, good.replace("roter", "blauer"), "x" + good, good + "x"]
    request = json.dumps({"anchors": bench.ring.trust_anchors().decode(), "texts": texts})
    done = subprocess.run([C2PATXT, "-c", BY_TEXT], input=request, capture_output=True, text=True, check=True)
    answers = json.loads(done.stdout)
    assert answers[0]["state"] in ("valid", "trusted"), answers[0]
    assert "assertion.dataHash.match" in answers[0]["codes"]
    for answer in answers[1:]:
        assert answer["state"] == "invalid"
