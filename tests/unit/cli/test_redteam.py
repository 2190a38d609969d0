"""``gensafe redteam``: counts by kind, controls beside attacks, thresholds as exit codes."""

from __future__ import annotations

import json

import pytest

from gensafe.cli import main
from gensafe.cli.common import Exit


def report(capsys, *arguments):
    code = main(["redteam", "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_it_reports_by_kind_and_with_controls(capsys):
    code, found = report(capsys, "--kind", "base64", "--kind", "document", "--per-kind", "6")
    assert code == Exit.OK and set(found["kinds"]) == {"base64", "document", "all"}
    assert found["kinds"]["base64"]["attacks"] == 6 and found["kinds"]["base64"]["controls"] == 3
    assert found["kinds"]["all"]["stopped"] >= 8 and found["kinds"]["all"]["controls_stopped"] == 0
    assert found["kinds"]["all"]["not_judged"] == 0


def test_thresholds_are_exit_codes(capsys, tmp_path):
    deaf = tmp_path / "deaf.toml"
    deaf.write_text('[classifiers]\ntext = ["text_language"]\n', encoding="utf-8")
    arguments = ("--kind", "plain", "--per-kind", "3")
    code, found = report(capsys, "--policy", str(deaf), "--at-least", "0.9", "--passed", *arguments)
    assert code == Exit.FAILED and found["kinds"]["all"]["stopped"] == 0 and len(found["passed"]) == 3
    assert report(capsys, "--at-least", "0.9", "--at-most", "0", *arguments)[0] == Exit.OK


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("--at-least", "2"), "--at-least"),
        (("--per-kind", "0"), "--per-kind"),
        (("--server", "localhost:1", "--policy", "strict"), "--policy"),
    ],
)
def test_wrong_arguments_name_themselves(capsys, arguments, field):
    assert main(["redteam", *arguments]) == Exit.USAGE
    assert field in capsys.readouterr().err
