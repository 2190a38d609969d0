"""The sound mark on clips as the service makes them: tones, beeps, a melody, clicks on silence, voiced speech."""

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter, resample_poly

from gensafe.core.errors import CannotCarry, GensafeError, InvalidRequest, KeyError_, UnsupportedMedia
from gensafe.core.types import MarkLevel
from gensafe_watermark import audio, prf
from gensafe_watermark.audio import detector, embedder, features, layout, sync, transform

KEY = bytes(range(32))
PAYLOAD = b"\x21record"
RATE = 16_000


def fade(n, seconds=0.01):
    ramp = np.minimum(1, np.arange(n) / (seconds * RATE))
    return ramp * ramp[::-1]


def tone(seconds=2.0, hertz=440.0):
    n = int(seconds * RATE)
    return 0.4 * np.sin(2 * np.pi * hertz * np.arange(n) / RATE) * fade(n)


def beeps():
    x = np.zeros(2 * RATE)
    for start in (0.3, 0.9, 1.5):
        beep = tone(0.15, 880)
        x[int(start * RATE) : int(start * RATE) + len(beep)] = beep
    return x


def melody():
    return np.concatenate([tone(0.5, f) for f in (262, 330, 392, 523, 440, 349)])


def clicks():
    x = np.zeros(2 * RATE)
    rng = np.random.default_rng(3)
    for start in (0.5, 1.4):
        x[int(start * RATE) : int(start * RATE) + 480] = 0.3 * rng.normal(size=480) * np.exp(-np.arange(480) / 96)
    return x


def speech(seconds=2.5):
    n = int(seconds * RATE)
    hertz = 120 * (1 + 0.1 * np.sin(2 * np.pi * 1.3 * np.arange(n) / RATE))
    source = (np.diff(np.floor(np.cumsum(hertz) / RATE), prepend=0) > 0) + 0.01 * np.random.default_rng(0).normal(
        size=n
    )
    x = np.zeros(n)
    part = RATE // 4
    for i, vowel in zip(range(0, n, part), itertools.cycle([(730, 1090), (270, 2290), (300, 870), ()]), strict=False):
        for order, formant in enumerate(vowel):
            radius = np.exp(-np.pi * 80 / RATE)
            poles = [1, -2 * radius * np.cos(2 * np.pi * formant / RATE), radius**2]
            piece = lfilter([1 - radius], poles, source[i : i + part]) / (order + 1)
            x[i : i + part] += piece * fade(len(piece))
    return 0.5 * x / np.abs(x).max()


CLIPS = {"tone": tone, "beeps": beeps, "melody": melody, "clicks": clicks, "speech": speech}


@pytest.fixture(scope="module")
def marked():
    """name -> (host, marked), both (1, n) float32."""
    hosts = {name: make()[None].astype(np.float32) for name, make in CLIPS.items()}
    return {name: (x, audio.embed(x, RATE, PAYLOAD, KEY)) for name, x in hosts.items()}


def mp3(x, rate, bit_rate):
    av = pytest.importorskip("av")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as output:
        stream = output.add_stream("libmp3lame", rate=rate, layout="mono")
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(x), format="fltp", layout="mono")
        frame.sample_rate = rate
        for piece in av.AudioResampler(stream.codec_context.format, "mono", rate).resample(frame):
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    resampler = av.AudioResampler("fltp")
    with av.open(io.BytesIO(buffer.getvalue())) as source:
        return np.concatenate([p.to_ndarray() for f in source.decode(audio=0) for p in resampler.resample(f)], axis=1)


@pytest.mark.parametrize("name", CLIPS)
def test_short_generated_clips_carry_the_record_through_mp3(marked, name):
    host, out = marked[name]
    assert out.shape == host.shape
    assert out.dtype == np.float32
    assert np.abs(out).max() <= 1
    ratio = 10 * np.log10(np.sum(host**2) / np.sum((out - host) ** 2))
    assert ratio > 29
    for copy in (out, mp3(out, RATE, 128_000), 0.3 * out[:, 4321:], np.round(out * 32767) / 32767):
        found = audio.detect(copy.astype(np.float32), RATE, KEY)
        assert (found.level, found.payload) == (MarkLevel.RECORD, PAYLOAD)
        assert found.p_value < 1e-6
        assert found.detail["key_epoch"] == 2


