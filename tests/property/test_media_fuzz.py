"""Any bytes at all: media parsers answer with a medium or with one of our errors."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gensafe.core.errors import GensafeError, MediaError, UnreadableMedia, UnsupportedMedia
from gensafe.core.types import Audio, Image, Text, Video
from gensafe.media import ENCODABLE, Limits, decode, encode, modality_of, sniff
from gensafe.media.fingerprint import fingerprint, similarity
from gensafe.media.sandbox import safe_loads

LIMITS = Limits(max_bytes=1 << 20, max_pixels=1 << 20, max_side=2048, max_frames=200, max_duration_s=30.0)
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def originals():
    ramp = np.linspace(0, 255, 40).astype(np.uint8)
    pixels = np.ascontiguousarray(np.stack([np.tile(ramp, (24, 1))] * 3, -1))
    sound = Audio((0.4 * np.sin(np.arange(4000) / 6)).astype(np.float32)[None], 16000)
    frames = np.zeros((5, 32, 32, 3), np.uint8)
    for i, frame in enumerate(frames):
        frame[8:16, 4 * i : 4 * i + 8] = 220
    media = {"image": Image(pixels), "audio": sound, "video": Video(frames, 8.0, sound), "text": Text("hello, wörld")}
    return [encode(media[m.value], kind) for m, kinds in ENCODABLE.items() for kind in kinds]


ORIGINALS = originals()


def accept_only_ours(data):
    try:
        media = decode(data, limits=LIMITS)
    except MediaError:
        return
    assert media.modality is modality_of(sniff(data))


@FEW
@given(st.binary(max_size=300))
def test_random_bytes(data):
    accept_only_ours(data)


@FEW
@given(
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF....WAVE", b"RIFF....WEBP", b"OggS", b"fLaC"]),
    st.binary(),
)
def test_a_signature_with_rubbish_behind_it(head, tail):
    with pytest.raises(MediaError):
        decode(head + tail, limits=LIMITS)


@FEW
@given(st.sampled_from(range(len(ORIGINALS))), st.data())
def test_damaged_files(which, data):
    raw = bytearray(ORIGINALS[which])
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    accept_only_ours(bytes(raw[:cut]) if data.draw(st.booleans()) else bytes(raw))


@FEW
@given(st.text(max_size=80))
def test_text_comes_back_in_nfc(text):
    import unicodedata

    try:
        data = encode(Text(text), "text/plain")
    except UnsupportedMedia:
        return
    if data:
        try:
            assert decode(data) == Text(unicodedata.normalize("NFC", text))
        except UnreadableMedia:
            pytest.fail("what was written as text is not read back as text")
        except UnsupportedMedia:
            assert data.startswith((b"%PDF", b"BM"))  # text that begins like another format


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 255))
def test_pictures_of_any_size_keep_their_pixels(height, width, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert np.array_equal(decode(encode(Image(pixels), "image/png")).pixels, pixels)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.integers(1, 400), st.integers(1, 96_000), st.integers(0, 9))
def test_wave_files_of_any_shape_keep_their_samples(channels, count, rate, seed):
    steps = np.random.default_rng(seed).integers(-32768, 32768, (channels, count)).astype(np.float32) / 32768
    found = decode(encode(Audio(steps, rate), "audio/wav"))
    assert found.rate == rate
    assert np.array_equal(found.samples, steps)


@FEW
@given(
    st.dictionaries(
        st.sampled_from(["pdq-256", "layout-16", "vpdq", "vlayout-8", "spectrum-64x4", "minhash-128"]),
        st.text("0123456789abcdefxyz", max_size=80),
    )
)
def test_stored_fingerprints_may_be_anything(entry):
    try:
        assert 0.0 <= similarity(entry, entry) <= 1.0
    except UnsupportedMedia:
        pass


@settings(max_examples=20, deadline=None)
@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
def test_similarity_is_symmetric(a, b):
    one, two = fingerprint(Text(a)), fingerprint(Text(b))
    assert similarity(one, two) == similarity(two, one)


@FEW
@given(st.binary(max_size=200))
def test_worker_answers_may_be_anything(data):
    try:
        safe_loads(data)
    except GensafeError:
        pass
