"""A recording and its script: what is told apart, what is not compared, what the command says."""

import json
from pathlib import Path

import numpy as np
import pytest

from gensafe.cli import main
from gensafe.core.errors import InvalidRequest, SafetyUnavailable
from gensafe.core.types import Image, Stage
from gensafe.media import decode, encode
from gensafe.safety.classifiers import audio_script
from gensafe.safety.signals.script_match import MAX_WORDS, _places, _read, script_words

pytest.importorskip("pocketsphinx")
FOLDER = Path(__file__).parents[4] / "shared" / "data" / "speech" / "librivox"
needs_speech = pytest.mark.skipif(not FOLDER.is_dir(), reason="needs the shared data folder")
SCRIPT = "He was not an ill disposed young man."


def recording():
    return decode((FOLDER / "sense_and_sensibility_01_austen_64kb-0880.wav").read_bytes())


def findings(script, sound=None):
    sound = sound or recording()
    return audio_script.create({"script": script}).assess(sound, Stage.STANDALONE).findings


@pytest.mark.shared
@needs_speech
def test_the_right_script_is_left_alone_in_any_spelling():
    assert findings(SCRIPT) == ()
    assert findings("HE was not -- an ill, disposed (young) man!") == ()


@pytest.mark.shared
@needs_speech
@pytest.mark.parametrize(
    "script",
    [
        "he was an ill disposed young man",  # a spoken word is not in the script
        "he was not an ill disposed old man",
        "he was not an ill disposed young man today",
        "he was an not ill disposed young man",
        "children love the water and the school",
    ],
)
def test_a_changed_script_is_told(script):
    (finding,) = findings(script)
    assert (finding.category, finding.score) == ("unc", audio_script.SCORE)
    assert not {"disposed", "old", "today", "children"} & set(finding.detail.split())  # by number, never quoted


@pytest.mark.shared
@needs_speech
def test_sound_that_was_cut_out_or_put_in_is_told_with_its_time():
    sound = recording()
    rate = sound.rate
    without = type(sound)(np.delete(sound.samples, slice(int(1.48 * rate), int(2.10 * rate)), axis=1), rate)
    assert findings(SCRIPT, without)  # "disposed" is gone
    twice = sound.samples[:, int(1.5 * rate) : int(2.1 * rate)]  # "disposed" once more, at the start
    (finding,) = findings(SCRIPT, type(sound)(np.concatenate([twice, sound.samples], axis=1), rate))
    assert finding.times and finding.times[0].start_s < 0.7


@pytest.mark.shared
@needs_speech
def test_words_outside_the_dictionary_are_counted_and_not_judged():
    classifier = audio_script.create({"script": "he was not an ill disposed xylobrant man"})
    assessed = classifier.assess(recording(), Stage.STANDALONE)
    assert assessed.findings == ()
    assert (assessed.coverage[0].examined, assessed.coverage[0].total) == (7, 7)


def test_what_cannot_be_compared_is_refused_with_the_fix():
    for script in ("", "...", "room 12", "Straße", "word " * (MAX_WORDS + 1)):
        with pytest.raises(InvalidRequest, match="script"):
            audio_script.create({"script": script})
    with pytest.raises(SafetyUnavailable):
        audio_script.create({"script": "hello"}).assess(Image(np.zeros((4, 4, 3), np.uint8)), Stage.INPUT)
    assert script_words("Don\u2019t stop\u2014now") == ("don't", "stop", "now")


def test_a_path_is_read_as_words_and_gaps():
    words = ("one", "two", "three")
    path = [("<sil>", 0, 10), ("one(2)", 10, 40), ("_aa", 40, 50), ("_b", 50, 70), ("three", 70, 99)]
    match = _read(path, words, ())
    assert match.missed == (1,) and not match.agrees
    assert [(t.start_s, t.end_s) for t in match.other] == [(0.4, 0.7)]
    assert _read(path, words, (1,)).agrees  # the gap is where the unknown word stands
    assert _read([], words, ()).missed == (0, 1, 2)
    assert _places(["a", "a"], ["a", "b", "a"]) == [0, 2]


@pytest.mark.shared
@needs_speech
def test_the_command_compares_and_names_the_classifier(tmp_path, capsys):
    policy = tmp_path / "policy.toml"
    policy.write_text('[classifiers]\ntext = ["text_rules"]\naudio = ["audio_signal"]\n')
    sound = tmp_path / "said.wav"
    sound.write_bytes(encode(recording(), "audio/wav"))
    for script, found in ((SCRIPT, 0), ("he was not an ill disposed old man", 1)):
        code = main(["classify", str(sound), "--policy", str(policy), "--script", script, "--json"])
        said = json.loads(capsys.readouterr().out)
        assert code == 0 and len([d for d in said["decisions"] if d["classifier"] == "audio_script"]) == found
        assert any(c["name"] == "audio_script" for c in said["classifiers"])
    assert main(["classify", str(sound), "--policy", str(policy), "--script", "room 12"]) == 64
    note = tmp_path / "note.txt"
    note.write_text("hello")
    assert main(["classify", str(note), "--policy", str(policy), "--script", "hello"]) == 64
