"""``gensafe verify`` on real files of every conclusion: exit codes, the one line, demands and reports."""

import csv
import io
import json
import re
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from gensafe import media
from gensafe.cli import main
from gensafe.core import ids, plugins
from gensafe.core.types import Conclusion, Modality
from gensafe.provenance import strip_a8
from gensafe.verify.conclusion import EXIT_CODES

SUBJECT = "CN=GenSafe development signer, O=GenSafe development"
CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


@pytest.fixture(scope="module")
def files(tmp_path_factory, deployment, outputs, picture_of, samples):
    """A file for each conclusion, by the conclusion."""
    folder = tmp_path_factory.mktemp("files")
    image = outputs["image"].data
    content = media.decode(image, "image/png")
    flipped = bytearray(outputs["audio"].data)
    flipped[3000] ^= 1
    scheme = plugins.load("gensafe.watermarks", "image")
    payload = ids.pack_payload(outputs["image"].record.record_id, 0)
    forged = scheme.embed(picture_of(seed=50), payload, deployment.bench.ring.watermark_key(Modality.IMAGE))
    as_photo, _ = deployment.bench.sign(
        media.encode(content, "image/jpeg", quality=95), "image/jpeg", digital_source_type=CAPTURE, soft_binding_alg=""
    )
    stranger = samples.make_bench(tmp_path_factory.mktemp("stranger"))
    foreign, _ = stranger.sign(media.encode(picture_of(seed=3), "image/png"), "image/png", soft_binding_alg="")
    hollow, _ = deployment.bench.sign(_broken_png(media.encode(content, "image/png")), "image/png", soft_binding_alg="")
    made = {
        Conclusion.PROVED: ("proved.png", image),
        Conclusion.PROVED_BY_RECOVERY: ("bare.txt", strip_a8(outputs["text"].data.decode()).encode()),
        Conclusion.DERIVED: ("copy.jpg", media.encode(content, "image/jpeg", quality=90)),
        Conclusion.ALTERED: ("altered.wav", bytes(flipped)),
        Conclusion.LAYERS_DISAGREE: ("photo.jpg", as_photo),
        Conclusion.TRANSPLANTED_MARK: ("forged.png", media.encode(forged, "image/png")),
        Conclusion.FOUND_UNTRUSTED: ("foreign.png", foreign),
        Conclusion.NOTHING_FOUND: ("plain.png", media.encode(picture_of(seed=70), "image/png")),
        Conclusion.UNEXAMINED: ("hollow.png", hollow),
        Conclusion.UNREADABLE: ("junk.bin", b"\x00\x01junk"),
    }
    for name, data in made.values():
        (folder / name).write_bytes(data)
    return {conclusion: folder / name for conclusion, (name, _) in made.items()}


