"""``audio_text`` with a scripted transcriber, with PocketSphinx where it is installed, and without any."""

import subprocess
import sys

import numpy as np
import pytest

from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.types import Audio, Stage, Text
from gensafe.safety.classifiers.audio_text import AudioText, create, distinct_views
from gensafe.safety.signals import recogniser
from gensafe.safety.signals.transcribers import Segment, load_transcriber
from gensafe.safety.text import TextStack


class Scripted:
    """Hears an address in every sound, and backwards something else."""

    name = "scripted"
    trust = 0.5

    def __init__(self):
        self.heard = []

    def transcribe(self, samples):
        self.heard.append(samples)
        return [Segment("hello there", 0.0, 1.0), Segment("ann.smith@example.org", 1.0, 2.0)]


def tone(hertz=440.0, rate=16000):
    return (0.4 * np.sin(2 * np.pi * hertz * np.arange(2 * rate) / rate)).astype(np.float32)


def test_findings_carry_times_and_halved_scores():
    engine = Scripted()
    found = AudioText(TextStack({}, ("text_rules",)), engine).assess(Audio(tone()[None], 16000), Stage.OUTPUT)
    (finding,) = found.findings
    assert (finding.category, finding.score, finding.classifier) == ("pii", 0.5, "audio_text")
    assert [(t.start_s, t.end_s) for t in finding.times] == [(1.0, 2.0)]
    assert "ann" not in finding.detail
    assert [(c.unit, c.examined) for c in found.coverage] == [("channels transcribed", 1)]


def test_each_distinct_channel_is_heard_at_16_khz():
    engine = Scripted()
    check = AudioText(TextStack({}, ("text_rules",)), engine)
    left, right = tone(440, 48000), tone(700, 48000)
    check.assess(Audio(np.stack([left, left]), 48000), Stage.OUTPUT)
    assert [h.size for h in engine.heard] == [32000]
    engine.heard.clear()
    check.assess(Audio(np.stack([left, right]), 48000), Stage.OUTPUT)
    assert len(engine.heard) == 4  # mix, left, right, difference


def test_what_hides_in_the_stereo_difference_is_heard():
    carrier = tone(440)
    assert list(distinct_views(np.stack([carrier, -carrier]))) == ["channel 1"]
    assert distinct_views(np.zeros((2, 100), np.float32)) == {}


def test_backwards_times_are_turned_round():
    engine = Scripted()
    check = AudioText(TextStack({}, ("text_rules",)), engine, both_ways=True)
    found = check.assess(Audio(tone()[None], 16000), Stage.OUTPUT).findings
    assert [f.times[0].start_s for f in found] == [1.0, 0.0]
    assert np.array_equal(engine.heard[1], engine.heard[0][::-1])


def test_without_a_transcriber_it_says_so():
    check = create({"transcriber": "none"})
    found = check.assess(Audio(tone()[None], 16000), Stage.OUTPUT)
    (finding,) = found.findings
    assert (finding.category, finding.score) == ("unc", 0.3)
    assert [c.total for c in found.coverage] == [0]  # it claims nothing
    assert "no transcriber" in check.identity().version
    assert check.assess(Audio(np.zeros((1, 100), np.float32), 16000), Stage.OUTPUT).findings == ()


def test_transcribers_by_name():
    assert load_transcriber("none") is None
    assert load_transcriber("builtins:object") is not None
    with pytest.raises(SafetyUnavailable):
        load_transcriber("no_such_module:make")
    with pytest.raises(ConfigError):
        load_transcriber("whisper")
    with pytest.raises(SafetyUnavailable):
        create({"transcriber": "none"}).assess(Text("x"), Stage.OUTPUT)


def test_pocketsphinx_hears_nothing_in_a_tone():
    pytest.importorskip("pocketsphinx", reason="the speech extra is not installed")
    engine = load_transcriber("pocketsphinx")
    assert engine is not None
    assert engine.transcribe(tone()) == []


def test_the_recogniser_runs_in_a_process_of_its_own():
    """It holds Python's lock while it decodes: in this process it stopped every other request for seconds."""
    pytest.importorskip("pocketsphinx")
    program = (
        "import sys; from gensafe.safety.signals.script_match import ScriptMatcher;"
        "from gensafe.safety.signals.transcribers import load_transcriber; import numpy as np;"
        "sound = np.random.default_rng(1).normal(0, 0.1, 16000).astype('f4');"
        "load_transcriber('pocketsphinx').transcribe(sound); ScriptMatcher().match(sound, 'good morning');"
        "print('pocketsphinx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_recogniser_that_fails_is_unavailable(monkeypatch):
    pytest.importorskip("pocketsphinx")
    engine = load_transcriber("pocketsphinx")
    in_worker = recogniser.in_worker
    monkeypatch.setattr(recogniser, "in_worker", lambda _, samples: in_worker("os:abort", samples))
    with pytest.raises(SafetyUnavailable, match="recogniser failed"):
        engine.transcribe(tone())
