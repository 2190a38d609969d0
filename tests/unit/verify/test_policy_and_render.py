"""Policies that raise, and reports that cannot hurt whoever shows them."""

import csv
import io
import json
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gensafe import media
from gensafe.core.errors import ConfigError, VerificationError
from gensafe.core.types import Check, Conclusion, Outcome, VerificationReport
from gensafe.core.types.caller import Public
from gensafe.provenance import strip_a8
from gensafe.verify import verify_bytes
from gensafe.verify.policy import (
    AllOf,
    AnyOf,
    GeneratedAfter,
    LoggedIn,
    MarkedWith,
    Proved,
    SignedBy,
    TrustedList,
    load_policy,
)
from gensafe.verify.render import (
    NotVerified,
    escape_csv,
    escape_html,
    escape_terminal,
    junit,
    report_dict,
    report_text,
    reports_csv,
    reports_json,
)

NASTY = '=cmd|"/C calc"!A0<script>alert(1)</script>\u202e\x1b]0;x\x07\x00&"'


@pytest.fixture(scope="module")
def report(outputs, deployment):
    return verify_bytes(outputs["image"].data, name="image.png", context=deployment.context)


@pytest.fixture(scope="module")
def recovered(outputs, deployment):
    copy = media.encode(media.decode(outputs["image"].data, "image/png"), "image/jpeg", quality=90)
    return verify_bytes(copy, name="copy.jpg", context=deployment.context)


def policies(outputs, ring):
    return [
        Proved(),
        SignedBy((outputs["image"].manifest.signer_fingerprint,)),
        TrustedList(("own",)),
        MarkedWith(),
        LoggedIn(ring.origin),
        GeneratedAfter("2026-01-01T00:00:00Z"),
    ]


def test_each_policy_accepts_what_it_should(report, outputs, ring):
    for policy in policies(outputs, ring):
        policy.verify(report)
    AllOf(policies(outputs, ring)).verify(report)


def test_no_policy_accepts_a_copy_that_is_only_like_the_output(recovered, outputs, ring):
    for policy in policies(outputs, ring):
        with pytest.raises(VerificationError):
            policy.verify(recovered)


def test_policies_accept_a_text_whose_manifest_was_recovered_exactly(outputs, deployment, ring):
    bare = strip_a8(outputs["text"].data.decode()).encode()
    exact = verify_bytes(bare, name="x", context=deployment.context)
    assert exact.conclusion is Conclusion.PROVED_BY_RECOVERY
    for policy in (Proved(), TrustedList(("own",)), LoggedIn(ring.origin), GeneratedAfter("2026-01-01T00:00:00Z")):
        policy.verify(exact)


def test_each_policy_refuses_what_it_should(report, outputs, deployment, ring):
    for policy in (
        SignedBy(("sha256:" + "0" * 64,)),
        TrustedList(("others",)),
        MarkedWith(scheme="other"),
        MarkedWith(p_value=0.0),
        LoggedIn("other.example"),
        GeneratedAfter("2099-01-01T00:00:00Z"),
        AnyOf([TrustedList(("others",)), LoggedIn("other.example")]),
        AllOf([Proved(), TrustedList(("others",))]),
    ):
        with pytest.raises(VerificationError):
            policy.verify(report)
    AnyOf([TrustedList(("others",)), Proved()]).verify(report)
    damaged = bytearray(outputs["image"].data)
    damaged[-40_000] ^= 1
    altered = verify_bytes(bytes(damaged), name="x", context=deployment.context)
    for policy in policies(outputs, ring):
        with pytest.raises(VerificationError):
            policy.verify(altered)


def test_empty_policies_are_refused():
    for make in (
        lambda: AllOf([]),
        lambda: AnyOf([]),
        lambda: SignedBy(()),
        lambda: SignedBy(("abc",)),
        lambda: TrustedList(()),
        lambda: LoggedIn(""),
        lambda: GeneratedAfter("yesterday"),
        lambda: GeneratedAfter("2026-01-01T00:00:00"),
    ):
        with pytest.raises(ConfigError):
            make()