def test_unmarked_sound_and_other_keys_give_nothing(marked):
    for host, _ in marked.values():
        found = audio.detect(host, RATE, KEY)
        assert found.level is MarkLevel.NONE
        assert found.payload is None
        assert found.p_value > 1e-6
    assert audio.detect(marked["melody"][1], RATE, bytes(32)).level is MarkLevel.NONE


def test_speed_change_is_searched(marked):
    out = marked["melody"][1]
    for faster in (1.1, 0.85):
        copy = resample_poly(out, 1000, round(1000 * faster), axis=-1).astype(np.float32)
        found = audio.detect(copy, RATE, KEY)
        assert found.payload == PAYLOAD
        assert found.detail["tempo"] == pytest.approx(faster, abs=0.01)
        assert found.detail["pitch"] == pytest.approx(faster, abs=0.01)


@pytest.fixture(scope="module")
def noisy_music():
    """12 s of dense sound: filtered noise with slow beats, 44.1 kHz stereo, mostly common to both channels."""
    rng = np.random.default_rng(7)
    n = 12 * 44_100
    x = lfilter([1.0], [1, -1.2, 0.5], rng.normal(size=(2, n)))
    x[1] = 0.6 * x[0] + 0.2 * x[1]
    x *= 0.6 + 0.4 * np.sin(2 * np.pi * 1.7 * np.arange(n) / 44_100)
    return (0.3 * x / np.abs(x).max()).astype(np.float32)


def test_stereo_at_44100_survives_downmix_resampling_and_cuts(noisy_music):
    out = audio.embed(noisy_music, 44_100, PAYLOAD, KEY)
    assert out.shape == noisy_music.shape
    mono = out.mean(axis=0, keepdims=True)
    assert audio.detect(mono, 44_100, KEY).payload == PAYLOAD
    low = resample_poly(mono, 80, 441, axis=-1).astype(np.float32)
    assert audio.detect(low, 8_000, KEY).payload == PAYLOAD
    left_only = out * np.array([[1], [0]], np.float32)
    assert audio.detect(left_only, 44_100, KEY).payload == PAYLOAD
    inverted = out * np.array([[1], [-1]], np.float32)
    assert audio.detect(inverted, 44_100, KEY).payload == PAYLOAD
    kept = np.ones(out.shape[1], bool)
    for start in (50_000, 150_000, 260_000, 380_000):
        kept[start : start + 882] = False  # 20 ms each
    assert audio.detect(out[:, kept], 44_100, KEY).payload == PAYLOAD


def test_stream_equals_whole_whatever_the_pieces(noisy_music):
    x = noisy_music[:, : 7 * 44_100 + 123]

    def stream(pieces):
        embed = audio.StreamEmbedder(44_100, 2, PAYLOAD, KEY)
        parts, at = [], 0
        for size in itertools.cycle(pieces):
            if at >= x.shape[1]:
                break
            parts.append(embed.push(x[:, at : at + size]))
            at += size
        return np.concatenate([*parts, embed.flush()], axis=1)

    one = stream([x.shape[1]])
    assert one.shape == x.shape
    np.testing.assert_allclose(stream([1000, 44_100, 7]), one, atol=2e-6)
    assert audio.detect(one, 44_100, KEY).payload == PAYLOAD


def test_stream_memory_is_bounded():
    embed = audio.StreamEmbedder(RATE, 1, PAYLOAD, KEY)
    rng = np.random.default_rng(0)
    waiting = 0
    for _ in range(40):
        piece = (0.1 * rng.normal(size=(1, RATE))).astype(np.float32)
        waiting += RATE - embed.push(piece).shape[1]
        assert waiting <= 6 * RATE
    assert embed.flush().shape[1] == waiting


