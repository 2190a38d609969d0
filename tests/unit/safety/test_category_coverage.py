"""Categories covered whole, in part, not at all; what a policy that requires one whole does without it."""

import json

import numpy as np
import pytest

from gensafe.cli import main
from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.types import Action, Image, Modality, Stage, Text
from gensafe.safety import SafetyRunner, parse_policy
from gensafe.safety.cards import WEIGHTS, category_coverage, read_card, render_card
from gensafe.safety.classifiers import audio_text, image_symbols, image_text, video_frames
from gensafe.safety.reload import PolicyFile

PICTURES = '[classifiers]\ntext = ["text_rules"]\nimage = ["image_signal", "image_symbols"]\n'


def photo():
    return Image(np.tile(np.linspace(0, 255, 64).astype(np.uint8)[:, None, None], (1, 64, 3)))


def test_one_classifier_that_covers_it_whole_is_enough():
    whole, part = read_card("image_likeness"), read_card("image_symbols")
    found = category_coverage([whole, part], ["lik", "hte", "sxc"])
    assert found.whole == ("lik",) and found.missing == ("sxc",)
    assert list(found.partial) == ["hte"] and "three symbols" in found.partial["hte"][0]
    assert "image_symbols" in found.partial["hte"][0]


def test_words_in_a_medium_are_a_part_of_what_it_shows():
    for classifier, word in ((image_text, "read"), (audio_text, "heard")):
        card = classifier.create({"classifiers": "text_rules"}).card()
        assert word in card.partial["pii"]
        assert card.partial["pii"] in render_card(card)
    clip = video_frames.create({"classifiers": "text_rules", "further": "image_likeness,image_symbols"}).card()
    assert "lik" in clip.categories and "lik" not in clip.partial
    assert "three symbols" in clip.partial["hte"]
    assert "read" in clip.partial["pii"] and "heard" in clip.partial["pii"]


def test_the_card_says_so_and_a_card_about_nothing_is_refused(tmp_path):
    assert "Covered only in part: `hte`: three symbols" in render_card(image_symbols.create({}).card())
    data = json.loads((WEIGHTS / "image_symbols.card.json").read_text())
    (tmp_path / "image_symbols.card.json").write_text(json.dumps(data | {"partial": {"sxc": "x"}}))
    with pytest.raises(SafetyUnavailable):
        read_card("image_symbols", tmp_path)


@pytest.mark.parametrize(
    ("required", "said"), [("hte", "covered only in part: three symbols"), ("sxc", "which no classifier covers")]
)
def test_what_a_policy_requires_and_nothing_covers_whole_blocks_the_modality(required, said):
    runner = SafetyRunner.from_policy(parse_policy(f'{PICTURES}[require]\nimage = ["bad", "{required}"]\n'))
    verdict = runner.judge(photo(), Stage.OUTPUT)
    assert verdict.action is Action.BLOCK and not verdict.releasable
    (error,) = verdict.errors
    assert f"requires {required}" in error and said in error
    assert runner.for_tenant("anyone").judge(photo(), Stage.OUTPUT).errors
    assert runner.judge(Text("hello"), Stage.OUTPUT).releasable  # only the modality that lacks it


def test_what_is_covered_whole_or_not_required_does_not():
    for more in ("", '[require]\nimage = ["bad"]\n'):
        runner = SafetyRunner.from_policy(parse_policy(PICTURES + more))
        assert runner.judge(photo(), Stage.OUTPUT).releasable


def test_the_requirement_is_in_the_digest_and_typing_errors_are_named():
    plain, strict = parse_policy(PICTURES), parse_policy(PICTURES + '[require]\nimage = ["hte"]\n')
    assert plain.digest != strict.digest and strict.require == {Modality.IMAGE: ("hte",)}
    assert "require" not in plain.canonical()  # digests of policies without it stay what they were
    for wrong in ('image = ["hate"]', 'pictures = ["hte"]', 'image = "hte"'):
        with pytest.raises(ConfigError, match="require"):
            parse_policy(f"{PICTURES}[require]\n{wrong}\n")


def test_doctor_tells_part_from_whole_and_names_what_blocks(tmp_path, capsys):
    policy = tmp_path / "policy.toml"
    policy.write_text(PICTURES + '[categories.hte]\nreview = 0.4\n[require]\nimage = ["hte"]\n')
    (tmp_path / "config.toml").write_text(f'[safety]\npolicy = "{policy}"\n')
    code = main(["doctor", "--config", str(tmp_path / "config.toml"), "--data-dir", str(tmp_path / "data"), "--json"])
    lines = [(f["level"], f["text"]) for f in json.loads(capsys.readouterr().out) if f["about"] == "policy"]
    assert code == 1
    assert any(
        level == "note" and text.startswith("image: hate (hte) covered in part: three symbols") for level, text in lines
    )
    assert ("gap", "image: the policy requires hate (hte) whole, so every image is blocked") in lines
    assert ("note", "text: no installed classifier covers hate (hte)") in lines


def test_production_does_not_start_without_what_the_policy_requires(tmp_path, caplog):
    """Before, a production server started and refused every picture one by one."""
    path = tmp_path / "policy.toml"
    path.write_text(PICTURES + '[require]\nimage = ["vcr"]\n')
    with pytest.raises(ConfigError, match="requires vcr, which no classifier covers") as refused:
        PolicyFile(path, environment="production")
    assert refused.value.field == "require.image" and refused.value.fix
    with caplog.at_level("WARNING"):
        PolicyFile(path)
    assert "every image is blocked" in caplog.text
    path.write_text(PICTURES + '[require]\nimage = ["bad"]\n')
    PolicyFile(path, environment="production")


def test_a_required_modality_without_any_classifier_counts_too(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(PICTURES + '[require]\nvideo = ["sxc"]\n')
    with pytest.raises(ConfigError, match="requires sxc"):
        PolicyFile(path, environment="production")
