"""The keyed choice itself: generator, distribution, repeats, masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from gensafe.core.errors import InvalidRequest, KeyError_
from gensafe_watermark import sampling
from gensafe_watermark.sampling import GumbelMark

KEY = bytes(range(32))


def test_generator_is_philox4x64_10():
    # Random123's published answer for counter 0, key 0; numpy steps the counter first, so it starts at -1
    block = np.random.Philox(key=np.zeros(2, np.uint64), counter=np.full(4, 2**64 - 1, np.uint64)).random_raw(4)
    assert [int(x) for x in block] == [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(0, 2**64 - 1)] * 2), st.integers(0, 15), st.integers(1, 300))
def test_one_token_lookup_equals_the_full_draw(key, shift, size):
    full = sampling.Draws(shift)(key, np.arange(size))
    token = size - 1
    keys = np.array([key], np.uint64)
    got = sampling.uniforms_at(keys, np.array([token]), np.array([shift], np.uint64))
    assert got[0, 0] == full[token]
    assert ((full > 0) & (full < 1)).all()


def test_values_are_pinned():
    # marked texts outlive library versions: these numbers may never change
    key = sampling.context_key(sampling.sampling_key(KEY), (5, 6, 7))
    draws = sampling.Draws(0)
    first = draws(key, np.arange(4))
    np.testing.assert_array_equal(draws(key, np.array([1, 3])), first[[1, 3]])  # used again, from the start again
    np.testing.assert_array_equal(first, PINNED)


PINNED = [0.4983425044886434, 0.3717996897346753, 0.6866902604582044, 0.2443216455655282]


def test_choice_is_distributed_as_the_model_says():
    p = np.array([0.5, 0.0, 0.3, 0.15, 0.05])
    counts = np.zeros(5)
    for i in range(6000):
        counts[GumbelMark(KEY).choose([i, 1, 2], p)] += 1
    assert counts[1] == 0
    assert chisquare(counts[p > 0], 6000 * p[p > 0]).pvalue > 1e-4


def test_key_ids_choose_independently():
    p = np.full(64, 1 / 64)
    a = [GumbelMark(KEY, key_shift=0).choose([i, 1, 2], p) for i in range(400)]
    b = [GumbelMark(KEY, key_shift=1).choose([i, 1, 2], p) for i in range(400)]
    c = [GumbelMark(bytes(32)).choose([i, 1, 2], p) for i in range(400)]
    for other in (b, c):
        assert sum(x == y for x, y in zip(a, other, strict=True)) < 25  # 6.25 expected by chance


def test_repeated_and_short_contexts_are_sampled_freely():
    mark = GumbelMark(KEY)
    p = np.full(8, 1 / 8)
    assert mark.choose([1, 2], p) is None
    assert mark.choose([1, 2, 3], p) is not None
    assert mark.choose([9, 1, 2, 3], p) is None
    assert GumbelMark(KEY).choose([9, 1, 2, 3], p) is not None  # another text starts anew


def test_forced_token_neither_spends_the_context_nor_needs_one():
    mark = GumbelMark(KEY)
    forced = np.array([0.0, 1.0, 0.0])
    assert mark.choose([], forced) == 1
    assert mark.choose([1, 2, 3], forced) == 1
    assert mark.choose([1, 2, 3], np.full(3, 1 / 3)) is not None
    assert mark.chosen == 1


def test_numpy_integers_and_plain_integers_give_the_same_choice():
    p = np.full(32, 1 / 32)
    assert GumbelMark(KEY).choose(list(np.array([4, 5, 6])), p) == GumbelMark(KEY).choose([4, 5, 6], p)


def test_tiny_probabilities_do_not_underflow():
    p = np.full(4, 1e-300)
    p[2] = 1 - 3e-300
    assert GumbelMark(KEY).choose([1, 2, 3], p) == 2


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((b"short",), KeyError_),
        ((KEY, 0), InvalidRequest),
        ((KEY, 9), InvalidRequest),
        ((KEY, 3, 16), InvalidRequest),
        ((KEY, 3, -1), InvalidRequest),
    ],
)
def test_bad_parameters(arguments, error):
    with pytest.raises(error):
        GumbelMark(*arguments)


def test_no_possible_token():
    with pytest.raises(InvalidRequest):
        GumbelMark(KEY).choose([1, 2, 3], np.zeros(5))