def test_resampled_stream_equals_resampled_whole():
    x = np.random.default_rng(1).normal(size=(2, 30_011)).astype(np.float32)
    for up, down in ((160, 441), (441, 160), (1, 3), (2, 1), (1999, 2000)):
        stream = transform.StreamResampler(2, up, down)
        parts = [stream.push(x[:, a : a + 4_000]) for a in range(0, x.shape[1], 4_000)]
        got = np.concatenate([*parts, stream.flush()], axis=1)
        np.testing.assert_allclose(got, resample_poly(x, up, down, axis=-1), atol=1e-5)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 48_000])
def test_other_rates(rate):
    x = resample_poly(speech(3.0), *[int(v) for v in np.array([rate, RATE]) // np.gcd(rate, RATE)])[None]
    out = audio.embed(x.astype(np.float32), rate, PAYLOAD, KEY)
    assert audio.detect(out, rate, KEY).payload == PAYLOAD


def test_seven_point_one():
    rng = np.random.default_rng(5)
    x = (0.05 * rng.normal(size=(8, 3 * RATE))).astype(np.float32)
    x[3] = 0  # an empty low-frequency channel
    out = audio.embed(x, RATE, PAYLOAD, KEY)
    assert audio.detect(out, RATE, KEY).payload == PAYLOAD


def test_what_cannot_be_marked_is_refused():
    with pytest.raises(CannotCarry, match="half a second"):
        audio.embed(tone(0.4)[None].astype(np.float32), RATE, PAYLOAD, KEY)
    with pytest.raises(CannotCarry, match="silent"):
        audio.embed(np.zeros((1, 3 * RATE), np.float32), RATE, PAYLOAD, KEY)
    x = tone()[None].astype(np.float32)
    for samples in (
        x[0],
        x * np.float32(1e30),
        np.zeros((33, 99), np.float32),
        (x * 1000).astype(np.int16),
        x * np.nan,
    ):
        with pytest.raises(UnsupportedMedia):
            audio.embed(samples, RATE, PAYLOAD, KEY)
        with pytest.raises(UnsupportedMedia):
            audio.detect(samples, RATE, KEY)
    with pytest.raises(UnsupportedMedia):
        audio.detect(x, 7_999, KEY)
    with pytest.raises(InvalidRequest):
        audio.embed(x, RATE, PAYLOAD[:-1], KEY)
    with pytest.raises(InvalidRequest):
        audio.embed(x, RATE, PAYLOAD, KEY, strength=0.0)
    with pytest.raises(KeyError_):
        audio.detect(x, RATE, KEY[:-1])


@pytest.mark.parametrize("n", [0, 1, 7_999])
def test_too_little_to_tell_is_undecidable(n):
    found = audio.detect(np.full((1, n), 0.1, np.float32), RATE, KEY)
    assert found.level is MarkLevel.UNDECIDABLE
    assert audio.detect(np.zeros((2, 20_000), np.float32), RATE, KEY).level is MarkLevel.UNDECIDABLE


def test_different_records_begin_at_different_places_and_a_repeat_is_identical(noisy_music):
    x = noisy_music[:, : 8 * 44_100]
    a = audio.embed(x, 44_100, PAYLOAD, KEY) - x
    b = audio.embed(x, 44_100, b"\x21other!", KEY) - x
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.2
    np.testing.assert_array_equal(audio.embed(x, 44_100, PAYLOAD, KEY) - x, a)


def test_presence_bound_holds_for_unrelated_keys(noisy_music):
    # exact_z of unrelated keys must not exceed a unit normal: 1,500 keys at one fixed lag
    cells = features.ScaledCells(features.log_power(noisy_music[:, :176_400].mean(0, keepdims=True))).at(1.0, 1.0)
    folded = sync.folded_cells(cells, 100)
    z = []
    for i in range(1500):
        signs = prf.signs(i.to_bytes(32, "big"), folded.shape, "test")
        z.append(float((folded * signs).sum() / np.sqrt((folded.astype(np.float64) ** 2).sum())))
    assert abs(np.mean(z)) < 0.1
    assert 0.94 < np.std(z) < 1.06
    plan = layout.pattern(KEY)
    assert sync.exact_z(cells, plan, 100) == pytest.approx(
        float((folded * plan.sync).sum()) / np.sqrt(float((folded[plan.sync != 0].astype(np.float64) ** 2).sum())),
        rel=1e-4,
    )


def test_pattern_without_a_readable_record_is_present_not_record(monkeypatch):
    wrong = np.random.default_rng(1).integers(0, 2, 512).astype(np.uint8)
    monkeypatch.setattr(embedder.payload_code, "encode", lambda *_: wrong)
    out = audio.embed(melody()[None].astype(np.float32), RATE, PAYLOAD, KEY)
    found = audio.detect(out, RATE, KEY)
    assert found.level is MarkLevel.PRESENT
    assert found.payload is None
    assert found.p_value <= 1e-6
    assert found.attempts > 0


def test_bands_and_pattern_are_what_the_page_says():
    edges = layout.band_edges()
    assert len(edges) == layout.BANDS + 1
    assert np.diff(edges).min() >= 2
    assert edges[-1] * layout.RATE / layout.FRAME == layout.HIGH_HZ
    plan = layout.pattern(KEY)
    assert (plan.sync != 0).sum() == layout.BLOCK_CHIPS * layout.BANDS // 5
    counts = np.bincount(plan.bit[plan.bit >= 0], minlength=512)
    assert counts.min() >= 5
    assert counts.max() <= 6


def test_memory_of_marker_does_not_depend_on_pieces_at_the_working_rate():
    x = (0.1 * np.random.default_rng(2).normal(size=(1, 5 * RATE))).astype(np.float32)

    def run(size):
        marker = embedder.WorkingRateMarker(1, PAYLOAD, KEY, phase=17)
        parts = [marker.push(x[:, a : a + size]) for a in range(0, x.shape[1], size)]
        return np.concatenate([*parts, marker.flush()], axis=1)

    whole = run(x.shape[1])
    assert whole.shape == x.shape
    np.testing.assert_array_equal(run(777), whole)
    np.testing.assert_array_equal(run(1), whole)


@pytest.mark.shared
def test_real_speech_and_music_are_not_accused():
    folder = Path(__file__).resolve().parents[4] / "shared" / "data" / "audio"
    if not folder.is_dir():
        pytest.skip("needs the shared data folder")
    av = pytest.importorskip("av")
    for path in sorted(folder.glob("*.ogg")):
        with av.open(str(path)) as source:
            resampler = av.AudioResampler("fltp", "mono", RATE)
            parts = [p.to_ndarray() for f in source.decode(audio=0) for p in resampler.resample(f)]
        x = np.concatenate(parts, axis=1)[:, : 6 * RATE].astype(np.float32)
        found = detector.detect_working_rate(x, KEY)
        assert found.level is MarkLevel.NONE, path.name


@settings(max_examples=8, deadline=None)
@given(
    st.integers(0, 3),
    st.one_of(st.integers(0, 40), st.integers(9_000, 12_000)),
    st.sampled_from([8_000, 11_025, 16_000, 44_099, 44_100, 48_000, 0, -1]),
    st.sampled_from(["zero", "noise", "huge", "tiny", "impulse", "constant"]),
)
def test_any_samples_give_an_answer_or_our_error(channels, n, rate, kind):
    x = np.zeros((channels, n), np.float32)
    if kind == "noise":
        x += np.random.default_rng(n).normal(size=x.shape).astype(np.float32) * 0.1
    elif kind in ("huge", "tiny"):
        x += np.float32(1e30 if kind == "huge" else 1e-30)
    elif kind == "constant":
        x += np.float32(0.5)
    elif kind == "impulse" and x.size:
        x[:, n // 2] = 1.0
    try:
        assert audio.detect(x, rate, KEY).level is not MarkLevel.RECORD
        marked = audio.embed(x, rate, PAYLOAD, KEY)
    except GensafeError:
        return
    assert marked.shape == x.shape
    assert np.isfinite(marked).all()
    assert audio.detect(marked, rate, KEY).level in (MarkLevel.RECORD, MarkLevel.PRESENT)