def test_policy_file(report, ring):
    text = f"""
    [[require]]
    policy = "TrustedList"
    names = ["own"]
    [[require]]
    policy = "AnyOf"
    policies = [{{policy = "LoggedIn", origin = "elsewhere"}}, {{policy = "LoggedIn", origin = "{ring.origin}"}}]
    """
    load_policy(text).verify(report)
    with pytest.raises(VerificationError):
        load_policy(text.replace("own", "others")).verify(report)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not toml",
        "require = []",
        "require = 1",
        "[[require]]\npolicy = 'Nothing'",
        "[[require]]\npolicy = 'LoggedIn'",
        "[[require]]\npolicy = 'LoggedIn'\norigin = 1",
        "[[require]]\npolicy = 'Proved'\nextra = 1",
        "[[require]]\npolicy = 'AnyOf'\npolicies = []",
        "[[require]]\npolicy = 'SignedBy'\nfingerprints = [1]",
        "other = 1\n[[require]]\npolicy = 'Proved'",
    ],
)
def test_bad_policy_files(text):
    with pytest.raises(ConfigError):
        load_policy(text)


# --- rendering -------------------------------------------------------------------------------------------------------


def hostile():
    return VerificationReport(
        name=NASTY,
        conclusion=Conclusion.ALTERED,
        explanation=NASTY,
        checks=(
            Check("manifest", Outcome.PASS, NASTY, {"title": NASTY, "odd": object(), "difference": [NASTY]}),
            Check("watermark", Outcome.PASS, "p ≤ 1e-12", {"p_value": 1e-12}),
        ),
        media_type=NASTY,
    )


def test_no_sink_is_reached_by_hostile_text():
    report = hostile()
    for text in (report_text(report), reports_csv([report]), junit([report])):
        assert not set("\x1b\x07\x00\u202e") & set(text)
    assert "<script>" not in junit([report])
    rows = list(csv.reader(io.StringIO(reports_csv([report]))))
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows[1:] for cell in row)
    suite = ElementTree.fromstring(junit([report]))
    assert suite.get("failures") == "1"
    assert json.loads(reports_json([report]))[0]["checks"][0]["evidence"]["title"] == NASTY
    assert reports_json([report]).isascii()


@given(st.text(max_size=400))
def test_escapes_hold_for_any_text(text):
    shown = escape_terminal(text)
    assert all(c.isprintable() for c in shown)
    assert not set("<>\"'") & set(escape_html(text))
    assert not escape_csv(text).startswith(("=", "+", "-", "@", "|", "%"))
    assert len(shown) <= 301 * 8


def test_public_view_has_no_scores_and_no_names(outputs, deployment, report, recovered):
    copy = media.encode(media.decode(outputs["image"].data, "image/png"), "image/jpeg", quality=90)
    for data, full in ((outputs["image"].data, report), (copy, recovered)):
        shown = verify_bytes(data, name="x", context=deployment.context, scope=Public())
        text = json.dumps(report_dict(shown))
        for word in (
            "p_value",
            "similarity",
            "p \\u2264",
            "difference",
            "recordId",
            "record_id",
            "moderation",
            "prompt",
        ):
            assert word not in text, word
        assert shown.crjson == ""
        assert shown.conclusion is full.conclusion


def test_text_report_names_conclusion_first(report):
    lines = report_text(report).splitlines()
    assert lines[0] == "image.png: PROVED, by a development key"
    assert any(line.split()[:1] == ["ok"] and "log inclusion" in line for line in lines)


def test_junit_of_good_files(report, recovered):
    suite = ElementTree.fromstring(junit([report, recovered]))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    lax = ElementTree.fromstring(junit([recovered], fail_on=[Conclusion.ALTERED]))
    assert lax.get("failures") == "0"


def test_a_server_that_was_not_reached_is_no_verdict_about_the_file(report):
    away = NotVerified("x.png", "could not ask 127.0.0.1:1: connection refused", 69)
    assert report_text(away).splitlines()[0] == "x.png: NOT VERIFIED"
    assert report_dict(away, "h:1") == {"name": "x.png", "error": away.reason, "exit_code": 69, "according_to": "h:1"}
    suite = ElementTree.fromstring(junit([report, away], source="h:1"))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "0", "1")
    assert "according to h:1" in report_text(report, "h:1").splitlines()[0]
