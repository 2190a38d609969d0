"""Policy presets, policies on top of a preset, and classifiers that are only watched."""

from __future__ import annotations

import json
import logging

import pytest

from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import Action, Assessment, ClassifierId, Coverage, Finding, Modality, Stage, Text
from gensafe.safety.policy import PRESETS, load_policy, parse_policy
from gensafe.safety.reload import PolicyFile
from gensafe.safety.runner import SafetyRunner
from gensafe.safety.shadow import Shadow

ORDER = ("permissive", "balanced", "strict")


class Marker:
    """Finds ``category`` with ``score`` in every text; counts; may fail."""

    modality = Modality.TEXT

    def __init__(self, name, category="tox", score=0.99, error=None):
        self.name, self._finding, self._error, self.asked = name, (category, score), error, 0

    def identity(self):
        return ClassifierId(self.name, "1")

    def card(self):
        return Card(self.name, "1", Modality.TEXT, ("tox",), "", (), {}, ())

    def assess(self, item, stage):
        self.asked += 1
        if self._error:
            raise self._error
        return Assessment((Finding(*self._finding, self.name),), (Coverage(self.name, "characters", 1, 1),))


def shadowed(watched, caplog, wait=5.0):
    """(verdict, log lines) of a text that the deciding classifier finds harmless."""
    caplog.set_level(logging.INFO, "gensafe.safety.shadow")
    policy = load_policy()
    plain = Marker("plain", score=0.0)
    shadow = Shadow(policy, {Modality.TEXT: [watched]})
    runner = SafetyRunner(policy, {Modality.TEXT: [plain]}, shadow=shadow)
    verdict = runner.judge(Text("x"), Stage.PROMPT)
    for _ in range(int(wait / 0.01)):
        if caplog.records:
            break
        import time

        time.sleep(0.01)
    return verdict, [json.loads(r.getMessage()) for r in caplog.records]


def test_a_watched_classifier_is_logged_and_changes_nothing(caplog):
    verdict, (line,) = shadowed(Marker("new"), caplog)
    assert verdict.action is Action.ALLOW and [c.name for c in verdict.classifiers] == ["plain"]
    assert line["classifier"] == "new" and line["scores"] == {"tox": 0.99} and line["would"] == "block"
    assert line["verdict"] == "allow" and "x" not in line.values()


def test_a_watched_classifier_that_breaks_changes_nothing(caplog):
    verdict, (line,) = shadowed(Marker("new", error=SafetyUnavailable("secret words")), caplog)
    assert verdict.action is Action.ALLOW and verdict.errors == ()
    assert line["failed"] == "SafetyUnavailable" and "secret words" not in json.dumps(line)


def test_a_policy_names_what_is_watched():
    policy = parse_policy('base = "balanced"\n[shadow]\ntext = ["text_screen"]')
    assert policy.shadow == {Modality.TEXT: ("text_screen",)} and policy.digest != load_policy().digest
    with pytest.raises(ConfigError) as caught:
        parse_policy('[shadow]\nsmell = ["text_screen"]')
    assert caught.value.field == "shadow.smell"


def test_presets_are_ordered_and_keep_the_floors():
    policies = {name: load_policy(name) for name in PRESETS}
    assert policies["balanced"].digest == load_policy().digest
    for category in ("tox", "hte", "sxc", "vcr", "ncr", "jbk"):
        blocks = [policies[n].rule(category, Modality.TEXT, Stage.PROMPT).block for n in ORDER]
        assert blocks == sorted(blocks, reverse=True), (category, blocks)
    assert len({p.floors["cse"]["block"] for p in policies.values()}) == 1
    assert len({p.digest for p in policies.values()}) == 3


def test_a_file_on_top_of_a_preset_changes_only_what_it_says():
    policy = parse_policy('base = "strict"\nid = "mine"\n[categories.tox]\nblock = 0.97')
    strict = load_policy("strict")
    assert policy.rule("tox", Modality.TEXT, Stage.PROMPT).block == 0.97
    assert policy.rule("hte", Modality.TEXT, Stage.PROMPT) == strict.rule("hte", Modality.TEXT, Stage.PROMPT)
    assert policy.classifiers == strict.classifiers and policy.id == "mine"
    with pytest.raises(ConfigError) as caught:
        parse_policy('base = "lenient"')
    assert caught.value.field == "base" and "strict" in (caught.value.fix or "")


def test_a_file_of_a_presets_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strict").write_text('base = "permissive"\nid = "own"\n', encoding="utf-8")
    assert load_policy("strict").id == "own"


def test_a_server_takes_a_preset_by_name():
    from pathlib import Path

    watched = PolicyFile(Path("permissive"))
    assert watched.runner.policy.id == "gensafe-permissive" and watched.read() is None