def _broken_png(data):
    """The picture's data with one bit flipped: it can be signed, and cannot be decoded."""
    at = data.index(b"IDAT") + 40
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.fixture
def verify(deployment, capsys):
    """Runs the command on the deployment's data directory: (exit code, standard output, standard error)."""

    def run(*words):
        code = main(["verify", *map(str, words), "--data-dir", str(deployment.root)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


LINES = {  # what the one line of each conclusion says, after its name
    Conclusion.PROVED: r"PROVED, by a development key \| made by AI \(.+\) \| "
    rf'signed by "{SUBJECT}" \(this installation\) \| 20\S+ \| unchanged since it was signed',
    Conclusion.PROVED_BY_RECOVERY: r"PROVED BY RECOVERY, by a development key \| made by AI \| "
    rf'signed by "{SUBJECT}" \(this installation\) \| 20\S+ \| .*recovered; the content is unchanged',
    Conclusion.DERIVED: r"DERIVED \| carries this service's mark of AI output \| signed by nobody on your lists \| "
    r"no trusted time \| made from an output of this service; not shown to be unchanged.*",
    Conclusion.ALTERED: r"ALTERED \| claims to be made by AI, not proved \(.+\) \| "
    rf'names "{SUBJECT}" as signer, but the signature does not fit \| .+ \| The file was changed after it was signed.*',
    Conclusion.LAYERS_DISAGREE: r"LAYERS DISAGREE \| says it was captured, not made by AI \| signed by .*",
    Conclusion.TRANSPLANTED_MARK: r"TRANSPLANTED MARK \| AI not claimed \| signed by nobody on your lists \| "
    r"no trusted time \| The watermark is genuine, but .*",
    Conclusion.FOUND_UNTRUSTED: rf"FOUND BUT UNTRUSTED \| claims to be made by AI, not proved \(.+\) \| "
    rf'signed by "{SUBJECT}", who is on none of your lists \| .*',
    Conclusion.NOTHING_FOUND: r"NOTHING FOUND \| AI not claimed \| signed by nobody on your lists \| "
    r"no trusted time \| No manifest, .* does not mean that a person made it\.",
    Conclusion.UNEXAMINED: r"COULD NOT BE EXAMINED \| .* \| signed by .* \| .*nothing is proved.*",
    Conclusion.UNREADABLE: r"UNREADABLE \| The file is damaged, is not a media file.*",
}


@pytest.mark.parametrize("conclusion", list(Conclusion))
def test_the_exit_code_and_the_one_line_of_every_conclusion(conclusion, files, verify):
    """Before: 17 lines for each file, the development key in the sixth."""
    code, out, _ = verify(files[conclusion])
    assert code == EXIT_CODES[conclusion], out
    assert out.count("\n") == 1
    assert re.fullmatch(rf"{re.escape(str(files[conclusion]))}: {LINES[conclusion]}\n", out), out


def test_verbose_shows_the_layers_and_quiet_nothing(files, verify):
    code, out, _ = verify(files[Conclusion.PROVED], "-v")
    assert code == 0 and out.splitlines()[0].endswith("PROVED, by a development key")
    assert "log inclusion" in out and "soft binding" in out and "not needed: the file has its own manifest" in out
    for conclusion in (Conclusion.PROVED, Conclusion.ALTERED, Conclusion.UNREADABLE):
        assert verify(files[conclusion], "--quiet") == (EXIT_CODES[conclusion], "", "")
    assert verify(files[Conclusion.PROVED], "-q", "-v")[0] == 64


def test_quiet_says_nothing_without_a_data_directory_either(files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["verify", "-q", str(files[Conclusion.FOUND_UNTRUSTED])]) == 4
    assert capsys.readouterr() == ("", "")


def test_standard_input(files, verify, monkeypatch):
    data = files[Conclusion.PROVED].read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    code, out, _ = verify("-")
    assert code == 0 and out.startswith("-: PROVED")


def test_colour_on_terminals_only_and_not_where_it_is_unwanted(files, verify, monkeypatch):
    """A development key is amber, not green."""
    assert "\x1b" not in verify(files[Conclusion.PROVED])[1]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[1;33mPROVED, by a development key\x1b[0m" in verify(files[Conclusion.PROVED])[1]
    assert "\x1b[1;31mALTERED\x1b[0m" in verify(files[Conclusion.ALTERED])[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in verify(files[Conclusion.PROVED])[1]


def test_several_files_end_with_a_summary_and_the_reports_can_be_had_together(files, verify, tmp_path):
    """Before: --junit was refused beside --json, and there was no table."""
    table, suite = tmp_path / "t.csv", tmp_path / "s.xml"
    code, out, _ = verify(*files.values())
    last = out.splitlines()[-1]
    assert code == 1 and len(out.splitlines()) == len(files) + 1
    assert last.startswith("10 files: ") and "1 proved by a development key" in last and "1 altered" in last
    code, out, _ = verify(*files.values(), "--json", "--csv", table, "--junit", suite)
    assert code == 1 and len(json.loads(out)) == 10
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [row["conclusion"] for row in rows] == [c.value for c in files]
    assert {row["development key"] for row in rows[:2]} == {"yes"} and rows[4]["ai"] == "captured"
    assert ElementTree.parse(suite).getroot().get("tests") == "10"


@pytest.mark.parametrize("option", ["--csv", "--junit"])
def test_a_report_that_cannot_be_written_is_74_and_a_dash_is_refused(option, files, verify, tmp_path):
    assert verify(files[Conclusion.PROVED], option, tmp_path / "none" / "f")[0] == 74
    code, _, err = verify(files[Conclusion.PROVED], option, "-")
    assert code == 64 and option in err


@pytest.fixture
def fingerprint(outputs):
    return outputs["image"].manifest.signer_fingerprint


def test_a_signer_can_be_demanded_by_subject_and_by_fingerprint(files, verify, fingerprint):
    digits = fingerprint.removeprefix("sha256:").upper()
    spaced = ":".join(digits[i : i + 2] for i in range(0, 64, 2))
    for signer in (SUBJECT, fingerprint, digits, spaced):
        assert verify(files[Conclusion.PROVED], "--signer", signer)[0] == 0, signer
    assert verify(files[Conclusion.PROVED_BY_RECOVERY], "--signer", SUBJECT)[0] == 0
    assert verify(files[Conclusion.PROVED], "--signer", "CN=Other", "--signer", SUBJECT)[0] == 0
    code, out, _ = verify(files[Conclusion.PROVED], "--signer", "CN=Other")
    assert code == 1 and f"--signer is not met: signed by {SUBJECT}" in out
    # the stranger's certificate has the same subject, and a name below no trusted root is nobody's
    code, out, _ = verify(files[Conclusion.FOUND_UNTRUSTED], "--signer", SUBJECT)
    assert code == 1 and "not proved" in out
    assert verify(files[Conclusion.PROVED], "--signer", "sha256:abc")[0] == 64
    assert verify(files[Conclusion.PROVED], "--signer", "")[0] == 64


def test_a_pinned_certificate_does_not_make_an_unknown_signer_trusted(files, verify):
    _, out, _ = verify(files[Conclusion.FOUND_UNTRUSTED], "--json")
    line = next(c for c in json.loads(out)[0]["checks"] if c["name"] == "claim signature")
    assert verify(files[Conclusion.FOUND_UNTRUSTED], "--signer", line["evidence"]["fingerprint"])[0] == 4


def test_requirements_say_which_is_not_met(files, verify):
    assert verify(files[Conclusion.PROVED], "--require", "marked,logged,time-stamped")[0] == 0
    code, out, _ = verify(files[Conclusion.PROVED_BY_RECOVERY], "--require", "logged, marked")
    assert code == 1 and "--require marked is not met: watermark: " in out and "logged is not met" not in out
    code, out, _ = verify(files[Conclusion.DERIVED], "--require", "marked", "--json")
    (found,) = json.loads(out)
    assert code == 1 and found["exit_code"] == 1 and found["conclusion"] == "derived"
    assert found["unmet"] == ["--require marked is not met: not proved: derived"]
    for bad in ("signed", "", "marked,"):
        code, _, err = verify(files[Conclusion.PROVED], "--require", bad)
        assert code == 64 and "--require" in err


def test_what_was_not_examined_keeps_its_own_code_under_a_demand(files, verify):
    for conclusion in (Conclusion.UNREADABLE, Conclusion.UNEXAMINED):
        code, out, _ = verify(files[conclusion], "--require", "marked")
        assert code == 3 and "--require marked is not met" in out


def test_a_policy_file(files, verify, tmp_path, deployment):
    """Before: ``load_policy`` had no caller in the command line."""
    policy = tmp_path / "policy.toml"
    policy.write_text(
        f'[[require]]\npolicy = "TrustedList"\nnames = ["own"]\n'
        f'[[require]]\npolicy = "LoggedIn"\norigin = "{deployment.bench.ring.origin}"\n'
        f'[[require]]\npolicy = "SignedByName"\nsubjects = ["{SUBJECT}"]\n[[require]]\npolicy = "TimeStamped"\n'
    )
    suite = tmp_path / "s.xml"
    assert verify(files[Conclusion.PROVED], "--policy", policy, "--junit", suite)[0] == 0
    assert ElementTree.parse(suite).getroot().get("failures") == "0"
    policy.write_text('[[require]]\npolicy = "TrustedList"\nnames = ["others"]\n')
    code, out, _ = verify(files[Conclusion.PROVED], "--policy", policy, "--junit", suite)
    assert code == 1 and "--policy is not met: the signer is on the list 'own'" in out
    assert ElementTree.parse(suite).getroot().get("failures") == "1"
    policy.write_text("[[require]]\npolicy = 'Nothing'\n")
    assert verify(files[Conclusion.PROVED], "--policy", policy)[0] == 64
    assert verify(files[Conclusion.PROVED], "--policy", tmp_path / "none.toml")[0] == 64


def test_any_conclusion_can_be_a_failure(files, verify):
    assert verify(files[Conclusion.NOTHING_FOUND], "--fail-on", "nothing-found")[0] == 1
    assert verify(files[Conclusion.DERIVED], "--fail-on", "nothing-found,derived")[0] == 1
    assert verify(files[Conclusion.UNREADABLE], "--fail-on", "unreadable")[0] == 1
    assert verify(files[Conclusion.DERIVED], "--fail-on", "nothing-found")[0] == 5
    code, _, err = verify(files[Conclusion.DERIVED], "--fail-on", "nothing")
    assert code == 64 and "found-but-untrusted" in err
