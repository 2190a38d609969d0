"""``audio_signal`` and the measurements behind it."""

from math import inf

import numpy as np
import pytest

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.types import Audio, Image, Stage
from gensafe.safety.classifiers.audio_signal import create
from gensafe.safety.signals.clipping import clipped_share
from gensafe.safety.signals.loudness import measure_loudness, true_peak
from gensafe.safety.signals.spectrum import find_ultrasound, infrasonic_share, side_excess_db

CHECK = create({})


def sine(hertz, amplitude=0.5, rate=48000, seconds=2.0):
    t = np.arange(round(rate * seconds)) / rate
    return (amplitude * np.sin(2 * np.pi * hertz * t)).astype(np.float32)


def hiss(amplitude=0.1, rate=48000, seconds=2.0):
    noise = np.random.default_rng(0).standard_normal(round(rate * seconds)) * amplitude
    return np.clip(noise, -1, 1).astype(np.float32)


def held(samples, rate=48000, stage=Stage.OUTPUT):
    found = CHECK.assess(Audio(np.atleast_2d(samples), rate), stage).findings
    return {(f.category, f.score) for f in found if f.score >= 0.5}


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("amplitude", [0.01, 0.5, 0.99])
def test_ordinary_tones_pass(rate, amplitude):
    for hertz in (110, 440, 2500):
        assert held(sine(hertz, amplitude, rate), rate) == set()


def test_ordinary_hiss_clicks_and_short_sounds_pass():
    assert held(hiss()) == set()
    assert held(np.stack([hiss(), sine(300)])) == set()
    clicks = np.zeros(48000, np.float32)
    clicks[9000:9300] = sine(900, 0.9)[:300]
    assert held(clicks) == set()
    assert held(np.array([0.3, -0.2, 0.1], np.float32)) == set()


def test_silence_is_bad_for_an_output_only():
    assert held(np.zeros(32000, np.float32), 16000) == {("bad", 1.0)}
    assert held(np.zeros(32000, np.float32), 16000, Stage.INPUT) == set()
    assert held(np.full(32000, 0.3, np.float32), 16000) == {("bad", 1.0)}  # an offset is no sound
    assert held(np.zeros(1, np.float32), 16000) == {("bad", 1.0)}


def test_damage():
    broken = sine(440)
    broken[100] = np.nan
    assert held(broken) == {("bad", 1.0)}
    assert ("bad", 0.95) in held(np.clip(sine(440, 0.2) + np.float32(0.7), -1, 1))
    clipped = np.clip(4 * sine(440), -1, 1)
    assert ("bad", 0.6) in held(clipped)
    assert clipped_share(clipped[None]) == pytest.approx(2 / 3, abs=0.01)
    assert clipped_share(sine(440, 1.0)[None]) < 0.03
    assert clipped_share(np.ones((1, 2), np.float32)) == 0.0


def test_louder_than_any_sine_is_held_and_louder_than_usual_noted():
    assert ("phy", 0.9) in held(np.sign(sine(1500)))
    assert ("phy", 0.9) in held(np.stack([np.sign(sine(1500))] * 2))
    notes = [f.score for f in CHECK.assess(Audio(sine(997, 0.99)[None], 48000), Stage.OUTPUT).findings]
    assert 0.2 < max(notes) < 0.5


def test_loudness_of_the_reference_tones():
    """EBU Tech 3341 cases 1 and 2: stereo 1 kHz at -23, -33 dBFS; BS.1770: 997 Hz at 0 dBFS in one channel is -3.01."""
    for level in (-23.0, -33.0):
        tone = sine(1000, 10 ** (level / 20), seconds=20)
        assert measure_loudness(np.stack([tone, tone]), 48000).integrated_lufs == pytest.approx(level, abs=0.1)
    assert measure_loudness(sine(997, 1.0, seconds=5)[None], 48000).integrated_lufs == pytest.approx(-3.01, abs=0.05)
    for rate in (16000, 22050, 44100, 96000):
        found = measure_loudness(sine(997, 1.0, rate, 3)[None], rate).integrated_lufs
        assert found == pytest.approx(-3.01, abs=0.1)


def test_gating_ignores_pauses():
    """EBU Tech 3341 case 3: 10 s at -36, 60 s at -23, 10 s at -36 dBFS give -23."""
    parts = [sine(1000, 10 ** (db / 20), seconds=s) for db, s in ((-36, 10), (-23, 60), (-36, 10))]
    tone = np.concatenate(parts)
    assert measure_loudness(np.stack([tone, tone]), 48000).integrated_lufs == pytest.approx(-23.0, abs=0.1)


