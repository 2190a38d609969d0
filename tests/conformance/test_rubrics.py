"""Every container that we write keeps the rules of C2PA 2.4 and of the conformance programme 0.2.

Our own rules always run. The programme's rubrics (c2pa-org/conformance-public, ``asset-rubrics``, CC BY 4.0) run where
``TEST_C2PA_RUBRICS`` names that folder and ``TEST_JSON_FORMULA`` the ``src`` of adobe/json-formula-py, which its
evaluators need.
"""

import contextlib
import copy
import importlib.util
import io
import json
import os
import sys
from pathlib import Path

import pytest

from gensafe.provenance import read_asset

_spec = importlib.util.spec_from_file_location("rules", Path(__file__).with_name("rules.py"))
rules = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(rules)

RUBRICS = os.environ.get("TEST_C2PA_RUBRICS", "")
FORMULA = os.environ.get("TEST_JSON_FORMULA", "")
TYPES = (
    *("image/png", "image/jpeg", "image/webp", "audio/wav", "audio/mpeg", "audio/flac", "video/mp4"),
    *("text/plain", "application/json", "audio/ogg"),
)
# The text rubric wants the media type in a parameter "dc:format" of the first action; the conformance rubric refuses
# parameters without a name space, this one by name. The claim of C2PA 2.4 has no such field. The stricter one is kept.
CONTRADICTION = {"is_text_asset"}


@pytest.fixture(scope="module")
def crjson(signed, bench):
    """crJSON of a signed file, by media type."""
    found = {}
    for media_type, (data, manifest) in signed.items():
        sidecar = None if manifest.embedded else manifest.data
        found[media_type] = json.loads(read_asset(data, media_type, sidecar=sidecar, trust=bench.trust).crjson)
    return found


def test_every_container_is_covered(crjson):
    assert set(crjson) == set(TYPES)


@pytest.mark.parametrize("media_type", TYPES)
def test_no_rule_is_broken(crjson, media_type):
    assert rules.broken(crjson[media_type]) == []


def test_the_crjson_of_a_changed_text_still_says_so(signed, bench):
    data, _ = signed["text/plain"]
    changed = read_asset(b"X" + data[1:], "text/plain", trust=bench.trust)
    assert any("Hash.mismatch" in line for line in rules.broken(json.loads(changed.crjson)))


def _set(path, value):
    def change(manifest):
        for step in path[:-1]:
            manifest = manifest[step]
        manifest[path[-1]] = value

    return change


ACTIONS = ("assertions", "c2pa.actions.v2")
BREAKS = {
    "8.1": _set(("label",), "urn:uuid:1"),
    "specVersion": _set(("claim.v2", "claim_generator_info", "specVersion"), ""),
    "names the generator": _set(("claim.v2", "claim_generator_info", "name"), ""),
    "13.1": _set(("claim.v2", "alg"), "md5"),
    "18.15.2": _set((*ACTIONS, "actions", 0, "action"), "c2pa.edited"),
    "opened has no digital source type": _set((*ACTIONS, "actions", 0, "action"), "c2pa.opened"),
    "18.15.3": _set((*ACTIONS, "allActionsIncluded"), False),
    "18.15.4.7": _set((*ACTIONS, "actions", 0, "parameters"), {"dc:format": "image/png"}),
    "18.10": _set((*ACTIONS, "actions", 1, "action"), "c2pa.edited"),
    "9.2": _set(("assertions", "c2pa.hash.boxes"), {}),
    "18.16.3": _set(("assertions", "c2pa.ingredient.v3", "relationship"), "friendOf"),
    "15: x": _set(("validationResults", "failure"), [{"code": "x"}]),
    "timeStamp.trusted": _set(("validationResults", "success"), []),
}


@pytest.mark.parametrize("clause", sorted(BREAKS))
def test_each_rule_can_be_broken(crjson, clause):
    changed = copy.deepcopy(crjson["image/png"])
    BREAKS[clause](changed["manifests"][0])
    assert any(clause in line for line in rules.broken(changed))


@pytest.fixture(scope="module")
def evaluators():
    """(conformance, signals): the programme's own evaluators."""
    with pytest.MonkeyPatch.context() as patch:
        for folder in (RUBRICS, FORMULA):
            patch.syspath_prepend(folder)
        yield (
            importlib.import_module("c2pa_conformance_rubric_evaluator"),
            importlib.import_module("c2pa_signals_rubric_evaluator"),
        )
        for name in [n for n in sys.modules if n.startswith(("c2pa_conformance", "c2pa_signals", "json_formula"))]:
            del sys.modules[name]


def _quietly(call, *arguments, **options):
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        return call(*arguments, **options)


@pytest.mark.skipif(not (RUBRICS and FORMULA), reason="TEST_C2PA_RUBRICS and TEST_JSON_FORMULA are not set")
@pytest.mark.parametrize("media_type", TYPES)
def test_the_programmes_rubrics_find_nothing(crjson, evaluators, media_type):
    conformance, signals = evaluators
    names = ["asset-rubric-conformance0.2-spec2.4.yml", "asset-rubric-integrity.yml"]
    names += ["asset-rubric-text-conformance.yml"] if media_type == "text/plain" else []
    for name in names:
        said = _quietly(
            conformance.evaluate_asset_against_rubric, str(Path(RUBRICS, name)), data_dict=crjson[media_type]
        )
        passed = [t for found in said["true"].values() for t in found]
        others = {key: found for key, found in said.items() if key not in ("rubricName", "rubricVersion", "true")}
        wrong = {t["trait"] for groups in others.values() for found in groups.values() for t in found}
        assert wrong - (CONTRADICTION if "text" in name else set()) == set(), others
        assert len(passed) >= 5
    local = Path(RUBRICS, "asset-rubric-signals-local.yml")
    said = _quietly(signals.evaluate_asset, str(local), data_dict=crjson[media_type])
    assert "signal_fullyGenAIMedia" in json.dumps(said)
