"""``gensafe policy``: check, diff and explain say what the policy does."""

from __future__ import annotations

import json

from gensafe.cli import main
from gensafe.core.types import Modality, Stage
from gensafe.safety.explain import check, diff, explain
from gensafe.safety.policy import parse_policy

ONE = '[classifiers]\ntext = ["text_rules"]\n[categories.pii]\nreview = 0.5\nblock = 0.5\n'


def test_diff_names_what_changes_and_where():
    two = ONE.replace("block = 0.5", "block = 0.7") + '[categories.tox.prompt]\nblock_action = "annotate"\n'
    lines = list(diff(parse_policy(ONE), parse_policy('version = "2"\n' + two)))
    assert "version: 0 -> 2" in lines
    assert any(line.startswith("pii (everywhere): block from 0.5 -> review from 0.5, block from 0.7") for line in lines)
    assert any(line.startswith("tox (text prompt, text prompt stream, image prompt") for line in lines)
    assert list(diff(parse_policy(ONE), parse_policy(ONE + "\n# same\n"))) == []


def test_check_names_rules_that_nothing_reports_and_modalities_without_classifiers():
    problems = check(parse_policy('mode = "monitor"\n' + ONE + "[categories.sxc]\nblock = 0.9\n"))
    assert any(p.startswith("monitor mode") for p in problems)
    assert any(p.startswith("image: no classifier") for p in problems)
    assert any(p.startswith("sxc: a rule, but no classifier") for p in problems)
    assert not any(p.startswith("pii:") for p in problems)


def test_explain_shows_floors_and_streams():
    policy = parse_policy(ONE + "[categories.pii.stream]\nblock = 0.9\n[floors.cse]\nblock = 0.4\n")
    lines = list(explain(policy, Modality.TEXT, Stage.OUTPUT))
    assert any(line.startswith("cse") and line.endswith("(floor)") and "block from 0.4" in line for line in lines)
    assert any("in streams" in line for line in lines)


def test_the_command_line(tmp_path, capsys):
    one, two = tmp_path / "1.toml", tmp_path / "2.toml"
    one.write_text(ONE)
    two.write_text(ONE.replace("0.5", "0.6"))
    assert main(["policy", "diff", str(one), str(one)]) == 0
    assert main(["policy", "diff", str(one), str(two), "--json"]) == 1
    assert json.loads(capsys.readouterr().out.split("the same\n")[1])["changes"]
    assert main(["policy", "explain", str(one), "--category", "pii"]) == 0
    assert "block from 0.5" in capsys.readouterr().out
    assert main(["policy", "check", str(tmp_path / "none.toml")]) == 64
