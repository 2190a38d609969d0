"""Faces in pictures and voices in sounds: that they are there, and where. Nobody is recognised."""

import numpy as np
import pytest
from PIL import Image as PilImage

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.types import Audio, Image, Stage, Text
from gensafe.safety.classifiers import audio_likeness, image_likeness
from gensafe.safety.faces import engine
from gensafe.testing.classifier_contract import check_classifier

RATE = 16000


def voice(seconds=3.0, rate=RATE, seed=0):
    """Syllables as a voice makes them: a gliding buzz through two resonances, hisses and pauses between."""
    rng = np.random.default_rng(seed)
    out = []
    while sum(map(len, out)) < seconds * rate:
        length = int(rng.uniform(0.12, 0.22) * rate)
        pitch = np.linspace(rng.uniform(110, 150), rng.uniform(90, 130), length)
        phase = np.cumsum(2 * np.pi * pitch / rate)
        buzz = sum(
            np.sin(k * phase) * np.exp(-(((k * pitch - f) / 250) ** 2)) for k in range(1, 28) for f in (500, 1500)
        )
        out.append(0.2 * buzz * np.hanning(length))
        hiss = rng.standard_normal(int(rng.uniform(0.04, 0.08) * rate))
        out.append(0.03 * np.diff(hiss, append=0) * np.hanning(hiss.size))
        out.append(np.zeros(int(rng.uniform(0.03, 0.12) * rate)))
    return np.concatenate(out)[: round(seconds * rate)].astype(np.float32)


def melody(seconds=3.0, rate=RATE):
    t = np.arange(round(seconds * rate)) / rate
    note = 220 * 2 ** (np.floor(t * 4) % 8 / 12)
    return (0.3 * np.sin(2 * np.pi * note * t) * (0.3 + 0.7 * np.exp(-4 * (t * 4 % 1)))).astype(np.float32)


def heard(samples, rate=RATE):
    return audio_likeness.create({}).assess(Audio(np.atleast_2d(samples), rate), Stage.OUTPUT).findings


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_voice_is_heard_with_its_times(rate):
    quiet = np.zeros(3 * rate, np.float32)
    (finding,) = heard(np.concatenate([quiet, voice(3.0, rate), quiet]), rate)
    assert finding.category == "lik" and 0.5 <= finding.score <= 0.9
    assert finding.times[0].start_s >= 2.0 and finding.times[-1].end_s <= 7.0


def test_what_is_no_voice():
    noise = (np.random.default_rng(0).standard_normal(3 * RATE) * 0.1).astype(np.float32)
    for sound in (melody(), noise, np.zeros(RATE, np.float32), np.zeros(1, np.float32), voice(0.3)):
        assert heard(sound) == ()


def test_a_voice_in_one_channel_only():
    left = melody()
    (finding,) = heard(np.stack([left, 0.4 * voice(3.0)]))
    assert finding.detail == "a human voice in channel 2"


@pytest.mark.shared
def test_speech_and_music_of_the_corpus(shared_data):
    from gensafe.media import decode

    for path in sorted((shared_data / "speech" / "librivox").glob("*.wav")):
        assert heard(decode(path.read_bytes()).samples), path.name
    music = decode((shared_data / "audio" / "music_lets_go_fishin.ogg").read_bytes())
    assert heard(music.samples[:, : 10 * music.rate], music.rate) == ()


@pytest.mark.shared
def test_faces_are_found_where_they_are(shared_data):
    photo = np.asarray(PilImage.open(shared_data / "photos" / "bsds500_test" / "302022.jpg").convert("RGB"))
    check = image_likeness.create({})
    (finding,) = check.assess(Image(photo), Stage.OUTPUT).findings
    assert finding.category == "lik" and finding.score > 0.7 and finding.detail == "1 human face"
    (box,) = finding.boxes
    mirrored = check.assess(Image(np.ascontiguousarray(photo[:, ::-1])), Stage.OUTPUT).findings[0].boxes[0]
    assert mirrored.left == pytest.approx(photo.shape[1] - box.right, abs=12)
    large = np.asarray(PilImage.fromarray(photo).resize((3 * photo.shape[1], 3 * photo.shape[0])))
    assert check.find(large)[0].boxes[0].left == pytest.approx(3 * box.left, abs=24)


def test_pictures_without_a_face():
    rng = np.random.default_rng(0)
    disc = np.full((256, 256, 3), 240, np.uint8)
    y, x = np.mgrid[:256, :256]
    disc[np.hypot(x - 128, y - 128) < 60] = (200, 30, 30)
    for pixels in (disc, rng.integers(0, 256, (64, 96, 3), dtype=np.uint8), np.zeros((1, 1, 3), np.uint8)):
        assert image_likeness.create({}).find(pixels) == ()


def test_contracts():
    check_classifier(
        image_likeness.create({}), (Image(np.zeros((9, 700, 3), np.uint8)), Image(np.full((64, 64, 3), 9, np.uint8)))
    )
    check_classifier(
        audio_likeness.create({}), (Audio(voice(1.5)[None], RATE), Audio(np.zeros((8, 40), np.float32), 96000))
    )
    with pytest.raises(SafetyUnavailable):
        image_likeness.create({}).assess(Text("x"), Stage.OUTPUT)


def test_other_weights_are_refused(monkeypatch):
    monkeypatch.setattr(engine, "WEIGHTS", "0" * 64)
    with pytest.raises(SafetyUnavailable):
        engine.FaceEngine()
