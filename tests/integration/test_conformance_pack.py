"""``gensafe conformance make``: what the pack says is what was run, and what was not run is said."""

from __future__ import annotations

import json

import pytest

from gensafe.cli import main
from gensafe.cli.conformance import rubrics
from gensafe.cli.conformance.pack import CONFIGURED, STAND_IN, Pack, Sample
from gensafe.core.errors import InvalidRequest

EVALUATORS = {  # stand-ins for the programme's own, which are not part of this repository
    "c2pa_conformance_rubric_evaluator": "def evaluate_asset_against_rubric(rubric, data_dict):\n"
    "    print('noise')\n"
    "    found = {'validation': [{'trait': t} for t in data_dict['held']]}\n"
    "    return {'rubricName': rubric, 'true': found, 'false': {'x': [{'trait': t} for t in data_dict['failed']]}}\n",
    "c2pa_signals_rubric_evaluator": "import json_formula\n\n\ndef evaluate_asset(rubric, data_dict):\n"
    "    return {'manifests': [{'localInceptions': [{'trait': 'fullyGenAIMedia'}]}]}\n",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory, write_config):
    """(folder of a pack of pictures, exit code, its pack.json)."""
    folder = tmp_path_factory.mktemp("conformance")
    out, data = folder / "pack", folder / "data"
    config = str(write_config(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gensafe.cli.conformance.sbom.find_spec", lambda _name: None)
        where = ("--out", str(out), "--config", config, "--data-dir", str(data))
        code = main(["conformance", "make", *where, "--modality", "image"])
    return out, code, json.loads((out / "pack.json").read_text())


def by_kind(contents):
    return {sample["kind"]: sample for sample in contents["samples"]}


def crjson(out, sample):
    return json.loads((out / sample["crjson"]).read_text())["manifests"][0]


def test_every_kind_of_sample_comes_out_as_it_must(made):
    out, code, contents = made
    assert code == 0
    assert [s for s in contents["samples"] if s["got"] != s["wanted"]] == []
    assert set(by_kind(contents)) == {"created", "edited", "composed", "recovered", "revoked", "expired"}
    created = {s["media_type"] for s in contents["samples"] if s["kind"] == "created"}
    assert created == {"image/png", "image/jpeg", "image/webp"}
    for sample in contents["samples"]:
        assert (out / sample["file"]).stat().st_size > 1000 and (out / sample["report"]).is_file()
        assert json.loads((out / sample["report"]).read_text())["conclusion"] == sample["got"]


def test_edits_and_composites_carry_their_sources(made):
    out, _, contents = made
    kinds = by_kind(contents)

    def said(kind):
        manifest = crjson(out, kinds[kind])
        assertions = manifest["assertions"]
        of = [a["relationship"] for n, a in assertions.items() if n.startswith("c2pa.ingredient")]
        return [a["action"] for a in assertions["c2pa.actions.v2"]["actions"]], of

    actions, of = said("edited")
    assert actions[:2] == ["c2pa.opened", "c2pa.edited"] and of.count("parentOf") == 1
    actions, of = said("composed")
    assert actions[:2] == ["c2pa.created", "c2pa.placed"] and of.count("componentOf") == 2


def test_the_expired_certificate_has_ended_and_the_revoked_one_has_not(made):
    out, _, contents = made
    kinds = by_kind(contents)
    reports = {k: json.loads((out / kinds[k]["report"]).read_text()) for k in ("revoked", "expired")}
    assert kinds["revoked"]["signer"] == kinds["expired"]["signer"] == STAND_IN
    assert kinds["revoked"]["got"] == "found but untrusted" and "revoked" in json.dumps(reports["revoked"])
    assert kinds["expired"]["got"] == "proved"
    codes = [s["code"] for s in crjson(out, kinds["expired"])["validationResults"]["success"]]
    assert "timeStamp.trusted" in codes
    assert "trusted by nobody" in json.dumps(crjson(out, kinds["expired"])["signature"])


def test_what_was_not_run_is_said_everywhere(made):
    out, _, contents = made
    left_out = {o["what"] for o in contents["omissions"]}
    assert {"rubric results", "SBOM", "audio samples"} <= left_out
    readme, left = (out / "README.md").read_text(), (out / "to-do.md").read_text()
    for what in left_out:
        assert f"- {what}: " in readme and f"Not in this pack: {what}: " in left
    assert "## Rubrics\n\nNot run." in readme and contents["components"] == 0
    assert "no SBOM is in this pack" in (out / "security-architecture.md").read_text()


def test_documents_say_what_is_configured(made):
    out, _, _ = made
    said = (out / "security-architecture.md").read_text()
    assert "`[signing] provider = 'file'`: the private key is in the key ring on disk" in said
    assert "as sampled here: image/jpeg, image/png, image/webp." in said
    left = (out / "to-do.md").read_text()
    assert "development key" in left and "not sealed" in left and "No outside authority" in left
    assert (out / "trust" / "signers.pem").read_bytes() != (out / "trust" / "stand-in-signers.pem").read_bytes()


def test_a_folder_with_something_in_it_is_refused(made, capsys):
    out, _, _ = made
    assert main(["conformance", "make", "--out", str(out)]) == 64
    assert "--out" in capsys.readouterr().err


def pack(tmp_path, held=("a", "b"), failed=(), signer=CONFIGURED, kind="created", medium="image"):
    (tmp_path / "x.json").write_text(json.dumps({"held": held, "failed": failed}))
    made = Pack(tmp_path, lambda _line: None, lambda _stage, _done, _total: None)
    made.samples.append(Sample("x", kind, medium, "", "x", signer, "proved", "proved", "", crjson="x.json"))
    return made


@pytest.fixture(scope="module")
def evaluators(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rubrics")
    for name, code in EVALUATORS.items():
        (folder / f"{name}.py").write_text(code)
    (folder / "formula" / "json_formula").mkdir(parents=True)
    return str(folder), str(folder / "formula")


def test_a_failed_trait_of_a_rubric_is_counted(tmp_path, evaluators):
    rubrics.check(*evaluators)
    made = pack(tmp_path, failed=("binding",))
    rubrics.run(made, *evaluators)
    assert [(r.rubric, r.held, r.failed) for r in made.rubrics] == [
        (rubrics.CONFORMANCE, 2, ("binding",)),
        (rubrics.INTEGRITY, 2, ("binding",)),
        (rubrics.LOCAL_SIGNALS, 1, ()),
    ]
    assert len(made.unexpected()) == 2 and made.omissions == []
    assert json.loads((tmp_path / made.rubrics[0].file).read_text())["false"] == {"x": [{"trait": "binding"}]}


def test_the_known_contradiction_is_named_and_no_failure(tmp_path, evaluators):
    made = pack(tmp_path, failed=("is_text_asset",), medium="text")
    rubrics.run(made, *evaluators)
    text = next(r for r in made.rubrics if r.rubric == rubrics.TEXT)
    assert text.known == ("is_text_asset",) and text.failed == ()
    assert next(r for r in made.rubrics if r.rubric == rubrics.CONFORMANCE).failed == ("is_text_asset",)


@pytest.mark.parametrize("changes", [{"signer": STAND_IN}, {"kind": "recovered"}])
def test_samples_that_are_wrong_on_purpose_are_not_held_against_rubrics(tmp_path, evaluators, changes):
    made = pack(tmp_path, **changes)
    rubrics.run(made, *evaluators)
    assert made.rubrics == []


def test_evaluators_that_fail_are_an_omission(tmp_path, evaluators):
    made = pack(tmp_path)
    rubrics.run(made, evaluators[0], str(tmp_path))  # no json_formula there
    assert made.rubrics == [] and "json_formula" in made.omissions[0].reason


def test_folders_that_cannot_be_it_are_refused(tmp_path, evaluators):
    for given in ((evaluators[0], None), (None, evaluators[1]), (str(tmp_path), evaluators[1])):
        with pytest.raises(InvalidRequest):
            rubrics.check(*given)


def test_the_bill_lists_this_product(tmp_path):
    pytest.importorskip("cyclonedx_py")
    from gensafe.cli.conformance import sbom

    made = pack(tmp_path)
    sbom.make(made)
    bill = json.loads((tmp_path / sbom.FILE).read_text())
    assert bill["bomFormat"] == "CycloneDX" and made.components == len(bill["components"])
    assert {"gensafe", "c2pa-python", "cryptography"} <= {c["name"] for c in bill["components"]}
