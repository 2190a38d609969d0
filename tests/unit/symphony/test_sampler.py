from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from gensafe.core.errors import BackendError
from gensafe_backends.symphony.sampler import Sampler, SamplingParams, draw, philox4x32, probabilities, uniform


@pytest.mark.parametrize(
    ("counter", "key", "want"),
    [  # known answers published with Random123 (philox4x32, 10 rounds)
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_known_answers(counter, key, want):
    assert philox4x32(counter, key) == want


def test_draws_depend_on_seed_and_step_alone():
    assert uniform(7, 3) == uniform(7, 3)
    assert len({uniform(s, n, k) for s in range(5) for n in range(20) for k in range(3)}) == 300
    assert uniform(2**64 + 7, 3) == uniform(7, 3)  # the key is 64 bits wide


def test_samples_follow_the_distribution():
    logits = np.log(np.array([0.1, 0.2, 0.3, 0.4]))
    sampler = Sampler(11, SamplingParams(1.0))
    counts = np.bincount([sampler.choose(logits) for _ in range(4000)], minlength=4)
    assert chisquare(counts, np.array([400, 800, 1200, 1600])).pvalue > 1e-4


def test_greedy_breaks_ties_towards_the_lower_id_and_ignores_the_seed():
    logits = np.array([0.0, 5.0, 5.0, 1.0], dtype=np.float32)
    assert {Sampler(seed).choose(logits) for seed in range(8)} == {1}


def test_top_p_keeps_the_smallest_sufficient_set():
    p = probabilities(np.log(np.array([0.5, 0.3, 0.15, 0.05])), SamplingParams(1.0, 0.79))
    np.testing.assert_allclose(p, [0.625, 0.375, 0, 0], atol=1e-12)
    tied = probabilities(np.zeros(4), SamplingParams(1.0, 0.49))
    np.testing.assert_allclose(tied, [0.5, 0.5, 0, 0])


def test_mask_is_never_left():
    allowed = np.array([False, True, False, True])
    sampler = Sampler(1, SamplingParams(2.0))
    assert {sampler.choose(np.array([9.0, 0, 9, 0]), allowed=allowed) for _ in range(50)} == {1, 3}


def test_no_candidate_and_bad_numbers_are_refused():
    with pytest.raises(BackendError):
        probabilities(np.zeros(3), SamplingParams(1.0), np.zeros(3, bool))
    with pytest.raises(BackendError):
        probabilities(np.array([0.0, np.nan]), SamplingParams(1.0))
    with pytest.raises(BackendError):
        SamplingParams(temperature=-1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40).filter(lambda x: sum(x) > 1e-6), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_draw_always_returns_a_token_with_mass(weights, u):
    p = np.array(weights) / sum(weights)
    assert p[draw(p, u)] > 0


class _Pick:
    scheme, key_id = "test", "k"

    def __init__(self, answer):
        self.answer, self.seen = answer, []

    def choose(self, context, probabilities):
        self.seen.append((list(context), probabilities.copy()))
        return self.answer


def test_a_mark_sees_context_and_distribution_and_may_decline():
    logits = np.log(np.array([0.25, 0.75]))
    mark = _Pick(0)
    assert Sampler(3, SamplingParams(1.0)).choose_marked(logits, mark, [4, 5]) == (0, True)
    assert mark.seen[0][0] == [4, 5]
    np.testing.assert_allclose(mark.seen[0][1], [0.25, 0.75])
    declined = Sampler(3, SamplingParams(1.0)).choose_marked(logits, _Pick(None), [])
    assert declined == (Sampler(3, SamplingParams(1.0)).choose(logits), False)


def test_a_sole_candidate_is_not_counted_as_marked():
    assert Sampler(3).choose_marked(np.array([0.0, 9.0]), _Pick(1), []) == (1, False)


def test_a_marked_token_uses_up_its_step():
    free, marked = Sampler(5, SamplingParams(1.0)), Sampler(5, SamplingParams(1.0))
    logits = np.zeros(64)
    free.choose(logits)
    marked.choose_marked(logits, _Pick(7), [])
    assert free.choose(logits) == marked.choose(logits)


def test_a_mark_cannot_leave_the_grammar():
    allowed = np.array([True, False])
    with pytest.raises(BackendError):
        Sampler(3, SamplingParams(1.0)).choose_marked(np.zeros(2), _Pick(1), [], allowed=allowed)
