"""Properties of the payload layer: every payload comes back, nothing else does."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gensafe_watermark import payload, polar, prf

PAYLOADS = st.binary(min_size=7, max_size=7)
KEYS = st.binary(min_size=32, max_size=32)
MEDIA = st.sampled_from(["image", "audio", "video"])


@settings(max_examples=25, deadline=None)
@given(PAYLOADS, KEYS, MEDIA, st.sampled_from([128, 256, 512, 1024]))
def test_every_payload_comes_back_from_clean_bits(data, key, medium, length):
    coded = payload.encode(data, key, medium, length)
    found = payload.decode(1.0 - 2.0 * coded.astype(np.float32), key, medium)
    assert found is not None and found.payload == data


@settings(max_examples=15, deadline=None)
@given(PAYLOADS, KEYS, st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_survives_noise_erasures_and_any_scale(data, key, seed, scale):
    rng = np.random.default_rng(seed)
    soft = (1.0 - 2.0 * payload.encode(data, key, "image")) + rng.normal(0, 0.9, 512)
    soft[rng.permutation(512)[:100]] = 0
    found = payload.decode((scale * soft).astype(np.float32), key, "image")
    assert found is not None and found.payload == data


@settings(max_examples=15, deadline=None)
@given(PAYLOADS, KEYS, KEYS, MEDIA)
def test_another_key_or_medium_finds_nothing(data, key, other, medium):
    soft = 1.0 - 2.0 * payload.encode(data, key, medium).astype(np.float32)
    if other != key:
        assert payload.decode(soft, other, medium) is None
    assert payload.decode(soft, key, medium + "x") is None


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_arbitrary_numbers_never_crash_or_pass(seed):
    rng = np.random.default_rng(seed)
    soft = rng.normal(size=(3, 512)).astype(np.float32)
    soft[1, ::3], soft[1, 1::3] = np.nan, np.inf
    soft[2] = 0
    assert payload.decode_many(soft, bytes(32), "image") == [None, None, None]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_polar_transform_is_its_own_inverse(order, seed):
    word = np.random.default_rng(seed).integers(0, 2, 2**order, dtype=np.uint8)
    assert np.array_equal(polar.transform(polar.transform(word)), word)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_different_labels_give_different_keys(first, second):
    same = prf.derive(bytes(32), *first) == prf.derive(bytes(32), *second)
    assert same == (first == second)