def test_surround_weights():
    """EBU Tech 3341 case 6: L, R at -28, C at -24, surrounds at -30 dBFS give -23 LUFS; in 5.1 the LFE is fourth."""
    levels = (-28.0, -28.0, -24.0, None, -30.0, -30.0)
    rows = [sine(1000, 0.0 if db is None else 10 ** (db / 20), seconds=20) for db in levels]
    rows[3] = sine(1000, 0.9, seconds=20)  # the low-frequency channel does not count
    assert measure_loudness(np.stack(rows), 48000).integrated_lufs == pytest.approx(-23.0, abs=0.1)


def test_true_peak_lies_between_the_samples():
    quarter = np.tile(np.array([1, 1, -1, -1], np.float32) * 0.7071, 2000)[None]  # fs/4 at 45 degrees: true peak 1.0
    assert true_peak(quarter, 48000) == pytest.approx(0.0, abs=0.3)
    assert true_peak(np.zeros((1, 100), np.float32), 48000) == -inf
    assert measure_loudness(np.zeros((1, 48000), np.float32), 48000).integrated_lufs == -inf


def test_a_jump_is_noted_with_its_time():
    sound = np.concatenate([sine(440, 0.003), sine(440, 0.9)])
    loud = measure_loudness(sound[None], 48000)
    assert loud.jump_lu > 30
    assert 1.5 < loud.jump_at_s < 3.1


@pytest.mark.parametrize("hertz", [19000, 20000, 21000, 22500])
@pytest.mark.parametrize("bed", ["tone", "hiss", "none"])
def test_ultrasonic_carriers_of_one_percent_are_found(hertz, bed):
    ground = {"tone": sine(300), "hiss": hiss(0.02), "none": sine(300, 1e-4)}[bed]
    carrier = sine(hertz, 0.01) * (0.6 + 0.4 * np.sin(np.arange(ground.size) / 40).astype(np.float32))
    assert ("hid", 0.9) in held(ground + carrier)
    stereo = np.stack([ground + carrier, ground - carrier])  # gone in the mono mix
    assert ("hid", 0.9) in held(stereo)


def test_a_band_of_speech_moved_above_hearing_is_found():
    """Without a carrier line: noise between 19 and 22 kHz over a quiet tone."""
    from scipy.signal import butter, sosfilt

    band = sosfilt(butter(8, (19000, 22000), "bandpass", fs=48000, output="sos"), hiss(0.1)).astype(np.float32)
    assert ("hid", 0.9) in held(sine(500, 0.1) + band)


def test_low_rates_cannot_hold_ultrasound():
    assert find_ultrasound(sine(440, rate=16000), 16000) is None
    assert find_ultrasound(sine(440)[:100], 48000).suspicious is False


def test_infrasound_and_cancelling_channels():
    assert ("hid", 0.6) in held(sine(8, 0.4) + sine(440, 0.05))
    assert infrasonic_share(sine(440), 48000) < 1e-6
    left = hiss()
    assert ("hid", 0.6) in held(np.stack([left, -left]))
    assert side_excess_db(np.stack([left, left])) < -60
    assert held(np.stack([left, sine(440)])) == set()


def test_coverage_and_refusals():
    found = CHECK.assess(Audio(np.stack([sine(440), sine(441)]), 48000), Stage.OUTPUT)
    assert {(c.unit, c.examined, c.total) for c in found.coverage} == {("samples", 192000, 192000), ("channels", 2, 2)}
    with pytest.raises(SafetyUnavailable):
        CHECK.assess(Image(np.zeros((4, 4, 3), np.uint8)), Stage.OUTPUT)
    with pytest.raises(SafetyUnavailable):
        CHECK.assess(Audio(np.zeros((1, 0), np.float32), 48000), Stage.OUTPUT)


def test_every_second_with_a_carrier_is_named():
    t = np.arange(5 * 48000) / 48000
    sound = 0.05 * np.sin(2 * np.pi * 440 * t)
    where = ((t >= 1) & (t < 3)) | (t >= 4)
    sound += where * 0.02 * np.sin(2 * np.pi * 21000 * t)
    found = CHECK.assess(Audio(sound.astype(np.float32)[None], 48000), Stage.OUTPUT).findings
    (finding,) = [f for f in found if f.category == "hid"]
    assert [(time.start_s, time.end_s) for time in finding.times] == [(1.0, 3.0), (4.0, 5.0)]
