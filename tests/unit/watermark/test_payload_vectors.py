"""Committed vectors: a file marked today must still decode after any change to this code or its libraries."""

import hashlib

import numpy as np
import pytest

from gensafe.core.errors import KeyError_
from gensafe_watermark import payload, polar, prf, statistics

KEY = bytes(range(32))
VECTORS = [
    (
        "00000000000000", "image", 512, "4d1137a25cbc1a3039d99f07f66f8e09",
        "fccfaaf0e18ce3ee09815900d78c0b62a85776726e28146789772bbfdf8a82a8",
    ),
    (
        "1f23456789abcd", "image", 512, "25551d7f2549215c71810ca0af860c1f",
        "c052b1cb0d7804747e20d119231bf503d0d1308d0a7df71272cdaed2c8b3e9bf",
    ),
    (
        "1f23456789abcd", "audio", 256, "e4f0417f2fc1184b3d348fabc67358ad",
        "72d729e23b5fefe11397d6824f4c9468d1c8352578501b88e06b833042ed36e7",
    ),
    (
        "f0ffffffffffff", "video", 512, "1d16c35205e55688293f843f171a6408",
        "83f5c8e8818f28f0a13c58933b1b73a99e8939e2a78635c1f9fec61f0f0c6cb3",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("data", "medium", "length", "head", "digest"), VECTORS)
def test_coded_bits_are_fixed(data, medium, length, head, digest):
    packed = np.packbits(payload.encode(bytes.fromhex(data), KEY, medium, length)).tobytes()
    assert packed[:16].hex() == head
    assert hashlib.sha256(packed).hexdigest() == digest


def test_keyed_sequences_are_fixed():
    assert prf.derive(KEY, "mac", "image").hex() == "015d7f3dd87cf6ecb0d3406aed4bcee5020451cfbb664ba95cd2edd9d56ece88"
    assert prf.stream(KEY, 16, "sync").hex() == "5551a5e3bb72301167e97e794f876f3e"
    assert prf.permutation(KEY, 8, "y").tolist() == [2, 3, 6, 0, 7, 1, 4, 5]


def test_hkdf_follows_rfc_5869_case_1():
    okm = prf.hkdf(b"\x0b" * 22, bytes(range(0xF0, 0xFA)), 42, salt=bytes(range(13)))
    assert okm.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33)])
def test_a_key_of_another_size_is_refused(key):
    with pytest.raises(KeyError_, match="32 bytes"):
        payload.encode(bytes(7), key, "image")


def test_epochs_have_their_own_keys():
    assert len({prf.epoch_key(KEY, e) for e in range(16)}) == 16
    assert payload.epoch_of(bytes.fromhex("a0000000000001")) == 10
    with pytest.raises(ValueError):
        prf.epoch_key(KEY, 16)


def test_one_payload_bit_changes_about_half_of_the_coded_bits():
    first = payload.encode(bytes(7), KEY, "image")
    second = payload.encode(bytes(6) + b"\x01", KEY, "image")
    assert 0.4 < np.mean(first != second) < 0.6


@pytest.mark.parametrize(("amplitude", "least"), [(0.7, 0.9), (0.6, 0.6)])
def test_soft_decoding_reaches_the_rate_it_was_chosen_for(amplitude, least):
    """(512, 96), list 8, Gaussian noise of unit variance; 0.7 is 25 % raw bit errors."""
    rng = np.random.default_rng(11)
    coded = 1.0 - 2.0 * payload.encode(b"genuine", KEY, "image")
    words = (amplitude * coded + rng.normal(size=(60, 512))).astype(np.float32)
    found = payload.decode_many(words, KEY, "image")
    assert np.mean([f is not None for f in found]) >= least
    assert {f.payload for f in found if f} == {b"genuine"}


def test_list_decoding_is_maximum_likelihood_on_a_small_code():
    """With a list as long as the code book, the first candidate is the nearest codeword under the min-sum metric."""
    rng = np.random.default_rng(3)
    book = polar.encode(np.unpackbits(np.arange(32, dtype=np.uint8)[:, None], axis=1)[:, 3:], 16)
    llr = rng.normal(size=(40, 16)).astype(np.float32)
    nearest = book[np.argmax(llr @ (1.0 - 2.0 * book.T), axis=1)]
    first = polar.decode(llr, 5, 32).bits[:, 0]
    agree = np.mean(np.all(polar.encode(first, 16) == nearest, axis=1))
    assert agree > 0.9  # min-sum is not exactly ML


@pytest.mark.parametrize("length", [0, 1, 64, 500])
def test_bad_lengths_are_refused(length):
    with pytest.raises(ValueError):
        payload.encode(bytes(7), KEY, "image", length)


def test_bounds_count_every_attempt():
    assert statistics.p_value(4096, 8) == pytest.approx(4096 * 8 / 2**40)
    assert statistics.presence_p(statistics.presence_threshold(1e6), 1e6) == pytest.approx(1e-6)
    low, high = statistics.proportion_interval(0, 100_000)
    assert low == 0 and high == pytest.approx(3.69e-5, rel=0.01)
    sample = np.random.default_rng(0).gumbel(4.5, 0.25, 20_000)
    tail = statistics.fit_gumbel(sample)
    assert tail.p(tail.threshold(1e-4)) == pytest.approx(1e-4)
    assert tail.threshold(1e-3) == pytest.approx(4.5 + 0.25 * 6.907, abs=0.05)
