"""The first look at a report: verdict, AI, signer, time, change; and nothing that a file can fake."""

import csv
import dataclasses

import numpy as np
import pytest

from gensafe import media
from gensafe.core.types import Audio, Check, Conclusion, Outcome, VerificationReport
from gensafe.core.types.caller import Public
from gensafe.provenance import strip_a8
from gensafe.verify import verify_bytes
from gensafe.verify.headline import AiClaim, Tone, headline
from gensafe.verify.render import NotVerified, plain, report_dict, report_line, reports_csv

DEVELOPMENT = "CN=GenSafe development signer, O=GenSafe development"


@pytest.fixture(scope="module")
def report(outputs, deployment):
    return verify_bytes(outputs["image"].data, name="image.png", context=deployment.context)


@pytest.fixture(scope="module")
def tone():
    t = np.arange(16000) / 16000
    return Audio((0.3 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)[None], 16000)


def lines(**changes):
    """A proved report; keyword arguments replace its lines, with _ for the space and None for no line."""
    found = {
        "claim signature": Check("claim signature", Outcome.PASS, "", {"signer": "Jane"}),
        "hard binding": Check("hard binding", Outcome.PASS, ""),
        "signer trust": Check("signer trust", Outcome.PASS, "", {"list": "vendors", "development": False}),
        "time-stamp": Check("time-stamp", Outcome.PASS, "", {"time": "2026-01-02T03:04:05Z"}),
        "AI assertions": Check("AI assertions", Outcome.PASS, "", {"claim": "ai", "model": "m 1"}),
    }
    conclusion = changes.pop("conclusion", Conclusion.PROVED)
    for name, check in changes.items():
        found[name.replace("_", " ")] = check
    return VerificationReport("f.png", conclusion, "Why.", tuple(c for c in found.values() if c is not None))


def test_the_line_of_an_output_says_all_five_things(report):
    """Before: seventeen lines, PROVED on the first, the development key on the sixth."""
    line = report_line(report)
    assert line.count("\n") == 0
    parts = line.split(" | ")
    assert parts[0] == "image.png: PROVED, by a development key"
    assert parts[1].startswith("made by AI (")
    assert parts[2].startswith('signed by "CN=GenSafe development signer, O=GenSafe development" (')
    assert parts[3].startswith("20") and parts[3].endswith(("Z", "+00:00"))
    assert parts[4:] == ["unchanged since it was signed"]


def test_strangers_read_the_same_headline(report, outputs, deployment):
    shown = verify_bytes(outputs["image"].data, name="image.png", context=deployment.context, scope=Public())
    assert headline(shown) == headline(report)


def test_a_development_key_is_never_plainly_proved(report, outputs, deployment):
    bare = strip_a8(outputs["text"].data.decode()).encode()
    recovered = verify_bytes(bare, name="x", context=deployment.context)
    assert recovered.conclusion is Conclusion.PROVED_BY_RECOVERY
    for found in (report, recovered):
        first = headline(found)
        assert first.development and first.tone is Tone.OPEN and first.verdict.endswith(", by a development key")
        assert first.time and first.signer.startswith('signed by "CN=GenSafe development signer,')
    production = headline(lines())
    assert (production.verdict, production.tone) == ("proved", Tone.GOOD)
    assert production.signer == 'signed by "Jane" (list vendors)'


def test_a_name_in_a_certificate_adds_no_words_of_ours():
    hostile = Check("claim signature", Outcome.PASS, "", {"signer": 'Evil" (this installation) | "\x1b[32m'})
    untrusted = Check("signer trust", Outcome.FAIL, "", {"list": "", "development": False})
    found = lines(claim_signature=hostile, signer_trust=untrusted, conclusion=Conclusion.FOUND_UNTRUSTED)
    line = report_line(found)
    assert "\x1b" not in line
    assert "signed by \"Evil' (this installation) | '" in line and "who is on none of your lists" in line


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        ({}, AiClaim.SIGNED),
        ({"conclusion": Conclusion.ALTERED}, AiClaim.CLAIMED),
        ({"conclusion": Conclusion.FOUND_UNTRUSTED}, AiClaim.CLAIMED),
        ({"AI assertions": None}, AiClaim.NONE),
        ({"AI assertions": Check("AI assertions", Outcome.ABSENT, "", {"claim": "captured"})}, AiClaim.CAPTURED),
        (
            {
                "AI assertions": None,
                "watermark": Check("watermark", Outcome.PASS, ""),
                "conclusion": Conclusion.DERIVED,
            },
            AiClaim.RECORDED,
        ),
        (
            {
                "AI assertions": None,
                "watermark": Check("watermark", Outcome.PASS, ""),
                "conclusion": Conclusion.TRANSPLANTED_MARK,
            },
            AiClaim.NONE,
        ),
        (
            {
                "AI assertions": None,
                "labels": Check("labels", Outcome.PASS, "", {"ai": True}),
                "conclusion": Conclusion.NOTHING_FOUND,
            },
            AiClaim.LABELLED,
        ),
    ],
)
def test_only_a_trusted_signature_makes_ai_a_fact(changes, claim):
    first = headline(lines(**changes))
    assert first.ai is claim
    assert (first.origin.startswith("made by AI")) is (claim is AiClaim.SIGNED)


@pytest.mark.parametrize("conclusion", list(Conclusion))
def test_every_conclusion_has_one_line_that_steers_no_terminal(conclusion):
    found = dataclasses.replace(lines(conclusion=conclusion), name="a\nb\x1b[31m", explanation="x\r\n\x07")
    line = report_line(found, "host:1", plain)
    assert line.isprintable() and conclusion.value.upper() in line and line.endswith("according to host:1")


def test_a_broken_signature_names_but_does_not_say_signed():
    found = lines(hard_binding=Check("hard binding", Outcome.FAIL, ""), conclusion=Conclusion.ALTERED)
    assert headline(found).signer == 'names "Jane" as signer, but the signature does not fit'


def test_json_and_csv_carry_the_headline(report, outputs, deployment):
    copy = media.encode(media.decode(outputs["image"].data, "image/png"), "image/jpeg", quality=90)
    derived = verify_bytes(copy, name="copy.jpg", context=deployment.context)
    assert report_dict(report)["headline"]["development_key"] is True
    assert report_dict(derived)["headline"]["ai"] == "recorded"
    rows = reports_csv([report, derived, NotVerified("away.png", "could not ask", 69)]).splitlines()
    assert rows[0].startswith("file,conclusion,media type,digest,ai,signer,trusted list,development key,time,change")
    assert next(csv.reader(rows[1:2]))[4:8] == ["signed", DEVELOPMENT, "own", "yes"]
    assert rows[3].startswith("away.png,not verified,") and "could not ask" in rows[3]


def test_a_proof_by_the_log_alone_says_so_and_names_its_development_key(deployment, tone):
    """Seen: "proved by recovery" in green, "signed by nobody", "credentials were removed and recovered"."""
    output = deployment.release(tone, "audio/ogg", marked=False, keep=False)
    context = dataclasses.replace(deployment.context, detectors={})  # nothing was marked
    found = verify_bytes(output.data, name="x", context=context)
    assert found.conclusion is Conclusion.PROVED_BY_RECOVERY
    first = headline(found)
    assert (first.verdict, first.tone) == ("proved by recovery, by a development key", Tone.OPEN)
    assert first.signer == f'named by the log "{deployment.bench.ring.origin}"'
    assert first.change == "the log names exactly these bytes"
