"""The text benchmark measures what it says: leaks, early stops, thresholds; it runs on a folder it has never seen."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest

import benchmarks.text_safety.__main__ as text_safety
from benchmarks.text_safety.accuracy import reliability, thresholds
from benchmarks.text_safety.cards import interval
from benchmarks.text_safety.contrastive.everyday import everyday_texts
from benchmarks.text_safety.sets import Row
from benchmarks.text_safety.streams import _leaks
from benchmarks.text_safety.systems import KeptEncoder
from gensafe.core.types import Assessment, ClassifierId, Coverage, Finding, Modality
from gensafe.safety import SafetyRunner
from gensafe.safety.cards import WEIGHTS
from gensafe.safety.encoder import Encoder
from gensafe.safety.policy import load_policy, parse_policy
from gensafe.safety.rule import StreamParameters


class Finder:
    """Finds a word; ``late`` only sees it when the text has ended."""

    name = "finder"
    modality = Modality.TEXT

    def __init__(self, word, late=False):
        self.word, self.late = word, late

    def identity(self):
        return ClassifierId(self.name, "1")

    def card(self):
        raise NotImplementedError

    def assess(self, item, stage):
        hit = re.search(rf"\b{self.word}\b", item.text) and (not self.late or "omega" in item.text)
        found = (Finding("tox", 1.0, self.name),) if hit else ()
        n = len(item.text)
        return Assessment(found, (Coverage(self.name, "characters", n, n),))


def leaks(finder, hold):
    runner = SafetyRunner(parse_policy("[default]\nreview = 0.5\nblock = 0.8\n"), {Modality.TEXT: [finder]})
    before, after = " ".join(f"before{i}" for i in range(60)), " ".join(f"after{i}" for i in range(99)) + " omega"
    return _leaks(runner, StreamParameters(200, hold, 10, 0), [(before, "BAD very bad", after)])


def test_a_stream_caught_in_time_a_late_one_and_a_false_alarm_are_told_apart():
    caught = leaks(Finder("BAD"), 40)
    assert (caught["caught"], caught["zero_leak"], caught["words_leaked"], caught["too_early"]) == (1, 1, 0, 0)
    late = leaks(Finder("BAD", late=True), 20)
    assert (late["caught"], late["zero_leak"], late["words_leaked"]) == (1, 0, 3)
    early = leaks(Finder("before20"), 40)
    assert (early["caught"], early["too_early"]) == (0, 1)
    missed = leaks(Finder("nothing"), 40)
    assert (missed["caught"], missed["too_early"], missed["streams"]) == (0, 0, 1)


def test_thresholds_are_reported_with_recall_precision_and_false_alarms():
    policy = load_policy()
    limit = policy.categories["tox"]["block"]
    rows = [Row("a", True, {"tox": True}), Row("b", True, {"tox": True}), Row("c", True, {})]
    scores = {"a": limit, "b": limit - 0.5, "c": 1.0, "x": 1.0, "y": 0.0}
    found = thresholds(rows, ["x", "y"], lambda texts: [{"tox": scores[t]} for t in texts], policy)["tox"]
    assert (found["positive"], found["negative"]) == (2, 2)  # nobody knows what kind of harm c is
    assert found["block"]["recall"][0] == 0.5 and found["block"]["false_alarms"][0] == 0.5
    assert found["block"]["precision"] == 0.5 and found["block"]["threshold"] == limit


def test_reliability_of_scores_that_are_right_is_perfect():
    rows = [Row("yes", True, {}), Row("no", False, {})] * 10
    found = reliability(rows, lambda texts: [{"tox": float(t == "yes")} for t in texts])
    assert found["expected_calibration_error"] == 0.0
    found = reliability(rows, lambda texts: [{"tox": 0.9} for _ in texts])
    assert found["expected_calibration_error"] == pytest.approx(0.4)


def test_kept_features_are_the_encoders_own(tmp_path):
    model = (WEIGHTS / "text_encoder.onnx").read_bytes()
    words = (WEIGHTS / "text_encoder.vocab.txt").read_text(encoding="utf-8").splitlines()
    plain = Encoder(model, words)
    for _ in range(2):  # written, then read by another instance
        kept = KeptEncoder(model, words, tmp_path / "deep" / "features.sqlite")
        assert np.array_equal(kept.features([plain.encode("a river")]), plain.features([plain.encode("a river")]))
    assert not np.array_equal(kept.features([plain.encode("a lake")]), plain.features([plain.encode("a river")]))


def test_a_folder_it_has_never_seen(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "new"
    folder.mkdir()
    lines = [["You are a worthless stupid idiot and everybody hates you", "schlimm", "insult"]] * 12
    lines += [[t, "gut", ""] for t in everyday_texts()[:20]]
    (folder / "odd.tsv.csv").write_text("body\tverdict\tkind\n" + "\n".join("\t".join(r) for r in lines))
    (folder / "mapping.toml").write_text(
        '[[set]]\nfile = "odd.tsv.csv"\nname = "odd"\ntext = "body"\nlabel = "verdict"\npositive = ["schlimm"]\n'
        'delimiter = "\\t"\ncategory_column = "kind"\ncategory_values = { insult = "tox" }\n'
    )
    out = tmp_path / "out.json"
    arguments = ["--data", str(folder), "--quick", "--json", str(out), "--cache", str(tmp_path / "f.sqlite")]
    monkeypatch.setattr(sys, "argv", ["text_safety", *arguments])
    assert text_safety.main() == 0
    entry = json.loads(out.read_text())["sets"]["odd"]["default stack"]
    assert entry["auprc"][0] > 0.95 and entry["categories"]["tox"]["positive"] == 12
    assert entry["operating"]["block"]["recall"][0] == 1.0 and "AUPRC" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["text_safety", "--data", str(tmp_path / "none"), "--cache", str(tmp_path / "f")])
    assert text_safety.main() == 64
    assert "no labelled rows" in capsys.readouterr().err


def test_intervals_are_written_with_their_bounds():
    assert interval([0.5, 0.25, 0.75]) == "0.500 [0.250, 0.750]"


def test_thresholds_are_low_where_that_costs_nothing_and_high_where_it_would():
    pytest.importorskip("scipy")
    from training.text_classifiers.thresholds import CATEGORIES, GRID, chosen, lowest

    tox, vcr = CATEGORIES.index("tox"), CATEGORIES.index("vcr")
    nothing = np.zeros((100, len(CATEGORIES)))
    twins, alike = nothing.copy(), nothing.copy()
    twins[:, tox], twins[:, vcr] = 0.7, 0.8
    alike[:30, tox] = 0.75  # at a threshold that catches the twins by tox, 30 % of the look-alikes would go
    own = [twins] * len(CATEGORIES)
    found = chosen(alike, twins, nothing, own, (0.05, 0.002), lowest("block"))
    assert found[tox] > 0.75 and found[vcr] <= 0.8
    assert ((found >= lowest("block")) & (found <= GRID[-1])).all()


def test_a_run_in_parts_goes_on_where_an_earlier_one_of_the_same_kind_stopped(tmp_path):
    fresh = {"version": 3, "parameters": {"limit": 5}}
    kept = tmp_path / "out.json"
    assert text_safety._continued(fresh, kept) is fresh
    kept.write_text(json.dumps({**fresh, "benign": {"n": 1}}))
    assert text_safety._continued(fresh, kept)["benign"] == {"n": 1}
    assert text_safety._continued({**fresh, "parameters": {"limit": 6}}, kept) == {
        "version": 3,
        "parameters": {"limit": 6},
    }
    kept.write_text("{")
    assert text_safety._continued(fresh, kept) is fresh
